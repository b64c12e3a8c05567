"""Reads the settings from environment variables, or says in full what is wrong with them (mission.md E13, lesson 27)."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from src.domain.errors import ConfigError
from src.interfaces.wiring import parameter
from src.interfaces.wiring.aliases import aliased
from src.interfaces.wiring.cleaned_folders import clash, cleaned
from src.interfaces.wiring.rules import Contradiction
from src.interfaces.wiring.settings import NESTED, PREFIX, Settings

LISTED = "docs/settings.md lists types and limits of every setting"

SERVICE_LINK = re.compile(r"WORKER(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP).*)?)")
"""What Kubernetes puts into every pod when a Service is called `worker`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from: a variable's name, or None for the default."""

    setting: str
    variable: str | None
    alias: bool = False
    source: str | None = None
    """where the variable was set, when not in the environment itself"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and, for each one that was set, by which variable."""

    settings: Settings
    origins: Mapping[str, Origin]


def variable(setting: str) -> str:
    """`queue.backend` -> `WORKER_QUEUE__BACKEND`."""
    return PREFIX + setting.replace(".", NESTED).upper()


def fields(model: type[BaseModel] = Settings, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted name, field) of every setting, in the order they are declared."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


def load(environ: Mapping[str, str] | None = None, *, folders: bool = True) -> Settings:
    """The settings. Raises ConfigError, naming every variable that is unknown, unreadable or contradictory. Without `folders` nobody
    looks at the disk for what lies in the folders that are cleaned up."""
    return load_with_origins(environ, folders=folders).settings


def load_with_origins(environ: Mapping[str, str] | None = None, *, folders: bool = True) -> Loaded:
    """As `load`, with the origin of each value that is not a default. Read from the environment itself, what an SSM parameter
    adds is put there, for the processes that this one starts."""
    own = os.environ if environ is None else environ
    names = {variable(setting): setting for setting, _field in fields()}
    _refuse_unknown(own, names)
    taken = parameter.take(own, names)
    merged = {**own, **taken.values}
    chosen = {setting: (name, merged[name], False) for name, setting in names.items() if merged.get(name)}
    for setting, (alias, value) in aliased(merged).items():
        chosen.setdefault(setting, (alias, value, True))
    source = EnvSettingsSource(Settings)
    source.env_vars = {variable(setting).lower(): value for setting, (_name, value, _alias) in chosen.items()}
    origins = {
        setting: Origin(
            setting=setting, variable=name, alias=alias, source=taken.source if name in taken.values else None
        )
        for setting, (name, _value, alias) in chosen.items()
    }
    try:
        settings = Settings(**source())
    except ValidationError as error:
        raise _explained(error, origins) from None
    if folders:
        _refuse_to_clean_what_is_kept(settings)
    if environ is None and taken.parameter:
        parameter.keep(taken)
    return Loaded(settings, origins)


def _refuse_to_clean_what_is_kept(settings: Settings) -> None:
    """Each folder is named once, with the first thing that must not be in it."""
    problems = {folder.named: why for folder in cleaned(settings) if (why := clash(settings, folder)) is not None}
    if problems:
        raise ConfigError(
            with_variables("; ".join(problems.values())),
            fix=with_variables(f"set {' and '.join(problems)} to a folder that holds nothing else (docs/content.md)"),
        )


def _refuse_unknown(environ: Mapping[str, str], names: Mapping[str, str]) -> None:
    problems = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in names:
            continue
        if SERVICE_LINK.fullmatch(name):
            problems.append(f"{name} looks like a Kubernetes service link: set enableServiceLinks: false in the pod")
            continue
        # Without what all of them begin with, which would make any two names alike.
        short = {known.removeprefix(PREFIX): known for known in names}
        near = difflib.get_close_matches(name.removeprefix(PREFIX), short, n=1, cutoff=0.7)
        problems.append(f"{name} is not a setting" + (f"; did you mean {short[near[0]]}?" if near else ""))
    if problems:
        raise ConfigError(
            "; ".join(problems),
            fix="`mediaworker config schema` lists every setting, as docs/settings.md does; unset what is none",
        )


def _explained(error: ValidationError, origins: Mapping[str, Origin]) -> ConfigError:
    """Names and rules. Of values only one that should have been a word of a list: any other may be a secret, set where it does not
    belong. A part of a list has no variable of its own: the whole list's is named."""
    # Imported to explain an error: whoever has none needs no adapter yet.
    from src.infrastructure.observability.redaction import clean

    known, problems, fixes = {setting for setting, _field in fields()}, [], []
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        fixes.append(with_variables(cause.fix) if isinstance(cause, Contradiction) else LISTED)
        path = [str(part) for part in detail["loc"]]
        setting = next(
            (name for end in range(len(path), 0, -1) if (name := ".".join(path[:end])) in known), ".".join(path)
        )
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "literal_error":
            message = (
                f"{clean(str(detail['input'])[:60])!r} is none of {detail['ctx']['expected'].replace(' or ', ', ')}"
            )
        if setting in known:
            origin = origins.get(setting)
            where = f" (from {origin.source})" if origin and origin.source else ""
            problems.append(f"{origin.variable if origin else variable(setting)}{where}: {message}")
        else:
            problems.append(with_variables(f"{setting}: {message}" if setting else message))
    return ConfigError("; ".join(problems), fix="; ".join(dict.fromkeys(fixes)))


def with_variables(message: str) -> str:
    """Rules speak of `lock.backend`; readers set `WORKER_LOCK__BACKEND`."""
    for name, _field in fields():
        if "." in name:
            message = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.])", variable(name), message)
    return message

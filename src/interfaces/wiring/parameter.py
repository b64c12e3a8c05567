"""Settings from one SSM parameter (contracts.md 1.7): read whole, or nothing is started.

What the environment says itself wins, setting by setting, whatever names both use. What is taken is put into the environment of
the process, so that the processes it starts see the same without asking again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from src.domain.errors import ConfigError
from src.interfaces.wiring.aliases import ALIASES, REDIS_PARTS
from src.interfaces.wiring.settings import PREFIX

NAMED_BY = "WORKER_SSM_PARAMETER"

TAKEN = "MEDIAWORKER_SSM_TAKEN"
"""Variable with a JSON object {"parameter", "names"}: what has been read already, and which variables came with it."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
FORMAT = 'a JSON object of variables, {"WORKER_DATABASE__URL": "..."}, or lines NAME=VALUE'
KNOWN = frozenset(name for names in ALIASES.values() for name in names) | frozenset(REDIS_PARTS)
FOR_THE_SDK = "AWS_"
"""Variables of this name are none of our settings, but AWS's SDK goes by them. Others are somebody else's and not taken."""

Read = Callable[[str, Mapping[str, str]], str]
"""(parameter, environment) -> its text. Raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a parameter gave."""

    parameter: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where they come from, for people."""
        return f"ssm:{self.parameter}"


def read_ssm(parameter: str, environ: Mapping[str, str]) -> str:
    """From AWS. Its SDK is imported here, when a parameter is named, and not before."""
    try:
        from src.infrastructure.aws.parameters import read_parameter
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{NAMED_BY} needs the Python package {error.name!r}, which is not installed",
            fix=f"pip install {error.name}, or set the variables themselves",
        ) from error

    def first(setting: str, own: str) -> str | None:
        return next((environ[name] for name in (own, *ALIASES[setting]) if environ.get(name)), None)

    return read_parameter(
        parameter,
        region=first("aws.region", "WORKER_AWS__REGION"),
        endpoint_url=first("aws.endpoint_url", "WORKER_AWS__ENDPOINT_URL"),
    )


def take(environ: Mapping[str, str], variables: Mapping[str, str], read: Read | None = None) -> Taken:
    """What the parameter named in `environ` adds to it; nothing when none is named. `variables` is {variable: setting}. Raises
    ConfigError, which names the parameter and what is wrong, never a value."""
    parameter = environ.get(NAMED_BY)
    if not parameter:
        return Taken()
    before = json.loads(environ.get(TAKEN) or "{}")
    if before.get("parameter") == parameter:
        return Taken(parameter, {name: environ[name] for name in before["names"] if name in environ})
    where = f"SSM parameter {parameter}"
    found = parsed((read or read_ssm)(parameter, environ), where)
    unknown = sorted(name for name in found if name.startswith(PREFIX) and name not in variables)
    if unknown or NAMED_BY in found:
        raise ConfigError(
            f"{where}: {', '.join(unknown or [NAMED_BY])} is not a setting that it may hold",
            fix="`mediaworker config show` lists every setting; docs/settings.md explains them",
        )
    said = _said(environ, variables)
    return Taken(
        parameter,
        {
            name: value
            for name, value in found.items()
            if _ours(name) and not environ.get(name) and said.isdisjoint(_settings_of(name, variables))
        },
    )


def keep(taken: Taken) -> None:
    """Put it into this process's environment, for those it starts."""
    os.environ.update(taken.values)
    os.environ[TAKEN] = json.dumps({"parameter": taken.parameter, "names": sorted(taken.values)})


def parsed(text: str, where: str) -> dict[str, str]:
    """{variable: value} of either format. Raises ConfigError for anything that is neither: no part is passed over."""
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise ConfigError(f"{where} is empty", fix=f"it holds {FORMAT}")
    found = _from_json(text, where) if text.startswith(("{", "[", '"')) else _from_lines(text, where)
    for name, value in found.items():
        if "\0" in value:
            raise ConfigError(f"{where}: {name} has a NUL character in it", fix="write it without")
    return found


def _from_json(text: str, where: str) -> dict[str, str]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _value in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{where} has {', '.join(twice)} twice", fix="keep one of them")
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        at = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "somewhere"
        # Not `from error`: its text is the parameter's.
        raise ConfigError(f"{where} is not JSON ({at})", fix=f"it holds {FORMAT}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{where} is JSON, but no object", fix=f"it holds {FORMAT}")
    return {_name(name, where): _text(name, value, where) for name, value in document.items()}


def _from_lines(text: str, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise ConfigError(f"line {number} of {where} is not NAME=VALUE", fix=f"it holds {FORMAT}")
        name, value = match[1], match[2].strip()
        if name in found:
            raise ConfigError(f"{where} has {name} twice", fix="keep one of them")
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        found[name] = value[1:-1] if quoted else value
    return found


def _name(name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: {name[:40]!r} is not a variable's name", fix=f"it holds {FORMAT}")
    return name


def _text(name: str, value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    kind = "null" if value is None else type(value).__name__
    raise ConfigError(f"{where}: {name} is {kind}, not text", fix="write it as text, as in an environment variable")


def _ours(name: str) -> bool:
    return name.startswith((PREFIX, FOR_THE_SDK)) or name in KNOWN


def _settings_of(name: str, variables: Mapping[str, str]) -> set[str]:
    if name in variables:
        return {variables[name]}
    return {setting for setting, names in ALIASES.items() if name in names}


def _said(environ: Mapping[str, str], variables: Mapping[str, str]) -> set[str]:
    """Settings that the environment itself names, by whatever name. REDIS_HOST stands for an address; what belongs to it (a
    password) may come with the parameter."""
    said = {setting for name in environ if environ[name] for setting in _settings_of(name, variables)}
    return said | {"redis.url"} if environ.get("REDIS_HOST") else said

"""`${NAME}` in the files, and the values that stand for it.

The files hold names and numbers that are the same in every account; what differs is filled in when they are used. A value
is checked before it gets into a policy: a bucket called `*` would open everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.domain.infra.problems import Problem

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
GIVEN = "(values)"
"""Stands for the file where a value itself is wrong."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What may be filled in. `many`: a list, separated by commas, that fills a list."""

    meaning: str
    pattern: re.Pattern[str]
    many: bool = False


VARIABLES: Mapping[str, Variable] = {
    "ACCOUNT_ID": Variable("the AWS account, 12 digits", re.compile(r"\d{12}")),
    "REGION": Variable("the AWS region, such as ap-northeast-2", re.compile(r"[a-z]{2}(-[a-z]+)+-\d")),
    "BUCKET": Variable("the bucket of sources and streams", re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")),
    "PREFIX": Variable("the folder before every key; may be empty", re.compile(r"([A-Za-z0-9._-]+/)*")),
    "IMAGE": Variable("the worker image with its tag or digest", re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")),
    "REPOSITORY": Variable("the image's repository; found in IMAGE", re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*")),
    "SUBNETS": Variable("subnets, separated by commas", re.compile(r"subnet-[0-9a-z]+"), many=True),
    "SECURITY_GROUPS": Variable("security groups, separated by commas", re.compile(r"sg-[0-9a-z]+"), many=True),
}


def complete(given: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """The values as they are filled in, with those that follow from others, and what is wrong with them."""
    values = {name: value.strip() for name, value in given.items()}
    if "PREFIX" in values:
        folder = values["PREFIX"].strip("/")
        values["PREFIX"] = f"{folder}/" if folder else ""
    if "REPOSITORY" not in values and values.get("IMAGE"):
        values["REPOSITORY"] = repository(values["IMAGE"])
    problems: list[Problem] = []
    for name, value in sorted(values.items()):
        if name == "REPOSITORY" and name not in given and any(problem.path == "IMAGE" for problem in problems):
            # It follows from the image, and so does what is wrong with it.
            del values[name]
            continue
        if name not in VARIABLES:
            known = ", ".join(VARIABLES)
            problems.append(Problem(GIVEN, name, "no placeholder has this name", f"known: {known}"))
            continue
        variable = VARIABLES[name]
        if not all(variable.pattern.fullmatch(part) for part in parts(name, value)):
            problems.append(Problem(GIVEN, name, f"{value!r} is not {variable.meaning}", how_to_give(name)))
    return values, problems


def how_to_give(name: str) -> str:
    """The ways to say a value."""
    return f"give --set {name}=... or INFRA_{name}"


def parts(name: str, value: str) -> list[str]:
    """The values of a list; one for all others."""
    return [part.strip() for part in value.split(",")] if VARIABLES[name].many else [value]


def repository(image: str) -> str:
    """The name of an image without registry, tag and digest."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        name = rest
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A placeholder without a value, and a place where it stands."""

    name: str
    file: str
    path: str


def merged(missing: Sequence[Missing]) -> list[Problem]:
    """One problem for each placeholder, at the first of its places."""
    places: dict[str, list[Missing]] = {}
    for one in missing:
        places.setdefault(one.name, []).append(one)
    problems = []
    for name, those in places.items():
        more = f" (and in {len(those) - 1} more places)" if len(those) > 1 else ""
        if name in VARIABLES:
            text, fix = f"${{{name}}} has no value: {VARIABLES[name].meaning}{more}", how_to_give(name)
        else:
            text, fix = f"there is no placeholder ${{{name}}}{more}", f"known: {', '.join(VARIABLES)}"
        problems.append(Problem(those[0].file, those[0].path, text, fix))
    return problems


def fill(document: Any, values: Mapping[str, str], file: str, path: str = "$") -> tuple[Any, list[Missing]]:
    """The document with its placeholders filled in, and those that have no value."""
    problems: list[Missing] = []
    if isinstance(document, dict):
        filled: dict[str, Any] = {}
        for name, value in document.items():
            filled[name], found = fill(value, values, file, f"{path}.{name}")
            problems += found
        return filled, problems
    if isinstance(document, list):
        items: list[Any] = []
        for number, value in enumerate(document):
            whole = PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
            if whole and whole[1] in values and whole[1] in VARIABLES and VARIABLES[whole[1]].many:
                items += parts(whole[1], values[whole[1]])
                continue
            item, found = fill(value, values, file, f"{path}[{number}]")
            items.append(item)
            problems += found
        return items, problems
    if not isinstance(document, str):
        return document, []
    missing = [Missing(name, file, path) for name in PLACEHOLDER.findall(document) if name not in values]
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), document), missing

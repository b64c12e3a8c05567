"""What IAM would say, as far as our policies go: a small evaluator. What it does not know is an error, never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

KNOWN = {"Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition"}
Context = Mapping[str, str]


def allowed(
    policies: Sequence[Mapping[str, Any]],
    action: str,
    resource: str | None = None,
    context: Context | None = None,
    principal: str | None = None,
) -> bool:
    """Whether any statement allows it and none denies it. `resource` None and `principal` given: a trust policy."""
    said = [
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _applies(statement, action, resource, context or {}, principal)
    ]
    return "Allow" in said and "Deny" not in said


def _applies(
    statement: Mapping[str, Any], action: str, resource: str | None, context: Context, principal: str | None
) -> bool:
    if unknown := statement.keys() - KNOWN:
        raise ValueError(f"the evaluator does not know {sorted(unknown)}")
    if ("Action" in statement) == ("NotAction" in statement) or statement["Effect"] not in ("Allow", "Deny"):
        raise ValueError(f"not a statement: {statement}")
    if not _acts(statement, action):
        return False
    if principal is not None:
        (kind,) = statement["Principal"]
        if kind != "Service":
            raise ValueError(f"the evaluator does not know {kind} principals")
        if principal not in listed(statement["Principal"]["Service"]):
            return False
    elif not any(_like(pattern, resource or "") for pattern in listed(statement["Resource"])):
        return False
    return all(
        _holds(operator, key, listed(values), context)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def touched(policies: Sequence[Mapping[str, Any]], action: str) -> bool:
    """Whether any statement is about this action, whatever it acts on."""
    return any(_acts(statement, action) for policy in policies for statement in policy["Statement"])


def _acts(statement: Mapping[str, Any], action: str) -> bool:
    if "Action" in statement:
        return any(_like(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
    return not any(_like(pattern.lower(), action.lower()) for pattern in listed(statement["NotAction"]))


def _holds(operator: str, key: str, values: Sequence[str], context: Context) -> bool:
    if operator not in ("StringEquals", "StringLike", "Bool"):
        raise ValueError(f"the evaluator does not know the condition {operator}")
    if key not in context:
        return False
    if operator == "StringLike":
        return any(_like(value, context[key]) for value in values)
    if operator == "Bool":
        return context[key].lower() in [str(value).lower() for value in values]
    return context[key] in values


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if "${" in text:
        raise ValueError(f"{text!r} has a placeholder left")
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in text), re.DOTALL)


def _like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None

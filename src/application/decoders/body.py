"""Bytes to JSON, strictly: size first, then depth, then values that every later step can store (reliability.md T14)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from src.domain.errors import InvalidMessage

_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""The closing quote may be missing: a string that never ends must be passed over once, not once per quote in it."""

_SUSPECT = re.compile(r"[0-9](?:[eE]|[0-9]{15})")
"""No number is too large without one of these: most long bodies need no call of ours for each of their numbers."""

SHORT = 1024
"""Characters up to which that call is cheaper for each number than this look at every character (measured: a body of 110
characters is parsed in 5 us, and was looked through in up to 13)."""

BLANKS = " \t\n\r"
"""What JSON allows around a document."""

INTEGERS = range(-(2**63), 2**63)
"""What every database and every other reader of JSON keeps exactly."""


def read_body(body: bytes, *, max_bytes: int, max_depth: int) -> Mapping[str, Any]:
    """The JSON object in `body`. Raises InvalidMessage, and nothing else, for everything that is not one."""
    if len(body) > max_bytes:
        raise InvalidMessage(
            f"the body has {len(body)} bytes, more than {max_bytes}",
            fix="put what is large into storage and send its key",
        )
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    _check_depth(text, max_depth)
    document = _parse(text)
    if not isinstance(document, dict):
        raise InvalidMessage(f"the body is {kind(document)}, not an object")
    if "\\u" in text:  # only an escape can make what UTF-8 cannot carry
        _check_text(document)
    return document


def _check_depth(text: str, limit: int) -> None:
    """Before the parser, which recurses."""
    if text.count("{") + text.count("[") <= limit:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        character = token.group()
        if character in ("[", "{"):
            depth += 1
            if depth > limit:
                raise InvalidMessage(f"the body is nested deeper than {limit} levels")
        elif character in ("]", "}"):
            depth -= 1


def _parse(text: str) -> Any:
    decoder = _CAREFUL if len(text) <= SHORT or _SUSPECT.search(text) else _PLAIN
    # Not `decode`, whose look for blanks takes as long as half of a short body.
    text = text.strip(BLANKS)
    try:
        document, end = decoder.raw_decode(text)
        return document if end == len(text) else decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"the body is not JSON: {str(error)[:200]}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may pick different ones of two equal keys: refuse."""
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidMessage(f"the key {name[:80]!a} stands twice in one object", fix="send each key once")
            seen.add(name)
    return document


def _constant(name: str) -> NoReturn:
    raise InvalidMessage(f"{name} is not a JSON number")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidMessage(f"the number {text[:40]} is too large")
    return value


def _integer(text: str) -> int:
    # The length first: reading digits takes time that grows with their square.
    if len(text) > 20 or int(text) not in INTEGERS:
        raise InvalidMessage(f"the number {text[:40]} is outside 64 bits", fix="send it as a string")
    return int(text)


_PLAIN = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_number, parse_int=_integer
)


def _check_text(document: object) -> None:
    """No half characters (UTF-8 cannot carry them) and no NUL (PostgreSQL cannot store it)."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise InvalidMessage(f"the text {value[:40]!a} holds a lone surrogate or a NUL")


def kind(value: object) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"

"""Takes secrets out of text and makes it safe to print on one line (reliability.md T17, T22)."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"

FIELD_BYTES = 4096
"""Most bytes of one field of a log line."""

SECRET_KEY = re.compile(
    r"secret|passw(or)?d|token|credential|authorization|api_?key|access_?key|private_?key|signature|cookie|dsn",
    re.IGNORECASE,
)
"""Fields with such names are never printed."""

_URL_LOGIN = re.compile(r"://(?!\[?user(?::password)?@)[^/\s'\"]{1,512}@")
"""scheme://user:password@host, up to the last @, but not these very words, which are those of a help text. No expression here may look back over a long word: texts from outside are searched."""

URL_PASSWORD = re.compile(r"://[^/\s@:'\"]{0,256}:([^/\s@'\"]{1,512})@")
"""Group 1 is the password of scheme://user:password@host."""

_ERROR_CODE = (
    r"(?!(?:SignatureDoesNotMatch"
    r"|(?<=\bInvalid)(?:AccessKeyId|Token|TokenId|Signature|SignatureException)|(?<=\bInvalidClient)TokenId"
    r"|(?<=\bExpired)(?:Token|TokenException)|(?<=\bIncomplete)Signature|(?<=\bMissingAuthentication)Token): [A-Z][a-z]{1,12}\s)"
)
"""Not what a service calls an error, followed by a sentence: `InvalidAccessKeyId: The AWS Access Key Id ...`."""

_SECRET_PARAMETER = re.compile(
    _ERROR_CODE
    + r"(?P<name>(?:signature|credential|security-token|secret|passw(?:or)?d|token|api_?key|access_?key(?:id)?|\bsig(?!\w))"
    r"[\w.-]{0,40})(?P<between>\s{0,2}[\"']?\s{0,2}[=:]\s{0,2}[\"']?)(?!\[hidden\])(?P<value>[^\s&\"',;}\])]+)",
    re.IGNORECASE,
)
"""name=value and "name": "value", as in presigned URLs, DSNs, command lines and JSON. What is hidden already is passed
over: texts are redacted where they are stored and again where they are shown."""

_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_AWS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0, DEL, C1, line separators, and marks that reorder what a terminal shows."""


def redacted(text: str) -> str:
    """The text without passwords, tokens and signatures."""
    text = _URL_LOGIN.sub(f"://{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<1> {HIDDEN}", text)
    text = _AWS_KEY_ID.sub(HIDDEN, text)
    return _SECRET_PARAMETER.sub(rf"\g<name>\g<between>{HIDDEN}", text)


def one_line(text: str) -> str:
    """Control characters written out (`\\n`, `\\x1b`), so that one event stays one line and no terminal obeys it."""
    return _CONTROL.sub(_written_out, text)


def capped(text: str, limit: int = FIELD_BYTES) -> str:
    """At most `limit` bytes of UTF-8; the middle goes, because both ends of an error say something."""
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= limit:
        return encoded.decode()
    mark = f"...[{len(encoded) - limit} bytes cut]..."
    half = (limit - len(mark.encode())) // 2
    return encoded[:half].decode("utf-8", "ignore") + mark + encoded[-half:].decode("utf-8", "ignore")


def clean(text: str) -> str:
    """All three, in the order that leaves no secret in a cut end."""
    return capped(one_line(redacted(text)))


def _written_out(match: re.Match[str]) -> str:
    character = match.group()
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

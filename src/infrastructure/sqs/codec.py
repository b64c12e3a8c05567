"""Between the port's messages and SQS's: bodies are text, attributes at most ten, delays at most 15 minutes.

What SQS can't carry as it is travels in attributes of ours, so that a foreign reader still sees plain text bodies and plain
attributes wherever that is possible:

    mediaworker-encoding     "base64" or "empty": the body is not text that SQS takes
    mediaworker-attributes   JSON: the attributes that SQS can't take, or for which there is no room
    mediaworker-not-before   epoch seconds: the delay is longer than SQS keeps one
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.application.ports.queue import Envelope

ENCODING = "mediaworker-encoding"
OVERFLOW = "mediaworker-attributes"
NOT_BEFORE = "mediaworker-not-before"
OURS = frozenset({ENCODING, OVERFLOW, NOT_BEFORE})

MOST_ATTRIBUTES = 10
LONGEST_DELAY_SECONDS = 900
NOTHING = "-"
"""Body of a message without one: SQS takes none that is empty."""

GROUP = "MessageGroupId"
SYSTEM = (GROUP, "AWSTraceHeader", "DeadLetterQueueSourceArn")
"""System attributes that are shown among the message's own."""

ASKED = ["ApproximateReceiveCount", "SentTimestamp", *SYSTEM]
"""System attributes that a receive asks for."""

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")


@dataclass(frozen=True, slots=True)
class Read:
    """A message as the port wants it. `not_before` (epoch seconds) is the end of a delay that SQS could not keep."""

    body: bytes
    attributes: Mapping[str, str]
    receive_count: int | None
    enqueued_at: float | None
    not_before: float | None


def entry(envelope: Envelope, *, now: float, fifo: bool, once: str) -> dict[str, Any]:
    """What SendMessage takes. `once` names this call of publish: SQS drops a FIFO message that was sent under the same
    deduplication id in the last five minutes, even one that is consumed by now. A message that is sent again because an
    answer got lost must be dropped; a later publish of the same key, which wakes a job, must not be."""
    text, special = _text(envelope.body)
    if _too_long(envelope.delay_seconds, fifo=fifo):
        special[NOT_BEFORE] = repr(now + envelope.delay_seconds)
    group = envelope.attributes.get(GROUP) if fifo else None
    plain, rest = _split({k: v for k, v in envelope.attributes.items() if not (fifo and k == GROUP)}, len(special) + 1)
    if rest:
        special[OVERFLOW] = json.dumps(rest, separators=(",", ":"))
    made: dict[str, Any] = {"MessageBody": text}
    if attributes := {**plain, **special}:
        made["MessageAttributes"] = {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()}
    if fifo:
        made["MessageGroupId"] = _id(group or envelope.key)
        made["MessageDeduplicationId"] = _id(f"{once}:{envelope.key}")
    elif envelope.delay_seconds > 0:
        made["DelaySeconds"] = min(LONGEST_DELAY_SECONDS, math.ceil(envelope.delay_seconds))
    return made


def size(made: Mapping[str, Any]) -> int:
    """Bytes that SQS counts of an entry: the body, and names, types and values of its attributes."""
    attributes = made.get("MessageAttributes", {})
    extra = sum(len(k) + len("String") + len(v["StringValue"].encode()) for k, v in attributes.items())
    return len(made["MessageBody"].encode()) + extra


def read(message: Mapping[str, Any]) -> Read:
    """A received message. Attributes of ours that say nonsense (anybody may send) are left as they came."""
    system = message.get("Attributes", {})
    attributes = {k: _value(v) for k, v in message.get("MessageAttributes", {}).items()}
    body = _bytes(str(message.get("Body", "")), attributes)
    not_before = _number(attributes.get(NOT_BEFORE))
    if not_before is not None:
        del attributes[NOT_BEFORE]
    # Last of ours: among those that had no room may be names of ours, which then mean nothing.
    _unpack(attributes)
    attributes.update({name: system[name] for name in SYSTEM if name in system})
    sent = _number(system.get("SentTimestamp"))
    count = _number(system.get("ApproximateReceiveCount"))
    return Read(
        body=body,
        attributes=attributes,
        receive_count=int(count) if count is not None else None,
        enqueued_at=sent / 1000 if sent is not None else None,
        not_before=not_before,
    )


def _too_long(seconds: float, *, fifo: bool) -> bool:
    """A FIFO queue keeps no message's own delay at all."""
    return seconds > (0 if fifo else LONGEST_DELAY_SECONDS)


def _text(body: bytes) -> tuple[str, dict[str, str]]:
    if not body:
        return NOTHING, {ENCODING: "empty"}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not FORBIDDEN.search(text):
        return text, {}
    return base64.b64encode(body).decode(), {ENCODING: "base64"}


def _bytes(text: str, attributes: dict[str, str]) -> bytes:
    try:
        match attributes.get(ENCODING):
            case "base64":
                body = base64.b64decode(text, validate=True)
            case "empty" if text == NOTHING:
                body = b""
            case _:
                return text.encode()
    except (binascii.Error, ValueError):
        return text.encode()
    del attributes[ENCODING]
    return body


def _split(attributes: Mapping[str, str], taken: int) -> tuple[dict[str, str], dict[str, str]]:
    """(those that SQS takes, the others). `taken` places are kept for attributes of ours."""
    plain: dict[str, str] = {}
    rest: dict[str, str] = {}
    for name, value in attributes.items():
        fits = NAME.fullmatch(name) and name not in OURS and value and not FORBIDDEN.search(value)
        (plain if fits and len(plain) < MOST_ATTRIBUTES - taken else rest)[name] = value
    return plain, rest


def _unpack(attributes: dict[str, str]) -> None:
    try:
        rest = json.loads(attributes.get(OVERFLOW, ""))
    except (ValueError, RecursionError):
        return
    if isinstance(rest, dict) and all(isinstance(value, str) for value in rest.values()):
        del attributes[OVERFLOW]
        attributes.update(rest)


def _value(attribute: Mapping[str, Any]) -> str:
    if "BinaryValue" in attribute:
        return base64.b64encode(attribute["BinaryValue"]).decode()
    return str(attribute.get("StringValue", ""))


def _number(text: object) -> float | None:
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _id(text: str) -> str:
    """Within SQS's 128 characters and alphabet, and the same for the same text."""
    if re.fullmatch(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}", text):
        return text
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode(errors="surrogatepass")).digest()).decode().rstrip("=")

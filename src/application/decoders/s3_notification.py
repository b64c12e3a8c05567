"""S3's own notification: {"Records": [{"eventName", "s3": {"bucket", "object"}}]}; also MinIO's."""

from __future__ import annotations

from urllib.parse import unquote_plus

from src.application.decoders.asked import Asked, Document, Found, mapping, text
from src.application.decoders.decoded import Newer
from src.application.decoders.s3_object import version_of, video_asked
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage

KNOWN_MAJOR = 2
"""eventVersion 2.x; S3 raises the first number when a reader would break."""


def read(document: Document, settings: DecoderSettings) -> Found | Newer | None:
    """One job per created object, none for a test event or a deletion. One bad record refuses the whole message, so that
    nothing in it is lost unseen."""
    if document.get("Event") == "s3:TestEvent":
        return []
    records = document.get("Records")
    if records is None:
        return None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InvalidMessage("Records must be a list of objects")
    for record in records:
        version = str(record.get("eventVersion", "2"))
        major = version.partition(".")[0]
        if major.isascii() and major.isdigit() and len(major) < 10 and int(major) > KNOWN_MAJOR:
            return Newer(f"s3 notification {version[:40]}")
    asked = [_asked(record, settings) for record in records]
    return [one for one in asked if one is not None]


def _asked(record: Document, settings: DecoderSettings) -> Asked | None:
    source = record.get("eventSource")
    if source not in ("aws:s3", "minio:s3"):
        raise InvalidMessage(f"a record from {str(source)[:40]!r}, not from S3")
    if not text(record, "eventName").removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    s3 = mapping(record, "s3")
    thing = mapping(s3, "object")
    try:
        key = unquote_plus(text(thing, "key"), errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidMessage("the object's key is not UTF-8") from error
    version = version_of(thing.get("versionId"), thing.get("sequencer"), thing.get("eTag"))
    return video_asked(text(mapping(s3, "bucket"), "name"), key, version, settings)

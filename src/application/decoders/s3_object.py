"""An object that appeared in a bucket, as a video job: what S3's two kinds of event have in common."""

from __future__ import annotations

import re

from src.application.decoders.asked import Asked
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage
from src.domain.ids import derived_id, identifier, storage_key


def video_asked(bucket: str, key: str, version: str, settings: DecoderSettings) -> Asked:
    """`version` tells two uploads to one key apart, and is the same in both kinds of event about one upload."""
    match = re.fullmatch(settings.key_pattern, storage_key(key, "the object's key"))
    if match is None:
        raise InvalidMessage(
            f"the key {key[:120]!r} is not where sources lie",
            fix=f"limit the bucket's notification to a prefix, or set the pattern (now {settings.key_pattern})",
        )
    return Asked(
        id=derived_id("s3", bucket, key, version),
        type=settings.video_type,
        tenant=identifier(match["tenant"], "tenant"),
        payload={"video_id": identifier(match["video_id"], "video_id"), "file_key": key},
    )


def version_of(*candidates: object) -> str:
    """The first that is a usable text. Raises InvalidMessage."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate and candidate != "null":
            return candidate
    raise InvalidMessage("the event has no version, sequencer or ETag: a second upload to this key would look the same")

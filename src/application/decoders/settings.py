"""What may be set about decoding."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE_KEY = r"tenants/(?P<tenant>[^/]+)/video/raw/(?:[^/]+/)?(?P<video_id>[^/.]+)\.[^/.]+"
"""Where uploads lie (contracts.md 1.11): an event about such a key is a video job."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """Limits, and what bodies without a word for it mean. Sizes are bytes."""

    max_bytes: int = 262_144
    """What SQS carried until 2025, and what every other queue carries."""
    max_depth: int = 32
    key_pattern: str = SOURCE_KEY
    """Must have the groups `tenant` and `video_id` and match the whole key."""
    video_type: str = "video"
    """The job type of bodies that name a video and no type."""
    deletion_type: str = "delete_objects"
    """The job type of bodies that ask for the deletion of a video's objects."""
    default_tenant: str = "default"
    """For the two origins that know no tenants: content jobs (000) and outbox events (004)."""

"""What the decoders are told from outside."""

from __future__ import annotations

from dataclasses import replace

from src.application.decoders.settings import DecoderSettings
from src.interfaces.wiring.settings import Settings


def decoder_settings(settings: Settings) -> DecoderSettings:
    """What the decoders may be told from outside."""
    pattern = settings.video.source_key_pattern
    limits = DecoderSettings(max_bytes=settings.queue.max_body_bytes, max_depth=settings.queue.max_depth)
    return replace(limits, key_pattern=pattern) if pattern else limits

"""From a message's bytes to the jobs it asks for. One small file per shape; the queue it came from plays no part."""

from __future__ import annotations

from src.application.decoders.registry import Decoders
from src.application.decoders.settings import DecoderSettings

__all__ = ["DecoderSettings", "Decoders"]

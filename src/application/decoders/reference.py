"""A hint: {"job_id": ...}, at most with the job's type. The row in the ledger says the rest."""

from __future__ import annotations

from src.application.decoders.asked import Document, text
from src.application.decoders.decoded import Reference
from src.application.decoders.settings import DecoderSettings
from src.domain.ids import identifier

_KEYS = frozenset({"job_id", "type"})


def read(document: Document, _settings: DecoderSettings) -> Reference | None:
    """Nothing else may stand in it: a body with more that no shape understands is a defect of its sender."""
    if "job_id" not in document or not document.keys() <= _KEYS:
        return None
    if "type" in document:
        text(document, "type")
    return Reference(identifier(document["job_id"], "job_id"))

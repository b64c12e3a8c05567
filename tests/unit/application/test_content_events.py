"""The content platform's events on the queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from src.application.catalog import Catalog
from src.application.content.job_types import JOB_TYPES
from src.application.decoders.decoded import Newer, Requests
from src.application.decoders.registry import Decoders
from src.application.decoders.settings import DecoderSettings
from src.domain.errors import InvalidMessage, Permanent, UnknownJobType

DECODERS = Decoders(Catalog(JOB_TYPES), DecoderSettings())
CLOUD = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/content",
    "type": "content.created",
    "tenantid": "acme",
    "data": {"content_id": "c1"},
}
BUS = {
    "event_id": "e1",
    "event_type": "cache.warm_request",
    "source_block": "content",
    "target_block": None,
    "payload": {"content_id": "c1"},
}


def jobs(document: Any) -> Any:
    decoded = DECODERS.decode(json.dumps(document).encode(), {})
    assert isinstance(decoded, Requests)
    return decoded.drafts


def test_c4_a_cloudevent_asks_for_its_jobs_under_the_same_ids_each_time() -> None:
    first, again = jobs(CLOUD), jobs(CLOUD)
    assert [(job.type, job.tenant, job.payload) for job in first] == [
        ("thumbnail", "acme", {"content_id": "c1"}),
        ("metadata", "acme", {"content_id": "c1"}),
    ]
    assert [job.id for job in first] == [job.id for job in again]
    assert len({job.id for job in (*first, *jobs({**CLOUD, "id": "e2"}), *jobs({**CLOUD, "source": "/other"}))}) == 6


def test_c4_the_bus_envelope_asks_for_its_jobs() -> None:
    (job,) = jobs(BUS)
    assert (job.type, job.payload) == ("cache_warm", {"content_id": "c1"})


def test_e11_an_event_of_a_later_version_goes_back_to_the_queue() -> None:
    decoded = DECODERS.decode(json.dumps({**CLOUD, "specversion": "2.0"}).encode(), {})
    assert isinstance(decoded, Newer)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({**BUS, "event_id": None}, InvalidMessage),
        ({**CLOUD, "data": {"content_id": "../../etc"}}, Permanent),
        ({**CLOUD, "data": "c1"}, InvalidMessage),
        ({**CLOUD, "type": "film.created"}, InvalidMessage),
        ({**BUS, "event_type": "film.created"}, InvalidMessage),
        ({"id": "j", "type": "film", "payload": {}, "created_at": "2026-01-01T00:00:00Z"}, UnknownJobType),
    ],
)
def test_f28_events_that_are_none_of_ours_are_refused(document: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        jobs(document)

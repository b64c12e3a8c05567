"""Which road a job takes, and the use cases that set jobs going."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from src.application.catalog import Catalog
from src.application.dispatch import BatchDispatch, DispatchByType, QueueDispatch
from src.application.ports.batch import BatchService
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import Limits
from src.application.ports.queue import QueuePublisher
from src.application.ports.submissions import Submissions
from src.application.video.enqueue_next import EnqueueNext
from src.application.video.request import JOB_TYPE
from src.application.video.submit import SubmitVideo, video_message
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.queues import LaterPublisher, queue_misfit
from src.interfaces.wiring.settings import Settings

BATCH_TYPES = (JOB_TYPE,)
"""Job types that go by AWS Batch where that is the road: the job definition's program runs these."""


def batch_types(settings: Settings) -> tuple[str, ...]:
    """Job types whose recovery owner is `scan-stuck`. The waker of no worker publishes messages for them."""
    return BATCH_TYPES if settings.dispatch.backend == "batch" else ()


def queue_types(settings: Settings, catalog: Catalog) -> list[str]:
    """Job types whose recovery owner is the waker."""
    return [name for name in catalog.names() if name not in batch_types(settings)]


def check_road(settings: Settings, job_type: str) -> None:
    """Raises ConfigError for a job type that goes by a queue which can't be: its job would wait for ever."""
    if job_type not in batch_types(settings) and (misfit := queue_misfit(settings)) is not None:
        raise misfit


def make_dispatch(
    settings: Settings,
    publisher_of: Callable[[], QueuePublisher],
    *,
    batch_of: Callable[[], BatchService],
    submissions_of: Callable[[], Submissions],
) -> Dispatch:
    """The road of each job type. Connects to nothing yet."""
    announced = {JOB_TYPE: video_message}
    if settings.dispatch.backend != "batch":
        return QueueDispatch(publisher_of(), announced)
    queue = QueueDispatch(LaterPublisher(publisher_of), announced)
    return DispatchByType(queue, dict.fromkeys(batch_types(settings), BatchDispatch(batch_of(), submissions_of())))


def make_submitter(settings: Settings, adapters: Adapters, catalog: Catalog) -> SubmitVideo:
    """Asks for videos, within the limits of the settings."""
    return SubmitVideo(
        ledger=adapters.ledger(),
        dispatch=adapters.dispatch(),
        videos=adapters.videos(),
        storage=adapters.storage(),
        events=adapters.ops_events(),
        job_type=catalog.get(JOB_TYPE),
        limits=make_limits(settings),
    )


def make_limits(settings: Settings) -> Limits:
    """Of submissions."""
    limits = settings.limits
    return Limits(
        active_per_tenant=limits.active_per_tenant,
        active_total=limits.active_total,
        total_per_subject=limits.total_per_subject,
    )


def make_enqueue_next(settings: Settings, adapters: Adapters, catalog: Catalog) -> EnqueueNext | None:
    """What is called with each job that has ended; None where there are no video jobs."""
    if JOB_TYPE not in catalog.names():
        return None
    submitter = make_submitter(settings, adapters, catalog)
    return EnqueueNext(submitter, adapters.videos(), lambda: str(uuid.uuid4()))

"""The deletion queue: the same backend as the jobs' queue, under a name of its own."""

from __future__ import annotations

from src.application.ports.checkable import Checkable
from src.application.ports.queue import QueueDepth
from src.application.video.delete_objects import DeleteVideoObjects
from src.application.video.delete_request import DeletionQueue
from src.application.video.delete_video import DeleteVideo
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.dispatches import make_enqueue_next
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings

SECOND_LOOK_SECONDS = 3.0
"""SQS does not tell ages: a consumer would have taken a waiting message within this."""


def deletion_adapters(settings: Settings, adapters: Adapters) -> Adapters:
    """The same adapters around the deletion queue. For a queue in the ledger's database they share its connections."""
    own = settings.deletion.queue_url
    if own is None and settings.queue.backend != "sqs":
        own = settings.queue.url  # an address of a server or a file, not of one queue
    queue = settings.queue.model_copy(update={"name": settings.deletion.queue_name, "url": own})
    around = Adapters(settings=settings.model_copy(update={"queue": queue}), catalog=adapters.catalog())
    around.database.override(adapters.database)
    around.storage.override(adapters.storage)
    return around


def deletion_queue(settings: Settings, adapters: Adapters) -> DeletionQueue:
    """The producer's side."""
    if settings.deletion.queue_url is None and settings.deletion.queue_name == settings.queue.name:
        return DeletionQueue(adapters.queue_publisher(), adapters.clock())
    return DeletionQueue(deletion_adapters(settings, adapters).queue_publisher(), adapters.clock())


def delete_video(settings: Settings, adapters: Adapters) -> DeleteVideo:
    """The use case of the API's side. Raises ConfigError where there are no rows of videos."""
    if settings.ledger.backend != "database":
        raise ConfigError(
            f"the {settings.ledger.backend} ledger keeps no rows of videos",
            fix=f"set {variable('ledger.backend')}=database, as the video workers have it",
        )
    following = make_enqueue_next(settings, adapters, adapters.catalog())
    return DeleteVideo(
        videos=adapters.videos(),
        standings=adapters.standings(),
        ledger=adapters.ledger(),
        requests=deletion_queue(settings, adapters),
        clock=adapters.clock(),
        ended=following.after if following else lambda _job: None,
    )


def delete_objects(adapters: Adapters) -> DeleteVideoObjects:
    """The consumer's use case, for who does it at once."""
    return DeleteVideoObjects(adapters.storage(), adapters.standings(), adapters.chunks())


def check_deletion(settings: Settings, adapters: Adapters) -> str:
    """The deletion queue is there, may be sent to, and somebody consumes it (lesson 30: it once was never deployed, and
    deletion silently did nothing). Raises ConfigError, QueueUnavailable, DatabaseUnavailable."""
    if not settings.deletion.configured:
        return "not used"
    around = deletion_adapters(settings, adapters)
    publisher, inspector = around.queue_publisher(), around.queue_inspector()
    facts = publisher.check() if isinstance(publisher, Checkable) else ()
    depth: QueueDepth = inspector.depth()
    name = settings.deletion.queue_name
    if depth.ready and not depth.in_flight:
        if depth.oldest_ready_seconds is None:
            adapters.clock().sleep(SECOND_LOOK_SECONDS)
            later: QueueDepth = inspector.depth()
            if later.ready >= depth.ready and not later.in_flight:
                said = f"warning: {later.ready} requests wait in {name!r}, and nobody took one within"
                return f"{said} {SECOND_LOOK_SECONDS:g} s: does it have a consumer? (docs/deletion.md)"
        elif depth.oldest_ready_seconds > settings.deletion.unattended_seconds:
            raise ConfigError(
                f"{depth.ready} requests wait in {name!r}, the oldest for {depth.oldest_ready_seconds / 60:.0f} min, and"
                " none is being worked on: nobody consumes it",
                fix=f"run a worker with {variable('queue.name')}={name}, or deploy the Lambda (docs/deletion.md)",
            )
    found = f"{settings.queue.backend} queue {name!r}: {depth.ready} ready, {depth.in_flight} in flight"
    return "; ".join([found, *facts])

"""The deletion queue: the same backend as the jobs' queue, under a name of its own."""

from __future__ import annotations

from src.application.ports.checkable import Checkable
from src.application.ports.queue import QueueDepth
from src.application.video.delete_objects import DeleteVideoObjects
from src.application.video.delete_request import DeletionQueue
from src.application.video.delete_video import DeleteVideo
from src.domain.errors import ConfigError, QueueUnavailable
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.dispatches import make_enqueue_next
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.queues import LaterPublisher, queue_misfit
from src.interfaces.wiring.settings import Settings

SECOND_LOOK_SECONDS = 3.0
"""SQS does not tell ages: a consumer would have taken a waiting message within this."""


def deletion_adapters(settings: Settings, adapters: Adapters) -> Adapters:
    """The same adapters around the deletion queue. For a queue in the ledger's database they share its connections."""
    own = settings.deletion.queue_url
    if own is None and settings.queue.backend != "sqs":
        own = settings.queue.url  # an address of a server or a file, not of one queue
    # Lanes are the lists of the jobs' queue: among jobs a request would not be where its own consumers look.
    queue = settings.queue.model_copy(update={"name": settings.deletion.queue_name, "url": own, "lanes": ()})
    around = Adapters(settings=settings.model_copy(update={"queue": queue}), catalog=adapters.catalog())
    around.database.override(adapters.database)
    around.storage.override(adapters.storage)
    return around


def deletion_queue(settings: Settings, adapters: Adapters) -> DeletionQueue:
    """The producer's side. Raises ConfigError for a queue that can't be."""
    # With lanes the other queue's name counts for nothing.
    same = settings.deletion.queue_name == settings.queue.name and not settings.queue.lanes
    if settings.deletion.queue_url is None and same:
        return DeletionQueue(adapters.queue_publisher(), adapters.clock())
    return DeletionQueue(deletion_adapters(settings, adapters).queue_publisher(), adapters.clock())


def delete_video(settings: Settings, adapters: Adapters, *, asks: bool = True) -> DeleteVideo:
    """The use case of the API's side. Without `asks` nothing is to be sent, and the queue need not be. Raises ConfigError where there
    are no rows of videos, and for a queue that can't be."""
    if settings.ledger.backend != "database":
        raise ConfigError(
            f"the {settings.ledger.backend} ledger keeps no rows of videos",
            fix=f"set {variable('ledger.backend')}=database, as the video workers have it",
        )
    following = make_enqueue_next(settings, adapters, adapters.catalog())
    unsent = LaterPublisher(lambda: deletion_queue(settings, adapters).publisher)
    return DeleteVideo(
        videos=adapters.videos(),
        standings=adapters.standings(),
        ledger=adapters.ledger(),
        requests=deletion_queue(settings, adapters) if asks else DeletionQueue(unsent, adapters.clock()),
        clock=adapters.clock(),
        ended=following.after if following else lambda _job: None,
    )


def delete_objects(adapters: Adapters) -> DeleteVideoObjects:
    """The consumer's use case, for who does it at once."""
    return DeleteVideoObjects(adapters.storage(), adapters.standings(), adapters.chunks())


def deletion_depth(settings: Settings, adapters: Adapters) -> QueueDepth | str:
    """What waits in the deletion queue, or why there is none: where nobody chose one, that of the default's name need not be, and
    need not be permitted to this role. Raises ConfigError, QueueUnavailable, DatabaseUnavailable of one that was chosen."""
    chosen, name = settings.deletion.configured, settings.deletion.queue_name
    why = f"{variable('deletion.queue_name')} names none"
    if not chosen and (misfit := queue_misfit(settings)) is not None:
        return f"{why}, and {misfit.message}"
    try:
        depth: QueueDepth = deletion_adapters(settings, adapters).queue_inspector().depth()
    except QueueUnavailable as error:
        if chosen:
            raise
        return f"{why} ({error.message})"
    if not chosen and not (depth.ready or depth.delayed or depth.in_flight):
        return f"{why}, and {name!r} is empty"
    return depth


def check_deletion(settings: Settings, adapters: Adapters) -> str:
    """The deletion queue is there, may be sent to, and somebody consumes it (lesson 30: it once was never deployed, and
    deletion silently did nothing). One that nobody chose is asked for only when something waits in it: `mediaworker delete` sends
    there by default. Raises ConfigError, QueueUnavailable, DatabaseUnavailable."""
    name, depth = settings.deletion.queue_name, deletion_depth(settings, adapters)
    if isinstance(depth, str):
        return f"not used: {depth}"
    around = deletion_adapters(settings, adapters)
    publisher, inspector = around.queue_publisher(), around.queue_inspector()
    facts = publisher.check() if isinstance(publisher, Checkable) else ()
    unlaned = f" and without {variable('queue.lanes')}" if settings.queue.lanes else ""
    oldest = ""
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
                fix=f"run a worker with {variable('queue.name')}={name}{unlaned}, or deploy the Lambda (docs/deletion.md)",
            )
        else:
            limit = settings.deletion.unattended_seconds
            oldest = f", the oldest for {depth.oldest_ready_seconds:.0f} s (an error after {limit:.0f} s)"
    found = f"{settings.queue.backend} queue {name!r}: {depth.ready} ready, {depth.in_flight} in flight{oldest}"
    return "; ".join([found, *facts])

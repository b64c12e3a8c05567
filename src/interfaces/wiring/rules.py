"""Settings that contradict each other, and what to set instead. Rules speak of `lock.backend`; readers are shown the variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.domain.errors import ConfigError
from src.interfaces.wiring.addresses import check_login

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings


MESSAGE_SECONDS = 1_209_600.0
"""The longest that a message lives: 14 days, the most that MessageRetentionPeriod of SQS can be, and what contracts.md 1.2 sets. A queue in
a database or in Redis has no limit of its own."""


class Contradiction(ValueError):
    """Two settings that can't both be. `fix` says what to set."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def check_rules(settings: Settings) -> None:
    """Raises Contradiction; ValueError for an address whose parts can't be told apart."""
    check_login("database.url", settings.database_url)
    check_login("redis.url", settings.redis_url)
    check_login("queue.url", settings.queue.url)
    _pairs(settings)
    _redis(settings)
    _queue(settings)
    if 0 < settings.recovery.keep_job_seconds < MESSAGE_SECONDS:
        raise Contradiction(
            f"recovery.keep_job_seconds={settings.recovery.keep_job_seconds:g} is shorter than a message may live "
            "(14 days on SQS): one that comes again after that would start its job again",
            f"set recovery.keep_job_seconds to {MESSAGE_SECONDS:.0f} or more, or to 0 to keep rows of jobs for ever",
        )
    if settings.video.chunk_seconds < settings.video.segment_seconds:
        raise Contradiction(
            "video.chunk_seconds is shorter than video.segment_seconds: a chunk holds whole segments",
            "set video.chunk_seconds to a multiple of video.segment_seconds",
        )
    if settings.storage.backend == "s3" and not settings.storage.bucket:
        raise Contradiction("storage.backend=s3 needs storage.bucket", "set storage.bucket")
    if settings.dispatch.backend == "batch":
        _batch_road_is_open(settings)


def _pairs(settings: Settings) -> None:
    if "webhook" in settings.events.sinks and not (settings.events.webhook_url and settings.events.webhook_secret):
        raise Contradiction(
            "events.sinks with webhook need events.webhook_url and events.webhook_secret",
            "set both, or take webhook out of events.sinks",
        )
    for one, other, there in (
        ("notify.webhook_url", "notify.webhook_secret", (settings.notify.webhook_url, settings.notify.webhook_secret)),
        ("storage.access_key", "storage.secret_key", (settings.storage.access_key, settings.storage.secret_key)),
        ("batch.queue", "batch.definition", (settings.batch.queue, settings.batch.definition)),
    ):
        if bool(there[0]) != bool(there[1]):
            given, lacking = (one, other) if there[0] else (other, one)
            raise Contradiction(f"{one} and {other} belong together", f"set {lacking} too, or unset {given}")


def _redis(settings: Settings) -> None:
    if settings.redis.url is not None:
        return
    for port, wanted in (
        ("ledger", settings.ledger.backend),
        ("lock", settings.lock.backend),
        ("progress", settings.progress.backend),
        ("queue", settings.queue.backend),
    ):
        if wanted == "redis":
            raise Contradiction(f"{port}.backend=redis needs redis.url", f"set redis.url, or another {port}.backend")
    if settings.queue.dead_letter_list:
        raise Contradiction("queue.dead_letter_list needs redis.url", "set redis.url, or unset queue.dead_letter_list")
    if {"redis", "stream"} & set(settings.events.sinks):
        raise Contradiction(
            "events.sinks with redis or stream need redis.url", "set redis.url, or take them out of events.sinks"
        )


def _queue(settings: Settings) -> None:
    queue = settings.queue
    if queue.lanes and queue.backend != "redis":
        raise Contradiction(
            f"queue.lanes are lists in Redis, and queue.backend is {queue.backend}",
            "set queue.backend to redis, or unset queue.lanes",
        )
    if queue.backend == "redis":
        _lists(settings)
    if queue.backend == "sqs" and not (queue.url or queue.name):
        raise Contradiction("queue.backend=sqs needs queue.url or queue.name", "set one of them")


def _lists(settings: Settings) -> None:
    """Each list of Redis has one use. A dead letter that is read as a message would make another dead letter, for ever."""
    queue, letters = settings.queue, settings.queue.dead_letter_list
    named = [("queue.lanes", lane) for lane in queue.lanes] or [("queue.name", queue.name)]
    seen = dict[str, str]()
    for _setting, name in named:
        if (other := next((seen[key] for key in _keys(name) if key in seen), None)) is not None:
            same = "" if other == name else f": {other} and {name} have keys in common"
            raise Contradiction(f"queue.lanes names a list twice{same}", "name each list of queue.lanes once")
        seen.update(dict.fromkeys(_keys(name), name))
    for setting, name in (*named, ("deletion.queue_name", settings.deletion.queue_name)):
        if letters and _keys(letters) & _keys(name):
            raise Contradiction(
                f"queue.dead_letter_list={letters} belongs to the queue of {setting} ({name}): each dead letter would be read as a"
                " message there, and make another one",
                "set queue.dead_letter_list to a list of its own, as worker:dead_letter, or unset it",
            )


def _keys(name: str) -> frozenset[str]:
    from src.infrastructure.redis.names import keys_of

    try:
        return frozenset(keys_of(name))
    except ConfigError:
        # Refused, with its reason, by whoever makes that queue.
        return frozenset({name})


def _batch_road_is_open(settings: Settings) -> None:
    """A container on another machine must find the job, its source and a place for its output."""
    if not settings.batch.queue:
        raise Contradiction(
            "dispatch.backend=batch needs batch.queue and batch.definition",
            "set both to the names that `mediaworker infra plan` shows",
        )
    if settings.ledger.backend != "database":
        raise Contradiction(
            f"dispatch.backend=batch needs ledger.backend=database, not {settings.ledger.backend}",
            "set ledger.backend to database, or dispatch.backend to queue",
        )
    if settings.storage.backend == "memory":
        raise Contradiction(
            "dispatch.backend=batch needs a storage.backend that a container shares, not memory",
            "set storage.backend to s3, and storage.bucket",
        )
    if settings.database_url.startswith("sqlite:") and settings.aws.endpoint_url is None:
        # An emulator, which has an address of its own, runs containers as processes of this machine.
        raise Contradiction(
            "dispatch.backend=batch needs a server in database.url: containers can't open a file of ours",
            "set database.url to postgresql://user@host/database (or aws.endpoint_url, where AWS is an emulator on this machine)",
        )

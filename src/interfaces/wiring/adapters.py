"""One provider per port, chosen by the settings; nothing is imported before it is used (mission.md E14)."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any

from dependency_injector import containers, providers

from src.application.catalog import Catalog
from src.domain.errors import ConfigError
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.queues import queue_is_used, queue_misfit
from src.interfaces.wiring.settings import Settings, is_server


def lazy(target: str) -> Callable[..., Any]:
    """A factory for "module:Class" that imports the module when it is first called. Raises ConfigError for a missing
    package, naming what to install."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return imported(target)(*args, **kwargs)

    make.target = target  # type: ignore[attr-defined]
    return make


def imported(target: str) -> Any:
    """What "module:Name" names. Raises ConfigError."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"there is no module {error.name} (wanted: {target})") from error
        raise ConfigError(
            f"{target} needs the Python package {error.name!r}, which is not installed",
            fix=f"pip install {error.name}, or choose another backend",
        ) from error
    except AttributeError as error:
        raise ConfigError(
            f"{module} has no {name}", fix="check the name after the colon in the registration"
        ) from error


def _setting(path: str, settings: providers.Dependency[Settings]) -> providers.Callable[Any]:
    """One setting's value. Not `settings.provided`: there `.name` would be the provider's own name."""
    return providers.Callable(operator.attrgetter(path), settings)


class Adapters(containers.DeclarativeContainer):
    """What the settings chose. Call a provider for its object: `adapters.storage()`; each is made once."""

    settings = providers.Dependency(instance_of=Settings)
    catalog = providers.Dependency(instance_of=Catalog)

    clock = providers.Singleton(lazy("src.infrastructure.clock:SystemClock"))
    server_options = providers.Callable(lazy("src.interfaces.wiring.databases:server_options"), settings)
    database = providers.Singleton(
        lazy("src.infrastructure.db.engine:Database"),
        url=_setting("database_url", settings),
        busy_seconds=_setting("database.busy_seconds", settings),
        server=server_options,
    )
    # The ledger's own object when the queue is in the same database: one budget of connections.
    queue_database = providers.Singleton(lazy("src.interfaces.wiring.databases:queue_database"), settings, database)
    queue = providers.Selector(
        _setting("queue.backend", settings),
        memory=providers.Singleton(lazy("src.infrastructure.memory.queue:MemoryQueue"), clock=clock),
        sqlite=providers.Singleton(
            lazy("src.infrastructure.db.queue:SqlQueue"),
            database=queue_database,
            name=_setting("queue.name", settings),
            clock=clock,
            poll_seconds=_setting("queue.poll_seconds", settings),
        ),
        sqs=providers.Singleton(
            lazy("src.infrastructure.sqs.queue:sqs_queue"),
            name=_setting("queue.name", settings),
            url=_setting("queue.url", settings),
            endpoint_url=_setting("aws.endpoint_url", settings),
            region=_setting("aws.region", settings),
            clock=clock,
            lease_seconds=_setting("lease.ttl_seconds", settings),
        ),
        postgres=providers.Singleton(
            lazy("src.infrastructure.db.postgres_queue:PostgresQueue"),
            database=queue_database,
            name=_setting("queue.name", settings),
            clock=clock,
            poll_seconds=_setting("queue.poll_seconds", settings),
            listen=_setting("queue.listen", settings),
        ),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.lanes:redis_queue"),
            url=_setting("redis_url", settings),
            name=_setting("queue.name", settings),
            lanes=_setting("queue.lanes", settings),
            clock=clock,
        ),
    )
    # Messages and short jobs change places in one commit where both are in one database.
    exchange = providers.Callable(lazy("src.interfaces.wiring.queues:exchange_of"), settings, queue)
    dead_letters = providers.Selector(
        _setting("ledger.backend", settings),
        database=providers.Singleton(lazy("src.infrastructure.db.dead_letters:SqlDeadLetters"), database=database),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.dead_letters:RedisDeadLetters"),
            url=_setting("redis_url", settings),
            name=_setting("ledger.name", settings),
        ),
    )
    ledger = providers.Selector(
        _setting("ledger.backend", settings),
        database=providers.Singleton(
            lazy("src.infrastructure.db.ledger:SqlLedger"),
            database=database,
            effects=catalog.provided.effects,
            appliers=providers.Callable(lazy("src.infrastructure.db.videos:appliers")),
        ),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.ledger:RedisLedger"),
            url=_setting("redis_url", settings),
            name=_setting("ledger.name", settings),
            keep_seconds=_setting("ledger.keep_seconds", settings),
            effects=catalog.provided.effects,
        ),
    )
    cron_ticks = providers.Selector(
        _setting("ledger.backend", settings),
        database=providers.Singleton(lazy("src.infrastructure.db.cron:SqlCronTicks"), ledger=ledger),
        redis=providers.Singleton(lazy("src.infrastructure.redis.cron:RedisCronTicks"), ledger=ledger),
    )
    lock = providers.Selector(
        _setting("lock.backend", settings),
        memory=providers.Singleton(lazy("src.infrastructure.memory.lock:MemoryIdempotency"), clock=clock),
        database=providers.Singleton(lazy("src.infrastructure.db.lock:SqlIdempotency"), database=database),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.lock:RedisIdempotency"), url=_setting("redis_url", settings)
        ),
    )
    progress = providers.Selector(
        _setting("progress.backend", settings),
        memory=providers.Singleton(
            lazy("src.infrastructure.memory.progress:MemoryProgress"),
            clock=clock,
            ttl_seconds=_setting("progress.ttl_seconds", settings),
        ),
        database=providers.Singleton(
            lazy("src.infrastructure.db.progress:SqlProgress"),
            database=database,
            ttl_seconds=_setting("progress.ttl_seconds", settings),
        ),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.progress:RedisProgress"),
            url=_setting("redis_url", settings),
            ttl_seconds=_setting("progress.ttl_seconds", settings),
        ),
    )
    storage = providers.Selector(
        _setting("storage.backend", settings),
        memory=providers.Singleton(lazy("src.infrastructure.memory.storage:MemoryStorage"), clock=clock),
        filesystem=providers.Singleton(
            lazy("src.infrastructure.storage.filesystem:FilesystemStorage"), root=_setting("storage_root", settings)
        ),
        s3=providers.Singleton(lazy("src.interfaces.wiring.storages:make_s3"), settings),
    )
    # Storages that take objects whole have none.
    uploads = providers.Selector(
        _setting("storage.backend", settings),
        s3=providers.Singleton(lazy("src.interfaces.wiring.storages:make_s3_uploads"), settings),
    )
    # The queue's roles: one object for most backends, several for those whose consumer may not publish.
    queue_consumer = providers.Singleton(lazy("src.interfaces.wiring.queues:consumer_of"), queue, storage.provider)
    queue_publisher = providers.Singleton(lazy("src.interfaces.wiring.queues:publisher_of"), queue, storage.provider)
    queue_inspector = providers.Singleton(lazy("src.interfaces.wiring.queues:inspector_of"), queue)
    scratch = providers.Singleton(
        lazy("src.infrastructure.storage.scratch:FilesystemScratch"), root=_setting("scratch_path", settings)
    )
    videos = providers.Singleton(lazy("src.infrastructure.db.videos:SqlVideos"), database=database)
    chunks = providers.Singleton(lazy("src.infrastructure.db.videos:SqlChunks"), database=database)
    batch = providers.Singleton(lazy("src.interfaces.wiring.batches:make_batch"), settings, clock)
    submissions = providers.Singleton(lazy("src.infrastructure.db.submissions:SqlSubmissions"), database=database)
    outbox = providers.Selector(
        _setting("ledger.backend", settings),
        database=providers.Singleton(lazy("src.infrastructure.db.outbox:SqlOutbox"), database=database),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.outbox:RedisOutbox"),
            url=_setting("redis_url", settings),
            name=_setting("ledger.name", settings),
        ),
    )
    ops_events = providers.Singleton(lazy("src.infrastructure.db.ops_events:SqlOpsEvents"), database=database)
    # Redis' ledger needs none: its rows expire by themselves.
    ended_jobs = providers.Singleton(lazy("src.infrastructure.db.ended_jobs:SqlEndedJobs"), database=database)
    dispatch = providers.Singleton(
        lazy("src.interfaces.wiring.dispatches:make_dispatch"),
        settings,
        queue_publisher.provider,
        batch_of=batch.provider,
        submissions_of=submissions.provider,
    )
    standings = providers.Singleton(lazy("src.infrastructure.db.standings:SqlVideoStandings"), database=database)
    ffmpeg = providers.Singleton(
        lazy("src.infrastructure.ffmpeg.binary:find_ffmpeg"), _setting("ffmpeg_path", settings)
    )
    prober = providers.Singleton(lazy("src.interfaces.wiring.media:make_prober"), settings)
    # One of each per attempt: stopping them is final.
    encoder = providers.Factory(lazy("src.interfaces.wiring.media:make_encoder"), ffmpeg, settings)
    pictures = providers.Factory(lazy("src.interfaces.wiring.media:make_pictures"), ffmpeg, settings)
    viewer = providers.Factory(lazy("src.interfaces.wiring.media:make_viewer"), ffmpeg, prober, settings)
    platform_database = providers.Singleton(
        lazy("src.interfaces.wiring.contents:platform_database"), settings, database
    )
    contents = providers.Selector(
        _setting("content.backend", settings),
        database=providers.Singleton(lazy("src.interfaces.wiring.contents:sql_contents"), settings, platform_database),
        http=providers.Singleton(lazy("src.interfaces.wiring.content_api:http_contents"), settings),
    )
    media_files = providers.Singleton(lazy("src.interfaces.wiring.contents:media_files"), settings, storage)
    cache_tier = providers.Singleton(lazy("src.interfaces.wiring.contents:cache_tier"), settings)
    sessions = providers.Selector(
        _setting("content.sessions_backend", settings),
        database=providers.Singleton(lazy("src.interfaces.wiring.contents:sql_sessions"), settings, platform_database),
        http=providers.Singleton(lazy("src.interfaces.wiring.content_api:http_sessions"), settings),
    )
    statistics = providers.Singleton(
        lazy("src.interfaces.wiring.contents:sql_statistics"), settings, database, platform_database
    )
    old_files = providers.Singleton(lazy("src.interfaces.wiring.contents:old_files"), settings)
    cache = providers.Singleton(lazy("src.interfaces.wiring.contents:ssd_cache"), settings, database)
    search = providers.Selector(
        _setting("search.backend", settings),
        embedded=providers.Singleton(lazy("src.interfaces.wiring.searches:embedded_search"), settings),
        meilisearch=providers.Singleton(lazy("src.interfaces.wiring.searches:meilisearch"), settings, clock),
    )
    notifier = providers.Singleton(lazy("src.interfaces.wiring.notifiers:make_notifier"), settings, clock)


CHOICES = {
    "queue.backend": Adapters.queue,
    "ledger.backend": Adapters.ledger,
    "lock.backend": Adapters.lock,
    "progress.backend": Adapters.progress,
    "storage.backend": Adapters.storage,
    "content.backend": Adapters.contents,
    "search.backend": Adapters.search,
    "content.sessions_backend": Adapters.sessions,
}
"""{setting: what it selects from}."""


def build(settings: Settings, catalog: Catalog, *, queue: bool = True) -> Adapters:
    """The container for these settings. Raises ConfigError for a choice that this build can't make. Without `queue`, for a
    process that neither receives nor publishes, what the settings say of it is not looked at; nor is it where `queue_is_used` says no:
    then whoever asks for the queue all the same is told."""
    document = settings.model_dump()
    for setting, selector in CHOICES.items():
        group, _, name = setting.partition(".")
        chosen, built = document[group][name], sorted(selector.providers)
        if chosen not in built and (queue or group != "queue"):
            raise ConfigError(
                f"{variable(setting)}={chosen} is not in this build yet", fix=f"this build has: {', '.join(built)}"
            )
    if not (settings.database_url.startswith("sqlite:") or is_server(settings.database_url)):
        kind = settings.database_url.split(":", 1)[0][:40]
        raise ConfigError(
            f"{variable('database.url')}: there is no adapter for {kind}", fix="this build has: sqlite, postgresql"
        )
    if queue and queue_is_used(settings) and (misfit := queue_misfit(settings)) is not None:
        raise misfit
    return Adapters(settings=settings, catalog=catalog)

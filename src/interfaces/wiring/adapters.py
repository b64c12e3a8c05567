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
from src.interfaces.wiring.settings import Settings


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
        raise ConfigError(f"{module} has no {name}") from error


def _setting(path: str, settings: providers.Dependency[Settings]) -> providers.Callable[Any]:
    """One setting's value. Not `settings.provided`: there `.name` would be the provider's own name."""
    return providers.Callable(operator.attrgetter(path), settings)


class Adapters(containers.DeclarativeContainer):
    """What the settings chose. Call a provider for its object: `adapters.queue()`; each is made once."""

    settings = providers.Dependency(instance_of=Settings)
    catalog = providers.Dependency(instance_of=Catalog)

    clock = providers.Singleton(lazy("src.infrastructure.clock:SystemClock"))
    database = providers.Singleton(
        lazy("src.infrastructure.db.engine:Database"),
        url=_setting("database_url", settings),
        busy_seconds=_setting("database.busy_seconds", settings),
    )
    queue = providers.Selector(
        _setting("queue.backend", settings),
        memory=providers.Singleton(lazy("src.infrastructure.memory.queue:MemoryQueue"), clock=clock),
        sqlite=providers.Singleton(
            lazy("src.infrastructure.db.queue:SqlQueue"),
            database=database,
            name=_setting("queue.name", settings),
            clock=clock,
            poll_seconds=_setting("queue.poll_seconds", settings),
        ),
        redis=providers.Singleton(
            lazy("src.infrastructure.redis.queue:RedisQueue"),
            url=_setting("redis_url", settings),
            name=_setting("queue.name", settings),
            clock=clock,
        ),
    )
    dead_letters = providers.Singleton(lazy("src.infrastructure.db.dead_letters:SqlDeadLetters"), database=database)
    ledger = providers.Singleton(
        lazy("src.infrastructure.db.ledger:SqlLedger"),
        database=database,
        effects=catalog.provided.effects,
        appliers=providers.Callable(lazy("src.infrastructure.db.videos:appliers")),
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
    )
    scratch = providers.Singleton(
        lazy("src.infrastructure.storage.scratch:FilesystemScratch"), root=_setting("scratch_path", settings)
    )
    videos = providers.Singleton(lazy("src.infrastructure.db.videos:SqlVideos"), database=database)
    chunks = providers.Singleton(lazy("src.infrastructure.db.videos:SqlChunks"), database=database)
    ffmpeg = providers.Singleton(
        lazy("src.infrastructure.ffmpeg.binary:find_ffmpeg"), _setting("ffmpeg_path", settings)
    )
    prober = providers.Singleton(lazy("src.interfaces.wiring.media:make_prober"), settings)
    # One of each per attempt: stopping them is final.
    encoder = providers.Factory(lazy("src.interfaces.wiring.media:make_encoder"), ffmpeg, settings)
    pictures = providers.Factory(lazy("src.interfaces.wiring.media:make_pictures"), ffmpeg, settings)
    notifier = providers.Singleton(lazy("src.infrastructure.notify.log:LogNotifier"))


CHOICES = {
    "queue.backend": Adapters.queue,
    "lock.backend": Adapters.lock,
    "progress.backend": Adapters.progress,
    "storage.backend": Adapters.storage,
}
"""{setting: what it selects from}."""


def build(settings: Settings, catalog: Catalog) -> Adapters:
    """The container for these settings. Raises ConfigError for a choice that this build can't make."""
    document = settings.model_dump()
    for setting, selector in CHOICES.items():
        group, _, name = setting.partition(".")
        chosen, built = document[group][name], sorted(selector.providers)
        if chosen not in built:
            raise ConfigError(
                f"{variable(setting)}={chosen} is not in this build yet", fix=f"this build has: {', '.join(built)}"
            )
    if not settings.database_url.startswith("sqlite:"):
        kind = settings.database_url.split(":", 1)[0][:40]
        raise ConfigError(f"{variable('database.url')}: {kind} is not in this build yet", fix="this build has: sqlite")
    return Adapters(settings=settings, catalog=catalog)

"""Builds the catalog, and handlers from what their fields ask for."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any

from src.application.catalog import Catalog, JobType, no_effects
from src.application.content.media_files import MediaFiles
from src.application.content.settings import ContentSettings
from src.application.content.tier import CacheTier
from src.application.events.announce import Announcer
from src.application.outcome import Handler
from src.application.ports.auth import Sessions
from src.application.ports.batch import BatchService
from src.application.ports.cache import Cache
from src.application.ports.clock import Clock
from src.application.ports.content import Contents
from src.application.ports.deletion import VideoStandings
from src.application.ports.ledger import DeadLetters, JobLedger, JobQueries
from src.application.ports.lock import Idempotency
from src.application.ports.media import Encoder, Pictures, Prober, Viewer
from src.application.ports.notify import AdminNotifier
from src.application.ports.progress import Progress
from src.application.ports.queue import QueueConsumer, QueueInspector, QueuePublisher
from src.application.ports.scratch import Scratch
from src.application.ports.search import SearchIndex
from src.application.ports.statistics import Statistics
from src.application.ports.storage import Presigner, Storage
from src.application.ports.sweeper import OldFiles
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.application.video.settings import VideoSettings
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters, imported
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings

BUILT_IN = (
    "src.application.video.job_types",
    "src.application.content.job_types",
    "src.application.content.index_types",
)
"""Modules whose JOB_TYPES every worker knows."""

WITH_EFFECTS = ("database",)
"""Ledgers that write a job type's effects in the commit of the move; the rows of videos are beside them."""

Binding = Callable[[Adapters], object]
"""Gives the object for a field of some type. Called when a handler asks for it."""

PORTS: Mapping[type, Binding] = {
    QueueConsumer: lambda adapters: adapters.queue_consumer(),
    QueuePublisher: lambda adapters: adapters.queue_publisher(),
    QueueInspector: lambda adapters: adapters.queue_inspector(),
    JobLedger: lambda adapters: adapters.ledger(),
    JobQueries: lambda adapters: adapters.ledger(),
    DeadLetters: lambda adapters: adapters.dead_letters(),
    Idempotency: lambda adapters: adapters.lock(),
    Progress: lambda adapters: adapters.progress(),
    Storage: lambda adapters: adapters.storage(),
    Scratch: lambda adapters: adapters.scratch(),
    VideoRepository: lambda adapters: adapters.videos(),
    ChunkRepository: lambda adapters: adapters.chunks(),
    VideoStandings: lambda adapters: adapters.standings(),
    Prober: lambda adapters: adapters.prober(),
    Encoder: lambda adapters: adapters.encoder(),
    Pictures: lambda adapters: adapters.pictures(),
    AdminNotifier: lambda adapters: adapters.notifier(),
    Clock: lambda adapters: adapters.clock(),
    VideoSettings: lambda adapters: imported("src.interfaces.wiring.media:video_settings")(adapters.settings()),
    Viewer: lambda adapters: adapters.viewer(),
    Contents: lambda adapters: adapters.contents(),
    SearchIndex: lambda adapters: adapters.search(),
    MediaFiles: lambda adapters: adapters.media_files(),
    Cache: lambda adapters: adapters.cache(),
    Sessions: lambda adapters: adapters.sessions(),
    Statistics: lambda adapters: adapters.statistics(),
    OldFiles: lambda adapters: adapters.old_files(),
    CacheTier: lambda adapters: adapters.cache_tier(),
    ContentSettings: lambda adapters: imported("src.interfaces.wiring.contents:content_settings")(adapters.settings()),
}
"""{type of a handler's field: what fills it}. Job modules add their own in a PORTS of the same shape."""

PRESIGNING = frozenset({"s3"})
"""Storage backends that are a Presigner as well; with the others nothing fills a field of that type."""


def build_catalog(settings: Settings) -> Catalog:
    """The built-in job types and those of `jobs.modules`. Raises ConfigError for a module without any, a name twice, or one
    that this ledger can't run; a built-in one that it can't run is left out (`left_out`)."""
    types: dict[str, JobType] = {}
    for name in (*BUILT_IN, *settings.jobs.modules):
        for job_type in _exposed(name, "JOB_TYPES"):
            if job_type.name in types:
                raise ConfigError(f"{name} registers job type {job_type.name!r}, which exists already", fix="rename it")
            if not _runs(job_type, settings):
                if name in BUILT_IN:
                    continue
                raise ConfigError(
                    f"job type {job_type.name!r} of {name} has effects, which are written in one commit with the job, or needs the"
                    f" rows of videos, and the {settings.ledger.backend} ledger has neither",
                    fix=f"set {variable('ledger.backend')}=database, or register it without effects",
                )
            types[job_type.name] = _configured(job_type, settings)
    return Catalog(types.values(), Announcer(settings.events.sinks))


def left_out(settings: Settings) -> list[str]:
    """Built-in job types that don't run on this ledger: what they write must be committed with the job."""
    return [each.name for name in BUILT_IN for each in _exposed(name, "JOB_TYPES") if not _runs(each, settings)]


def _runs(job_type: JobType, settings: Settings) -> bool:
    plain = job_type.effects is no_effects and not job_type.needs_rows
    return plain or settings.ledger.backend in WITH_EFFECTS


def _configured(job_type: JobType, settings: Settings) -> JobType:
    """What the settings say about a built-in job type."""
    if job_type.name == "video":
        return dataclasses.replace(job_type, max_attempts=settings.video.max_attempts)
    return job_type


def bindings(settings: Settings) -> dict[type, Binding]:
    """PORTS and those of the job modules, which may also replace one of ours."""
    bound = dict(PORTS)
    if settings.storage.backend in PRESIGNING:
        bound[Presigner] = lambda adapters: adapters.storage()
    if settings.batch.queue:
        bound[BatchService] = lambda adapters: adapters.batch()
    for name in settings.jobs.modules:
        bound.update(getattr(_module(name), "PORTS", {}))
    return bound


@dataclasses.dataclass(frozen=True, slots=True)
class Assembler:
    """Makes handlers; what their fields ask for is found out once for each class."""

    adapters: Adapters
    _known: dict[str, tuple[Callable[..., object], dict[str, Binding]]] = dataclasses.field(default_factory=dict)

    def make(self, handler_path: str) -> Handler:
        """A new handler "module:Class", each field filled by its type. Raises ConfigError naming fields nothing fills."""
        if handler_path not in self._known:
            self._known[handler_path] = _fields(handler_path, self.adapters.settings())
        handler_class, chosen = self._known[handler_path]
        return typing.cast("Handler", handler_class(**{name: make(self.adapters) for name, make in chosen.items()}))


def check_handlers(settings: Settings, catalog: Catalog) -> int:
    """How many job types there are. Imports their handlers (not the adapters) and raises ConfigError when there is none, or
    one can't be imported, or asks for what nothing fills."""
    if not (names := catalog.names()):
        raise ConfigError(
            f"there is no job type to run: {', '.join(left_out(settings))} needs a ledger that writes effects",
            fix=f"name modules in {variable('jobs.modules')}, or set {variable('ledger.backend')}=database",
        )
    for name in names:
        _fields(catalog.get(name).handler, settings)
    return len(names)


def _fields(handler_path: str, settings: Settings) -> tuple[Callable[..., object], dict[str, Binding]]:
    try:
        handler_class = imported(handler_path)
        hints = typing.get_type_hints(handler_class) if isinstance(handler_class, type) else {}
    except ConfigError:
        raise
    except Exception as error:
        # The module is the user's, and importing it runs whatever stands in it.
        raise ConfigError(
            f"the handler {handler_path} can't be imported: {type(error).__name__}: {error}",
            fix="the names in its annotations must be imported for real, not only for the type checker",
        ) from error
    if not (isinstance(handler_class, type) and dataclasses.is_dataclass(handler_class)):
        raise ConfigError(f"{handler_path} is not a dataclass", fix="a handler states its ports as dataclass fields")
    bound = bindings(settings)
    chosen: dict[str, Binding] = {}
    unbound = []
    for field in dataclasses.fields(handler_class):
        if not field.init:
            continue
        wanted = _port(hints[field.name])
        if wanted in bound:
            chosen[field.name] = bound[wanted]
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            why = f", which storage {settings.storage.backend} is not" if wanted is Presigner else ""
            why = f", which needs {variable('batch.queue')}" if wanted is BatchService else why
            unbound.append(f"{field.name}: {getattr(wanted, '__name__', wanted)}{why}")
    if unbound:
        known = ", ".join(sorted(kind.__name__ for kind in bound))
        raise ConfigError(f"{handler_path} asks for unbound ports ({', '.join(unbound)})", fix=f"bound are: {known}")
    return handler_class, chosen


def _port(hint: Any) -> Any:
    """The port of `Port | None`, by which a handler says that it can do without."""
    if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union:
        ports = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return ports[0] if len(ports) == 1 else hint
    return hint


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        # Not only ImportError: importing runs whatever stands in the user's module.
        raise ConfigError(
            f"job module {name!r} can't be imported: {type(error).__name__}: {error}",
            fix=f"check WORKER_JOBS__MODULES, and try: python -c 'import {name}'",
        ) from error


def _exposed(module: str, name: str) -> Any:
    try:
        return getattr(_module(module), name)
    except AttributeError as error:
        raise ConfigError(f"job module {module!r} has no {name}", fix=f"list its job types in {name}") from error

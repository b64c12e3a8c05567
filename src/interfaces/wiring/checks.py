"""Start-up checks: everything a worker needs is tried once before the first receive (mission.md E13, lessons 26, 27, 32).

`mediaworker doctor` shows the same checks one by one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from src.application.ports.checkable import Checkable
from src.domain.errors import ConfigError, WorkerError
from src.interfaces.wiring.adapters import Adapters, imported
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.mistakes import as_mistake
from src.interfaces.wiring.queues import shown_queue
from src.interfaces.wiring.settings import Settings, is_server

EARLIEST_NOW = 1_735_689_600.0
"""2025-01-01: a clock before that was never set, and every lease and file time would be wrong."""

SELF_TEST = b"mediaworker self-test"
SELF_TEST_FOLDER = "tenants/mediaworker-selftest/video/hls/"
"""Where every role that writes may write, and may nowhere else (docs/batch.md)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer: what was found, or the error."""

    name: str
    detail: str
    error: WorkerError | None = None

    @property
    def ok(self) -> bool:
        """True when the worker can rely on it."""
        return self.error is None


class StartRefused(ConfigError):
    """What keeps a worker from working. `each` says the same one by one, for people."""

    def __init__(self, message: str, *, fix: str, each: Sequence[str]) -> None:
        super().__init__(message, fix=fix)
        self.each = tuple(each)


NOTHING: Mapping[str, str] = MappingProxyType({})

Check = Callable[[Settings, Adapters], str]
"""Says what it found. Raises ConfigError, or what the port raises when its backend is away."""


def diagnose(
    settings: Settings,
    adapters: Adapters,
    *,
    without: Collection[str] = (),
    content: bool = False,
    unused: Mapping[str, str] = NOTHING,
) -> Sequence[Finding]:
    """All checks (but those named), whatever the others say. Those on the database come after the one that makes its tables.
    `content`: also what the content worker needs. `unused`: {check: why there is nothing to ask}."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="check") as aside:
        # ffmpeg is asked in a process of its own: that wait overlaps with the rest.
        media = aside.submit(_check_media, settings, adapters) if "ffmpeg" not in without else None
        asked = (*CHECKS, *CONTENT_CHECKS) if content else CHECKS
        if content or settings.search.model_fields_set:
            asked = (*asked, ("search", imported("src.interfaces.wiring.searches:check_search")))
        rest = [
            Finding(name, unused[name]) if name in unused else _tried(name, check, settings, adapters)
            for name, check in asked
            if name not in without
        ]
        return [*rest, *(media.result() if media is not None else ())]


def check_startup(
    settings: Settings, adapters: Adapters, *, without: Collection[str] = (), content: bool = False
) -> None:
    """Raises ConfigError naming everything that keeps this worker from working."""
    findings = diagnose(settings, adapters, without=without, content=content)
    refuse([finding for finding in findings if finding.error is not None])


def check_backends(settings: Settings, adapters: Adapters, *, queue: bool = True) -> None:
    """What a command of an operator needs: data directory, ledger, and the queue where it is used. Raises the first error as it
    is."""
    check_data_dir(settings, adapters)
    check_kept(settings, adapters)
    if queue:
        # Only asked how deep it is: an operator's role need not permit what a worker's does.
        adapters.queue_inspector().depth()


def check_kept(settings: Settings, adapters: Adapters) -> None:
    """What there is of jobs can be read. Raises ConfigError, DatabaseUnavailable."""
    check_database(settings, adapters)
    if settings.ledger.backend != "database":
        adapters.ledger().counts()


def refuse(failed: Sequence[Finding]) -> None:
    """Raises ConfigError when anything failed."""
    if not failed:
        return
    words = "; ".join(f"{finding.name}: {finding.error.message}" for finding in failed if finding.error)
    fixes = "; ".join(dict.fromkeys(finding.error.fix for finding in failed if finding.error and finding.error.fix))
    each = [f"{finding.name}: {finding.error}" for finding in failed]
    raise StartRefused(words, fix=fixes or "`mediaworker doctor` tries each part alone", each=each)


def check_data_dir(settings: Settings, _adapters: Adapters) -> str:
    """The data directory can be written."""
    return f"{_writable(settings.data_dir.absolute(), 'data_dir')} is writable"


def check_scratch(settings: Settings, adapters: Adapters) -> str:
    """The scratch folder can be written, keeps the lock that says whose a working folder is, and has room."""
    folder, scratch, mine = _writable(settings.scratch_path, "scratch_dir"), adapters.scratch(), f"check-{uuid.uuid4()}"
    scratch.open(mine)
    scratch.discard(mine)
    free = scratch.free_bytes()
    if free < settings.scratch_reserve_bytes:
        raise ConfigError(
            f"{folder} has {_size(free)} free, less than the reserve of {_size(settings.scratch_reserve_bytes)}",
            fix=f"free some space, or set {variable('scratch_dir')} or {variable('scratch_reserve_bytes')}",
        )
    return f"{folder}, {_size(free)} free"


def check_database(settings: Settings, adapters: Adapters) -> str:
    """The database answers, lets us do what we do, and has this version's tables. Embedded ones are brought up to date here,
    the queue's own file among them."""
    if settings.queue_database_url != settings.database_url and not is_server(settings.queue_database_url):
        imported("src.infrastructure.db.schema:upgrade")(settings.queue_database_url)
    if not settings.uses_database:
        return "not used"
    if not is_server(settings.database_url):
        return f"embedded, schema {imported('src.infrastructure.db.schema:upgrade')(settings.database_url)}"
    return "; ".join(imported("src.infrastructure.db.check:DatabaseCheck")(adapters.database()).check())


def check_ledger(settings: Settings, adapters: Adapters) -> str:
    """Whoever keeps the jobs permits what a worker does. The database has a check of its own."""
    return "; ".join((settings.ledger.backend, *_facts(adapters.ledger())))


def check_queue(settings: Settings, adapters: Adapters) -> str:
    """The queue is there, permits what a worker does, and answers."""
    sides = (adapters.queue_consumer(), adapters.queue_publisher(), adapters.queue_inspector())
    facts = [fact for side in sides if isinstance(side, Checkable) for fact in side.check()]
    depth = adapters.queue_inspector().depth()
    found = (
        f"{settings.queue.backend} queue {shown_queue(settings)!r}: {depth.ready} ready, {depth.in_flight} in flight"
    )
    return "; ".join([found, *dict.fromkeys(facts)])


def check_storage(settings: Settings, adapters: Adapters) -> str:
    """Put, get, compare, delete."""
    storage, key = adapters.storage(), f"{SELF_TEST_FOLDER}{uuid.uuid4()}"
    if isinstance(storage, Checkable):
        storage.check()
    storage.put_bytes(key, SELF_TEST, content_type="text/plain", cache_control="no-store")
    try:
        if storage.read(key, 0, len(SELF_TEST)) != SELF_TEST:
            raise ConfigError("storage gave back other bytes than it was given", fix="this storage can't be trusted")
    finally:
        storage.delete([key])
    where = settings.storage_root if settings.storage.backend == "filesystem" else settings.storage.bucket or "memory"
    return f"{settings.storage.backend} at {where}: put, get and delete work"


def check_lock(settings: Settings, adapters: Adapters) -> str:
    """Whoever keeps the lock permits what a worker does."""
    return "; ".join((settings.lock.backend, *_facts(adapters.lock())))


def check_progress(settings: Settings, adapters: Adapters) -> str:
    """Whoever keeps the readings permits what a worker does."""
    return "; ".join((settings.progress.backend, *_facts(adapters.progress())))


def check_notify(settings: Settings, adapters: Adapters) -> str:
    """Whoever is told of dead letters can be told, as far as that shows without telling them something. One that is away keeps
    no job waiting."""
    adapters.notifier()
    ways = {
        "the log": True,
        "a list in Redis": settings.queue.dead_letter_list,
        "a webhook": settings.notify.webhook_url,
        f"SNS topic {(settings.notify.sns_topic or '').rpartition(':')[2]}": settings.notify.sns_topic,
    }
    return ", ".join(name for name, used in ways.items() if used)


def check_batch(settings: Settings, adapters: Adapters) -> str:
    """Job queue, job definition and permissions are as submissions need them."""
    return "; ".join(_facts(adapters.batch())) if settings.batch.queue else "not used"


def check_cache(settings: Settings, _adapters: Adapters) -> str:
    """The content jobs' cache can be written."""
    return f"{_writable(settings.cache_path, 'content.cache_dir')} is writable"


def check_platform(settings: Settings, adapters: Adapters) -> str:
    """Where films and their records are, and the tables that clean-up and daily figures go by."""
    found: str = imported("src.interfaces.wiring.platforms:check_platform")(settings, adapters)
    return found


def _facts(adapter: object) -> Sequence[str]:
    return adapter.check() if isinstance(adapter, Checkable) else ()


def check_clock(_settings: Settings, adapters: Adapters) -> str:
    """The clock was set."""
    if (now := adapters.clock().now()) < EARLIEST_NOW:
        raise ConfigError(f"the system clock says {now:.0f} s after 1970: it was never set", fix="set the clock (NTP)")
    return "plausible"


def check_ffmpeg(settings: Settings, adapters: Adapters) -> str:
    """ffmpeg is there, runs, and has what the pipeline uses. Asking takes 0.2 s, so a good answer is remembered for
    this very file."""
    path: Path = adapters.ffmpeg()
    facts = path.stat()
    seen = {"path": str(path), "size": facts.st_size, "changed": facts.st_mtime_ns, "needed": _needed()}
    note = settings.data_dir.absolute() / "ffmpeg-checked.json"
    with contextlib.suppress(OSError, ValueError):
        # An unreadable note only means that ffmpeg is asked again.
        if (known := json.loads(note.read_bytes())) and known.items() >= seen.items():
            return f"{known['version']} at {path}"
    found = imported("src.infrastructure.ffmpeg.binary:capabilities")(path).check()
    with contextlib.suppress(OSError):
        note.write_text(json.dumps({**seen, "version": found.version}))
    return f"{found.version} at {path}"


def check_sandbox(settings: Settings, _adapters: Adapters) -> str:
    """The kernel gives what `ffmpeg.sandbox` asks for."""
    host = imported("src.infrastructure.ffmpeg.sandbox:check_sandbox")(settings.ffmpeg.sandbox)
    given = [name for name, there in host.to_json().items() if there]
    return f"{settings.ffmpeg.sandbox}: this host gives {', '.join(given) or 'nothing'}"


def _needed() -> str:
    needed = imported("src.infrastructure.ffmpeg.binary:NEEDED")
    return hashlib.sha256(json.dumps(dict(needed), sort_keys=True).encode()).hexdigest()[:16]


def _check_media(settings: Settings, adapters: Adapters) -> list[Finding]:
    return [_tried("ffmpeg", check_ffmpeg, settings, adapters), _tried("sandbox", check_sandbox, settings, adapters)]


CHECKS: tuple[tuple[str, Check], ...] = (
    ("clock", check_clock),
    ("data directory", check_data_dir),
    ("scratch", check_scratch),
    ("database", check_database),
    ("ledger", check_ledger),
    ("queue", check_queue),
    ("lock", check_lock),
    ("progress", check_progress),
    ("storage", check_storage),
    ("batch", check_batch),
    ("notify", check_notify),
)

CONTENT_CHECKS: tuple[tuple[str, Check], ...] = (("cache", check_cache), ("platform", check_platform))


def _tried(name: str, check: Check, settings: Settings, adapters: Adapters) -> Finding:
    try:
        return Finding(name, check(settings, adapters))
    except WorkerError as error:
        return failed(name, error)


def failed(name: str, error: WorkerError) -> Finding:
    """What waiting can't mend is an error of the settings, whichever check it comes up in."""
    error = as_mistake(error)
    return Finding(name, error.message, error)


def _writable(folder: Path, setting: str) -> Path:
    # The nearest that is there: a file in the place of a folder is no matter of rights.
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if there.exists() and not there.is_dir():
        raise ConfigError(f"{folder} can't be a folder: {there} is a file", fix=f"set {variable(setting)} to a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"{folder} can't be written: {reason}",
            fix=f"give this user the right to write there, or set {variable(setting)}",
        ) from error
    return folder


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

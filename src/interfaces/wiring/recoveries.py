"""The recovery jobs from the settings."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from src.application.catalog import Catalog
from src.application.engine.alarm import Alarm
from src.application.engine.health import Health
from src.application.engine.probes import PERIOD_SECONDS, Probe
from src.application.operate import RetryJob
from src.application.ports.batch import BatchService
from src.application.ports.clock import Clock
from src.application.video.recovery.abort_uploads import AbortUploads
from src.application.video.recovery.enqueue_uploaded import EnqueueUploaded
from src.application.video.recovery.purge_events import PurgeEvents
from src.application.video.recovery.purge_jobs import PurgeJobs
from src.application.video.recovery.purge_raw import PurgeRaw
from src.application.video.recovery.reconcile import Reconcile
from src.application.video.recovery.recover_dead import RecoverDead
from src.application.video.recovery.run import RecoveryJob, Run, SingleFlight
from src.application.video.recovery.scan_stuck import ScanStuck
from src.application.video.recovery.schedule import SLOW, Schedule
from src.application.video.recovery.sightings import Sightings
from src.application.video.recovery.stuck_pending import StuckPending
from src.application.video.recovery.stuck_videos import StuckVideos
from src.application.video.recovery.sweep_orphans import SweepOrphans
from src.application.video.source_there import SourceIsThere
from src.domain.errors import ConfigError
from src.domain.stuck import Patience
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.assemble import WITH_EFFECTS
from src.interfaces.wiring.dispatches import batch_types, make_enqueue_next, make_submitter
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

NOBODYS_BATCH_JOB = "00000000-0000-0000-0000-000000000000"
"""An id that no batch job has."""


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """Stands for a recovery job where what it looks after can't be."""

    name: str
    why: str

    def run(self, run: Run) -> None:
        """Says so."""
        run.refused = self.why


def recovery_jobs(settings: Settings, adapters: Adapters, catalog: Catalog) -> Mapping[str, Callable[[], RecoveryJob]]:
    """{name: makes it}. Raises ConfigError where there are no rows of videos; making one connects to nothing yet."""
    if settings.ledger.backend not in WITH_EFFECTS:
        raise ConfigError(
            f"the {settings.ledger.backend} ledger keeps no rows of videos, so there is nothing to recover",
            fix=f"set {variable('ledger.backend')}=database, as the video workers have it",
        )
    made = _Makers(settings, adapters, catalog)
    on_batch = bool(batch_types(settings))
    not_batch = (
        f"videos don't go by AWS Batch ({variable('dispatch.backend')}=queue): their owner is each worker's waker"
    )
    whole = f"{variable('storage.backend')}={settings.storage.backend} takes objects whole, not in parts"
    for_ever = f"{variable('recovery.keep_job_seconds')}=0 keeps rows of jobs for ever"
    return {
        "scan-stuck": made.scan_stuck if on_batch else lambda: NothingToDo("scan-stuck", not_batch),
        "reconcile": made.reconcile if on_batch else lambda: NothingToDo("reconcile", not_batch),
        "enqueue-uploaded": made.enqueue_uploaded,
        "stuck-pending": made.stuck_pending,
        "stuck-videos": made.stuck_videos,
        "recover-dead": made.recover_dead,
        "purge-raw": made.purge_raw,
        "sweep-orphans": made.sweep_orphans,
        "abort-uploads": (made.abort_uploads if takes_parts(settings) else lambda: NothingToDo("abort-uploads", whole)),
        "purge-events": made.purge_events,
        "purge-jobs": (
            made.purge_jobs if settings.recovery.keep_job_seconds else lambda: NothingToDo("purge-jobs", for_ever)
        ),
    }


def takes_parts(settings: Settings) -> bool:
    """Whether uploads can be left unfinished."""
    return settings.storage.backend in Adapters.uploads.providers


def patience(settings: Settings) -> Patience:
    """How long things on AWS Batch's road may take."""
    recovery = settings.recovery
    return Patience(silent=recovery.silent_seconds, runnable_alarm=recovery.runnable_alarm_seconds)


@dataclass(frozen=True, slots=True)
class _Makers:
    settings: Settings
    adapters: Adapters
    catalog: Catalog

    @property
    def _patience(self) -> Patience:
        return patience(self.settings)

    def _sightings(self) -> Sightings:
        own = self.adapters
        return Sightings(own.batch(), own.submissions(), own.ops_events(), own.clock(), self._patience)

    def _ended(self) -> Callable[..., object]:
        following = make_enqueue_next(self.settings, self.adapters, self.catalog)
        return following.after if following is not None else lambda _job: None

    def scan_stuck(self) -> RecoveryJob:
        """On AWS Batch's road."""
        own = self.adapters
        return ScanStuck(
            ledger=own.ledger(),
            submissions=own.submissions(),
            batch=own.batch(),
            dispatch=own.dispatch(),
            events=own.ops_events(),
            sightings=self._sightings(),
            types=batch_types(self.settings),
            patience=self._patience,
            hold_seconds=max(1.0, min(60.0, self.settings.recovery.scan_stuck_seconds or 60.0)),
            ended=self._ended(),
        )

    def reconcile(self) -> RecoveryJob:
        """On AWS Batch's road."""
        own = self.adapters
        return Reconcile(
            ledger=own.ledger(),
            submissions=own.submissions(),
            batch=own.batch(),
            events=own.ops_events(),
            sightings=self._sightings(),
            patience=self._patience,
            dice=random.SystemRandom().random,
            ended=self._ended(),
        )

    def enqueue_uploaded(self) -> RecoveryJob:
        """On the road that the settings say."""
        return EnqueueUploaded(
            submitter=make_submitter(self.settings, self.adapters, self.catalog),
            videos=self.adapters.videos(),
            clock=self.adapters.clock(),
            new_id=lambda: str(uuid.uuid4()),
        )

    def stuck_pending(self) -> RecoveryJob:
        """Rows and storage."""
        own = self.adapters
        return StuckPending(videos=own.videos(), storage=own.storage(), events=own.ops_events(), clock=own.clock())

    def stuck_videos(self) -> RecoveryJob:
        """Rows alone."""
        own = self.adapters
        return StuckVideos(videos=own.videos(), events=own.ops_events(), clock=own.clock())

    def recover_dead(self) -> RecoveryJob:
        """On the road that the settings say."""
        own = self.adapters
        return RecoverDead(
            jobs=own.ledger(),
            videos=own.videos(),
            retry=RetryJob(own.ledger(), own.dispatch(), SourceIsThere(own.storage(), own.videos().find)),
            clock=own.clock(),
        )

    def purge_raw(self) -> RecoveryJob:
        """Rows and storage."""
        own, recovery = self.adapters, self.settings.recovery
        return PurgeRaw(
            videos=own.videos(),
            standings=own.standings(),
            jobs=own.ledger(),
            storage=own.storage(),
            clock=own.clock(),
            ready_seconds=recovery.keep_source_seconds,
            failed_seconds=recovery.keep_failed_source_seconds,
        )

    def sweep_orphans(self) -> RecoveryJob:
        """Rows and storage."""
        own, recovery = self.adapters, self.settings.recovery
        return SweepOrphans(
            storage=own.storage(),
            standings=own.standings(),
            clock=own.clock(),
            age_seconds=recovery.orphan_seconds,
            most_objects=recovery.most_objects,
        )

    def abort_uploads(self) -> RecoveryJob:
        """Storage alone."""
        own = self.adapters
        return AbortUploads(uploads=own.uploads(), clock=own.clock(), age_seconds=self.settings.recovery.upload_seconds)

    def purge_events(self) -> RecoveryJob:
        """Rows alone."""
        own = self.adapters
        return PurgeEvents(
            events=own.ops_events(), clock=own.clock(), keep_seconds=self.settings.recovery.keep_event_seconds
        )

    def purge_jobs(self) -> RecoveryJob:
        """Rows alone."""
        return PurgeJobs(jobs=self.adapters.ended_jobs(), keep_seconds=self.settings.recovery.keep_job_seconds)


def make_schedules(
    settings: Settings, adapters: Adapters, catalog: Catalog, *, clock: Clock, stopping: Callable[[str], bool]
) -> Mapping[str, Schedule]:
    """{name: schedule} that `mediaworker run recovery` goes by, each in a thread of its own: a sweep lists a whole bucket, which may
    take an hour, and nobody's job waits for it. `stopping` is asked, with the schedule's name, at each thing that a run looks at."""
    recovery = settings.recovery
    intervals = {
        "scan-stuck": recovery.scan_stuck_seconds,
        "reconcile": recovery.reconcile_seconds,
        "enqueue-uploaded": recovery.enqueue_uploaded_seconds,
        "stuck-pending": recovery.stuck_pending_seconds,
        "stuck-videos": recovery.stuck_videos_seconds,
        "recover-dead": recovery.recover_dead_seconds,
        "purge-raw": recovery.purge_raw_seconds,
        "sweep-orphans": recovery.sweep_orphans_seconds,
        "abort-uploads": recovery.abort_uploads_seconds if takes_parts(settings) else 0.0,
        "purge-events": recovery.purge_events_seconds,
        "purge-jobs": recovery.purge_jobs_seconds if recovery.keep_job_seconds else 0.0,
    }
    if not batch_types(settings):
        intervals |= {"scan-stuck": 0.0, "reconcile": 0.0}

    def made(schedule: str, names: Collection[str]) -> Schedule:
        return Schedule(
            jobs=recovery_jobs(settings, adapters, catalog),
            intervals={name: intervals[name] for name in names},
            flight=SingleFlight(adapters.lock(), lambda: stopping(schedule)),
            clock=clock,
            dice=random.SystemRandom().random,
            limit=recovery.limit,
            delete=recovery.delete,
        )

    return {name: made(name, names) for name, names in (("recovery", intervals.keys() - SLOW), ("sweeps", SLOW))}


def batch_probes(settings: Settings, adapters: Adapters, health: Health) -> Sequence[Probe]:
    """Whether AWS Batch answers, where videos go by it: recovery can do little without. Asked for a batch job that nobody has, by a
    call that its role has (DescribeJobs); AWS counts calls, so also one that does not answer is asked now and then."""
    if not batch_types(settings):
        return ()
    batch: BatchService = adapters.batch()
    return [Probe("batch", lambda: batch.describe([NOBODYS_BATCH_JOB]), health, again_seconds=PERIOD_SECONDS)]


def tell_left_alone(settings: Settings, adapters: Adapters) -> None:
    """Say when AWS Batch was handed jobs that nobody here looks after. Raises DatabaseUnavailable."""
    if batch_types(settings) or not adapters.submissions().open(1):
        return
    log.warning(
        "recovery.batch_left_alone",
        extra={
            "why": f"the database has open submissions to AWS Batch, and {variable('dispatch.backend')} is not batch here:"
            " scan-stuck and reconcile do not run",
            "fix": f"set {variable('dispatch.backend')}=batch, {variable('batch.queue')} and {variable('batch.definition')}, as those"
            " who submit have them",
        },
    )


def make_alarm(adapters: Adapters) -> Alarm:
    """Tells what the recovery jobs have buried or seen: on AWS Batch's road no worker may be there to do it."""
    return Alarm(adapters.dead_letters(), adapters.notifier(), adapters.ops_events())

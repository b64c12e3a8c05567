"""What most commands begin with: settings, catalog, adapters, and backends that answer."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.catalog import Catalog
from src.application.ports.ledger import DeadLetter, DeadLetterFilter, DeadLetters, JobLedger, JobQueries
from src.application.ports.ops_events import OpsEvents
from src.application.ports.progress import Progress
from src.application.ports.submissions import Submissions
from src.domain.errors import NotFound
from src.domain.job import Job
from src.domain.video.video import Video
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import WITH_EFFECTS, build_catalog
from src.interfaces.wiring.checks import check_backends, check_kept
from src.interfaces.wiring.databases import absent_file
from src.interfaces.wiring.dispatches import batch_types
from src.interfaces.wiring.environment import load, variable
from src.interfaces.wiring.queues import queue_is_used
from src.interfaces.wiring.settings import Settings


class NoDatabase(NotFound):
    """There is no embedded database where the settings say: nothing was ever asked for here, or it is the wrong place."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command's view of the system."""

    settings: Settings
    catalog: Catalog
    adapters: Adapters

    @property
    def ledger(self) -> JobLedger:
        """To change jobs."""
        ledger: JobLedger = self.adapters.ledger()
        return ledger

    @property
    def jobs(self) -> JobQueries:
        """To read jobs."""
        queries: JobQueries = self.adapters.ledger()
        return queries

    @property
    def dead_letters(self) -> DeadLetters:
        """The quarantine."""
        letters: DeadLetters = self.adapters.dead_letters()
        return letters

    @property
    def has_batch_road(self) -> bool:
        """Whether submissions and events are kept: they stand beside jobs that have effects."""
        return self.settings.ledger.backend in WITH_EFFECTS

    @property
    def submissions(self) -> Submissions:
        """What was handed to AWS Batch."""
        submissions: Submissions = self.adapters.submissions()
        return submissions

    @property
    def events(self) -> OpsEvents:
        """What happened that operators should know."""
        events: OpsEvents = self.adapters.ops_events()
        return events

    @property
    def progress(self) -> Progress:
        """Readings of running jobs."""
        progress: Progress = self.adapters.progress()
        return progress

    def video(self, video_id: str) -> Video | None:
        """The row of a video."""
        found: Video | None = self.adapters.videos().find(video_id)
        return found

    def check_road(self, job: Job) -> None:
        """The queue by which this job is to be sent for again answers; AWS Batch tells by itself. Raises ConfigError,
        QueueUnavailable."""
        if job.type not in batch_types(self.settings):
            # Only asked how deep it is: an operator's role need not permit what a worker's does.
            self.adapters.queue_inspector().depth()

    def job(self, job_id: str) -> Job:
        """The job with this id, or with an id that begins so (6 characters at least). Raises NotFound, Conflict."""
        found = self.jobs.find(job_id)
        if found is None:
            if letters := self.dead_letters.list(DeadLetterFilter(job_id=job_id, limit=1)):
                raise _set_aside(job_id, letters[0])
            raise NotFound(
                f"no job {job_id[:80]!r} in {place(self.settings)}",
                fix=f"`mediaworker jobs list`; a job that was published is known once a worker has received its message; else check"
                f" {' and '.join(place_settings(self.settings))}",
            )
        return found


def _set_aside(job_id: str, letter: DeadLetter) -> NotFound:
    """A message asked for the job, and could not become one."""
    return NotFound(
        f"job {job_id[:80]!r} never came to be, its message was set aside: {letter.error.code}: {letter.error.message}",
        fix=f"`mediaworker dlq show {letter.id}`; mend the message and send it again",
    )


def open_session(job_type: str | None = None) -> Session:
    """For commands that make jobs: of one type, where they name it. The queue is asked where it is used, and not for a type that
    goes by AWS Batch. Raises ConfigError, DatabaseUnavailable, QueueUnavailable."""
    settings = load()
    catalog = build_catalog(settings)
    session = Session(settings, catalog, build(settings, catalog))
    asked = queue_is_used(settings) and job_type not in batch_types(settings)
    check_backends(settings, session.adapters, queue=asked)
    return session


def open_existing(wanted: str = "jobs") -> Session:
    """For commands on what is there: they create nothing, because a mistyped path must not become a new and empty place. Raises
    NoDatabase, ConfigError, DatabaseUnavailable."""
    settings = load()
    if (path := absent_file(settings)) is not None:
        raise NoDatabase(
            f"no {wanted}: there is no database at {path}",
            fix=f"check {variable('data_dir')}; the first job creates the database, and so does `mediaworker db upgrade`",
        )
    catalog = build_catalog(settings)
    session = Session(settings, catalog, build(settings, catalog))
    check_kept(settings, session.adapters)
    return session


def place(settings: Settings) -> str:
    """Where the jobs are kept, fit to be shown."""
    from src.infrastructure.observability.redaction import redacted

    if settings.ledger.backend == "redis":
        return f"{redacted(settings.redis_url or '')} ({settings.ledger.name})"
    return database_place(settings)


def place_settings(settings: Settings) -> list[str]:
    """The variables that say where the jobs are kept."""
    if settings.ledger.backend == "redis":
        return [variable("redis.url"), variable("ledger.name")]
    return [variable("data_dir" if settings.database.url is None else "database.url")]


def database_place(settings: Settings) -> str:
    """Where the database is, fit to be shown."""
    from src.infrastructure.observability.redaction import redacted

    return redacted(settings.database_url)

"""Every setting there is. The reference page (docs/settings.md) is printed from these classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from src.domain.errors import InvalidPayload
from src.domain.ids import storage_key
from src.interfaces.wiring.batch_settings import BatchSettings, DispatchSettings
from src.interfaces.wiring.content_settings import ContentSettings
from src.interfaces.wiring.cron_settings import CronSettings
from src.interfaces.wiring.deletion_settings import DeletionSettings
from src.interfaces.wiring.events_settings import EventsSettings
from src.interfaces.wiring.group import Count, Group, Positive, comma_separated
from src.interfaces.wiring.ledger_settings import LedgerSettings
from src.interfaces.wiring.notify_settings import NotifySettings
from src.interfaces.wiring.queue_settings import QueueSettings
from src.interfaces.wiring.recovery_settings import RecoverySettings
from src.interfaces.wiring.rules import check_rules
from src.interfaces.wiring.search_settings import SearchSettings
from src.interfaces.wiring.video_settings import VideoSettings

PREFIX = "WORKER_"
NESTED = "__"


def is_server(url: str) -> bool:
    """Whether a database address leads to PostgreSQL."""
    return url.startswith(("postgres:", "postgresql:", "postgresql+psycopg:"))


class DatabaseSettings(Group):
    """Where jobs, videos and dead letters are kept."""

    url: SecretStr | None = Field(
        default=None, description="SQLAlchemy address. Default: a SQLite file `mediaworker.db` in the data directory."
    )
    busy_seconds: Positive = Field(default=2.0, description="How long a locked SQLite file is waited for.")
    pool_size: int = Field(default=4, ge=1, le=100, description="Connections that one process keeps open.")
    max_connections: int = Field(default=8, ge=2, le=100, description="Most connections of one process at a time.")
    connect_seconds: float = Field(default=5.0, ge=2, description="PostgreSQL: longest wait for a connection.")
    statement_seconds: float = Field(default=30.0, ge=1, description="PostgreSQL: longest time of one statement.")
    lock_seconds: float = Field(
        default=5.0, ge=0.1, description="PostgreSQL: longest wait for a row that another transaction holds."
    )
    pooler: Literal["none", "transaction"] = Field(
        default="none",
        description="What is between us and PostgreSQL. `transaction`: PgBouncer in transaction mode; then nothing is "
        "prepared, set or listened to per connection.",
    )


class RedisSettings(Group):
    """The Redis server, where a port uses it."""

    url: SecretStr | None = Field(
        default=None,
        description="`redis://[user:password@]host:port/db`, `rediss://...`, `unix:///path?db=0`, `redis+sentinel://host:port,host:port/name/db`"
        " or `redis+cluster://host:port,host:port`.",
    )


class LockSettings(Group):
    """The idempotency lock: spares a second worker the trouble; correctness is the ledger's."""

    backend: Literal["database", "memory", "redis"] = Field(default="database", description="Who keeps the lock.")
    on_failure: Literal["degrade", "pause"] = Field(
        default="degrade",
        description="When the lock's server is away: go on under the ledger's claim alone, or give messages back.",
    )


class ProgressSettings(Group):
    """Where readings of progress go."""

    backend: Literal["database", "memory", "redis"] = Field(
        default="database", description="Who keeps the latest reading."
    )
    ttl_seconds: Positive = Field(default=86_400.0, description="How long the latest reading of a job is shown.")


class StorageSettings(Group):
    """Where sources are read from and outputs are written to."""

    backend: Literal["filesystem", "memory", "s3"] = Field(default="filesystem", description="Which storage.")
    root: Path | None = Field(
        default=None, description="Folder of the `filesystem` storage. Default: `storage` in the data directory."
    )
    bucket: str | None = Field(default=None, description="Bucket of the `s3` storage.")
    prefix: str = Field(
        default="", description="Folder put before every key: `a/b` keeps `tenants/...` as `a/b/tenants/...`."
    )
    endpoint_url: str | None = Field(
        default=None, description="Address of an S3-compatible service (R2, MinIO); AWS when empty."
    )
    region: str | None = Field(default=None, description="Region of the bucket. Default: `WORKER_AWS__REGION`.")
    access_key: SecretStr | None = Field(
        default=None, description="Key id of the storage alone, when it differs from AWS's own chain."
    )
    secret_key: SecretStr | None = Field(default=None, description="Secret to that key id.")

    @field_validator("prefix")
    @classmethod
    def _key(cls, value: str) -> str:
        if not (folder := value.strip("/")):
            return ""
        try:
            return storage_key(folder, "the prefix")
        except InvalidPayload as error:
            raise ValueError(error.message) from error


class AwsSettings(Group):
    """AWS, except where the storage says otherwise. Credentials come from AWS's own chain."""

    endpoint_url: str | None = Field(
        default=None, description="Address of an AWS emulator; AWS when empty (or the host of `queue.url`)."
    )
    region: str | None = Field(
        default=None, description="AWS region. Default: that of `queue.url`, else AWS's own chain."
    )


class FfmpegSettings(Group):
    """The ffmpeg program and the fence around it."""

    path: Path | None = Field(
        default=None, description="The ffmpeg binary. Default: PATH, then the `ffmpeg` extra's binary."
    )
    sandbox: Literal["best_effort", "required", "off"] = Field(
        default="best_effort",
        description="Kernel sandbox around ffmpeg: where possible, or refuse to start without it, or none.",
    )
    memory_bytes: int = Field(default=4 * 2**30, ge=2**28, description="Address space one ffmpeg process may use.")
    cpu_seconds: int = Field(default=3600, gt=0, description="CPU time one ffmpeg process may use.")
    file_bytes: int = Field(default=8 * 2**30, gt=0, description="Largest file one ffmpeg process may write.")
    probe_timeout_seconds: Positive = Field(default=20.0, description="Longest time one probe may take.")


class LeaseSettings(Group):
    """How long a worker holds a job without a sign of life."""

    ttl_seconds: float = Field(
        default=30.0, ge=1, description="A job whose worker is silent this long is taken by another one."
    )
    scan_seconds: Positive = Field(
        default=10.0, description="How often jobs that must be woken or taken over are looked for."
    )


class ShutdownSettings(Group):
    """What SIGTERM leaves time for."""

    grace_seconds: float = Field(
        default=30.0, ge=1, description="Time from SIGTERM to exit: finish what fits, hand back the rest."
    )


class RetrySettings(Group):
    """Pace of retries (the table itself is in domain/retry.py)."""

    delay_scale: float = Field(default=1.0, ge=0, description="Every retry delay is multiplied by this.")


class LimitSettings(Group):
    """Most jobs at a time; 0 means no limit."""

    active_per_tenant: Count = Field(
        default=0, description="Active jobs of one tenant; more are rejected at submission."
    )
    active_total: Count = Field(default=0, description="Active jobs of all tenants; more are rejected at submission.")
    total_per_subject: Count = Field(
        default=0,
        description="Jobs made for one video, of those that the ledger still keeps; more are rejected at submission.",
    )
    running_per_tenant: Count = Field(
        default=0, description="Running jobs of one tenant; the others wait in the queue."
    )


class JobSettings(Group):
    """Job types beside the built-in ones."""

    modules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Python modules, comma separated, that each list job types in JOB_TYPES (and ports in PORTS).",
    )

    @field_validator("modules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return comma_separated(value)


class LogSettings(Group):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severity that is written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: console on a terminal, else JSON lines."
    )

    @field_validator("level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class HealthSettings(Group):
    """`/healthz/live` and `/healthz/ready` over HTTP, for whoever starts and watches workers."""

    port: int = Field(default=0, ge=0, le=65_535, description="Port of its own for this; 0: none is opened.")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address it listens on: this machine alone, unless you say `0.0.0.0` (a container's probes need that).",
    )


class Settings(BaseSettings):
    """What an operator can choose. Read once at start-up by `load` (environment.py); frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, frozen=True, extra="forbid", validate_default=False
    )

    id: str | None = Field(
        default=None, max_length=64, description="This worker's name in leases and history. Default: host and pid."
    )
    ssm_parameter: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="SSM parameter (name or ARN; a SecureString is decrypted) with more of these variables, as a JSON object or as "
        "lines NAME=VALUE. What is set in the environment itself wins. Only by this variable, not from a parameter.",
    )
    environment: str = Field(default="production", description="Shown in logs. `test` allows failpoints to be armed.")
    data_dir: Path = Field(
        default=Path(".mediaworker"), description="Embedded database, queue, and files under `storage/`."
    )
    scratch_dir: Path | None = Field(
        default=None, description="Working folders of running jobs. Default: `scratch` in the data directory."
    )
    scratch_reserve_bytes: int = Field(default=2**28, ge=0, description="Free space below which no new job is taken.")
    concurrency: int = Field(default=1, ge=1, le=64, description="Jobs at a time in one worker.")
    queue: QueueSettings = QueueSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    events: EventsSettings = EventsSettings()
    notify: NotifySettings = NotifySettings()
    ledger: LedgerSettings = LedgerSettings()
    lock: LockSettings = LockSettings()
    progress: ProgressSettings = ProgressSettings()
    storage: StorageSettings = StorageSettings()
    aws: AwsSettings = AwsSettings()
    batch: BatchSettings = BatchSettings()
    dispatch: DispatchSettings = DispatchSettings()
    deletion: DeletionSettings = DeletionSettings()
    recovery: RecoverySettings = RecoverySettings()
    cron: CronSettings = CronSettings()
    ffmpeg: FfmpegSettings = FfmpegSettings()
    lease: LeaseSettings = LeaseSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    retry: RetrySettings = RetrySettings()
    limits: LimitSettings = LimitSettings()
    jobs: JobSettings = JobSettings()
    log: LogSettings = LogSettings()
    health: HealthSettings = HealthSettings()
    video: VideoSettings = VideoSettings()
    content: ContentSettings = ContentSettings()
    search: SearchSettings = SearchSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment is read in one visible place (environment.py), not wherever a Settings is made."""
        return (init_settings,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_rules(self)
        return self

    @property
    def scratch_path(self) -> Path:
        """The scratch folder in effect, absolute."""
        return (self.scratch_dir or self.data_dir / "scratch").absolute()

    @property
    def cache_path(self) -> Path:
        """The content jobs' cache in effect, absolute."""
        return (self.content.cache_dir or self.data_dir / "cache").absolute()

    @property
    def search_path(self) -> Path:
        """The file of the embedded search index, absolute."""
        return (self.data_dir / f"search-{self.search.index}.db").absolute()

    @property
    def storage_root(self) -> Path:
        """The folder in which the `filesystem` storage's keys begin, absolute."""
        return (self.storage.root or self.data_dir / "storage").absolute() / self.storage.prefix

    @property
    def database_url(self) -> str:
        """The database address in effect, with its credentials: never for display."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        # Quoted, because SQLAlchemy reads % and ? in the path as parts of a URL.
        return f"sqlite:///{quote(str((self.data_dir / 'mediaworker.db').absolute()))}"

    @property
    def uses_database(self) -> bool:
        """Whether anything is kept in the database at `database_url`."""
        kept = (self.ledger.backend, self.lock.backend, self.progress.backend)
        queued = self.queue.backend in ("sqlite", "postgres") and self.queue_database_url == self.database_url
        return queued or "database" in kept

    @property
    def queue_database_url(self) -> str:
        """The database that the `sqlite` or `postgres` queue is in: the ledger's, unless the queue has its own."""
        own = self.queue.url if self.queue.backend in ("sqlite", "postgres") else None
        return own or self.database_url

    @property
    def redis_url(self) -> str | None:
        """The Redis address with its credentials: never for display."""
        return self.redis.url.get_secret_value() if self.redis.url is not None else None

    @property
    def ffmpeg_path(self) -> str | None:
        """The configured binary, as the finder wants it."""
        return str(self.ffmpeg.path) if self.ffmpeg.path else None

"""AWS Batch by boto3."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from src.application.ports.batch import REASON_LIMIT, BatchJob, BatchState, BatchSummary, batch_name
from src.application.ports.clock import Clock
from src.domain.errors import BatchRefused, BatchUnavailable, ConfigError
from src.domain.ids import identifier
from src.infrastructure.aws.answers import code_of, refuse_cut_answers
from src.infrastructure.aws.batch_check import definition_facts, queue_facts
from src.infrastructure.aws.batch_errors import SDK_ERRORS, THROTTLED, at_start, translated

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10.0
TRIES = {"submit_job": 1}
"""Other calls may be repeated by the SDK, ASKED times in all. A submission never is: SubmitJob has no idempotency token, so each
repetition after a lost answer makes one more batch job."""

ASKED = 3
CALM_SECONDS = (0.3, 1.0)
"""Pauses before a submission that was throttled, and so not taken, is sent again."""

DESCRIBED = 100
"""Job ids of one DescribeJobs."""

LISTED = 1000
"""Jobs on one page of ListJobs by state."""

FILTERED = 100
"""Jobs on one page of ListJobs by name."""

PARAMETER = "job_id"
VARIABLE = "VIDEO_JOB_ID"
NOBODYS = "00000000-0000-0000-0000-000000000000"
"""A batch id that nothing has: asking for it tells whether asking is permitted."""

EMULATOR_REGION = "us-east-1"
"""Where an endpoint of its own is given and no region: emulators take any."""

MAKING = threading.Lock()
"""Clients are thread-safe, a session that makes them is not."""


@dataclass
class AwsBatch:
    """BatchService and Checkable. Thread-safe; a forked process makes clients of its own. Nothing is connected before the first
    call."""

    queue: str
    definition: str
    """a name (its newest active revision is used), name:revision, or an ARN"""
    clock: Clock
    endpoint_url: str | None = None
    region: str | None = None
    answer_seconds: float = ANSWER_SECONDS
    page: int = LISTED
    make_session: Callable[[], Any] = boto3.session.Session
    """where credentials come from: AWS's own chain"""
    _clients: dict[int, Any] = field(default_factory=dict, init=False, repr=False)
    _session: Any = field(default=None, init=False, repr=False)
    _owner: int = field(default=0, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def submit(self, job_id: str, *, name: str, tenant: str) -> str:
        """One request; sent again only after an answer that says it was not taken."""
        request = {
            "jobName": batch_name(name, job_id),
            "jobQueue": self.queue,
            "jobDefinition": self.definition,
            "parameters": {PARAMETER: identifier(job_id, "job id")},
            "containerOverrides": {"environment": [{"name": VARIABLE, "value": job_id}]},
            # Whatever a later deploy makes of the definition (lesson 29), Batch itself never runs a job twice.
            "retryStrategy": {"attempts": 1},
            "tags": {"mediaworker:job": job_id, "mediaworker:tenant": identifier(tenant, "tenant")},
        }
        for pause in (*CALM_SECONDS, None):
            try:
                return str(self._present("submit_job", "jobId", **request))
            except BatchUnavailable as error:
                if pause is None or code_of(error.__cause__) not in THROTTLED:
                    raise
                self.clock.sleep(pause)
        raise AssertionError("the last pause is None")

    def describe(self, batch_ids: Collection[str]) -> Mapping[str, BatchJob]:
        """A hundred per call; all of them answered, or it raises."""
        wanted = list(dict.fromkeys(batch_ids))
        found: dict[str, BatchJob] = {}
        for start in range(0, len(wanted), DESCRIBED):
            for one in self._present("describe_jobs", "jobs", jobs=wanted[start : start + DESCRIBED]):
                job = self._job(one)
                found[job.batch_id] = job
        return found

    def listing(self, states: Collection[BatchState]) -> Iterator[BatchSummary]:
        """One walk over the pages per state, in the order in which jobs go through them, so that one that moves on meanwhile comes
        twice rather than never."""
        for state in BatchState:
            if state in states:
                yield from self._of_state(state)

    def of_job(self, job_id: str, *, name: str) -> Sequence[BatchJob]:
        """By name, of which jobs of one minute may have the same (it has eight characters of the id), then by the id."""
        query = {"filters": [{"name": "JOB_NAME", "values": [batch_name(name, job_id)]}], "maxResults": FILTERED}
        ids = [str(_member("list_jobs", one, "jobId")) for one in self._pages(query)]
        found = [job for job in self.describe(ids).values() if job.job_id == job_id]
        return sorted(found, key=lambda job: (job.created_at or 0.0, job.batch_id))

    def terminate(self, batch_id: str, reason: str) -> None:
        """AWS says yes also for jobs that ended or that it does not know; what says no to those is asked what it knows."""
        try:
            self._call("terminate_job", jobId=batch_id, reason=reason[:REASON_LIMIT] or "terminated")
        except BatchRefused as error:
            if type(error) is not BatchRefused:
                raise
            job = self.describe([batch_id]).get(batch_id)
            if job is not None and not job.state.ended:
                raise

    def check(self) -> Sequence[str]:
        """Queue, compute environments, job definition, and the permissions to look (lesson 11). Submits and ends nothing."""
        try:
            facts = [*self._check_queue(), *self._check_definition()]
            self.describe([NOBODYS])
            self._present("list_jobs", "jobSummaryList", jobQueue=self.queue, jobStatus="RUNNABLE", maxResults=1)
        except BatchUnavailable as error:
            raise at_start(error) from error
        return facts

    def close(self) -> None:
        """Let connections go; a later call makes new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    # ------------------------------------------------------------------ reading answers
    def _of_state(self, state: BatchState) -> Iterator[BatchSummary]:
        for one in self._pages({"jobStatus": state.value, "maxResults": self.page}):
            # Endpoints that don't name the definition leave the question to `describe`.
            if "jobDefinition" not in one or self._ours(one["jobDefinition"]):
                yield BatchSummary(
                    batch_id=str(_member("list_jobs", one, "jobId")),
                    name=str(_member("list_jobs", one, "jobName")),
                    # Without it: what was asked for.
                    state=_state(one.get("status", state.value)),
                    status_reason=str(one.get("statusReason", "")),
                    created_at=_seconds(one.get("createdAt")),
                )

    def _pages(self, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        after: dict[str, str] = {}
        while True:
            answer = self._call("list_jobs", jobQueue=self.queue, **query, **after)
            yield from _member("list_jobs", answer, "jobSummaryList")
            if not answer.get("nextToken"):
                return
            if answer["nextToken"] == after.get("nextToken"):
                raise BatchUnavailable("AWS Batch: list_jobs gives the same page again and again")
            after = {"nextToken": answer["nextToken"]}

    def _job(self, one: Mapping[str, Any]) -> BatchJob:
        container, attempts = one.get("container", {}), one.get("attempts", ())
        last = attempts[-1].get("container", {}) if attempts else {}
        return BatchJob(
            batch_id=str(_member("describe_jobs", one, "jobId")),
            name=str(_member("describe_jobs", one, "jobName")),
            job_id=_job_id(one) if self._ours(str(_member("describe_jobs", one, "jobDefinition"))) else None,
            state=_state(_member("describe_jobs", one, "status")),
            status_reason=str(one.get("statusReason", "")),
            exit_code=container.get("exitCode", last.get("exitCode")),
            attempts=len(attempts),
            created_at=_seconds(one.get("createdAt")),
            started_at=_seconds(one.get("startedAt")),
            stopped_at=_seconds(one.get("stoppedAt")),
        )

    def _ours(self, definition: str) -> bool:
        return _bare(definition) == _bare(self.definition)

    # ------------------------------------------------------------------ the start-up check
    def _check_queue(self) -> list[str]:
        queues = self._present("describe_job_queues", "jobQueues", jobQueues=[self.queue])
        if not queues:
            raise ConfigError(
                f"there is no job queue {self.queue}",
                fix="create it, or correct WORKER_BATCH__QUEUE and WORKER_AWS__REGION",
            )
        names = [each["computeEnvironment"] for each in queues[0]["computeEnvironmentOrder"]]
        found = (
            self._present("describe_compute_environments", "computeEnvironments", computeEnvironments=names)
            if names
            else []
        )
        return queue_facts(queues[0], found)

    def _check_definition(self) -> list[str]:
        plain = ":" not in self.definition
        asked: dict[str, Any] = (
            {"jobDefinitionName": self.definition, "status": "ACTIVE"}
            if plain
            else {"jobDefinitions": [self.definition]}
        )
        found: list[Mapping[str, Any]] = []
        while True:
            answer = self._call("describe_job_definitions", **asked)
            found += _member("describe_job_definitions", answer, "jobDefinitions")
            if not answer.get("nextToken"):
                break
            asked["nextToken"] = answer["nextToken"]
        if not found:
            raise ConfigError(
                f"there is no {'active ' if plain else ''}job definition {self.definition}",
                fix="register it, or correct WORKER_BATCH__DEFINITION and WORKER_AWS__REGION",
            )
        # What a submission by name alone takes.
        return definition_facts(max(found, key=lambda one: int(one["revision"])))

    # ------------------------------------------------------------------ calls
    def _present(self, operation: str, member: str, **arguments: Any) -> Any:
        return _member(operation, self._call(operation, **arguments), member)

    def _call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client(TRIES.get(operation, ASKED)), operation)(**arguments)
        except SDK_ERRORS as error:
            raise translated(error, operation) from error
        return answer

    def _client(self, tries: int) -> Any:
        with self._lock:
            if self._owner != os.getpid():
                # Sockets that a fork copied belong to the other process.
                self._clients, self._owner = {}, os.getpid()
            if tries not in self._clients:
                self._clients[tries] = self._make(tries)
            return self._clients[tries]

    def _make(self, tries: int) -> Any:
        if self._session is None:
            self._session = self.make_session()
        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self.answer_seconds,
            retries={"mode": "standard", "total_max_attempts": tries},
            tcp_keepalive=True,
        )
        region = self.region or self._session.region_name or (EMULATOR_REGION if self.endpoint_url else None)
        with MAKING:
            made = self._session.client("batch", endpoint_url=self.endpoint_url, region_name=region, config=limits)
        return refuse_cut_answers(made)


def _member(operation: str, answer: Mapping[str, Any], member: str) -> Any:
    """An answer without what was asked for says nothing; it must not pass for "there is none" (lesson 11)."""
    if answer.get(member) is None:
        raise BatchUnavailable(f"AWS Batch: the answer to {operation} has no {member}")
    return answer[member]


def _state(said: str) -> BatchState:
    try:
        return BatchState(said)
    except ValueError as error:
        raise BatchUnavailable(f"AWS Batch says that a job is {said[:40]!r}, which no version of ours knows") from error


def _job_id(one: Mapping[str, Any]) -> str | None:
    if said := one.get("parameters", {}).get(PARAMETER):
        return str(said)
    environment = one.get("container", {}).get("environment", ())
    return next(
        (str(each["value"]) for each in environment if each.get("name") == VARIABLE and each.get("value")), None
    )


def _seconds(milliseconds: int | None) -> float | None:
    # Zero stands for "not yet": the model demands startedAt of jobs that were never started.
    return milliseconds / 1000 if milliseconds else None


def _bare(definition: str) -> str:
    """The name of a job definition without its ARN and revision."""
    return definition.rsplit("/", 1)[-1].split(":", 1)[0]

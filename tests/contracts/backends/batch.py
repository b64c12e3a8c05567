"""AWS Batch: the fake, and the adapter on the emulator, whose jobs wait to be told how to end."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import boto3

from src.application.ports.batch import BatchJob, BatchService, BatchState
from src.domain.errors import BatchDenied, BatchRefused
from src.infrastructure.aws.batch import AwsBatch
from src.infrastructure.memory.batch import MemoryBatch
from tests.fakes.clock import FrozenClock
from tests.servers.batch import BatchServer
from tests.servers.batch_api import QUEUE

REGION = "us-east-1"
DEFINITION = "video-definition"
PACE = 0.01
"""AWS's shortest timeout of 60 s is 0.6 s here, its grace time of 30 s 0.3 s."""

WIRE = {
    "submit": "SubmitJob",
    "describe": "DescribeJobs",
    "listing": "ListJobs",
    "of_job": "ListJobs",
    "terminate": "TerminateJob",
}
TOLD = 'mkfifo "$0/$AWS_BATCH_JOB_ID" 2>/dev/null; echo "job $1 $VIDEO_JOB_ID"; read code < "$0/$AWS_BATCH_JOB_ID"; exit "$code"'
"""A job that waits, without turning, for the number that it shall exit with."""


@cache
def session() -> Any:
    """Credentials that the emulator takes; the machine's own are never asked for."""
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


class BatchPlace(Protocol):
    """A service, and what can befall it and its jobs. Jobs wait until they are started."""

    service: BatchService

    def start(self, batch_id: str) -> None:
        """RUNNING when this returns."""

    def end(self, batch_id: str, exit_code: int) -> None:
        """The running container exits; ended when this returns."""

    def lose_host(self, batch_id: str) -> None:
        """The running container's machine goes away; ended when this returns."""

    def ended(self, batch_id: str) -> BatchJob:
        """Waits for the end, which must be on its way."""

    def forget(self, batch_id: str) -> None:
        """Batch knows it no longer."""

    def foreign(self) -> str:
        """A job of the same queue that is made from another definition; its batch id."""

    def away(self, operation: str) -> None:
        """Every such call gets no answer."""

    def denied(self, operation: str) -> None:
        """Every such call is refused for want of a permission."""

    def lose_reply(self, operation: str) -> None:
        """The next such call works, and its answer is lost."""

    def refused(self) -> None:
        """The job definition is not there any more."""

    def close(self) -> None:
        """Nothing stays."""


@dataclass
class MemoryBatchPlace:
    """The fake."""

    service: MemoryBatch

    def start(self, batch_id: str) -> None:
        self.service.move(batch_id, BatchState.RUNNING)

    def end(self, batch_id: str, exit_code: int) -> None:
        self.service.end(batch_id, exit_code)

    def lose_host(self, batch_id: str) -> None:
        self.service.lose_host(batch_id)

    def ended(self, batch_id: str) -> BatchJob:
        return self.service.describe([batch_id])[batch_id]

    def forget(self, batch_id: str) -> None:
        self.service.forget(batch_id)

    def foreign(self) -> str:
        return self.service.add(None)

    def away(self, operation: str) -> None:
        self.service.fail(operation, times=100)

    def denied(self, operation: str) -> None:
        self.service.fail(operation, BatchDenied("scripted"), times=100)

    def lose_reply(self, operation: str) -> None:
        self.service.fail(operation, after=True)

    def refused(self) -> None:
        self.service.fail("submit", BatchRefused("scripted"), times=100)

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class EmulatedBatchPlace:
    """The adapter, on an emulator of its own."""

    server: BatchServer
    service: AwsBatch = field(init=False)

    def __post_init__(self) -> None:
        self.server.yard.hold()
        for name in (DEFINITION, "another-definition"):
            self.server.define(name, ["/bin/sh", "-c", TOLD, str(self.server.folder), "Ref::job_id"])
        self.service = self.adapter()

    def adapter(self, **more: Any) -> AwsBatch:
        """A handle of its own, with pages so small that a test turns some."""
        settings = {"queue": QUEUE, "definition": DEFINITION, "page": 2, "make_session": session, **more}
        return AwsBatch(clock=FrozenClock(), endpoint_url=self.server.url, region=REGION, **settings)

    def start(self, batch_id: str) -> None:
        self.server.yard.release(batch_id)
        self.server.yard.wait(batch_id, "RUNNING")

    def end(self, batch_id: str, exit_code: int) -> None:
        fifo = self.server.folder / batch_id
        # Made by whoever comes first; opening it waits for the job to read.
        with contextlib.suppress(FileExistsError):
            os.mkfifo(fifo)
        fifo.write_text(f"{exit_code}\n")
        self.ended(batch_id)

    def lose_host(self, batch_id: str) -> None:
        self.server.yard.lose_host(batch_id)
        self.ended(batch_id)

    def ended(self, batch_id: str) -> BatchJob:
        self.server.yard.wait(batch_id, "SUCCEEDED", "FAILED")
        return self.service.describe([batch_id])[batch_id]

    def forget(self, batch_id: str) -> None:
        self.server.yard.forget(batch_id)

    def foreign(self) -> str:
        return self.adapter(definition="another-definition").submit("foreign-1", name="video", tenant="t1")

    def away(self, operation: str) -> None:
        self.server.refuse(WIRE[operation], 503, "ServiceUnavailable")

    def denied(self, operation: str) -> None:
        self.server.refuse(WIRE[operation], 403, "AccessDeniedException")

    def lose_reply(self, operation: str) -> None:
        self.server.drop_reply(WIRE[operation])

    def refused(self) -> None:
        for definition in self.server.api.definitions:
            definition["status"] = "INACTIVE"

    def close(self) -> None:
        self.service.close()
        self.server.close()


def memory_batch(clock: FrozenClock, _folder: Path) -> MemoryBatchPlace:
    """The fake."""
    return MemoryBatchPlace(MemoryBatch(clock))


def emulated_batch(_clock: FrozenClock, folder: Path) -> EmulatedBatchPlace:
    """The adapter."""
    return EmulatedBatchPlace(BatchServer(folder, pace=PACE).start())


BATCHES: dict[str, Any] = {"memory": memory_batch, "aws": emulated_batch}
"""{name: (clock, folder) -> BatchPlace}"""

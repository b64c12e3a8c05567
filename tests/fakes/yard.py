"""The Batch road as a whole, in memory and seeded: submissions, containers that die at any step, and the recovery jobs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.dispatch import BatchDispatch
from src.application.ports.batch import BatchState
from src.application.ports.submissions import BatchSubmission, asked_id
from src.application.video.enqueue_next import EnqueueNext
from src.application.video.recovery.enqueue_uploaded import EnqueueUploaded
from src.application.video.recovery.reconcile import Reconcile
from src.application.video.recovery.run import RecoveryJob, Run
from src.application.video.recovery.scan_stuck import ScanStuck
from src.application.video.recovery.sightings import Sightings
from src.domain.errors import (
    BatchNotTaken,
    BatchUnavailable,
    ErrorReport,
    FfmpegFailed,
    LeaseLost,
    NetworkError,
    NotFound,
)
from src.domain.job import Claimed, Job, JobDraft, JobState
from src.domain.stuck import Patience, owner_of
from src.domain.video.video import Video
from tests.fakes.office import KEY, BatchOffice

LEASE = 30.0
RESULT = {"hls_path": "a/1-1-00000000/master.m3u8", "duration_seconds": 4.0}


@dataclass
class Container:
    """A started batch job. `fence` once it has claimed its job."""

    batch_id: str
    job_id: str
    fence: int | None = None
    left: int = 3
    frozen: bool = False


@dataclass
class Yard:
    """`step` lets a random thing happen; `settle` lets everything go well until nothing moves."""

    seed: int
    jobs: int = 200
    office: BatchOffice = field(default_factory=BatchOffice)
    containers: dict[str, Container] = field(default_factory=dict)
    executions: Counter[tuple[str, int]] = field(default_factory=Counter)
    handed_back: Counter[tuple[str, int]] = field(default_factory=Counter)
    """executions that were told to end, which do not count"""
    effects: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    trouble: bool = True

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        office, names = self.office, iter(range(10**9))
        office.batch.ids = lambda: f"b{next(names)}"
        numbers = iter(range(10**9))
        self.next = EnqueueNext(office.submitter, office.videos, lambda: f"next-{next(numbers)}")
        self.scan, self.reconcile = self._scan(), self._reconcile()
        self.enqueue = EnqueueUploaded(
            submitter=office.submitter,
            videos=office.videos,
            clock=office.clock,
            new_id=lambda: f"again-{next(numbers)}",
        )

    def _sightings(self) -> Sightings:
        office = self.office
        return Sightings(office.batch, office.submissions, office.events, office.clock)

    def _scan(self) -> ScanStuck:
        office = self.office
        return ScanStuck(
            ledger=office.ledger,
            submissions=office.submissions,
            batch=office.batch,
            dispatch=BatchDispatch(office.batch, office.submissions),
            events=office.events,
            sightings=self._sightings(),
            types=("video",),
            patience=Patience(),
            ended=self.next.after,
        )

    def _reconcile(self) -> Reconcile:
        office = self.office
        return Reconcile(
            ledger=office.ledger,
            submissions=office.submissions,
            batch=office.batch,
            events=office.events,
            sightings=self._sightings(),
            dice=self.dice.random,
            ended=self.next.after,
        )

    # ------------------------------------------------------------------ one thing happens
    def ask(self, number: int) -> None:
        """Somebody wants a video; the submission may go wrong in every way, or its caller die before it."""
        office, video = self.office, f"v{number}"
        office.videos.add(Video(id=video, tenant="t1", source_key=KEY))
        self.happened["asked"] += 1
        if self.trouble and self.dice.random() < 0.15:
            how = self.dice.choice(["before", "after", "refused", "crash", "crash asking"])
            self.happened[f"submit {how}"] += 1
            if how.startswith("crash"):
                payload = {"video_id": video, "file_key": KEY}
                draft = JobDraft(
                    id=f"job-{number}", type="video", tenant="t1", payload=payload, subject=f"video:{video}"
                )
                admitted = office.ledger.admit(draft)
                assert admitted.created and admitted.job
                if how == "crash asking":
                    asked = asked_id(admitted.job.id, 1, 0)
                    office.submissions.begin(
                        BatchSubmission(batch_id=asked, job_id=admitted.job.id, generation=1, attempt=1)
                    )
                return
            error = BatchNotTaken("throttled") if how == "refused" else BatchUnavailable("reset")
            office.batch.fail("submit", error, after=how == "after")
        office.submit(f"job-{number}", video=video)

    def work(self) -> None:
        """Containers start, work, end, die; hosts are lost; Batch forgets."""
        batch = self.office.batch
        for job in batch.known():
            if job.state.waiting and self.dice.random() < 0.7:
                if self.trouble and self.dice.random() < 0.06:
                    self._vanish(job.batch_id, "died before it began")
                    continue
                batch.move(job.batch_id, BatchState.RUNNING)
                self.containers[job.batch_id] = Container(job.batch_id, job.job_id or "")
        for container in list(self.containers.values()):
            if self.trouble and self.dice.random() < 0.10:
                self._vanish(container.batch_id, "died at a step")
            elif self.trouble and self.dice.random() < 0.02:
                container.frozen = True
                self.happened["frozen"] += 1
            elif not container.frozen:
                self._turn(container)
        if self.trouble and self.dice.random() < 0.3 and (ended := [job for job in batch.known() if job.state.ended]):
            batch.forget(self.dice.choice(ended).batch_id)
            self.happened["forgotten"] += 1

    def _vanish(self, batch_id: str, how: str) -> None:
        self.happened[how] += 1
        self.containers.pop(batch_id, None)
        if self.dice.random() < 0.5:
            self.office.batch.lose_host(batch_id)
        elif self.dice.random() < 0.9:
            self.office.batch.end(batch_id, 137)
        else:
            self.office.batch.forget(batch_id)

    def _turn(self, container: Container) -> None:
        ledger, job_id = self.office.ledger, container.job_id
        if container.fence is None:
            try:
                answers: list[object] = []

                def claim(row: Job, now: float) -> Job:
                    after, answer = row.claim(now, owner=owner_of(container.batch_id), lease_seconds=LEASE, early=True)
                    answers.append(answer)
                    return after

                row = ledger.change(job_id, claim)
            except NotFound:
                self._exit(container, 0)
                return
            if not isinstance(answers[-1], Claimed):
                self._exit(container, 0)
                return
            container.fence = row.fence
            self.executions[row.id, row.generation] += 1
            return
        held = ledger.beat({job_id: container.fence}, lease_seconds=LEASE)[job_id].held
        container.left -= 1
        if not held:
            self._exit(container, 0)
        elif container.left <= 0:
            self._finish(container, container.fence)

    def _finish(self, container: Container, fence: int) -> None:
        draw = self.dice.random()

        def move(row: Job, now: float) -> Job:
            if self.trouble and draw < 0.15:
                return row.fail(now, fence=fence, error=ErrorReport.of(NetworkError("reset")), dice=0.5)
            if self.trouble and draw < 0.20:
                self.handed_back[row.id, row.generation] += row.fence == fence
                return row.wait_untried(now, fence=fence)
            if self.trouble and draw < 0.23:
                return row.fail(now, fence=fence, error=ErrorReport.of(FfmpegFailed("bad")), dice=0.5)
            return row.succeed(now, fence=fence, result=RESULT)

        try:
            row = self.office.ledger.change(container.job_id, move)
        except LeaseLost:
            self._exit(container, 0)
            return
        if row.state is JobState.SUCCEEDED:
            self.effects[container.job_id] += 1
            self.next.after(row)
        self._exit(container, 0 if row.state is JobState.SUCCEEDED else 1)

    def _exit(self, container: Container, code: int) -> None:
        self.containers.pop(container.batch_id, None)
        if any(job.batch_id == container.batch_id and not job.state.ended for job in self.office.batch.known()):
            self.office.batch.end(container.batch_id, code)

    # ------------------------------------------------------------------ the recovery jobs
    def recover(self, *, twice: bool = False) -> None:
        """All of them, now and then two at a time, with a Batch that does not always answer."""
        for job in (self.scan, self.reconcile, self.enqueue):
            if self.trouble and self.dice.random() < 0.25:
                self.happened["no answer"] += 1
                self.office.batch.fail(
                    self.dice.choice(["describe", "listing", "submit", "terminate"]), after=self.dice.random() < 0.5
                )
            if twice:
                self._both(job)
            else:
                job.run(Run(job.name, limit=1000))

    def _both(self, job: RecoveryJob) -> None:
        """The second one runs when the first one has looked and not yet acted (F33)."""
        inside: list[bool] = []

        def meanwhile() -> None:
            if not inside:
                inside.append(True)
                job.run(Run(job.name, limit=1000))

        self.happened["two at once"] += 1
        job.run(Run(job.name, limit=1000, going_on=meanwhile))

    def gone(self) -> None:
        """Batch terminated it: no process is left."""
        living = {job.batch_id for job in self.office.batch.known() if job.state is BatchState.RUNNING}
        for batch_id in list(self.containers):
            if batch_id not in living:
                # A frozen one that was terminated, or one that Batch forgot: with its host.
                del self.containers[batch_id]

    # ------------------------------------------------------------------ all of it
    def live(self, until: Callable[[], bool], rounds: int) -> None:
        """Time passes in pieces of 5 to 60 s."""
        asked = 0
        for number in range(rounds):
            if asked < self.jobs and self.dice.random() < 0.8:
                for _ in range(self.dice.randint(1, 8)):
                    if asked < self.jobs:
                        self.ask(asked)
                        asked += 1
            self.work()
            self.gone()
            if number % 3 == 0:
                self.recover(twice=self.dice.random() < 0.3)
                self.gone()
            self.office.clock.advance(self.dice.uniform(5, 60) if self.trouble else 60)
            if asked == self.jobs and until():
                return
        raise AssertionError(f"seed {self.seed}: not at rest after {rounds} rounds: {self.rest()}")

    def rest(self) -> Counter[str]:
        """What has not ended."""
        rows = Counter(row.state.value for row in self.office.ledger.rows() if not row.state.is_terminal)
        return rows + Counter(
            {"open submissions": len(self.office.submissions.open(10**6)), "containers": len(self.containers)}
        )

    def at_rest(self) -> bool:
        return not self.rest() and not self.office.videos.waiting(limit=1)

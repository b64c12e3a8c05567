"""One storm over the Batch road, and what must be true after it."""

from __future__ import annotations

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from tests.fakes.yard import Yard

STATUS = {
    JobState.SUCCEEDED: VideoStatus.READY,
    JobState.FAILED: VideoStatus.FAILED,
    JobState.DEAD: VideoStatus.FAILED,
}


def storm(seed: int, *, jobs: int) -> Yard:
    """Raises AssertionError, which names the seed."""
    yard, said = Yard(seed, jobs=jobs), f"seed {seed}"
    yard.live(yard.at_rest, rounds=4000)
    rows = yard.office.ledger.rows()
    videos = {str(row.payload["video_id"]) for row in rows}
    assert videos == {f"v{number}" for number in range(jobs)}, f"{said}: lost a video"
    for row in rows:
        assert row.state in STATUS, f"{said}: {row}"
        video = yard.office.videos.get(str(row.payload["video_id"]))
        assert video.status is STATUS[row.state], f"{said}: {row}, {video}"
        assert row.attempts <= 5, f"{said}: {row}"
    assert len(rows) == jobs, f"{said}: a second job for a video"
    counted = yard.executions - yard.handed_back
    assert max(counted.values()) <= 5, f"{said}: {counted.most_common(3)}"
    assert set(yard.effects.values()) == {1}, f"{said}: {yard.effects.most_common(3)}"
    assert len(yard.effects) == sum(row.state is JobState.SUCCEEDED for row in rows), said
    assert not [job for job in yard.office.batch.known() if not job.state.ended], f"{said}: still at Batch"
    assert (
        len({"asked", "frozen", "forgotten", "no answer", "two at once", "died at a step"} & yard.happened.keys()) == 6
    )
    return yard

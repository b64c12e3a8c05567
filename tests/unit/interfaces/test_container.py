"""What the container's process makes of its arguments, before anything is loaded or asked."""

from __future__ import annotations

import os
import signal

import pytest

from src.application.engine.stop import StopSwitch
from src.application.engine.verdict import NOTHING_TO_DO, Event, Verdict
from src.domain.errors import ConfigError
from src.interfaces.wiring import oneshot
from src.interfaces.wiring.checks import CHECKS
from src.interfaces.workers.batch.container import UNSET, _run, main
from tests.fakes.clock import FrozenClock


@pytest.fixture
def stop() -> StopSwitch:
    return StopSwitch(FrozenClock(), 10.0)


@pytest.mark.parametrize("job_id", ["../../etc", "no id at all", "a\nb", "-x", "x" * 129])
def test_what_is_no_id_names_no_job(stop: StopSwitch, job_id: str) -> None:
    verdict = _run(job_id, [job_id], stop)
    assert (verdict.event, verdict.exit_code) == (Event.NOT_FOUND, 0)


@pytest.mark.parametrize(("job_id", "arguments"), [("", []), (UNSET, [UNSET])])
def test_without_one_id_nothing_is_begun(stop: StopSwitch, job_id: str, arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="there is no job id"):
        _run(job_id, arguments, stop)


def test_two_ids_are_too_many(stop: StopSwitch) -> None:
    with pytest.raises(ConfigError, match="not 2 arguments") as told:
        _run("", ["j1", "j2"], stop)
    assert "main JOB_ID" in (told.value.fix or "")


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_is_no_job_that_was_not_found(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main([asked]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: python -m src.interfaces.workers.batch.main JOB_ID")
    assert (said.err, signal.getsignal(signal.SIGTERM)) == ("", before)


def test_every_event_has_the_exit_code_of_the_contract() -> None:
    zero = {"BATCH_JOB_COMPLETED", "IDEMPOTENT_DONE", "IDEMPOTENT_READY", "JOB_NOT_FOUND", "JOB_ALREADY_TAKEN"}
    one = {"BATCH_JOB_FAILED", "BATCH_JOB_CANCELLED", "BATCH_JOB_DEAD", "BATCH_TERMINATED"}
    codes = {event.value: Verdict(event).exit_code for event in Event}
    assert zero <= {event.value for event in NOTHING_TO_DO}
    assert {name for name in zero | one if codes[name] != (name in one)} == set()


def test_the_first_signal_counts_and_time_runs_from_it(stop: StopSwitch) -> None:
    clock = stop.clock
    assert isinstance(clock, FrozenClock)
    clock.advance(100)
    assert not stop.must_go()
    stop.request(signal.Signals.SIGTERM.name)
    clock.advance(9)
    stop.request(signal.Signals.SIGINT.name)
    assert (stop.name, stop.must_go()) == ("SIGTERM", False)
    clock.advance(1)
    assert stop.must_go()


def test_b6_its_role_is_asked_for_nothing_that_it_need_not_have() -> None:
    assert set(oneshot.NOT_ASKED) == {"queue", "batch"}
    assert set(oneshot.NOT_ASKED) <= {name for name, _check in CHECKS}


def test_fields_that_are_not_known_are_there_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(os.environ, oneshot.BATCH_ID, raising=False)
    fields = oneshot.log_fields(None)
    assert fields == {"job_id": None, "tenant_id": None, "video_id": None, "aws_batch_job_id": None}

"""AWS Batch over the wire: what is sent, what a bad day of the service does, and what the start refuses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from src.application.ports.batch import BatchState, batch_name
from src.domain.errors import BatchDenied, BatchNotTaken, BatchRefused, BatchUnavailable, ErrorReport
from src.infrastructure.aws.batch import DESCRIBED, AwsBatch
from tests.contracts.backends.batch import DEFINITION, EmulatedBatchPlace, emulated_batch
from tests.fakes.clock import FrozenClock
from tests.servers.batch_model import model, reply_faults, request_faults
from tests.servers.process import free_ports

JOB = "0190a5e2-7c1d-7f3a-9b3e-1a2b3c4d5e6f"
UNKNOWN = "11111111-2222-3333-4444-555555555555"


def submit(batch: AwsBatch, job_id: str = JOB) -> str:
    return batch.submit(job_id, name="video", tenant="academy")


CALLS: dict[str, tuple[str, Callable[[AwsBatch], object]]] = {
    "submit": ("SubmitJob", submit),
    "describe": ("DescribeJobs", lambda batch: batch.describe([UNKNOWN])),
    "listing": ("ListJobs", lambda batch: list(batch.listing([BatchState.RUNNING]))),
    "terminate": ("TerminateJob", lambda batch: batch.terminate(UNKNOWN, "why")),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[EmulatedBatchPlace]:
    made = emulated_batch(FrozenClock(), tmp_path)
    yield made
    made.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the SDK waits between its tries, without the waiting."""
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=slept.append))
    return slept


# ---------------------------------------------------------------------- what is sent
def test_every_request_as_sent_fits_the_service_model(place: EmulatedBatchPlace) -> None:
    made = submit(place.service)
    place.service.describe([made])
    list(place.service.listing(set(BatchState)))
    place.service.terminate(made, "why")
    place.service.check()
    asked = place.server.asked
    assert {each.operation for each in asked} == {
        *(operation for operation, _call in CALLS.values()),
        *("DescribeJobQueues", "DescribeComputeEnvironments", "DescribeJobDefinitions"),
    }
    assert [fault for each in asked for fault in request_faults(each.operation, each.body)] == []


def test_contracts_1_7_the_job_id_goes_as_parameter_and_as_environment(place: EmulatedBatchPlace) -> None:
    submit(place.service)
    (body,) = place.server.bodies("SubmitJob")
    assert body == {
        "jobName": "video-0190a5e2",
        "jobQueue": "video-queue",
        "jobDefinition": DEFINITION,
        "parameters": {"job_id": JOB},
        "containerOverrides": {"environment": [{"name": "VIDEO_JOB_ID", "value": JOB}]},
        "retryStrategy": {"attempts": 1},
        "tags": {"mediaworker:job": JOB, "mediaworker:tenant": "academy"},
    }


def test_contracts_1_7_the_container_sees_both(place: EmulatedBatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.end(made, 0)
    assert place.server.yard.log(made) == f"job {JOB} {JOB}\n"


@pytest.mark.parametrize(
    ("name", "job_id", "made"),
    [
        ("video", JOB, "video-0190a5e2"),
        ("video", "video:7", "video-video-7"),
        ("video", "a.b@c", "video-a-b-c"),
        ("-x", "1", "x-1"),
        ("v" * 200, "1", "v" * 128),
    ],
)
def test_a_name_that_batch_takes(name: str, job_id: str, made: str) -> None:
    assert batch_name(name, job_id) == made


def test_the_model_check_would_notice(place: EmulatedBatchPlace) -> None:
    assert request_faults("SubmitJob", {"jobName": "x", "jobQueue": "q"})
    assert request_faults("SubmitJob", {"jobName": "x", "jobQueue": "q", "jobDefinition": "d", "retries": 1})
    assert request_faults("ListJobs", {"jobStatus": "LOST"})
    assert reply_faults("ListJobs", {"jobSummaryList": [{"jobId": "x"}]})


# ---------------------------------------------------------------------- reading answers
def test_ids_are_asked_for_a_hundred_at_a_time_and_once_each(place: EmulatedBatchPlace) -> None:
    ids = [f"11111111-2222-3333-4444-{number:012d}" for number in range(230)]
    place.service.describe([*ids, *ids])
    assert [len(body["jobs"]) for body in place.server.bodies("DescribeJobs")] == [DESCRIBED, DESCRIBED, 30]


def test_no_ids_are_no_question(place: EmulatedBatchPlace) -> None:
    assert place.service.describe([]) == {}
    assert place.server.asked == []


def test_pages_are_turned_to_the_last_and_of_our_queue_alone(place: EmulatedBatchPlace) -> None:
    for number in range(5):
        submit(place.service, f"job-{number}")
    place.server.asked.clear()
    listed = [one.batch_id for one in place.service.listing([BatchState.RUNNABLE])]
    bodies = place.server.bodies("ListJobs")
    assert len(listed) == len(set(listed)) == 5
    assert [("nextToken" in body, body["jobQueue"]) for body in bodies] == [
        (turned, "video-queue") for turned in (False, True, True)
    ]


def test_a_listing_that_breaks_off_is_not_whole(place: EmulatedBatchPlace) -> None:
    for number in range(5):
        submit(place.service, f"job-{number}")
    place.server.refuse("ListJobs", 403, "AccessDeniedException", skip=1)
    listing = place.service.listing([BatchState.RUNNABLE])
    assert next(listing) != next(listing)
    with pytest.raises(BatchDenied):
        next(listing)


def test_a_page_that_leads_to_itself_ends(place: EmulatedBatchPlace) -> None:
    place.server.answer_with("ListJobs", b'{"jobSummaryList": [], "nextToken": "again"}')
    with pytest.raises(BatchUnavailable, match="same page"):
        list(place.service.listing([BatchState.RUNNING]))


@pytest.mark.parametrize("call", ["describe", "listing", "submit"])
@pytest.mark.parametrize("body", [b"{}", b"", b"[]", b"null", b'{"jobs": null}', b"<html>", b'{"jobs": [{"jobId'])
def test_lesson_11_an_answer_that_says_nothing_is_none(place: EmulatedBatchPlace, call: str, body: bytes) -> None:
    operation, ask = CALLS[call]
    place.server.answer_with(operation, body)
    with pytest.raises(BatchUnavailable):
        ask(place.service)


@pytest.mark.parametrize(
    "job",
    [
        b'{"jobId": "x", "jobName": "n", "jobDefinition": "d", "status": "PAUSED"}',
        b'{"jobId": "x", "jobName": "n", "status": "RUNNING"}',
        b'{"jobId": "x"}',
        b"{}",
    ],
)
def test_a_job_that_can_not_be_read_is_no_answer(place: EmulatedBatchPlace, job: bytes) -> None:
    place.server.answer_with("DescribeJobs", b'{"jobs": [' + job + b"]}")
    with pytest.raises(BatchUnavailable):
        place.service.describe([UNKNOWN])


def test_what_batch_leaves_out_has_not_happened(place: EmulatedBatchPlace) -> None:
    """The model demands startedAt; the service is known to leave it out."""
    said = b'{"jobId": "x", "jobName": "n", "jobDefinition": "arn:aws:batch:r:1:job-definition/video-definition:7"'
    place.server.answer_with("DescribeJobs", b'{"jobs": [' + said + b', "status": "RUNNABLE"}]}')
    job = place.service.describe(["x"])["x"]
    assert (job.created_at, job.started_at, job.stopped_at, job.job_id) == (None, None, None, None)


def test_the_environment_names_the_job_where_no_parameter_does(place: EmulatedBatchPlace) -> None:
    """A job that was submitted by other hands."""
    raw = place.service._client(1)
    made = raw.submit_job(
        jobName="by-hand",
        jobQueue="video-queue",
        jobDefinition=DEFINITION,
        parameters={"job_id": ""},
        containerOverrides={"environment": [{"name": "VIDEO_JOB_ID", "value": JOB}]},
    )["jobId"]
    assert place.service.describe([made])[made].job_id == JOB


# ---------------------------------------------------------------------- a service with a bad day
@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequestsException"), (500, "ServerException"), (503, "")])
@pytest.mark.parametrize("call", ["describe", "listing", "terminate"])
def test_f31_a_service_that_is_overloaded_is_asked_a_few_times(
    place: EmulatedBatchPlace, pauses: list[float], call: str, status: int, code: str
) -> None:
    operation, ask = CALLS[call]
    place.server.refuse(operation, status, code)
    with pytest.raises(BatchUnavailable):
        ask(place.service)
    assert len(place.server.bodies(operation)) == 3
    assert len(pauses) == 2 and sum(pauses) <= 3


def test_f31_throttled_calls_are_not_noticed(place: EmulatedBatchPlace, pauses: list[float]) -> None:
    place.server.refuse("DescribeJobs", 429, "TooManyRequestsException", times=2)
    assert place.service.describe([UNKNOWN]) == {}
    assert len(pauses) == 2


@pytest.mark.parametrize(("status", "code"), [(500, "ServerException"), (502, ""), (503, "ServiceUnavailable")])
def test_f34_a_submission_whose_fate_is_unknown_is_never_sent_again(
    place: EmulatedBatchPlace, status: int, code: str
) -> None:
    place.server.refuse("SubmitJob", status, code)
    with pytest.raises(BatchUnavailable):
        submit(place.service)
    assert len(place.server.bodies("SubmitJob")) == 1


def test_f34_a_submission_whose_answer_got_lost_is_never_sent_again(place: EmulatedBatchPlace) -> None:
    place.server.drop_reply("SubmitJob")
    with pytest.raises(BatchUnavailable, match="got no answer"):
        submit(place.service)
    assert len(place.server.bodies("SubmitJob")) == len(place.server.yard.jobs) == 1


def test_a_submission_that_was_throttled_is_sent_again_within_a_bound(place: EmulatedBatchPlace) -> None:
    place.server.refuse("SubmitJob", 429, "TooManyRequestsException", times=2)
    submit(place.service)
    assert len(place.server.yard.jobs) == 1
    place.server.refuse("SubmitJob", 429, "TooManyRequestsException")
    with pytest.raises(BatchUnavailable, match="TooManyRequests"):
        submit(place.service)
    assert len(place.server.bodies("SubmitJob")) == 3 + 3
    assert len(place.server.yard.jobs) == 1


@pytest.mark.parametrize(
    ("status", "code", "certain"),
    [
        (429, "TooManyRequestsException", True),
        (403, "ExpiredTokenException", True),
        (500, "ServerException", False),
        (503, "", False),
    ],
)
def test_f34_a_failed_submission_says_whether_it_certainly_did_nothing(
    place: EmulatedBatchPlace, status: int, code: str, certain: bool
) -> None:
    place.server.refuse("SubmitJob", status, code)
    with pytest.raises(BatchUnavailable) as raised:
        submit(place.service)
    assert isinstance(raised.value, BatchNotTaken) == certain


def test_f34_a_service_that_was_never_reached_took_nothing_and_a_lost_reply_says_nothing(
    place: EmulatedBatchPlace,
) -> None:
    (port,) = free_ports()
    nobody = place.adapter(answer_seconds=1.0)
    nobody.endpoint_url = f"http://127.0.0.1:{port}"
    with pytest.raises(BatchNotTaken):
        submit(nobody)
    place.server.drop_reply("SubmitJob")
    with pytest.raises(BatchUnavailable) as raised:
        submit(place.service)
    assert not isinstance(raised.value, BatchNotTaken)


def test_lost_replies_of_questions_are_asked_again(place: EmulatedBatchPlace, pauses: list[float]) -> None:
    made = submit(place.service)
    for operation in ("DescribeJobs", "ListJobs", "TerminateJob"):
        place.server.drop_reply(operation, times=2)
    assert set(place.service.describe([made])) == {made}
    place.service.terminate(made, "why")
    assert place.ended(made).status_reason == "why"


def test_a_service_that_says_no_to_ending_what_has_ended(place: EmulatedBatchPlace) -> None:
    """Batch itself says yes; not every compatible one does."""
    made = submit(place.service)
    place.server.refuse("TerminateJob", 400, "ClientException")
    with pytest.raises(BatchRefused):
        place.service.terminate(made, "it is alive")
    place.start(made)
    place.end(made, 0)
    place.service.terminate(made, "it has ended")
    place.service.terminate(UNKNOWN, "it never was")
    place.server.refuse("DescribeJobs", 403, "AccessDeniedException")
    with pytest.raises(BatchDenied):
        place.service.terminate(UNKNOWN, "who knows")


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_f31_credentials_that_ran_out_may_come_back(place: EmulatedBatchPlace, code: str) -> None:
    place.server.refuse("DescribeJobs", 403, code)
    with pytest.raises(BatchUnavailable, match=code) as raised:
        place.service.describe([UNKNOWN])
    assert "AWS's own chain" in str(raised.value.fix)


def test_what_is_refused_names_queue_and_definition_to_check(place: EmulatedBatchPlace) -> None:
    for wrong in (place.adapter(queue="nowhere"), place.adapter(definition="nothing")):
        with pytest.raises(BatchRefused, match="does not exist") as raised:
            submit(wrong)
        assert "WORKER_BATCH__QUEUE" in str(raised.value.fix)
    assert ErrorReport.of(raised.value).retryable, "the set-up is wrong, not the job"


def test_a_service_that_is_not_there(pauses: list[float]) -> None:
    (port,) = free_ports()
    batch = AwsBatch(
        queue="q",
        definition="d",
        clock=FrozenClock(),
        endpoint_url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        make_session=lambda: boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="y"),
    )
    for _operation, ask in CALLS.values():
        with pytest.raises(BatchUnavailable, match="got no answer"):
            ask(batch)
    with pytest.raises(BatchUnavailable):
        batch.check()


# ---------------------------------------------------------------------- connections
def test_every_wait_has_an_end_and_a_submission_one_try(place: EmulatedBatchPlace) -> None:
    submit(place.service)
    place.service.describe([UNKNOWN])
    limits: dict[int, Config] = {tries: made.meta.config for tries, made in place.service._clients.items()}
    assert {tries: one.retries["total_max_attempts"] for tries, one in limits.items()} == {1: 1, 3: 3}
    assert {(one.connect_timeout, one.read_timeout) for one in limits.values()} == {(3, 10.0)}
    assert {one.retries["mode"] for one in limits.values()} == {"standard"}


def test_a_closed_adapter_opens_again(place: EmulatedBatchPlace) -> None:
    made = submit(place.service)
    place.service.close()
    assert made in place.service.describe([made])


def test_a_forked_process_makes_connections_of_its_own(place: EmulatedBatchPlace) -> None:
    place.service.describe([UNKNOWN])
    before = dict(place.service._clients)
    child = os.fork()
    if not child:
        try:
            place.service.describe([UNKNOWN])
            os._exit(0 if place.service._clients[3] is not before[3] else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    place.service.describe([UNKNOWN])
    assert place.service._clients[3] is before[3]


def test_a_pinned_revision_and_a_bare_name_are_the_same_definition(place: EmulatedBatchPlace) -> None:
    made = submit(place.service)
    pinned = place.adapter(definition=f"arn:aws:batch:us-east-1:123456789012:job-definition/{DEFINITION}:1")
    assert pinned.describe([made])[made].job_id == JOB
    assert {one.batch_id for one in pinned.listing(set(BatchState))} == {made}


def test_the_model_has_the_limits_that_we_go_by() -> None:
    assert "1024 characters" in model().operation_model("TerminateJob").input_shape.members["reason"].documentation
    assert "128 letters" in model().operation_model("SubmitJob").input_shape.members["jobName"].documentation

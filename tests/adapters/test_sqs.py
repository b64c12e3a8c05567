"""What only SQS does: its batches, limits, receipts, and the words of its errors."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from src.application.ports.queue import Delivery, Envelope
from src.domain.errors import QueueUnavailable
from src.infrastructure.sqs import codec
from src.infrastructure.sqs.consumer import SqsConsumer
from src.infrastructure.sqs.errors import at_start
from src.infrastructure.sqs.publisher import LARGEST_BYTES, SqsPublisher
from tests.adapters.sqs import Recorded, failing, messages, receipts, refusal


@pytest.fixture
def asked() -> Recorded:
    return Recorded()


@pytest.fixture
def consumer(asked: Recorded) -> SqsConsumer:
    return SqsConsumer(asked)


def take(consumer: SqsConsumer, limit: int = 10, *, wait: float = 0, visibility: float = 30) -> list[Delivery]:
    return list(consumer.receive(limit, wait_seconds=wait, visibility_seconds=visibility))


def held(consumer: SqsConsumer, asked: Recorded, *names: str) -> list[Delivery]:
    """Received, and the receive forgotten."""
    for start in range(0, len(names), 10):
        asked.answers.append(messages(*names[start : start + 10]))
    taken = take(consumer, max(11, len(names)))
    asked.calls.clear()
    assert len(taken) == len(names)
    return taken


# ---------------------------------------------------------------------- receiving
def test_v1_a_wait_is_one_long_poll_of_up_to_20_seconds(consumer: SqsConsumer, asked: Recorded) -> None:
    take(consumer, wait=20)
    take(consumer, wait=45.5)
    polls = [arguments["WaitTimeSeconds"] for arguments in asked.asked("receive_message")]
    assert polls == [20, 20, 20, 5, 0]
    assert asked.clock.slept == [0.5]


def test_a_large_limit_is_several_receives_of_which_only_the_first_waits(
    consumer: SqsConsumer, asked: Recorded
) -> None:
    asked.answers = [messages(*"abcdefghij"), messages("k")]
    assert len(take(consumer, 15, wait=20)) == 11
    wanted = [(a["MaxNumberOfMessages"], a["WaitTimeSeconds"]) for a in asked.asked("receive_message")]
    assert wanted == [(10, 20), (5, 0), (4, 0)]


def test_what_was_received_is_not_dropped_when_the_next_receive_fails(consumer: SqsConsumer, asked: Recorded) -> None:
    asked.answers = [messages("a"), refusal("ThrottlingException", status=400)]
    assert [one.message_id for one in take(consumer, 20)] == ["a"]
    asked.answers = [refusal("InternalError", status=500)]
    with pytest.raises(QueueUnavailable):
        take(consumer, 20)


def test_system_attributes_are_told(consumer: SqsConsumer, asked: Recorded) -> None:
    system = {"ApproximateReceiveCount": "4", "SentTimestamp": "1700000000250", "SenderId": "x"}
    trace = {"MessageGroupId": "t1", "AWSTraceHeader": "Root=1-5e3d83c1"}
    asked.answers = [messages("a", Attributes={**system, **trace})]
    (delivery,) = take(consumer)
    assert (delivery.receive_count, delivery.enqueued_at) == (4, 1_700_000_000.25)
    assert delivery.attributes == trace


def test_a_foreign_message_is_taken_as_it_is(consumer: SqsConsumer, asked: Recorded) -> None:
    attributes = {
        "kind": {"DataType": "String.custom", "StringValue": "영상"},
        "count": {"DataType": "Number", "StringValue": "12"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    asked.answers = [messages("a", MessageAttributes=attributes)]
    (delivery,) = take(consumer)
    assert delivery.attributes == {"kind": "영상", "count": "12", "blob": base64.b64encode(b"\x00\xff").decode()}
    assert (delivery.body, delivery.receive_count, delivery.enqueued_at) == (b"a", None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (codec.ENCODING, "base64"),
        (codec.ENCODING, "zip"),
        (codec.ENCODING, "empty"),
        (codec.OVERFLOW, "["),
        (codec.OVERFLOW, '{"n": 5}'),
        (codec.OVERFLOW, "[" * 100_000),
        (codec.NOT_BEFORE, "soon"),
        (codec.NOT_BEFORE, "inf"),
    ],
)
def test_t14_nonsense_in_our_own_attributes_is_left_as_it_came(
    consumer: SqsConsumer, asked: Recorded, name: str, value: str
) -> None:
    asked.answers = [messages("not base64!", MessageAttributes={name: {"DataType": "String", "StringValue": value}})]
    (delivery,) = take(consumer)
    assert (delivery.body, delivery.attributes) == (b"not base64!", {name: value})


# ---------------------------------------------------------------------- settling
def test_giving_back_goes_ten_at_a_time(consumer: SqsConsumer, asked: Recorded) -> None:
    taken = held(consumer, asked, *(str(number) for number in range(23)))
    consumer.release_all(taken, delay_seconds=5)
    calls = asked.asked("change_message_visibility_batch")
    assert [len(call["Entries"]) for call in calls] == [10, 10, 3]
    assert {entry["VisibilityTimeout"] for call in calls for entry in call["Entries"]} == {5}
    consumer.ack(taken)
    assert len(asked.calls) == len(calls), "the receipts are over"


def test_settling_goes_ten_at_a_time(consumer: SqsConsumer, asked: Recorded) -> None:
    taken = held(consumer, asked, *(str(number) for number in range(23)))
    consumer.extend(taken, visibility_seconds=30.2)
    consumer.ack(taken)
    hides, deletes = asked.asked("change_message_visibility_batch"), asked.asked("delete_message_batch")
    for calls in (hides, deletes):
        assert [len(call["Entries"]) for call in calls] == [10, 10, 3]
        assert sorted(receipt for call in calls for receipt in receipts(call["Entries"])) == sorted(
            one.receipt for one in taken
        )
        assert all(len({entry["Id"] for entry in call["Entries"]}) == len(call["Entries"]) for call in calls)
    assert {entry["VisibilityTimeout"] for call in hides for entry in call["Entries"]} == {31}


STALE_ANSWERS = [
    "ReceiptHandleIsInvalid",
    "InvalidParameterValue",
    "AWS.SimpleQueueService.InvalidParameterValue",
    "MessageNotInflight",
    "AWS.SimpleQueueService.MessageNotInflight",
    "AWS.SimpleQueueService.ReceiptHandleIsInvalid",
]


@pytest.mark.parametrize("code", STALE_ANSWERS)
def test_f29_a_stale_receipt_in_a_batch_is_ignored_and_the_others_count(
    consumer: SqsConsumer, asked: Recorded, code: str
) -> None:
    taken = held(consumer, asked, "a", "b")
    asked.answers = [failing(("0", code, True)), failing(("0", code, True)), failing(("0", code, True))]
    consumer.extend(taken, visibility_seconds=30)
    consumer.ack(taken)
    assert len(asked.calls) == 2, "nothing is asked again for a receipt that is over"


def test_entries_that_fail_through_no_fault_of_ours_are_asked_for_again(consumer: SqsConsumer, asked: Recorded) -> None:
    taken = held(consumer, asked, "a", "b", "c")
    asked.answers = [
        failing(("0", "InternalError", False), ("2", "ServiceUnavailable", False)),
        failing(("2", "InternalError", False)),
    ]
    consumer.ack(taken)
    sent = [receipts(call["Entries"]) for call in asked.asked("delete_message_batch")]
    assert sent == [["r-a", "r-b", "r-c"], ["r-a", "r-c"], ["r-c"]]


def test_entries_that_keep_failing_are_an_error_and_can_be_settled_later(
    consumer: SqsConsumer, asked: Recorded
) -> None:
    taken = held(consumer, asked, "a")
    asked.answers = [failing(("0", "InternalError", False))] * 3
    with pytest.raises(QueueUnavailable, match="delete_message_batch failed for 1 of 1 messages: InternalError"):
        consumer.ack(taken)
    consumer.ack(taken)
    assert len(asked.asked("delete_message_batch")) == 4


def test_an_error_of_ours_in_a_batch_is_not_repeated(asked: Recorded) -> None:
    asked.answers = [failing(("0", "InvalidMessageContents", True), ("1", "InternalError", False))]
    with pytest.raises(QueueUnavailable, match="InvalidMessageContents"):
        SqsPublisher(asked).publish([Envelope(body=b"a", key="a"), Envelope(body=b"b", key="b")])
    assert len(asked.calls) == 1


def test_a_receipt_is_over_after_its_release_or_acknowledgement(consumer: SqsConsumer, asked: Recorded) -> None:
    """SQS itself would still delete a message by it, and the emulator calls a second delete an error."""
    first, second = held(consumer, asked, "a", "b")
    consumer.release(first, delay_seconds=5)
    consumer.ack([second])
    asked.calls.clear()
    consumer.ack([first, second])
    consumer.extend([first, second], visibility_seconds=5)
    consumer.release(second, delay_seconds=5)
    assert asked.calls == []


# ---------------------------------------------------------------------- twelve hours
def test_f30_extensions_stay_within_twelve_hours_of_the_receive(consumer: SqsConsumer, asked: Recorded) -> None:
    taken = held(consumer, asked, "a")
    shown: list[int] = []
    for _ in range(5):
        asked.clock.advance(3 * 3600 - 10)
        consumer.extend(taken, visibility_seconds=3600)
    for call in asked.asked("change_message_visibility_batch"):
        shown += [entry["VisibilityTimeout"] for entry in call["Entries"]]
    assert shown == [3600, 3600, 3600, 39], "the fifth comes after the end: the message is back in the queue"


def test_f30_a_delay_is_cut_to_what_is_left_of_the_twelve_hours(consumer: SqsConsumer, asked: Recorded) -> None:
    (taken,) = held(consumer, asked, "a")
    asked.clock.advance(11 * 3600)
    consumer.release(taken, delay_seconds=100_000)
    (call,) = asked.asked("change_message_visibility_batch")
    assert call["Entries"][0]["VisibilityTimeout"] == 3599


# ---------------------------------------------------------------------- publishing
def sent(asked: Recorded) -> list[list[dict[str, Any]]]:
    return [call["Entries"] for call in asked.asked("send_message_batch")]


def test_a_batch_is_cut_by_bytes_as_well(asked: Recorded) -> None:
    SqsPublisher(asked).publish([Envelope(body=b"x" * 400_000, key=str(number)) for number in range(5)])
    assert [len(entries) for entries in sent(asked)] == [2, 2, 1]


@pytest.mark.parametrize(("body", "bytes_sent"), [(b"x", 1), (b"\xff", 4 / 3), (b"\xed\x95\x9c", 1)])
def test_what_fits_is_counted_as_sqs_does(asked: Recorded, body: bytes, bytes_sent: float) -> None:
    publisher = SqsPublisher(asked)
    most = int(LARGEST_BYTES / bytes_sent / len(body)) * len(body)
    assert publisher.fits(Envelope(body=body * ((most - 60) // len(body)), key="k"))
    assert not publisher.fits(Envelope(body=body * (most // len(body) + 60), key="k"))


def test_a_delay_above_fifteen_minutes_is_carried_in_the_message(asked: Recorded) -> None:
    for delay in (0.2, 900, 900.5):
        SqsPublisher(asked).publish([Envelope(body=b"x", key="k", delay_seconds=delay)])
    short, most, more = (entries[0] for entries in sent(asked))
    assert (short["DelaySeconds"], most["DelaySeconds"], more["DelaySeconds"]) == (1, 900, 900)
    assert "MessageAttributes" not in most
    assert float(more["MessageAttributes"][codec.NOT_BEFORE]["StringValue"]) == asked.clock.now() + 900.5


def test_a_plain_message_is_plain_for_a_foreign_reader(asked: Recorded) -> None:
    body = b'{"job_id": "1"}'
    SqsPublisher(asked).publish([Envelope(body=body, key="k", attributes={"traceparent": "00-1"})])
    attributes = {"traceparent": {"DataType": "String", "StringValue": "00-1"}}
    assert sent(asked) == [[{"Id": "0", "MessageBody": body.decode(), "MessageAttributes": attributes}]]


def test_no_message_has_more_than_ten_attributes(asked: Recorded) -> None:
    many = {f"n{number}": "v" for number in range(30)}
    SqsPublisher(asked).publish([Envelope(body=b"\xff", key="k", delay_seconds=9999, attributes=many)])
    attributes = sent(asked)[0][0]["MessageAttributes"]
    assert len(attributes) == 10
    rest = json.loads(attributes[codec.OVERFLOW]["StringValue"])
    assert set(rest) | set(attributes) == set(many) | codec.OURS


# ---------------------------------------------------------------------- FIFO
@pytest.fixture
def fifo() -> Recorded:
    return Recorded(name="video.fifo")


def test_a_fifo_message_has_its_keys_group_and_an_id_of_its_call(fifo: Recorded) -> None:
    publisher = SqsPublisher(fifo)
    publisher.publish([Envelope(body=b"x", key="job-1"), Envelope(body=b"x", key="job-2")])
    publisher.publish([Envelope(body=b"x", key="job-1")])
    (first, second), (again,) = sent(fifo)
    assert [entry["MessageGroupId"] for entry in (first, second, again)] == ["job-1", "job-2", "job-1"]
    ids = [entry["MessageDeduplicationId"] for entry in (first, second, again)]
    assert len(set(ids)) == 3, "a wake-up within five minutes of the last publish must not be swallowed"
    assert all(len(one) <= 128 and one.isascii() for one in ids)


def test_a_fifo_message_that_is_sent_again_after_a_failure_keeps_its_id(fifo: Recorded) -> None:
    fifo.answers = [failing(("0", "InternalError", False))]
    SqsPublisher(fifo).publish([Envelope(body=b"x", key="job-1")])
    (first,), (again,) = sent(fifo)
    assert first["MessageDeduplicationId"] == again["MessageDeduplicationId"]


def test_a_fifo_message_names_its_own_group_and_delays_by_itself(fifo: Recorded) -> None:
    attributes = {"MessageGroupId": "tenant 1", "n": "1"}
    SqsPublisher(fifo).publish([Envelope(body=b"x", key="k", delay_seconds=5, attributes=attributes)])
    ((entry,),) = sent(fifo)
    assert "DelaySeconds" not in entry
    assert set(entry["MessageAttributes"]) == {"n", codec.NOT_BEFORE}
    assert entry["MessageGroupId"] not in ("k", "tenant 1"), "a space is not allowed in it"


def test_of_a_fifo_queue_one_message_is_asked_for_at_a_time(fifo: Recorded) -> None:
    fifo.answers = [messages("a"), messages("b")]
    assert [one.message_id for one in take(SqsConsumer(fifo), 5, wait=20)] == ["a", "b"]
    wanted = [(a["MaxNumberOfMessages"], a["WaitTimeSeconds"]) for a in fifo.asked("receive_message")]
    assert wanted == [(1, 20), (1, 0), (1, 0)]


# ---------------------------------------------------------------------- errors
def test_errors_say_what_and_how_to_mend_it_but_no_receipt_in_full(consumer: SqsConsumer, asked: Recorded) -> None:
    asked.answers = [refusal("AccessDenied", "User is not authorized" + "x" * 5000)]
    with pytest.raises(QueueUnavailable) as raised:
        take(consumer)
    assert "SQS queue video: receive_message was refused: AccessDenied" in raised.value.message
    assert "ReceiveMessage" in str(raised.value.fix)
    assert len(str(raised.value)) < 1000


def test_the_call_that_was_refused_is_the_one_that_is_named(asked: Recorded) -> None:
    asked.answers = [ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetQueueUrl")]
    with pytest.raises(QueueUnavailable, match="get_queue_url was refused") as raised:
        asked.call("get_queue_attributes")
    assert "WORKER_QUEUE__URL" in str(raised.value.fix)
    asked.answers = [NoCredentialsError()]
    with pytest.raises(QueueUnavailable, match="no credentials were found") as raised:
        asked.call("get_queue_attributes")
    assert "AWS_ACCESS_KEY_ID" in str(raised.value.fix)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("AWS.SimpleQueueService.NonExistentQueue"), "config"),
        (refusal("AWS.SimpleQueueService.QueueDoesNotExist"), "config"),
        (refusal("AccessDeniedException"), "config"),
        (refusal("ExpiredToken"), "config"),
        (NoCredentialsError(), "config"),
        (refusal("RequestThrottled"), "queue_unavailable"),
        (refusal("OverLimit", status=403), "queue_unavailable"),
        (refusal("InternalError", status=500), "queue_unavailable"),
        (EndpointConnectionError(endpoint_url="http://user:canary@host"), "queue_unavailable"),
    ],
)
def test_f31_what_waiting_does_not_mend_refuses_the_start(asked: Recorded, error: Exception, kind: str) -> None:
    asked.answers = [error]
    with pytest.raises(QueueUnavailable) as raised:
        asked.call("receive_message")
    assert "canary" not in str(raised.value)
    assert at_start(raised.value).code == kind

"""Ways of telling an administrator, at real receivers; SNS by somebody else's emulator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from standardwebhooks import Webhook

from src.application.notice import MOST_BYTES, of_event, of_letter
from src.application.ports.ledger import DeadLetter
from src.application.ports.notify import AdminNotifier
from src.application.ports.ops_events import EventType, OpsEvent, Severity
from src.domain.errors import ConfigError, ErrorReport, NetworkError
from src.infrastructure.aws.topic import SUBJECT_LIMIT, SnsNotifier, subject
from src.infrastructure.clock import SystemClock
from src.infrastructure.events.notifier import WebhookNotifier
from src.infrastructure.events.signed_post import SignedPost
from src.infrastructure.observability.redaction import redacted
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from tests.adapters.moto_batch import REGION, session
from tests.functional.fleet import ROOT
from tests.functional.places import AWS_KEYS
from tests.functional.receivers import Received, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CANARY = "canary-77c1"


def letter(name: str = "job-1.1", message: str = f"no answer from redis://me:{CANARY}@cache") -> DeadLetter:
    return DeadLetter(
        id=name,
        job_id="job-1",
        type="video",
        tenant="acme",
        queue=None,
        body=f'{{"payload": {{"password": "{CANARY}"}}}}'.encode(),
        error=ErrorReport("corrupt_source", message, retryable=False),
        attempts=3,
        created_at=1_700_000_000.5,
    )


EVENT = OpsEvent(
    id="e1", type=EventType.BATCH_DESYNC, severity=Severity.ERROR, job_id="job-1", payload={"n": 1}, created_at=1.0
)


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as made:
        yield made


def webhook(address: str) -> WebhookNotifier:
    return WebhookNotifier(SignedPost(address, SECRET, SystemClock(), "notify"), redacted)


# ---------------------------------------------------------------------- webhook
def test_e7_a_notice_is_signed_says_what_to_do_and_shows_no_secret(receiver: Received) -> None:
    made = webhook(receiver.address)
    made.notify(letter())
    made.notify_event(EVENT)
    (headers, content), (_, second) = receiver.posts
    told = Webhook(SECRET).verify(content, headers)
    assert (headers["webhook-id"], headers["content-type"]) == ("dead_letter-job-1.1", "application/json")
    assert (told["type"], told["id"], told["timestamp"]) == (
        "worker.dead_letter",
        "dead_letter-job-1.1",
        "2023-11-14T22:13:20.500Z",
    )
    assert told["data"]["then"] == "mediaworker dlq show job-1.1"
    assert told["data"]["error"]["class"] == "corrupt_source"
    assert CANARY.encode() not in content
    assert json.loads(second)["data"]["payload"] == {"n": 1}
    assert receiver.ids == ["dead_letter-job-1.1", "ops_event-e1"]


def test_a_receiver_that_is_away_is_told_again_and_one_that_refuses_is_not(
    receiver: Received, caplog: pytest.LogCaptureFixture
) -> None:
    made = webhook(receiver.address)
    receiver.answers += [503, 400]
    with pytest.raises(NetworkError, match="503"):
        made.notify(letter())
    made.notify(letter())
    assert "notify.refused" in caplog.text
    with pytest.raises(NetworkError):
        webhook("http://127.0.0.1:1/").notify(letter())


@pytest.mark.parametrize(
    ("address", "secret", "names"),
    [
        ("ftp://x", SECRET, "WORKER_NOTIFY__WEBHOOK_URL"),
        ("http://", SECRET, "WORKER_NOTIFY__WEBHOOK_URL"),
        ("http://x:y:z/", SECRET, "WORKER_NOTIFY__WEBHOOK_URL"),
        ("http://x", "aGk=", "WORKER_NOTIFY__WEBHOOK_SECRET"),
    ],
)
def test_e13_what_can_not_be_used_is_refused(address: str, secret: str, names: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SignedPost(address, secret, SystemClock(), "notify")
    assert names in str(refused.value)
    assert SECRET not in str(refused.value)


def test_t22_an_address_that_is_a_secret_is_in_no_error_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    address = f"http://127.0.0.1:1/services/{CANARY}"
    made = webhook(address)
    with pytest.raises(NetworkError) as failed:
        made.notify(letter())
    chosen = load({"WORKER_NOTIFY__WEBHOOK_URL": address, "WORKER_NOTIFY__WEBHOOK_SECRET": SECRET})
    for text in (str(failed.value), repr(made), repr(chosen), str(chosen.model_dump()), caplog.text):
        assert CANARY not in text
        assert SECRET not in text


# ---------------------------------------------------------------------- SNS
@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS_KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["alerts", "alerts.fifo"])
def topic(request: pytest.FixtureRequest, keys: None) -> Iterator[tuple[str, str]]:
    """(ARN, URL of a queue that is subscribed)."""
    fifo = {"FifoTopic": "true"} if request.param.endswith(".fifo") else {}
    queued = {"FifoQueue": "true"} if fifo else {}
    with mock_aws():
        arn = session().client("sns").create_topic(Name=request.param, Attributes=fifo)["TopicArn"]
        sqs = session().client("sqs")
        name = f"inbox{'.fifo' if fifo else ''}"
        url = sqs.create_queue(QueueName=name, Attributes=queued)["QueueUrl"]
        target = f"arn:aws:sqs:{REGION}:123456789012:{name}"
        session().client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=target)
        yield arn, url


def received(url: str) -> list[dict[str, Any]]:
    answer = session().client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_e7_a_topic_s_subscribers_are_told(topic: tuple[str, str]) -> None:
    arn, url = topic
    made = SnsNotifier(arn, redact=redacted, session=session())
    made.notify(letter())
    made.notify_event(EVENT)
    messages = received(url)
    documents = [json.loads(message["Message"]) for message in messages]
    assert {document["id"] for document in documents} == {"dead_letter-job-1.1", "ops_event-e1"}
    assert {message["Subject"] for message in messages} == {
        "mediaworker: video job job-1 was set aside: corrupt_source",
        "mediaworker: BATCH_DESYNC",
    }
    assert {message["MessageAttributes"]["kind"]["Value"] for message in messages} == {"corrupt_source", "BATCH_DESYNC"}
    assert CANARY not in json.dumps(messages)
    made.close()


def test_a_topic_that_is_not_there_says_how_to_mend_it(topic: tuple[str, str]) -> None:
    arn, _ = topic
    with pytest.raises(NetworkError, match="WORKER_NOTIFY__SNS_TOPIC"):
        SnsNotifier(arn.replace("alerts", "nobody"), session=session()).notify(letter())


@pytest.mark.usefixtures("keys")
def test_a_service_that_is_away_is_told_again() -> None:
    made = SnsNotifier(f"arn:aws:sns:{REGION}:123456789012:alerts", "http://127.0.0.1:1")
    with pytest.raises(NetworkError, match="EndpointConnectionError"):
        made.notify(letter())


@pytest.mark.parametrize(
    "arn", ["alerts", "arn:aws:sqs:eu-west-1:123456789012:alerts", "arn:aws:sns:eu-west-1:1:x", ""]
)
def test_e13_what_is_no_topic_is_refused(arn: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_NOTIFY__SNS_TOPIC"):
        SnsNotifier(arn)


@pytest.mark.parametrize("title", ["é" * 300, "\n \t", "", "x\r\ny", "mediaworker: job " + "a" * 200])
def test_a_subject_is_one_that_sns_takes(title: str) -> None:
    made = subject(title)
    assert 0 < len(made) <= SUBJECT_LIMIT
    assert made.isascii() and made.isprintable() and made == made.strip()


# ---------------------------------------------------------------------- what is told
def test_a_notice_has_a_limit_of_size() -> None:
    large = OpsEvent(id="e", type=EventType.BATCH_DESYNC, severity=Severity.ERROR, payload={"x": "é" * MOST_BYTES})
    body = of_event(large, str).body()
    assert len(body) <= MOST_BYTES
    assert "payload" not in json.loads(body)["data"]
    odd = of_letter(letter(message="\ud800 broken"), str).body()
    assert json.loads(odd)["data"]["error"]["message"].endswith("broken")


# ---------------------------------------------------------------------- wiring
def notifier(**settings: str) -> AdminNotifier:
    chosen = load(settings)
    made: AdminNotifier = build(chosen, build_catalog(chosen)).notifier()
    return made


def test_the_settings_add_ways_beside_the_log(receiver: Received, caplog: pytest.LogCaptureFixture) -> None:
    made = notifier(WORKER_NOTIFY__WEBHOOK_URL=receiver.address, WORKER_NOTIFY__WEBHOOK_SECRET=SECRET)
    made.notify(letter())
    assert len(receiver.posts) == 1
    assert [record.message for record in caplog.records if record.name == "mediaworker.alert"] == ["dead_letter"]


def test_e13_half_a_webhook_is_refused() -> None:
    with pytest.raises(ConfigError, match="belong together"):
        load({"WORKER_NOTIFY__WEBHOOK_URL": "https://example.com/hook"})


def test_e14_nothing_is_imported_for_a_way_that_is_not_chosen() -> None:
    code = (
        "import sys\n"
        "from src.interfaces.wiring.environment import load\n"
        "from src.interfaces.wiring.assemble import build_catalog\n"
        "from src.interfaces.wiring.adapters import build\n"
        "settings = load({})\n"
        "build(settings, build_catalog(settings)).notifier()\n"
        "print([name for name in ('boto3', 'httpx', 'standardwebhooks', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

"""Log lines: one event, one line, no secret, no harm."""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.infrastructure.notify.log import LogNotifier
from src.infrastructure.observability.logs import BoundedHandler, Censor, Lines, configure, secret_values
from src.infrastructure.observability.redaction import FIELD_BYTES, HIDDEN, capped, one_line, redacted

ROOT = Path(__file__).resolve().parents[3]

CANARIES = (
    "redis://default:canary@cache:6379/0",
    "postgresql+psycopg://app:canary@db:5432/jobs",
    "https://bucket.s3.amazonaws.com/k?X-Amz-Credential=canary&X-Amz-Signature=canary&X-Amz-Security-Token=canary&x=1",
    "https://store/k?AWSAccessKeyId=canary&Signature=canary&Expires=1",
    "host=db user=app password=canary dbname=jobs",
    '{"secret_key": "canary", "a": 1}',
    "{'api_key': 'canary'}",
    "Authorization: Bearer canarycanary",
    "GET /x?token=canary HTTP/1.1",
    "postgresql://app:first@canary@db/jobs",
    "InvalidToken: canary",
    "InvalidAccessKeyId=canary",
    "SignatureDoesNotMatch: signature=canary",
    "https://x.blob/k?sv=1&sig=canary",
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    with contextlib.suppress(OSError):
        os.close(writer)


@pytest.fixture
def quiet_root() -> Iterator[None]:
    """`configure` changes the process's logging; put it back."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("src.x", logging.INFO, __file__, 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def line(message: str, *arguments: object, secrets: frozenset[str] = frozenset(), **extra: object) -> str:
    return Lines(Censor(secrets), as_json=True).line(record(message, *arguments, **extra))


@pytest.mark.parametrize("text", CANARIES)
def test_t22_secrets_are_hidden_by_their_shape(text: str) -> None:
    assert "canary" not in line("failed: %s", text, error=text, nested={"inner": text})


def test_hiding_again_changes_nothing() -> None:
    words = 'https://u:pw@h/x?X-Amz-Signature=abc&token=def {"password": "ghi"} Authorization: Bearer abcdefghijkl'
    once = redacted(words)
    assert redacted(once) == once
    assert "[hidden]]" not in once


@pytest.mark.parametrize(
    "name", ["password", "redis_password", "SECRET_KEY", "token", "access_key", "Authorization", "dsn"]
)
def test_t22_fields_with_secret_names_are_hidden(name: str) -> None:
    assert "canary" not in Lines(Censor(), as_json=True).line(record("event", **{name: "canary"}))


def test_t22_known_secrets_are_hidden_wherever_they_turn_up() -> None:
    known = secret_values({"R2_SECRET_KEY": "canary-value", "HOME": "/root", "TOKEN": "short"})
    assert known == frozenset({"canary-value"})
    assert "canary-value" not in line("said canary-value", path="/x/canary-value/y", secrets=known)


def test_t22_secrets_in_a_traceback_are_hidden() -> None:
    try:
        int("redis://u:canary@h")
    except ValueError:
        failing = record("broken")
        failing.exc_info = sys.exc_info()
    text = json.loads(Lines(Censor(), as_json=True).line(failing))["traceback"]
    assert "ValueError" in text
    assert "redis://u:canary" not in text


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["a", "é", "token", "://", "secret=", "a.b-", "=", "bearer "])
def test_t17_long_texts_from_outside_are_searched_in_a_moment(pattern: str) -> None:
    """An expression that is not linear runs into the timeout."""
    assert len(line("event", title=pattern * 100_000)) < 3 * FIELD_BYTES


def test_text_without_secrets_is_left_alone() -> None:
    words = "tokens per second: 5; see https://example.org/a@b?page=2 and s3://bucket/tenants/t1/video/raw/x.mp4"
    assert redacted(words).startswith("tokens per second")
    assert "s3://bucket/tenants/t1/video/raw/x.mp4" in redacted(words)
    assert "https://example.org/a@b?page=2" in redacted(words)


@pytest.mark.parametrize("evil", ["a\nb", "a\r\n{}", "\x1b[2J", "\x00", "\x7f", "\x9b31m", "\u2028", "\u202e"])
def test_t17_control_characters_are_written_out(evil: str) -> None:
    for as_json in (True, False):
        text = Lines(Censor(), as_json=as_json).line(record("title %s", evil, title=evil))
        assert one_line(text) == text
        assert len(text.splitlines()) == 1
    assert json.loads(line("title %s", evil, title=evil))["level"] == "info"


def test_t17_a_field_has_at_most_4_kib() -> None:
    document = json.loads(line("event", title="é" * 100_000, short="x"))
    assert len(document["title"].encode()) <= FIELD_BYTES
    assert document["short"] == "x"
    assert capped("a" * 5000).startswith("aaa")
    assert capped("a" * 5000 + "END").endswith("END")


def test_t17_half_a_character_is_still_a_line() -> None:
    assert json.loads(line("bad \udc80", title="\udcff"))["title"] == "\\udcff"


def test_ids_that_are_bound_are_on_every_line() -> None:
    lines = Lines(Censor(), as_json=True)
    lines.bind({"job": "j1", "tenant": "t1", "attempt": 2, "trace": "00-abc"})
    document = json.loads(lines.line(record("step", percent=5)))
    assert document | {"job": "j1", "tenant": "t1", "attempt": 2, "trace": "00-abc", "percent": 5} == document


def test_a_field_cannot_pretend_to_be_the_event() -> None:
    assert json.loads(line("real", event="forged", level="debug"))["event"] == "real"


def test_a_slow_reader_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = BoundedHandler(Lines(Censor(), as_json=True), writer, backlog=10)
    for number in range(5000):
        handler.emit(record("event %d " + "x" * 200, number))
    assert handler.dropped > 0
    # Somebody reads again: the writer's thread ends before the fixture gives the descriptors away.
    reading = threading.Thread(target=lambda: all(iter(lambda: os.read(reader, 1 << 16), b"")))
    reading.start()
    handler.close()
    os.close(writer)
    reading.join()


def test_a_record_that_cannot_be_printed_hurts_nobody(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = BoundedHandler(Lines(Censor(), as_json=True), writer)
    handler.emit(record("%d", "not a number"))
    handler.close()
    assert json.loads(os.read(reader, 65_536))["event"] == "log.unprintable"


@pytest.mark.usefixtures("quiet_root")
def test_others_speak_from_warning_on(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    configure("DEBUG", "auto", descriptor=writer)
    logging.getLogger("botocore.auth").info("chatter")
    logging.getLogger("src.anything").debug("ours")
    logging.getLogger("botocore.auth").warning("theirs")
    logging.getLogger().handlers[0].close()
    assert [json.loads(text)["event"] for text in os.read(reader, 65_536).splitlines()] == ["ours", "theirs"]


def test_the_notifier_tells_of_a_letter(caplog: pytest.LogCaptureFixture) -> None:
    from src.application.ports.ledger import DeadLetter
    from src.domain.errors import ErrorReport, UnsupportedFormat

    error = ErrorReport.of(UnsupportedFormat("text is not a video"))
    LogNotifier().notify(
        DeadLetter(
            id="j1.1",
            job_id="j1",
            type="video",
            tenant="t",
            queue=None,
            body=b"{}",
            error=error,
            attempts=1,
            created_at=time.time(),
        )
    )
    assert caplog.records[0].levelname == "ERROR"
    assert caplog.records[0].__dict__["letter"] == "j1.1"


def test_the_notifier_tells_of_an_event(caplog: pytest.LogCaptureFixture) -> None:
    from src.application.ports.ops_events import EventType, OpsEvent, Severity

    LogNotifier().notify_event(
        OpsEvent(type=EventType.BATCH_DESYNC, severity=Severity.ERROR, job_id="j1", aws_batch_job_id="b1")
    )
    (said,) = caplog.records
    assert (said.levelname, said.__dict__["event_type"], said.__dict__["aws_batch_job_id"]) == (
        "ERROR",
        "BATCH_DESYNC",
        "b1",
    )


def test_what_is_kept_is_on_every_line_and_null_where_it_is_not_known() -> None:
    lines = Lines(Censor(), as_json=True)
    lines.keep({"job_id": "j1", "video_id": None})
    lines.bind({"tenant": "acme"})
    bound = json.loads(lines.line(record("x")))
    lines.bind({})
    bare = json.loads(lines.line(record("x", job_id=None)))
    assert bound.items() >= {"job_id": "j1", "video_id": None, "tenant": "acme"}.items()
    assert bare.items() >= {"job_id": "j1", "video_id": None}.items()
    assert "tenant" not in bare


def test_lines_about_the_logs_themselves_carry_it_too(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = Lines(Censor(), as_json=True)
    lines.keep({"job_id": "j1"})
    handler = BoundedHandler(lines, writer)
    handler.emit(record("one argument is missing: %s %s", "first"))
    handler.dropped = 3
    handler.emit(record("x"))
    handler.close()
    said = [json.loads(each) for each in os.read(reader, 65_536).splitlines()]
    assert {each["event"] for each in said} == {"log.unprintable", "log.dropped", "x"}
    assert all(each["job_id"] == "j1" for each in said)


@pytest.mark.parametrize(
    "words",
    [
        "e.g. postgresql://user@host/database, or redis://[user:password@]host:port/db",
        "can't put k: SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided.",
        "can't put k: InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records.",
        "was refused: InvalidClientTokenId: The security token included in the request is invalid.",
        "ExpiredToken: The provided token has expired.",
        "the database refuses the password of this user: connection failed",
        "runs until SIGTERM: it then finishes",
    ],
)
def test_fixed_words_are_no_secrets(words: str) -> None:
    assert redacted(words) == words


def test_no_words_of_ours_are_taken_for_secrets() -> None:
    """Errors and fixes, with whatever stands in them, come out as they were written."""
    calls = [
        (path.name, node)
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and path.name != "redaction.py"
    ]
    said = [
        (name, _words(given)) for name, call in calls for given in (*call.args, *(each.value for each in call.keywords))
    ]
    assert len(said) > 1000
    spoiled = [(name, text) for name, text in said if redacted(text) != text]
    assert not spoiled


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "Xx" for part in node.values)
    return ""


def test_objects_and_lists_are_no_text_in_a_json_log() -> None:
    document = line("recovery.ran", counts={"resubmitted": 2, "api_key": "canary"}, names=("a", "b"), empty={})
    said = json.loads(document)
    assert said["counts"] == {"resubmitted": 2, "api_key": HIDDEN}
    assert (said["names"], said["empty"]) == (["a", "b"], {})
    long = json.loads(line("x", found={"name": "v" * 5000}))
    assert isinstance(json.loads(line("x", found=["v" * 100] * 100))["found"], str)
    assert len(long["found"]["name"] if isinstance(long["found"], dict) else long["found"]) <= 4096


def test_a_list_stays_a_list_and_its_secrets_are_hidden() -> None:
    told = json.loads(
        line("batch", jobs=["event-1", "event-2"], said=("canary-value", 2, None), secrets=frozenset({"canary-value"}))
    )
    assert told["jobs"] == ["event-1", "event-2"]
    assert told["said"][1:] == [2, None]
    assert "canary" not in told["said"][0]
    many = json.loads(line("batch", jobs=["x" * 100] * 1000))
    assert len(many["jobs"]) < 5000

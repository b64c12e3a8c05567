"""Rules of the decoders that hold for every shape: versions, limits, owners, envelopes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from src.application.catalog import Catalog, JobType
from src.application.decoders import Decoders, DecoderSettings
from src.application.decoders.body import _TOKENS
from src.application.decoders.decoded import Newer, Reference, Requests
from src.domain.errors import InvalidMessage, InvalidPayload, Permanent, StorageUnavailable, TenantMismatch
from src.domain.job import JobDraft

KEY = "tenants/7/video/raw/s1/42.mp4"


def accept(_tenant: str, payload: Mapping[str, Any]) -> object:
    """Checks nothing, so what is refused here was refused by a decoder."""
    return payload


def ask_the_network(_tenant: str, _payload: Mapping[str, Any]) -> object:
    raise StorageUnavailable("no parser should ask")


DECODERS = Decoders(
    Catalog(
        [
            JobType(name="video", parse=accept, handler="none:None"),
            JobType(name="thumbnail", parse=accept, handler="none:None"),
            JobType(name="confused", parse=ask_the_network, handler="none:None"),
        ]
    ),
    DecoderSettings(),
)
LEGACY = {"video_id": 42, "file_key": KEY, "tenant_code": "7", "created_at": "2026-01-02T03:04:05.678Z", "attempt": 1}
VIDEO_JOB = {"job_id": "j-1", "video_id": 42, "tenant_id": 7, "file_key": KEY}
S3_RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:CompleteMultipartUpload",
    "s3": {"bucket": {"name": "b"}, "object": {"key": KEY, "eTag": "e", "sequencer": "0055"}},
}
CONTENT = {
    "id": "job-uuid",
    "type": "thumbnail",
    "payload": {"content_id": "content-123", "file_path": "/path/to/video.mp4"},
    "created_at": "2025-12-20T10:00:00Z",
    "retry_count": 0,
    "max_retries": 3,
}
AI = {"job_id": "a-1", "job_type": "thumbnail", "tier": "lite", "payload": {"n": 1}, "tenant_id": "7", "attempt": 1}
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "thumbnail", "data": {"a": 1}}


def decode(document: object) -> object:
    return DECODERS.decode(json.dumps(document).encode(), {})


def one(document: object) -> JobDraft:
    decoded = decode(document)
    assert isinstance(decoded, Requests)
    (draft,) = decoded.drafts
    return draft


def sns(inner: object) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(inner)}


def test_the_content_platforms_own_example_is_a_job_of_the_default_tenant() -> None:
    draft = one(CONTENT)
    assert (draft.id, draft.type, draft.tenant, draft.max_attempts) == ("job-uuid", "thumbnail", "default", 4)
    assert draft.payload == CONTENT["payload"]
    assert one({**CONTENT, "tenant_id": 7}).tenant == "7"


@pytest.mark.parametrize("alias", ["job_type", "type", "task"])
def test_an_ai_body_may_call_its_type_by_three_names(alias: str) -> None:
    body = {name: value for name, value in AI.items() if name != "job_type"}
    assert one({**body, alias: "thumbnail"}).type == "thumbnail"


def test_an_ai_body_about_a_video_keeps_its_own_type() -> None:
    assert one({**AI, "video_id": 42, "file_key": KEY}).type == "thumbnail"


def test_lesson_6_a_body_without_ids_is_refused_and_not_received_for_ever() -> None:
    with pytest.raises(InvalidMessage, match="no known shape"):
        decode({"created_at": "2026-01-02T03:04:05Z", "attempt": 1})


@pytest.mark.parametrize(
    "when",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.678901+09:00",
        "2026-01-02",
        "2026-01-02T03:04:05",
        1767323045,
        1767323045.25,
        None,
    ],
)
def test_created_at_is_a_time_or_epoch_seconds(when: object) -> None:
    assert one({**LEGACY, "created_at": when}).id == one(LEGACY).id


@pytest.mark.parametrize("when", ["yesterday", "x", "1767323045", 1767323045000, 1e300, True, ["2026"]])
def test_a_created_at_that_is_no_time_is_named(when: object) -> None:
    with pytest.raises(InvalidMessage, match="created_at"):
        decode({**LEGACY, "created_at": when})


@pytest.mark.parametrize("name", ["schema_version", "schemaVersion", "v"])
@pytest.mark.parametrize("version", [2, "2", "2.1", "10.0.0"])
def test_f41_a_version_above_ours_goes_back_under_any_of_its_names(name: str, version: object) -> None:
    assert isinstance(decode({**VIDEO_JOB, name: version}), Newer)
    assert isinstance(decode({"unheard": "of", name: version}), Newer)


@pytest.mark.parametrize("version", [1, "1", "1.7"])
def test_f41_a_version_of_our_generation_is_read(version: object) -> None:
    assert one({**VIDEO_JOB, "schema_version": version}).id == "j-1"


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "", "x", "1.", "\u0662", [2], {"major": 2}])
def test_t14_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(InvalidMessage, match="schema_version"):
        decode({**VIDEO_JOB, "schema_version": version})


@pytest.mark.parametrize("extra", [{"tenant_id": "7"}, {"schema_version": 1}, {"payload_url": "x"}])
def test_a_reference_has_no_other_keys(extra: dict[str, object]) -> None:
    assert decode({"job_id": "r-1", "type": "video"}) == Reference("r-1")
    with pytest.raises(Permanent):
        decode({"job_id": "r-1", **extra})


def test_t14_a_body_of_a_mebibyte_and_one_byte_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidMessage, match="1048577 bytes"):
        DECODERS.decode(b"\xff" * (1024 * 1024 + 1), {})


def test_t14_a_string_that_never_ends_is_passed_over_once() -> None:
    text = '"' + '\\"' * 1000
    assert [token.span() for token in _TOKENS.finditer(text)] == [(0, len(text))]
    with pytest.raises(InvalidMessage, match="Unterminated"):
        DECODERS.decode(text.encode(), {})


def test_t14_brackets_inside_strings_are_no_depth() -> None:
    assert one({**VIDEO_JOB, "note": '"\\' + "[{" * 100}).id == "j-1"


def test_t14_the_key_that_stands_twice_is_named() -> None:
    with pytest.raises(InvalidMessage, match="'attempt' stands twice"):
        DECODERS.decode(b'{"video_id": 1, "attempt": 1, "file_key": "x", "attempt": 2}', {})


LENGTHS = pytest.mark.parametrize("beside", ["", "x" * 3000], ids=["short", "long"])
"""Bodies are parsed in one of two ways, by their length."""


@LENGTHS
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30, 10**4000])
def test_t14_a_number_outside_64_bits_is_refused(number: int, beside: str) -> None:
    with pytest.raises(InvalidMessage, match="64 bits"):
        decode({**CONTENT, "payload": {"text": beside, "n": number}})


@LENGTHS
@pytest.mark.parametrize("number", ["1e400", "-9E999", "1.5e+309"])
def test_t14_a_number_that_no_float_holds_is_refused(number: str, beside: str) -> None:
    body = json.dumps({**CONTENT, "payload": {"text": beside, "n": "NUMBER"}}).replace('"NUMBER"', number)
    with pytest.raises(InvalidMessage, match="too large"):
        DECODERS.decode(body.encode(), {})


def test_numbers_of_64_bits_are_kept() -> None:
    assert one({**CONTENT, "payload": {"n": [2**63 - 1, -(2**63)]}}).payload == {"n": [2**63 - 1, -(2**63)]}


@pytest.mark.parametrize("wrong", [None, True, 1.5, [], {}, "", "../7", "a b"])
@pytest.mark.parametrize("name", ["video_id", "job_id"])
def test_t14_wrong_types_of_ids_are_named(name: str, wrong: object) -> None:
    with pytest.raises(InvalidPayload, match=name):
        decode({**VIDEO_JOB, name: wrong})


@pytest.mark.parametrize("body", [LEGACY, VIDEO_JOB])
@pytest.mark.parametrize("key", ["", None, 7, "/etc/passwd", "tenants/7/../8/x.mp4", "a\\b", "x" * 1025])
def test_t12_a_file_key_that_leaves_its_place_is_refused_by_the_decoder(body: dict[str, Any], key: object) -> None:
    with pytest.raises(InvalidPayload, match="file_key"):
        decode({**body, "file_key": key})


@pytest.mark.parametrize("body", [LEGACY, VIDEO_JOB])
def test_a_file_key_of_another_tenant_is_refused_by_the_decoder(body: dict[str, Any]) -> None:
    with pytest.raises(TenantMismatch):
        decode({**body, "file_key": "tenants/8/video/raw/s1/42.mp4"})


@pytest.mark.parametrize("body", [VIDEO_JOB, AI])
def test_a_missing_tenant_is_named(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match="tenant_id"):
        decode({name: value for name, value in body.items() if name != "tenant_id"})


def test_an_object_outside_the_source_prefix_is_refused_with_the_reason() -> None:
    record = {**S3_RECORD, "s3": {"bucket": {"name": "b"}, "object": {"key": "logs/1.txt", "eTag": "e"}}}
    with pytest.raises(InvalidMessage, match=re.escape("'logs/1.txt' is not where sources lie")):
        decode({"Records": [record]})


def test_a_cloud_event_names_its_job_type_with_or_without_a_prefix() -> None:
    plain, prefixed = one(EVENT), one({**EVENT, "type": "job.thumbnail"})
    assert (plain.type, plain.tenant, plain.id) == (prefixed.type, "default", prefixed.id)
    assert one({**EVENT, "source": "/other"}).id != plain.id
    encoded = base64.b64encode(json.dumps({"a": 1}).encode()).decode()
    assert one({**EVENT, "data": None, "data_base64": encoded}) == plain


@pytest.mark.parametrize("data", [{"Records": [S3_RECORD]}, S3_RECORD])
def test_an_upload_announced_as_a_cloud_event_is_the_same_job(data: object) -> None:
    event = {**EVENT, "type": "com.amazonaws.s3.objectcreated.put", "data": data}
    assert one(event) == one({"Records": [S3_RECORD]}) == one(sns(event))


def test_sns_is_opened_once() -> None:
    assert one(sns(VIDEO_JOB)) == one(VIDEO_JOB)
    with pytest.raises(InvalidMessage, match="inside each other"):
        decode(sns(sns(VIDEO_JOB)))


def test_a_parser_that_asks_for_a_retry_still_refuses_for_good() -> None:
    with pytest.raises(InvalidPayload, match="StorageUnavailable"):
        decode({**CONTENT, "type": "confused"})


@pytest.mark.parametrize(
    "change",
    [
        {"type": "strict"},
        {"type": "strict", "payload": None},
        {"created_at": "yesterday"},
        {"max_retries": -1},
        {"tenant_id": "../x"},
    ],
)
def test_a_refused_message_names_its_job(change: Mapping[str, Any]) -> None:
    body = json.dumps({**CONTENT, **change}).encode()
    with pytest.raises(Permanent):
        STRICT.decode(body, {})
    named = STRICT.named(body)
    assert named is not None
    assert (named.job_id, named.type) == (CONTENT["id"], change.get("type", "thumbnail"))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff{",
        b"[1]",
        json.dumps({"job_id": "j-1"}).encode(),
        json.dumps({**CONTENT, "id": "../x"}).encode(),
        json.dumps({**CONTENT, "type": ["strict"]}).encode(),
        json.dumps({**EVENT, "id": ""}).encode(),
    ],
)
def test_a_message_that_names_no_job_names_none(body: bytes) -> None:
    assert STRICT.named(body) is None


@pytest.mark.parametrize(("given", "kept"), [("nosuch", "nosuch"), ("no such", None), ("x" * 129, None)])
def test_a_message_of_an_unknown_type_names_its_job_and_a_type_that_is_a_word(given: str, kept: str | None) -> None:
    named = STRICT.named(json.dumps({**CONTENT, "type": given}).encode())
    assert named is not None
    assert (named.job_id, named.type, named.known) == (CONTENT["id"], kept, False)


def refuse(_tenant: str, _payload: Mapping[str, Any]) -> object:
    raise InvalidPayload("never")


STRICT = Decoders(
    Catalog(
        [
            JobType(name="thumbnail", parse=accept, handler="none:None"),
            JobType(name="strict", parse=refuse, handler="none:None"),
        ]
    ),
    DecoderSettings(),
)


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"null", "null"), (b'"x"', "a text"), (b"7", "a number"), (b"[]", "a list"), (b"true", "true or")],
)
def test_a_body_that_is_no_object_is_called_as_json_does(body: bytes, words: str) -> None:
    with pytest.raises(InvalidMessage, match=f"the body is {words}"):
        DECODERS.decode(body, {})

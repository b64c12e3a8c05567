"""Every shape of message, and everything that is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from src.application.catalog import Catalog, JobType
from src.application.decoders import Decoders, DecoderSettings, registry
from src.application.decoders.decoded import Newer, Reference, Requests
from src.application.video.job_types import DELETE_OBJECTS_JOB
from src.domain.errors import ConfigError, InvalidMessage, InvalidPayload, Permanent, TenantMismatch, UnknownJobType
from src.domain.ids import check_tenant, storage_key
from src.domain.job import JobDraft

KEY = "tenants/7/video/raw/s1/42.mp4"
HLS = "tenants/7/video/hls/42/"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def parse_video(tenant: str, payload: Mapping[str, Any]) -> object:
    return check_tenant(storage_key(payload.get("file_key")), tenant)


def parse_any(_tenant: str, payload: Mapping[str, Any]) -> object:
    if payload.get("trip"):
        return payload["absent"]
    return payload


CATALOG = Catalog(
    [
        JobType(name="video", parse=parse_video, handler="none:None", subject=lambda _t, p: str(p["video_id"])),
        JobType(name="thumbnail", parse=parse_any, handler="none:None"),
        DELETE_OBJECTS_JOB,
    ]
)
DECODERS = Decoders(CATALOG, DecoderSettings())

LEGACY = {"video_id": 42, "file_key": KEY, "tenant_code": "7", "created_at": "2026-01-02T03:04:05Z", "attempt": 1}
VIDEO_JOB = {"job_id": "j-1", "video_id": 42, "tenant_id": 7, "file_key": KEY}
S3_OBJECT = {"key": KEY, "size": 9, "eTag": "e", "sequencer": "0055"}
S3 = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": S3_OBJECT},
        }
    ]
}
EVENTBRIDGE = {
    "version": "0",
    "id": "e-1",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": KEY, "etag": "e", "sequencer": "0055"}},
}
CLOUDEVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "job.thumbnail",
    "tenant": "7",
    "data": {"a": 1},
}
CONTENT = {"id": "c-1", "type": "thumbnail", "payload": {"content_id": "x"}, "retry_count": 0, "max_retries": 3}
OUTBOX = {"outboxId": "o-1", "jobType": "thumbnail", "payload": {"feed": 1}}
AI = {"job_id": "a-1", "task": "thumbnail", "tier": "gold", "payload": {"n": 1}, "tenant_id": "7"}
EVENT = {"event_id": "e-2", "event_type": "content.created", "payload": {"content_id": "x"}, "tenant_id": "7"}
SHAPES = [LEGACY, VIDEO_JOB, S3, EVENTBRIDGE, CLOUDEVENT, CONTENT, OUTBOX, AI, {"job_id": "r-1"}]


def sns(inner: object) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(inner)}


def decode(document: object, **attributes: str) -> object:
    return DECODERS.decode(json.dumps(document).encode(), attributes)


def one(document: object, **attributes: str) -> JobDraft:
    decoded = decode(document, **attributes)
    assert isinstance(decoded, Requests)
    (draft,) = decoded.drafts
    return draft


def s3_with(**changes: object) -> dict[str, Any]:
    return {"Records": [{**S3["Records"][0], **changes}]}


def test_both_video_bodies_ask_for_the_same_work() -> None:
    old, new = one(LEGACY), one(VIDEO_JOB)
    assert (old.type, old.tenant, old.payload, old.subject) == (new.type, new.tenant, new.payload, new.subject)
    assert new.payload == {"video_id": "42", "file_key": KEY}
    assert new.id == "j-1"


def test_duplicates_without_a_job_id_meet_in_one_row() -> None:
    assert one(LEGACY).id == one({**LEGACY, "created_at": "2026-05-05T00:00:00+09:00", "video_id": "42"}).id
    assert one(LEGACY).id != one({**LEGACY, "file_key": KEY.replace("42", "43")}).id


def test_one_upload_is_one_job_by_whichever_way_it_is_announced() -> None:
    assert one(S3).id == one(EVENTBRIDGE).id == one(sns(S3)).id == one(sns(EVENTBRIDGE)).id


def test_a_second_upload_to_the_same_key_is_another_job() -> None:
    again = s3_with(s3={"bucket": {"name": "b"}, "object": {**S3_OBJECT, "sequencer": "0056"}})
    assert one(S3).id != one(again).id


def test_keys_of_s3_notifications_are_url_decoded_and_those_of_eventbridge_are_not() -> None:
    encoded = s3_with(s3={"bucket": {"name": "b"}, "object": {**S3_OBJECT, "key": "tenants/7/video/raw/a+b/4%2D2.mp4"}})
    assert one(encoded).payload["file_key"] == "tenants/7/video/raw/a b/4-2.mp4"
    plain = {"key": "tenants/7/video/raw/a+b/42.mp4", "etag": "e"}
    bridged = {**EVENTBRIDGE, "detail": {"bucket": {"name": "b"}, "object": plain}}
    assert one(bridged).payload["file_key"] == "tenants/7/video/raw/a+b/42.mp4"


@pytest.mark.parametrize(
    "document",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
        s3_with(eventName="ObjectRemoved:Delete"),
        {**EVENTBRIDGE, "detail-type": "Object Deleted"},
    ],
)
def test_events_that_ask_for_nothing_give_no_job(document: object) -> None:
    assert decode(document) == Requests([])


def test_several_records_give_several_jobs() -> None:
    second = s3_with(s3={"bucket": {"name": "b"}, "object": {**S3_OBJECT, "key": KEY.replace("42", "43")}})
    decoded = decode({"Records": S3["Records"] + second["Records"]})
    assert isinstance(decoded, Requests)
    assert [draft.payload["video_id"] for draft in decoded.drafts] == ["42", "43"]


def test_a_cloud_event_is_a_job_or_an_envelope() -> None:
    assert one(CLOUDEVENT).type == "thumbnail"
    assert one({**CLOUDEVENT, "type": "com.shop.uploaded", "data": VIDEO_JOB}).id == "j-1"


def test_retries_of_a_content_job_are_one_attempt_more_and_bounded() -> None:
    assert [one({**CONTENT, "max_retries": n}).max_attempts for n in (0, 3, 99)] == [1, 4, 25]
    silent = {name: value for name, value in CONTENT.items() if name != "max_retries"}
    assert one(silent).max_attempts == CATALOG.get("thumbnail").max_attempts
    assert one({**CONTENT, "retry_count": 3}).max_attempts == 4
    assert one(VIDEO_JOB).max_attempts == CATALOG.get("video").max_attempts


def test_an_ai_body_needs_one_tenant_and_an_unknown_tier_is_basic() -> None:
    assert one(AI).payload == {"n": 1, "tier": "basic"}
    with pytest.raises(InvalidMessage, match="tenant"):
        decode({**AI, "tenant_id": None})
    with pytest.raises(TenantMismatch):
        decode({**AI, "payload": {"tenant_id": "8"}})


@pytest.mark.parametrize("body", [{"job_id": "r-1"}, {"job_id": "r-1", "type": "video"}])
def test_a_bare_job_id_is_a_reference(body: object) -> None:
    assert decode(body) == Reference("r-1")


@pytest.mark.parametrize(
    "document",
    [{**VIDEO_JOB, "schema_version": 2}, sns({**S3, "schema_version": 9}), {**CLOUDEVENT, "specversion": "2.0"}],
)
def test_f41_a_newer_schema_goes_back_to_the_queue(document: object) -> None:
    assert isinstance(decode(document), Newer)


def test_a_well_formed_trace_is_carried_and_a_bad_one_is_dropped() -> None:
    assert one(LEGACY, traceparent=TRACE).trace == one({**LEGACY, "traceparent": TRACE}).trace == TRACE
    assert one(LEGACY, traceparent="00-" + "0" * 32 + TRACE[35:]).trace is None


@pytest.mark.parametrize(
    "document", [{}, {"video_id": 42}, {**AI, "job_id": ""}, {"file_key": KEY}, {**OUTBOX, "outboxId": None}]
)
def test_lesson_06_a_message_without_what_identifies_its_job_is_refused_at_sight(document: object) -> None:
    with pytest.raises(Permanent):
        decode(document)


def test_a_deletion_is_never_taken_for_a_video_to_encode() -> None:
    body = {"action": "delete_r2", "tenant_id": 7, "video_id": 42, "file_key": KEY, "hls_prefix": HLS}
    for more in ({}, {"job_id": "j-1"}, {"created_at": "2026-01-02T03:04:05Z"}):
        draft = one(body | more)
        assert (draft.type, draft.tenant, draft.payload["video_id"]) == ("delete_objects", "7", "42")
    for broken in (
        {"action": "purge"},
        {"action": "purge", "job_id": "j-1"},
        {"action": None},
        {"action": ["delete_r2"]},
    ):
        with pytest.raises(InvalidMessage, match="is not known"):
            decode(body | broken)
    with pytest.raises(InvalidMessage, match="without a video_id"):
        decode({"action": "delete_r2", "tenant_id": 7})
    with pytest.raises(InvalidMessage, match="no tenant"):
        decode({name: value for name, value in body.items() if name != "tenant_id"})
    with pytest.raises(InvalidPayload, match="not the folder of video 42"):
        decode(body | {"hls_prefix": "tenants/7/video/hls/4"})


def test_the_same_deletion_delivered_twice_is_one_job_and_asked_for_again_another() -> None:
    body = {"action": "delete_r2", "tenant_id": 7, "video_id": 42, "file_key": KEY, "hls_prefix": HLS}
    first, second = ({"created_at": f"2026-01-0{day}T03:04:05Z"} for day in (1, 2))
    ids = [one(body | more).id for more in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]


def test_a_key_of_another_tenant_is_refused() -> None:
    with pytest.raises(TenantMismatch):
        decode({**VIDEO_JOB, "tenant_id": 8})


def test_a_parser_that_trips_refuses_the_message_and_not_the_worker() -> None:
    with pytest.raises(InvalidPayload, match="KeyError"):
        decode({**CONTENT, "payload": {"trip": True}})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"job_id": NaN}',
        b'{"job_id": "a", "job_id": "b"}',
        b'{"job_id": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}",
        b"[" * 200_000,
        b" " * 262_145,
        b'{"job_id": "a", "schema_version": "x"}',
        b'{"job_id": "a", "callback_url": "http://169.254.169.254/"}',
        b'{"Type": "SubscriptionConfirmation", "TopicArn": "t", "SubscribeURL": "http://localhost/"}',
    ],
)
def test_t14_abuse_of_a_message_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        DECODERS.decode(body, {})


def test_t14_a_type_is_looked_up_and_never_imported() -> None:
    with pytest.raises(UnknownJobType):
        decode({**CONTENT, "type": "__import__"})


def test_t14_envelopes_have_an_end() -> None:
    body: object = VIDEO_JOB
    for _ in range(4):
        body = sns(body)
    with pytest.raises(InvalidMessage, match="envelopes"):
        decode(body)


def test_a_key_pattern_without_its_groups_is_refused_at_start() -> None:
    with pytest.raises(ConfigError):
        Decoders(CATALOG, DecoderSettings(key_pattern="(?P<tenant>x)"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good body with one of its values, at any depth, replaced."""
    document = json.loads(json.dumps(draw(st.sampled_from([*SHAPES, sns(S3)]))))
    place: Any = document
    while True:
        name = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[name], (dict, list)) or not place[name] or draw(st.booleans()):
            break
        place = place[name]
    place[name] = draw(JSON)
    return json.dumps(document).encode()


# No clock decides here: a busy machine draws its first example slowly.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | damaged())
def test_f28_whatever_the_bytes_are_the_answer_is_a_decoding_or_a_permanent_error(body: bytes) -> None:
    try:
        decoded: object = DECODERS.decode(body, {})
    except Permanent as error:
        decoded = error
    assert isinstance(decoded, Requests | Reference | Newer | Permanent)


@given(st.data())
def test_a_shape_that_is_not_asked_would_have_said_no(data: st.DataObject) -> None:
    """Only those are asked whose marks a body has."""
    whole: dict[str, Any] = data.draw(st.sampled_from([*SHAPES, sns(S3), EVENT, {"action": "x", **LEGACY}]))
    names = data.draw(st.sets(st.sampled_from(sorted(whole))))
    document = {name: value for name, value in whole.items() if name in names}
    asked = registry.shapes_with(registry.MARKS.intersection(document))
    for shape, _ in registry.SHAPES:
        if shape not in asked:
            assert shape(document, DecoderSettings()) is None

"""A bucket behind a wire that loses answers, refuses and cuts: objects are whole or not there, no part of an upload stays,
errors are the port's, and the next call works."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.application.video.download import bringer, fetch, reader
from src.application.video.steady import SourceChanged, Steady
from src.domain.errors import SourceMissing, StorageUnavailable
from src.infrastructure.s3.storage import S3Storage
from tests.fakes.clock import FrozenClock
from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY
from tests.servers.proxy import Act, Proxy
from tests.servers.shared import shared

PART = rb"^PUT \S*partNumber=2"
COMPLETE = rb"^POST \S*uploadId="
DELETE = rb"^POST \S*\?delete"
GET = rb"^GET \S*/large"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy.to(shared("s3")) as made:
        yield made


@pytest.fixture
def storage(proxy: Proxy) -> S3Storage:
    return S3Storage(
        bucket=S3_BUCKET,
        prefix=f"wire/{uuid.uuid4().hex}",
        endpoint_url=proxy.url,
        access_key=S3_ACCESS_KEY,
        secret_key=S3_SECRET_KEY,
        part_bytes=5 << 20,
    )


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(11 << 20))
    return path


def put(storage: S3Storage, path: Path, key: str = "large") -> None:
    storage.put_file(key, path, content_type="x/y", cache_control="")


def unfinished(storage: S3Storage) -> object:
    return storage._client().list_multipart_uploads(Bucket=S3_BUCKET, Prefix=storage.prefix).get("Uploads")


def test_f18_a_part_whose_answer_is_lost_goes_up_again(proxy: Proxy, storage: S3Storage, large: Path) -> None:
    with proxy.fault(Act.LOSE_REPLY, PART):
        put(storage, large)
    assert storage.read("large", 0, 12 << 20) == large.read_bytes()
    assert proxy.asked(PART) == 2
    assert not unfinished(storage)


def test_f31_a_part_that_is_refused_for_a_moment_goes_up_again(proxy: Proxy, storage: S3Storage, large: Path) -> None:
    with proxy.fault(Act.ANSWER, PART, times=2) as fault:
        put(storage, large)
    assert fault.hits == 2
    assert storage.read("large", 0, 12 << 20) == large.read_bytes()


def test_f18_an_upload_that_is_refused_for_good_leaves_no_object_and_no_parts(
    proxy: Proxy, storage: S3Storage, large: Path
) -> None:
    with proxy.fault(Act.ANSWER, PART, times=None), pytest.raises(StorageUnavailable):
        put(storage, large)
    with pytest.raises(SourceMissing):
        storage.head("large")
    assert not unfinished(storage)
    put(storage, large)
    assert storage.head("large").size == 11 << 20


def test_f18_a_completion_whose_answer_is_lost_leaves_the_whole_object(
    proxy: Proxy, storage: S3Storage, large: Path
) -> None:
    with proxy.fault(Act.LOSE_REPLY, COMPLETE):
        try:
            put(storage, large)
        except StorageUnavailable:
            # The service no longer knows the upload that it has completed: then the caller's next try decides.
            put(storage, large)
    assert storage.read("large", 0, 12 << 20) == large.read_bytes()
    assert not unfinished(storage)


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.LOSE_REQUEST, Act.ANSWER])
def test_a_document_whose_answer_is_lost_is_stored(proxy: Proxy, storage: S3Storage, act: Act) -> None:
    with proxy.fault(act, rb"^PUT \S*/small"):
        storage.put_bytes("small", b"content", content_type="text/plain", cache_control="")
    assert storage.read("small", 0, 100) == b"content"


def test_f17_a_download_that_is_cut_goes_on_with_the_same_version(
    proxy: Proxy, storage: S3Storage, large: Path, tmp_path: Path
) -> None:
    put(storage, large)
    source, clock = storage.head("large"), FrozenClock()
    bring = bringer(storage, source, Steady(clock))
    (tmp_path / "scratch").mkdir()
    with proxy.fault(Act.CUT_REPLY, GET) as fault:
        fetched = fetch(bring, source.size, tmp_path / "scratch", lambda _share: None)
    assert fault.hits == 1
    assert fetched.path.read_bytes() == large.read_bytes()
    gets = proxy.asked(GET)
    assert gets >= 3
    assert proxy.asked(GET + rb".*[Ii]f-[Mm]atch: ") == gets


def test_f17_a_download_that_is_cut_while_the_object_is_replaced_ends_and_mixes_nothing(
    proxy: Proxy, storage: S3Storage, large: Path
) -> None:
    put(storage, large)
    read = reader(storage, storage.head("large"), Steady(FrozenClock()))
    with proxy.fault(Act.CUT_REPLY, GET), pytest.raises(StorageUnavailable):
        storage.read("large", 0, 8 << 20)
    storage.put_bytes("large", b"another", content_type="x/y", cache_control="")
    with pytest.raises(SourceChanged):
        read(0, 8 << 20)


@pytest.mark.parametrize("after_bytes", [10, 60, 150])
def test_an_answer_cut_inside_its_headers_is_no_empty_object(
    proxy: Proxy, storage: S3Storage, after_bytes: int
) -> None:
    storage.put_bytes("large", b"content", content_type="text/plain", cache_control="")
    with proxy.fault(Act.CUT_REPLY, GET, times=None, after_bytes=after_bytes), pytest.raises(StorageUnavailable):
        storage.read("large", 0, 100)
    with proxy.fault(Act.CUT_REPLY, rb"^HEAD ", times=None, after_bytes=after_bytes), pytest.raises(StorageUnavailable):
        storage.head("large")
    assert storage.read("large", 0, 100) == b"content"


def test_f42_of_a_delete_that_fails_in_part_the_rest_is_named_and_may_be_repeated(
    proxy: Proxy, storage: S3Storage
) -> None:
    for key in ("a", "b"):
        storage.put_bytes(key, b"x", content_type="text/plain", cache_control="")
    refused = f"<Error><Key>{storage.prefix}/b</Key><Code>InternalError</Code><Message>try again</Message></Error>"
    body = f"<DeleteResult>{refused}</DeleteResult>".encode()
    with proxy.fault(Act.ANSWER, DELETE, status=200, body=body), pytest.raises(StorageUnavailable) as raised:
        storage.delete(["a", "b"])
    assert "1 of 2" in raised.value.message
    assert "b: InternalError" in raised.value.message
    with proxy.fault(Act.LOSE_REPLY, DELETE):
        storage.delete(["a", "b"])
    assert list(storage.list("")) == []


def test_a_listing_whose_answer_is_lost_is_whole(proxy: Proxy, storage: S3Storage) -> None:
    for number in range(5):
        storage.put_bytes(f"k{number}", b"x", content_type="text/plain", cache_control="")
    with proxy.fault(Act.LOSE_REPLY, rb"^GET \S*list-type=2"):
        assert len(list(storage.list(""))) == 5
    with proxy.fault(Act.CUT_REPLY, rb"^GET \S*list-type=2"):
        try:
            found = len(list(storage.list("")))
        except StorageUnavailable:
            found = len(list(storage.list("")))
    assert found == 5

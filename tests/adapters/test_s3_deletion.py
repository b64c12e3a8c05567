"""Deleting a video's objects in a real bucket, with objects that it refuses to remove."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.application.video.delete_objects import DeleteVideoObjects, Removed
from src.domain.errors import ObjectsLeft, StorageUnavailable
from src.domain.video.deletion import make_removal
from src.infrastructure.s3.storage import S3Storage
from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY
from tests.servers.proxy import Act, Proxy
from tests.servers.s3_locked import LockedS3
from tests.servers.shared import shared

SOURCE, FOLDER = "tenants/7/video/raw/1/film.mp4", "tenants/7/video/hls/1/"
REMOVAL = make_removal(7, 1, SOURCE, FOLDER)


@pytest.fixture
def gate() -> Iterator[LockedS3]:
    with LockedS3(shared("s3").url) as made:
        yield made


def bucket(url: str) -> S3Storage:
    return S3Storage(
        bucket=S3_BUCKET,
        prefix=f"test/{uuid.uuid4().hex}",
        endpoint_url=url,
        access_key=S3_ACCESS_KEY,
        secret_key=S3_SECRET_KEY,
    )


@pytest.fixture
def storage(gate: LockedS3) -> S3Storage:
    return bucket(gate.url)


def fill(storage: S3Storage, *keys: str) -> None:
    def put(key: str) -> None:
        storage._client().put_object(Bucket=S3_BUCKET, Key=f"{storage.prefix}/{key}", Body=b"x")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, keys))


def left(storage: S3Storage) -> list[str]:
    return sorted(found.key for found in storage.list(""))


def test_f42_1010_objects_go_in_pages_without_the_locked_ones_and_not_the_neighbours(
    storage: S3Storage, gate: LockedS3
) -> None:
    neighbours = [
        "tenants/7/video/hls/12/master.m3u8",
        "tenants/7/video/raw/12/film.mp4",
        "tenants/70/video/hls/1/a.m4s",
    ]
    keys = [f"{FOLDER}1-1-00000000/{number:04}.m4s" for number in range(1010)]
    fill(storage, SOURCE, *neighbours, *keys)
    locked = {keys[3], keys[1005]}
    gate.locked |= locked
    with pytest.raises(ObjectsLeft, match=r"2 objects of video 1 were not removed.*AccessDenied") as refused:
        DeleteVideoObjects(storage).delete(REMOVAL)
    assert set(refused.value.left) == locked
    assert left(storage) == sorted([*neighbours, *locked])
    assert gate.asked == [1, 1000, 10]
    with pytest.raises(ObjectsLeft):
        DeleteVideoObjects(storage).delete(REMOVAL)
    assert gate.asked[3:] == [2]


def test_a_delete_of_many_goes_on_after_a_refusal_and_names_all_that_is_left(
    storage: S3Storage, gate: LockedS3
) -> None:
    keys = [f"v/{number:04}" for number in range(1001)]
    fill(storage, keys[0], keys[1000], "v/other")
    gate.locked.add(keys[0])
    with pytest.raises(
        StorageUnavailable, match=r"1 of 1001 objects were not removed; v/0000: AccessDenied"
    ) as refused:
        storage.delete(keys)
    assert isinstance(refused.value, ObjectsLeft)
    assert left(storage) == [keys[0], "v/other"]


def test_a_locked_source_is_an_error_and_keeps_nothing_else(storage: S3Storage, gate: LockedS3) -> None:
    fill(storage, SOURCE, f"{FOLDER}a")
    gate.locked.add(SOURCE)
    with pytest.raises(ObjectsLeft):
        DeleteVideoObjects(storage).delete(REMOVAL)
    assert left(storage) == [SOURCE]


def test_a_lost_answer_is_a_retry_that_finds_less() -> None:
    with Proxy.to(shared("s3")) as proxy:
        behind = bucket(proxy.url)
        fill(behind, SOURCE, f"{FOLDER}a", f"{FOLDER}b")
        with proxy.fault(Act.LOSE_REPLY, rb"^POST \S*\?delete"):
            assert DeleteVideoObjects(behind).delete(REMOVAL) == Removed(source="removed", objects=2)
        assert left(behind) == []

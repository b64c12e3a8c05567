"""Storage."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from src.application.ports.storage import Storage, StoredObject
from src.domain.errors import FileAccessError, InvalidPayload, SourceMissing, StorageUnavailable

ESCAPES = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "",
    "a\x00b",
    "a\nb",
    "a\\..\\b",
    "x" * 1025,
    "..",
    "a/",
    "\ud800",
]


def put(storage: Storage, key: str, content: bytes = b"content") -> StoredObject:
    return storage.put_bytes(key, content, content_type="video/mp4", cache_control="max-age=60")


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(found.key for found in storage.list(prefix))


def test_what_was_put_can_be_read(storage: Storage) -> None:
    stored = put(storage, "tenants/t1/é ü.mp4", b"0123456789")
    assert (stored.key, stored.size) == ("tenants/t1/é ü.mp4", 10)
    assert storage.head("tenants/t1/é ü.mp4") == stored
    assert storage.read("tenants/t1/é ü.mp4", 0, 10) == b"0123456789"


def test_a_range_is_cut_at_the_end(storage: Storage) -> None:
    put(storage, "a", b"0123456789")
    assert storage.read("a", 3, 4) == b"3456"
    assert storage.read("a", 8, 100) == b"89"
    assert storage.read("a", 10, 5) == b""
    assert storage.read("a", 99, 5) == b""
    assert storage.read("a", 0, 0) == b""


def test_a_file_is_stored_whole(storage: Storage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100_000
    (tmp_path / "local.bin").write_bytes(content)
    stored = storage.put_file("a/b.bin", tmp_path / "local.bin", content_type="x/y", cache_control="")
    assert stored.size == len(content)
    assert storage.read("a/b.bin", 0, len(content)) == content
    assert (tmp_path / "local.bin").read_bytes() == content


def test_an_empty_object_is_an_object(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert storage.put_file("a", tmp_path / "empty", content_type="x/y", cache_control="").size == 0
    assert storage.read("a", 0, 10) == b""


def test_a_missing_local_file_is_a_file_error(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        storage.put_file("a", tmp_path / "nobody", content_type="x/y", cache_control="")
    assert keys(storage) == []


def test_putting_again_replaces_the_object_and_its_version(storage: Storage) -> None:
    first = put(storage, "a", b"one")
    second = put(storage, "a", b"two")
    assert first.version != second.version
    assert storage.read("a", 0, 9) == b"two"
    assert keys(storage) == ["a"]


def test_f17_an_object_that_changed_is_not_read_on(storage: Storage) -> None:
    version = put(storage, "a", b"one").version
    assert storage.read("a", 0, 3, version=version) == b"one"
    put(storage, "a", b"two")
    with pytest.raises(StorageUnavailable):
        storage.read("a", 0, 3, version=version)


def test_a_missing_object_is_a_permanent_error(storage: Storage) -> None:
    for ask in (
        lambda: storage.head("a/b"),
        lambda: storage.read("a/b", 0, 1),
        lambda: storage.copy("a/b", "c"),
    ):
        with pytest.raises(SourceMissing):
            ask()


def test_a_folder_is_not_an_object(storage: Storage) -> None:
    put(storage, "a/b/c")
    with pytest.raises(SourceMissing):
        storage.head("a/b")
    storage.delete(["a/b"])
    assert keys(storage) == ["a/b/c"]


def test_a_copy_has_the_same_bytes_and_a_life_of_its_own(storage: Storage) -> None:
    put(storage, "a", b"bytes" * 1000)
    copied = storage.copy("a", "b/c")
    assert (copied.key, copied.size) == ("b/c", 5000)
    put(storage, "a", b"other")
    assert storage.read("b/c", 0, 5000) == b"bytes" * 1000
    storage.delete(["a"])
    assert storage.head("b/c") == copied


def test_an_object_can_be_copied_onto_itself(storage: Storage) -> None:
    put(storage, "a", b"bytes")
    storage.copy("a", "a")
    assert storage.read("a", 0, 9) == b"bytes"


def test_objects_are_listed_by_prefix_each_once(storage: Storage) -> None:
    for key in ("v/1/b", "v/1/a", "v/1-x", "v/10/a", "v/1.m3u8", "w"):
        put(storage, key)
    assert keys(storage) == sorted(["v/1/b", "v/1/a", "v/1-x", "v/10/a", "v/1.m3u8", "w"])
    assert keys(storage, "v/1/") == ["v/1/a", "v/1/b"]
    assert keys(storage, "v/1") == ["v/1-x", "v/1.m3u8", "v/1/a", "v/1/b", "v/10/a"]
    assert keys(storage, "v/1/a") == ["v/1/a"]
    assert keys(storage, "nobody/") == []


def test_a_listed_object_is_described_as_by_head(storage: Storage) -> None:
    put(storage, "a/b", b"12345")
    assert list(storage.list("a/")) == [storage.head("a/b")]


def test_deleting_removes_only_what_is_named(storage: Storage) -> None:
    for key in ("a/1", "a/2", "b"):
        put(storage, key)
    storage.delete(["a/1", "nobody", "a/nobody/x"])
    assert keys(storage) == ["a/2", "b"]
    storage.delete([])
    storage.delete(["a/2"])
    storage.delete(["a/2"])
    assert keys(storage) == ["b"]


@pytest.mark.parametrize("key", ESCAPES)
def test_t12_keys_can_not_leave_the_root(storage: Storage, key: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"x")
    for ask in (
        lambda: storage.head(key),
        lambda: storage.read(key, 0, 1),
        lambda: put(storage, key),
        lambda: storage.put_file(key, tmp_path / "local", content_type="x/y", cache_control=""),
        lambda: storage.copy("a", key),
        lambda: storage.copy(key, "a"),
        lambda: storage.delete([key]),
        lambda: storage.local_path(key),
    ):
        put(storage, "a")
        with pytest.raises(InvalidPayload):
            ask()
    assert keys(storage) == ["a"]


@pytest.mark.parametrize("prefix", ["../", "/etc", "a/../..", "a\x00"])
def test_t12_prefixes_can_not_leave_the_root(storage: Storage, prefix: str) -> None:
    with pytest.raises(InvalidPayload):
        list(storage.list(prefix))


def test_writers_of_one_key_leave_one_whole_object(storage: Storage) -> None:
    contents = [bytes([number]) * 200_000 for number in range(4)]
    writers = [threading.Thread(target=put, args=(storage, "a/b", content)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert storage.read("a/b", 0, 1_000_000) in contents
    assert keys(storage) == ["a/b"]


def test_a_local_path_has_the_objects_bytes(storage: Storage) -> None:
    put(storage, "a/b", b"bytes")
    path = storage.local_path("a/b")
    assert path is None or path.read_bytes() == b"bytes"

"""Files under a root: links, pipes, full disks, rights, leftovers."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src.domain.errors import DiskFull, InvalidPayload, SourceMissing, StorageUnavailable
from src.infrastructure.storage import filesystem
from src.infrastructure.storage.filesystem import PARTS, FilesystemStorage


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    return FilesystemStorage(tmp_path / "root")


def put(storage: FilesystemStorage, key: str, content: bytes = b"content") -> None:
    storage.put_bytes(key, content, content_type="x/y", cache_control="")


def files(storage: FilesystemStorage) -> list[str]:
    return sorted(str(found.relative_to(storage.root)) for found in storage.root.rglob("*") if found.is_file())


@pytest.mark.parametrize("target", ["/etc", "..", "../outside"])
def test_t12_a_link_out_of_the_root_is_refused(storage: FilesystemStorage, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text("secret")
    put(storage, "a")
    (storage.root / "link").symlink_to(target, target_is_directory=True)
    for ask in (
        lambda: storage.read("link/passwd", 0, 9),
        lambda: storage.head("link/passwd"),
        lambda: put(storage, "link/passwd"),
        lambda: storage.copy("link/passwd", "b"),
        lambda: storage.copy("a", "link/passwd"),
        lambda: storage.delete(["link/passwd"]),
        lambda: storage.local_path("link/passwd"),
        lambda: list(storage.list("link/")),
    ):
        with pytest.raises(InvalidPayload):
            ask()
    assert (tmp_path / "outside" / "passwd").read_text() == "secret"
    assert [found.key for found in storage.list("")] == ["a"]


def test_t12_a_linked_file_out_of_the_root_is_refused(storage: FilesystemStorage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    put(storage, "a")
    (storage.root / "b").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidPayload):
        storage.read("b", 0, 9)


def test_a_root_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    storage = FilesystemStorage(tmp_path / "root")
    put(storage, "a/b")
    assert storage.read("a/b", 0, 9) == b"content"
    storage.delete(["a/b"])
    assert (tmp_path / "disk").is_dir()


def test_a_pipe_is_not_an_object_and_does_not_hang(storage: FilesystemStorage) -> None:
    put(storage, "a")
    os.mkfifo(storage.root / "pipe")
    with pytest.raises(SourceMissing):
        storage.read("pipe", 0, 1)
    assert [found.key for found in storage.list("")] == ["a"]


def test_deleting_the_last_file_removes_the_empty_folders(storage: FilesystemStorage) -> None:
    put(storage, "v/1/2/a")
    put(storage, "v/b")
    storage.delete(["v/1/2/a"])
    assert not (storage.root / "v" / "1").exists()
    storage.delete(["v/b"])
    assert not (storage.root / "v").exists()
    assert storage.root.is_dir()


def test_the_folder_of_parts_is_no_key(storage: FilesystemStorage) -> None:
    with pytest.raises(InvalidPayload):
        put(storage, f"{PARTS}/x")
    put(storage, "a")
    assert [found.key for found in storage.list("")] == ["a"]


def test_a_put_that_fails_leaves_the_old_object_and_no_part(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(storage, "a", b"old")
    with monkeypatch.context() as patched:
        patched.setattr(filesystem, "_write", full)
        with pytest.raises(DiskFull, match="free space"):
            put(storage, "a", b"new")
    assert storage.read("a", 0, 9) == b"old"
    assert files(storage) == ["a"]


def full(_descriptor: int, _content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_writer_that_dies_leaves_no_object_and_its_part_goes_after_a_day(storage: FilesystemStorage) -> None:
    put(storage, "a")
    child = os.fork()
    if child == 0:
        try:
            storage._put("b", lambda descriptor: os.kill(os.getpid(), 9))
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert [found.key for found in storage.list("")] == ["a"]
    (part,) = (storage.root / PARTS).iterdir()
    put(storage, "c")
    assert part.exists(), "a young part may have a living writer"
    yesterday = time.time() - filesystem.PART_SECONDS - 60
    os.utime(part, (yesterday, yesterday))
    put(storage, "c")
    assert not part.exists()


def test_every_new_folder_is_on_disk_before_the_object_counts(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(filesystem, "_sync_folder", synced.append)
    put(storage, "v/1/2/a")
    root = storage.root.resolve()
    assert {root, root / "v", root / "v/1", root / "v/1/2"} <= set(synced)
    synced.clear()
    put(storage, "v/1/2/b")
    assert synced == [root / "v/1/2"]


def test_a_strange_folder_among_the_parts_stops_nobody(storage: FilesystemStorage) -> None:
    put(storage, "a")
    strange = storage.root / PARTS / "lost+found"
    strange.mkdir()
    os.utime(strange, (0, 0))
    put(storage, "b")
    assert storage.read("b", 0, 9) == b"content"


def test_writers_and_deleters_of_one_folder_do_not_hurt_each_other(storage: FilesystemStorage) -> None:
    def work(number: int) -> None:
        for _ in range(100):
            put(storage, f"v/1/2/{number}")
            storage.delete([f"v/1/2/{number}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert list(storage.list("")) == []


def test_unwritable_storage_says_what_to_do(storage: FilesystemStorage, as_nobody: None, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="write permission"):
        put(storage, "new/object")
    with pytest.raises(StorageUnavailable, match="write permission"):
        storage.delete(["kept/object"])
    assert storage.read("kept/object", 0, 9) == b"content"
    with pytest.raises(StorageUnavailable, match="read"):
        storage.read("secret", 0, 9)


@pytest.fixture
def as_nobody(storage: FilesystemStorage, tmp_path: Path) -> Iterator[None]:
    """Rights mean nothing to root, so the test goes on as somebody else."""
    put(storage, "kept/object")
    put(storage, "secret")
    (storage.root / "secret").chmod(0)
    locked = [storage.root, storage.root / "kept", storage.root / PARTS]
    opened = [
        folder for folder in tmp_path.parents if folder != Path("/") and folder.stat().st_uid == tmp_path.stat().st_uid
    ]
    modes = {folder: folder.stat().st_mode for folder in [*locked, *opened, tmp_path]}
    for folder in [*opened, tmp_path]:
        folder.chmod(modes[folder] | 0o011)
    for folder in locked:
        folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    if user == 0:
        os.seteuid(0)
    for folder, mode in modes.items():
        folder.chmod(mode)


def test_an_object_can_not_be_a_folder_too(storage: FilesystemStorage) -> None:
    put(storage, "a")
    with pytest.raises(InvalidPayload):
        put(storage, "a/b")
    put(storage, "c/d")
    with pytest.raises(InvalidPayload):
        put(storage, "c")
    assert files(storage) == ["a", "c/d"]


def test_a_part_of_a_key_that_is_too_long_for_a_file_name_is_refused(storage: FilesystemStorage) -> None:
    with pytest.raises(InvalidPayload):
        put(storage, "x" * 300)
    with pytest.raises(SourceMissing):
        storage.head("x" * 300)


def test_a_file_changed_in_place_has_another_version(storage: FilesystemStorage) -> None:
    put(storage, "a", b"one")
    version = storage.head("a").version
    time_before = (storage.root / "a").stat().st_mtime_ns
    (storage.root / "a").write_bytes(b"two")
    os.utime(storage.root / "a", ns=(time_before + 1, time_before + 1))
    with pytest.raises(StorageUnavailable):
        storage.read("a", 0, 3, version=version)


def test_others_may_read_what_is_published(storage: FilesystemStorage) -> None:
    mask = os.umask(0o022)
    try:
        put(storage, "v/a")
    finally:
        os.umask(mask)
    assert (storage.root / "v" / "a").stat().st_mode & 0o777 == 0o644


def test_a_large_copy_works_without_the_kernels_range_copy(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3_000_000)
    put(storage, "a", content)

    def refuse(*_args: object, **_kwargs: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    storage.copy("a", "b")
    assert storage.read("b", 0, len(content)) == content

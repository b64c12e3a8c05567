"""What only a bucket does: headers, parts, lost answers, wrong credentials."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from src.domain.errors import ConfigError, SourceMissing, StorageUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.s3.storage import S3Storage
from tests.contracts.backends.s3 import s3_storage
from tests.servers.kinds import S3_BUCKET, start_s3
from tests.servers.process import free_ports


@pytest.fixture
def storage(tmp_path: Path) -> S3Storage:
    made = s3_storage(SystemClock(), tmp_path)
    assert isinstance(made, S3Storage)
    return made


def raw(storage: S3Storage) -> Any:
    return storage._client()


def refused(code: str, operation: str = "PutObject", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "scripted"}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


def test_v6_objects_have_their_content_type_and_cache_control(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "a.m4s").write_bytes(b"x" * 1000)
    storage.put_file(
        "a/seg.m4s", tmp_path / "a.m4s", content_type="video/iso.segment", cache_control="max-age=31536000"
    )
    storage.put_bytes(
        "a/index.m3u8", b"#EXTM3U", content_type="application/vnd.apple.mpegurl", cache_control="no-cache"
    )
    for key, kind, cache in (
        ("a/seg.m4s", "video/iso.segment", "max-age=31536000"),
        ("a/index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
    ):
        answer = raw(storage).head_object(Bucket=S3_BUCKET, Key=f"{storage.prefix}/{key}")
        assert (answer["ContentType"], answer["CacheControl"]) == (kind, cache)


def test_a_large_file_goes_up_in_parts_and_leaves_no_unfinished_upload(storage: S3Storage, tmp_path: Path) -> None:
    content = os.urandom(12 << 20)
    (tmp_path / "large").write_bytes(content)
    stored = storage.put_file("large", tmp_path / "large", content_type="x/y", cache_control="")
    assert stored.version.strip('"').endswith("-3")
    assert storage.read("large", 0, len(content)) == content
    copied = storage.copy("large", "copy")
    assert storage.read("copy", 5 << 20, 100, version=copied.version) == content[5 << 20 : (5 << 20) + 100]
    assert not raw(storage).list_multipart_uploads(Bucket=S3_BUCKET, Prefix=storage.prefix).get("Uploads")


def test_an_upload_that_fails_in_the_middle_is_taken_back(
    storage: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(bytes(12 << 20))
    client, parts = raw(storage), []
    upload = client.upload_part

    def second_fails(**arguments: Any) -> Any:
        parts.append(arguments["PartNumber"])
        if arguments["PartNumber"] == 2:
            raise refused("SlowDown", "UploadPart", 503)
        return upload(**arguments)

    monkeypatch.setattr(client, "upload_part", second_fails)
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        storage.put_file("large", tmp_path / "large", content_type="x/y", cache_control="")
    assert 2 in parts
    assert not client.list_multipart_uploads(Bucket=S3_BUCKET, Prefix=storage.prefix).get("Uploads")
    with pytest.raises(SourceMissing):
        storage.head("large")


def test_more_objects_than_one_page_or_one_delete_takes(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    from src.infrastructure.s3 import storage as module

    monkeypatch.setattr(module, "DELETE_AT_ONCE", 3)
    wanted = {f"v/{number:02}" for number in range(8)}
    for key in wanted:
        storage.put_bytes(key, b"", content_type="x/y", cache_control="")
    client, pages = raw(storage), []
    listing = client.list_objects_v2

    def short_pages(**arguments: Any) -> Any:
        pages.append(arguments)
        return listing(**arguments, MaxKeys=3)

    monkeypatch.setattr(client, "list_objects_v2", short_pages)
    assert {found.key for found in storage.list("v/")} == wanted
    assert len(pages) == 3
    storage.delete(sorted(wanted))
    assert list(storage.list("v/")) == []


def test_a_partly_failed_delete_is_an_error(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"Errors": [{"Key": f"{storage.prefix}/v/1", "Code": "InternalError", "Message": "try again"}]}
    monkeypatch.setattr(raw(storage), "delete_objects", lambda **_: answer)
    with pytest.raises(StorageUnavailable, match=r"1 of 2 objects were not removed; v/1: InternalError"):
        storage.delete(["v/1", "v/2"])


def test_f18_a_body_that_is_cut_is_no_end_of_the_object(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put_bytes("a", b"0123456789", content_type="x/y", cache_control="")
    client = raw(storage)
    fetch = client.get_object

    class Cut:
        def close(self) -> None:
            pass

        def read(self) -> bytes:
            return b"012"

    monkeypatch.setattr(client, "get_object", lambda **arguments: {**fetch(**arguments), "Body": Cut()})
    with pytest.raises(StorageUnavailable, match="3 of 10 bytes"):
        storage.read("a", 0, 10)


@pytest.mark.parametrize(
    ("change", "said", "fix"),
    [
        ({"bucket": "nobodys-bucket"}, "nobodys-bucket", "WORKER_STORAGE__BUCKET"),
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch", "WORKER_STORAGE__ACCESS_KEY"),
        ({"access_key": "nobody"}, "InvalidAccessKeyId", "WORKER_STORAGE__ACCESS_KEY"),
        ({"endpoint_url": "not an address"}, "ValueError", "WORKER_STORAGE__ENDPOINT_URL"),
    ],
)
def test_e13_what_waiting_cannot_mend_is_an_error_of_the_settings(
    storage: S3Storage, change: dict[str, str], said: str, fix: str
) -> None:
    wrong = dataclasses.replace(storage, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said) as refusal:
        wrong.check()
    assert fix in (refusal.value.fix or "")
    assert storage.check()[0].startswith(f"bucket {S3_BUCKET}")


def test_secrets_are_not_shown(storage: S3Storage) -> None:
    assert "mediaworker-test-secret" not in repr(storage)


def test_a_storage_that_is_away_may_come_back() -> None:
    (port,) = free_ports()
    away = S3Storage(bucket="b", endpoint_url=f"http://127.0.0.1:{port}", access_key="k", secret_key="s")
    with pytest.raises(StorageUnavailable, match=f"no answer from the storage at 127.0.0.1:{port}") as raised:
        away.check()
    assert "WORKER_STORAGE__ENDPOINT_URL" in str(raised.value.fix)


def test_the_address_that_is_named_has_no_login_and_no_path() -> None:
    away = S3Storage(bucket="b", endpoint_url="http://user:canary@127.0.0.1:1/canary", access_key="k", secret_key="s")
    with pytest.raises(StorageUnavailable, match=r"127.0.0.1:1 ") as raised:
        away.head("k")
    assert "canary" not in str(raised.value)


def test_lesson_a_restart_of_the_service_needs_no_restart_of_the_worker() -> None:
    server = start_s3()
    try:
        storage = S3Storage(
            bucket=S3_BUCKET,
            prefix=uuid.uuid4().hex,
            endpoint_url=server.url,
            access_key="mediaworker-test",
            secret_key="mediaworker-test-secret",
        )
        storage.put_bytes("a", b"kept", content_type="x/y", cache_control="")
        server.kill()
        with pytest.raises(StorageUnavailable):
            storage.read("a", 0, 4)
        server.start()
        # It answers before it has found all its files again.
        until = time.monotonic() + 60
        while True:
            try:
                found = storage.read("a", 0, 4)
                break
            except StorageUnavailable:
                assert time.monotonic() < until
                time.sleep(0.2)
        assert found == b"kept"
    finally:
        server.remove()


# ---------------------------------------------------------------------- in pieces
def test_a_large_range_comes_in_pieces_that_make_what_a_read_gives(storage: S3Storage) -> None:
    content = os.urandom(3 << 20)
    version = storage.put_bytes("large", content, content_type="x/y", cache_control="").version
    pieces = list(storage.read_pieces("large", 1000, 2 << 20, version=version))
    assert b"".join(pieces) == content[1000 : 1000 + (2 << 20)]
    assert len(pieces) >= 8
    assert b"".join(storage.read_pieces("large", len(content) - 5, 1 << 20, version=version)) == content[-5:]


def test_pieces_of_another_version_or_of_nothing_are_refused(storage: S3Storage) -> None:
    version = storage.put_bytes("large", b"old", content_type="x/y", cache_control="").version
    storage.put_bytes("large", b"new", content_type="x/y", cache_control="")
    with pytest.raises(StorageUnavailable, match="changed"):
        list(storage.read_pieces("large", 0, 3, version=version))
    with pytest.raises(SourceMissing):
        list(storage.read_pieces("nothing", 0, 3, version=version))


@pytest.mark.parametrize("ending", ["cut", "silent"])
def test_a_body_that_is_cut_or_stalls_is_an_error_that_may_pass(storage: S3Storage, ending: str) -> None:
    """By a service that promises 100 bytes, sends 40, and hangs up or says nothing more."""
    heads = b'HTTP/1.1 206 Partial Content\r\nETag: "v"\r\nContent-Range: bytes 0-99/100\r\nContent-Length: 100\r\n\r\n'
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(1 << 16)
            connection.sendall(heads + bytes(40))
            if ending == "silent":
                over.wait(30)

    def serve() -> None:
        while not over.is_set():
            try:
                answer(listener.accept()[0])
            except TimeoutError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            for way in ("read", "read_pieces"):
                # The service answers one at a time; a client of its own per way, and a short patience.
                asking = dataclasses.replace(storage, endpoint_url=address, read_seconds=1)
                with pytest.raises(StorageUnavailable):
                    list(getattr(asking, way)("large", 0, 100, version='"v"'))
                if ending == "silent":
                    over.set()
                    serving.join()
                    over.clear()
                    serving = threading.Thread(target=serve, daemon=True)
                    serving.start()
        finally:
            over.set()
            serving.join()


def test_a_service_that_ignores_ranges_gives_the_range_all_the_same(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = storage.put_bytes("large", b"0123456789", content_type="x/y", cache_control="").version
    client = raw(storage)
    real = client.get_object

    def everything(**arguments: Any) -> Any:
        arguments.pop("Range")
        return real(**arguments)

    monkeypatch.setattr(client, "get_object", everything)
    assert list(storage.read_pieces("large", 3, 4, version=version)) == [b"3456"]

"""Temporary addresses of objects, by a server that checks signatures."""

from __future__ import annotations

import dataclasses
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from src.domain.errors import InvalidPayload, StorageUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.observability.logs import Censor
from src.infrastructure.s3.storage import S3Storage
from tests.contracts.backends.s3 import s3_storage
from tests.functional.fleet import wait_for
from tests.servers.kinds import S3_SECRET_KEY

KEY = "tenants/acme/video/raw/v 1/필름 100%.mp4"
CONTENT = b"a film"


@pytest.fixture
def storage(tmp_path: Path) -> S3Storage:
    made = s3_storage(SystemClock(), tmp_path)
    assert isinstance(made, S3Storage)
    made.put_bytes(KEY, CONTENT, content_type="video/mp4", cache_control="")
    return made


def ask(address: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body, by a client that has nothing but the address."""
    request = urllib.request.Request(address, data=body, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_an_address_gives_the_object_to_somebody_without_credentials(storage: S3Storage) -> None:
    address = storage.presign_get(KEY, seconds=600)
    assert ask(address) == (200, CONTENT)
    bare = address.split("?")[0]
    assert ask(bare)[0] == 403, "without the signature there is nothing to see"
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["X-Amz-Expires"] == ["600"]


def test_an_address_is_for_one_object_and_for_reading_alone(storage: S3Storage) -> None:
    storage.put_bytes("tenants/other/film.mp4", b"theirs", content_type="video/mp4", cache_control="")
    address = storage.presign_get(KEY, seconds=600)
    assert ask(address, "PUT", b"changed")[0] == 403
    assert ask(address, "DELETE")[0] == 403
    assert storage.read(KEY, 0, 100) == CONTENT
    path = urllib.parse.urlsplit(address).path
    other = urllib.parse.urlsplit(storage.presign_get("tenants/other/film.mp4", seconds=600)).path
    assert ask(address.replace(path, other))[0] == 403
    longer = address.replace("X-Amz-Expires=600", "X-Amz-Expires=6000")
    assert longer != address
    assert ask(longer)[0] == 403


def test_an_address_expires(storage: S3Storage) -> None:
    address, began = storage.presign_get(KEY, seconds=2), time.time()
    assert ask(address) == (200, CONTENT)
    wait_for(lambda: ask(address)[0] == 403, 30, "the address has expired")
    assert time.time() - began >= 1, "not before its time (which the signature counts in whole seconds)"


def test_signing_asks_nobody_and_a_missing_object_is_found_out_later(storage: S3Storage) -> None:
    away = dataclasses.replace(storage, endpoint_url="http://127.0.0.1:1")
    assert away.presign_get(KEY, seconds=60).startswith("http://127.0.0.1:1/")
    assert ask(storage.presign_get("no/such.mp4", seconds=60))[0] == 404


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
def test_a_time_that_no_signature_can_have_is_refused(storage: S3Storage, seconds: int) -> None:
    with pytest.raises(InvalidPayload, match=f"good for {seconds} s"):
        storage.presign_get(KEY, seconds=seconds)


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_an_address_can_not_leave_the_prefix(storage: S3Storage, key: str) -> None:
    with pytest.raises(InvalidPayload):
        storage.presign_get(key, seconds=60)


def test_without_credentials_there_is_no_address_and_the_error_says_what_to_set(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageUnavailable, match="no credentials were found") as raised:
        dataclasses.replace(storage, access_key=None, secret_key=None).presign_get(KEY, seconds=60)
    assert "WORKER_STORAGE__ACCESS_KEY" in str(raised.value.fix)


def test_neither_the_secret_nor_a_signature_is_logged(
    storage: S3Storage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO):
        address = storage.presign_get(KEY, seconds=60)
    assert caplog.records == [], "signing says nothing, and so nothing that it must not"
    assert S3_SECRET_KEY not in repr(storage)
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["X-Amz-Signature"][0]
    assert S3_SECRET_KEY not in address
    shown = str(Censor().fields({"event": f"asked for {address}", "url": address, "why": ValueError(address)}))
    assert shown.count("X-Amz-Expires=60") == 3
    assert signature not in shown

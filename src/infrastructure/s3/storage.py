"""Objects in one bucket under one prefix."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from src.application.ports.storage import StoredObject
from src.domain.errors import FileAccessError, InvalidPayload, ObjectsLeft, SourceMissing, StorageUnavailable
from src.domain.ids import storage_key
from src.infrastructure.aws.answers import code_of, refuse_cut_answers
from src.infrastructure.s3.errors import BEYOND, at_start, translated

CONNECT_SECONDS = 5
READ_SECONDS = 30
TRIES = 4
"""Of one call, by the SDK, with its own pauses. Longer outages are the engine's: the job is retried."""

POOL = 32
"""Connections kept: uploads run in several threads, and each may send parts in parallel."""

PART_BYTES = 16 << 20
"""S3 takes 10,000 parts: 160 GB an object."""

PARTS_AT_ONCE = 4

PIECE_BYTES = 256 << 10
"""Read from a connection at a time: small enough that the same memory is used again and again."""

DELETE_AT_ONCE = 1000
"""Keys in one DeleteObjects (the service's limit)."""

LONGEST_ADDRESS_SECONDS = 7 * 24 * 3600
"""The signature's own limit."""

EMULATOR_REGION = "us-east-1"
"""Where an endpoint of its own is given and no region: such services take any."""

MAKING = threading.Lock()
"""Clients are thread-safe, a session that makes them is not."""


@dataclass
class S3Storage:
    """Storage, InPieces and Presigner. Thread-safe; a forked process makes a client of its own. Nothing is connected before the first call."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    part_bytes: int = PART_BYTES
    read_seconds: float = READ_SECONDS
    _client_made: Any = field(default=None, init=False, repr=False)
    _owner: int = field(default=0, init=False, repr=False)

    # ------------------------------------------------------------------ Storage
    def head(self, key: str) -> StoredObject:
        """Facts about one object."""
        name = self._name(key)
        with translated("look at", key):
            return _described(key, self._client().head_object(Bucket=self.bucket, Key=name))

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """One ranged GET; a body that is cut short is an error of the connection, not the object's end."""
        name = self._name(key)
        condition = {"IfMatch": version} if version else {}
        if length <= 0:
            self._unchanged(key, version)
            return b""
        wanted = f"bytes={offset}-{offset + length - 1}"
        try:
            with translated("read", key):
                answer = self._client().get_object(Bucket=self.bucket, Key=name, Range=wanted, **condition)
                # Not `with answer["Body"]`: that gives the bare connection, whose errors are nobody's.
                with closing(answer["Body"]) as body:
                    content: bytes = body.read()
        except StorageUnavailable as error:
            if code_of(error.__cause__) not in BEYOND:
                raise
            self._unchanged(key, version)
            return b""
        if "ContentRange" not in answer:
            # A service that ignores ranges sends everything.
            content = content[offset : offset + length]
        elif len(content) != answer["ContentLength"]:
            raise StorageUnavailable(f"the answer for {key} was cut: {len(content)} of {answer['ContentLength']} bytes")
        return content

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        """In parts, in parallel, where it is large; the SDK aborts an upload that failed, so that no part stays."""
        name = self._name(key)
        try:
            size = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise FileAccessError(f"can't read {path.name} to store it: {error.strerror}") from error
        config = TransferConfig(
            multipart_threshold=self.part_bytes, multipart_chunksize=self.part_bytes, max_concurrency=PARTS_AT_ONCE
        )
        with translated("store", key):
            self._client().upload_file(
                str(path), self.bucket, name, ExtraArgs=_headers(content_type, cache_control), Config=config
            )
        stored = self.head(key)
        if stored.size != size:
            raise StorageUnavailable(f"{key} holds {stored.size} bytes after an upload of {size}")
        return stored

    def put_bytes(self, key: str, content: bytes, *, content_type: str, cache_control: str) -> StoredObject:
        """One PUT, whose checksum the service verifies."""
        name = self._name(key)
        with translated("store", key):
            self._client().put_object(
                Bucket=self.bucket, Key=name, Body=content, **_headers(content_type, cache_control)
            )
        return self.head(key)

    def copy(self, source: str, target: str) -> StoredObject:
        """Inside the service, in parts where it is large. The headers go along."""
        before, name = self.head(source), self._name(target)
        if source == target:
            return before
        with translated("copy", source):
            self._client().copy({"Bucket": self.bucket, "Key": self._name(source)}, self.bucket, name)
        return self.head(target)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Page by page."""
        if prefix:
            storage_key(prefix.removesuffix("/"), "prefix")
        return self._listed(prefix)

    def delete(self, keys: Sequence[str]) -> None:
        """A thousand at a time, all of them. Raises ObjectsLeft naming what the service refused, StorageUnavailable."""
        names = [self._name(key) for key in keys]
        refused: list[Mapping[str, Any]] = []
        for start in range(0, len(names), DELETE_AT_ONCE):
            batch = names[start : start + DELETE_AT_ONCE]
            with translated("remove", keys[start]):
                answer = self._client().delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": name} for name in batch], "Quiet": True}
                )
            refused += [one for one in answer.get("Errors", ()) if one.get("Code") != "NoSuchKey"]
        if refused:
            left = [self._key(str(one.get("Key", ""))) for one in refused]
            worst = f"{left[0]}: {refused[0].get('Code')}: {refused[0].get('Message')}"
            raise ObjectsLeft(f"{len(left)} of {len(names)} objects were not removed; {worst}"[:400], left=left)

    def local_path(self, key: str) -> Path | None:
        """None: objects are fetched."""
        self._name(key)
        return None

    # ------------------------------------------------------------------ InPieces
    def read_pieces(self, key: str, offset: int, length: int, *, version: str) -> Iterator[bytes]:
        """One ranged GET, handed over as it comes; the SDK raises when its body is cut short."""
        name = self._name(key)
        with translated("read", key):
            answer = self._client().get_object(
                Bucket=self.bucket, Key=name, Range=f"bytes={offset}-{offset + length - 1}", IfMatch=version
            )
        with closing(answer["Body"]) as body:
            if "ContentRange" not in answer:
                # A service that ignores ranges sends everything.
                yield self.read(key, offset, length, version=version)
                return
            while True:
                with translated("read", key):
                    piece: bytes = body.read(PIECE_BYTES)
                if not piece:
                    return
                yield piece

    # ------------------------------------------------------------------ Presigner
    def presign_get(self, key: str, *, seconds: int) -> str:
        """Signed here, without a call."""
        name = self._name(key)
        if not 1 <= seconds <= LONGEST_ADDRESS_SECONDS:
            raise InvalidPayload(
                f"an address can't be good for {seconds} s", fix=f"1 to {LONGEST_ADDRESS_SECONDS} seconds (a week)"
            )
        with translated("sign an address of", key):
            address: str = self._client().generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": name}, ExpiresIn=seconds, HttpMethod="GET"
            )
        return address

    # ------------------------------------------------------------------ Checkable
    def check(self) -> Sequence[str]:
        """The bucket is there and may be listed. Raises ConfigError, StorageUnavailable."""
        try:
            with translated("look at the bucket", self.bucket):
                self._client().list_objects_v2(Bucket=self.bucket, Prefix=self._base, MaxKeys=1)
        except (StorageUnavailable, SourceMissing) as error:
            raise at_start(error) from error
        return [f"bucket {self.bucket}" + (f", under {self.prefix}/" if self.prefix else "")]

    # ------------------------------------------------------------------ names
    @property
    def _base(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _name(self, key: str) -> str:
        name = self._base + storage_key(key, "storage key")
        if len(name.encode()) > 1024:
            raise InvalidPayload(f"storage key {key[:80]!r} is longer than S3 takes (1024 bytes with the prefix)")
        return name

    def _key(self, name: str) -> str:
        return name.removeprefix(self._base)

    # ------------------------------------------------------------------ shared
    def _listed(self, prefix: str) -> Iterator[StoredObject]:
        more: dict[str, str] = {}
        while True:
            with translated("list", prefix or "/"):
                page = self._client().list_objects_v2(Bucket=self.bucket, Prefix=self._base + prefix, **more)
            for found in page.get("Contents", ()):
                key = self._key(found["Key"])
                if not key.endswith("/"):  # consoles make such objects to show a folder
                    yield _described(key, {**found, "ContentLength": found["Size"]})
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _unchanged(self, key: str, version: str | None) -> None:
        if version not in (None, self.head(key).version):
            raise StorageUnavailable(f"{key} changed while it was read")

    def _client(self) -> Any:
        with MAKING:
            if self._client_made is None or self._owner != os.getpid():
                # Sockets that a fork copied belong to the other process.
                self._client_made, self._owner = self._make(), os.getpid()
            return self._client_made

    def _make(self) -> Any:
        session = boto3.session.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region or (EMULATOR_REGION if self.endpoint_url else None),
        )
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self.read_seconds,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=POOL,
            tcp_keepalive=True,
            # R2 and older services don't know the newer checksums that the SDK adds by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if self.endpoint_url else {},
        )
        with translated("reach", self.bucket):
            return refuse_cut_answers(session.client("s3", endpoint_url=self.endpoint_url, config=config))


def _headers(content_type: str, cache_control: str) -> dict[str, str]:
    return {"ContentType": content_type, **({"CacheControl": cache_control} if cache_control else {})}


def _described(key: str, answer: Mapping[str, Any]) -> StoredObject:
    try:
        # Whole seconds: listings and heads round differently.
        return StoredObject(
            key=key,
            size=int(answer["ContentLength"]),
            version=str(answer["ETag"]),
            modified_at=float(int(answer["LastModified"].timestamp())),
        )
    except KeyError as error:
        raise StorageUnavailable(f"the answer about {key} was cut: it has no {error.args[0]}") from error

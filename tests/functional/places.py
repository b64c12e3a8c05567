"""What a worker needs to run on each technology: servers, and the environment variables that lead to them.

Names are those of the settings (`WORKER_QUEUE__BACKEND` and its like), so a test that says "on every queue" is a test
parametrized with QUEUES, DATABASES, STORAGES or LOCKS and nothing else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from tests.adapters.postgres import make_database
from tests.contracts.backends.sqs import REGION, client
from tests.servers.kinds import KINDS, S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY
from tests.servers.process import Server
from tests.servers.shared import shared

AWS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Place:
    """Settings of one deployment, and the servers behind it by kind ("postgres", "redis", "sqs", "s3")."""

    environ: dict[str, str] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)


Find = Callable[[str], Server]
"""Gives the server of a kind: everybody's (`shared`), or one that this test may break."""


def _no_server(_find: Find, backend: str) -> Mapping[str, str]:
    return {"WORKER_QUEUE__BACKEND": backend}


def _sqs(find: Find, _backend: str) -> Mapping[str, str]:
    server, name = find("sqs"), f"video-{uuid.uuid4().hex[:8]}"
    asking = client(server)
    asking.create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": "1209600"})
    asking.close()
    return {
        **AWS_KEYS,
        "WORKER_QUEUE__BACKEND": "sqs",
        "WORKER_QUEUE__NAME": name,
        "WORKER_AWS__ENDPOINT_URL": server.url,
        "WORKER_AWS__REGION": REGION,
    }


def _redis(find: Find, _backend: str) -> Mapping[str, str]:
    return {
        "WORKER_QUEUE__BACKEND": "redis",
        "WORKER_QUEUE__NAME": f"video-{uuid.uuid4().hex[:8]}",
        "WORKER_REDIS__URL": find("redis").url,
    }


def _postgres(find: Find, _backend: str) -> Mapping[str, str]:
    # A database of its own: the queue need not live where the ledger does.
    return {"WORKER_QUEUE__BACKEND": "postgres", "WORKER_QUEUE__URL": make_database(find("postgres"))}


QUEUES: Mapping[str, Callable[[Find, str], Mapping[str, str]]] = {
    "memory": _no_server,
    "sqlite": _no_server,
    "sqs": _sqs,
    "redis": _redis,
    "postgres": _postgres,
}

DATABASES: Mapping[str, Callable[[Find], Mapping[str, str]]] = {
    "sqlite": lambda _find: {},
    "postgres": lambda find: {"WORKER_DATABASE__URL": make_database(find("postgres"))},
}

STORAGES: Mapping[str, Callable[[Find], Mapping[str, str]]] = {
    "filesystem": lambda _find: {"WORKER_STORAGE__BACKEND": "filesystem"},
    "s3": lambda find: {
        "WORKER_STORAGE__BACKEND": "s3",
        "WORKER_STORAGE__BUCKET": S3_BUCKET,
        "WORKER_STORAGE__PREFIX": f"fleet/{uuid.uuid4().hex}",
        "WORKER_STORAGE__ENDPOINT_URL": find("s3").url,
        "WORKER_STORAGE__ACCESS_KEY": S3_ACCESS_KEY,
        "WORKER_STORAGE__SECRET_KEY": S3_SECRET_KEY,
    },
}

LOCKS: Mapping[str, Callable[[Find], Mapping[str, str]]] = {
    "memory": lambda _find: {"WORKER_LOCK__BACKEND": "memory"},
    "database": lambda _find: {"WORKER_LOCK__BACKEND": "database"},
    "redis": lambda find: {
        "WORKER_LOCK__BACKEND": "redis",
        "WORKER_PROGRESS__BACKEND": "redis",
        "WORKER_REDIS__URL": find("redis").url,
    },
}

LEDGERS: Mapping[str, Callable[[Find], Mapping[str, str]]] = {
    "database": lambda _find: {},
    "redis": lambda find: {
        "WORKER_LEDGER__BACKEND": "redis",
        "WORKER_LEDGER__NAME": f"ledger-{uuid.uuid4().hex[:8]}",
        "WORKER_REDIS__URL": find("redis").url,
    },
}


@contextmanager
def place(
    *,
    queue: str = "sqlite",
    database: str = "sqlite",
    storage: str = "filesystem",
    lock: str = "database",
    ledger: str = "database",
    own: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Place]:
    """A deployment by the names of its backends. With `own`, its servers are this test's, to be killed or stopped, and gone
    at the end; they keep what they acknowledged over a kill where the kind can. `options` are for `start_*` by kind."""
    made = Place()
    with ExitStack() as ends:

        def find(kind: str) -> Server:
            if kind not in made.servers:
                if own:
                    durable = {"durable": True} if kind in ("postgres", "redis") else {}
                    server = KINDS[kind](**durable, **(options or {}).get(kind, {}))
                    ends.callback(server.remove)
                else:
                    server = shared(kind)
                made.servers[kind] = server
            return made.servers[kind]

        made.environ.update(DATABASES[database](find))
        made.environ.update(STORAGES[storage](find))
        made.environ.update(LOCKS[lock](find))
        made.environ.update(LEDGERS[ledger](find))
        made.environ.update(QUEUES[queue](find, queue))
        if (queue, database) == ("sqlite", "postgres"):
            # The embedded queue beside a server: in a file of its own.
            folder = ends.enter_context(TemporaryDirectory(prefix="mw-queue-"))
            made.environ["WORKER_QUEUE__URL"] = f"sqlite:///{folder}/queue.db"
        yield made

"""Redis by configuration alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.application.catalog import Catalog
from src.application.ports.checkable import Checkable
from src.domain.errors import ConfigError
from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.progress import RedisProgress
from src.infrastructure.redis.queue import RedisQueue
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.environment import load

CHOSEN = {
    "WORKER_QUEUE__BACKEND": "redis",
    "WORKER_QUEUE__NAME": "worker:high",
    "WORKER_LOCK__BACKEND": "redis",
    "WORKER_PROGRESS__BACKEND": "redis",
    "VIDEO_PROGRESS_TTL_SECONDS": "60",
}


def adapters(folder: Path, **more: str) -> Adapters:
    return build(load({**CHOSEN, "WORKER_DATA_DIR": str(folder), **more}), Catalog(()))


@pytest.mark.parametrize(
    "address",
    [
        {"WORKER_REDIS__URL": "redis://:p%40@h:7/3"},
        {"REDIS_HOST": "h", "REDIS_PORT": "7", "REDIS_DB": "3", "REDIS_PASSWORD": "p@"},
    ],
)
def test_one_address_serves_every_port_that_chose_redis(tmp_path: Path, address: dict[str, str]) -> None:
    made = adapters(tmp_path, **address)
    queue, lock, progress = made.queue(), made.lock(), made.progress()
    assert isinstance(queue, RedisQueue)
    assert isinstance(lock, RedisIdempotency)
    assert isinstance(progress, RedisProgress)
    assert queue.name == "worker:high"
    assert progress.ttl_seconds == 60
    for adapter in (queue, lock, progress):
        assert isinstance(adapter, Checkable)
        assert adapter.link.address.shown == "redis://h:7/3"
        assert adapter.link.options["password"] == "p@"
        assert "p@" not in repr(adapter)
        assert "p%40" not in repr(adapter)


@pytest.mark.parametrize("port", ["queue", "lock", "progress"])
def test_redis_without_an_address_is_an_error_of_the_configuration(tmp_path: Path, port: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_REDIS__URL"):
        getattr(adapters(tmp_path), port)()

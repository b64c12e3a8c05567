"""From the address in the settings to a client: one server, a Sentinel's primary, or a cluster."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from redis import Redis, RedisCluster, Sentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import Connection, parse_url
from redis.retry import Retry

from src.domain.errors import ConfigError, NetworkError
from src.infrastructure.redis.errors import ERRORS, as_config, unavailable

TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection, and for one answer (contracts.md 1.4)."""

SENTINEL_PORT, PORT = 26379, 6379
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
FORMS = (
    "WORKER_REDIS__URL is redis://[user:password@]host:port/db, rediss://..., unix:///path?db=0,"
    " redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)

Answer = TypeVar("Answer")


@dataclass
class RedisLink:
    """The way to one Redis. The client is made when it is first asked something and again after every failure to make it:
    a server that is away at the start is tried at each call. Thread-safe; connections are made anew after a fork.

    `error` is what the port of this link's adapter raises."""

    url: str | None = field(repr=False)
    error: type[NetworkError]
    timeout_seconds: float = TIMEOUT_SECONDS
    address: Address = field(init=False)
    options: dict[str, Any] = field(init=False, repr=False)
    _client: Redis | None = field(default=None, init=False, repr=False)
    _scripts: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.address = Address.parse(self.url)
        self.options = self.address.options(self.timeout_seconds)
        self.timeout_seconds = float(self.options.get("socket_timeout") or TIMEOUT_SECONDS)

    def ask(self, question: Callable[[Redis], Any]) -> Any:
        """The answer. Raises the port's error, which says where and how to mend it, never the password."""
        try:
            return question(self._connected())
        except ERRORS as error:
            raise unavailable(error, self.error, self.address.shown, self.address.secrets) from error

    def run(self, script: str, keys: tuple[str, ...] = (), args: tuple[Any, ...] = ()) -> Any:
        """What a Lua script answers. A server that does not know it (restarted, flushed) is given it again."""

        def question(client: Redis) -> Any:
            made = self._scripts.get(script)
            if made is None:
                made = self._scripts[script] = client.register_script(script)
            return made(keys, args)

        return self.ask(question)

    def tried(self, work: Callable[[], Answer]) -> Answer:
        """The same for a start-up check: what waiting can't mend is an error of the configuration. Raises ConfigError, or
        the port's error."""
        try:
            return work()
        except NetworkError as error:
            if (made := as_config(error)) is error:
                # Not `from` itself: the server's own words are its cause, and a chain that leads to itself has no end.
                raise
            raise made from error

    def info(self) -> Mapping[str, Any]:
        """What the server says of itself; empty for a cluster, and where the user may not ask."""
        if self.address.cluster:
            return {}
        try:
            found: Mapping[str, Any] = self.ask(lambda client: client.info())
        except NetworkError as error:
            if isinstance(as_config(error), ConfigError):
                return {}
            raise
        return found

    def close(self) -> None:
        """Let the connections go; the next question makes new ones."""
        with self._lock:
            client, self._client = self._client, None
            self._scripts.clear()
        if client is not None:
            client.close()

    def _connected(self) -> Redis:
        if (client := self._client) is not None:
            return client
        with self._lock:
            if self._client is None:
                self._scripts.clear()
                try:
                    self._client = self.address.connect(self.options)
                except TypeError as error:
                    raise ConfigError("the address of Redis has an option that is not known", fix=FORMS) from error
            return self._client


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. `shown` has no user, no password and no options."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    service: str
    plain: str = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, url: str | None) -> Address:
        """Raises ConfigError, without repeating what may be a password."""
        if not url:
            raise ConfigError("a backend is `redis`, but the address of Redis is not set", fix=FORMS)
        scheme, found, rest = url.partition("://")
        if not found or scheme not in SCHEMES:
            raise ConfigError("the address of Redis has a scheme that is not known", fix=FORMS)
        kind, _, how = scheme.partition("+")
        authority, path, query = re.fullmatch(r"([^/?]*)([^?]*)(\?.*)?", rest, re.DOTALL).groups("")  # type: ignore[union-attr]
        login, _, places = authority.rpartition("@")
        try:
            hosts = tuple(_host(place, SENTINEL_PORT if how == "sentinel" else PORT) for place in places.split(","))
            service, _, number = path.strip("/").partition("/")
            if how == "sentinel" and not service:
                raise ConfigError("the address of a Sentinel does not name the service", fix=FORMS)
            if how:
                host = f"[{hosts[0][0]}]" if ":" in hosts[0][0] else hosts[0][0]
                database = number if how == "sentinel" else ""
                plain = f"{kind}://{login + '@' if login else ''}{host}:{hosts[0][1]}/{database}{query}"
            else:
                plain = url
            options = _options(plain)
        except ValueError as error:
            # Not shown, and not kept as the cause: it may repeat a part of the password.
            raise ConfigError("the address of Redis can't be read", fix=FORMS) from (None if login else error)
        secrets = [str(options[name]) for name in options if "password" in name and options[name]]
        return cls(
            scheme=scheme,
            hosts=hosts,
            service=service if how == "sentinel" else "",
            plain=plain,
            shown=f"{scheme}://{places}{path}",
            secrets=(*secrets, *([urlsplit(plain).password or ""] if urlsplit(plain).password else [])),
        )

    @property
    def cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self.scheme.endswith("+cluster")

    def options(self, timeout_seconds: float) -> dict[str, Any]:
        """For the client: the address's own options win. Nothing is repeated by the library: a command whose answer was
        lost may have happened, and the adapters know what that means."""
        return {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            **({} if self.scheme == "unix" else {"socket_keepalive": True}),
            **_options(self.plain),
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": False,
        }

    def connect(self, options: Mapping[str, Any]) -> Redis:
        """A client; only that of a cluster asks the servers at once."""
        if not self.service and not self.cluster:
            # By address and not by options alone: only so the library picks the kind of connection.
            kept = ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry", "decode_responses")
            return _sound(Redis.from_url(self.plain, **{name: options[name] for name in kept if name in options}))
        own = {name: value for name, value in options.items() if name not in ("host", "port", "connection_class")}
        if self.scheme.startswith("rediss"):
            own["ssl"] = True
        if self.cluster:
            # Made only to raise TypeError for options that no connection takes: the cluster's client drops them.
            Connection(**{name: value for name, value in own.items() if not name.startswith("ssl")})  # type: ignore[no-untyped-call]
            nodes = [ClusterNode(host, port) for host, port in self.hosts]  # type: ignore[no-untyped-call]
            return cast("Redis", RedisCluster(startup_nodes=nodes, **own))
        login = {name: own.pop(f"sentinel_{name}", None) for name in ("username", "password")}
        watchers = {name: value for name, value in own.items() if name.startswith(("socket_", "ssl"))}
        sentinel = Sentinel(list(self.hosts), sentinel_kwargs={**watchers, **login}, **own)  # type: ignore[no-untyped-call]
        return _sound(sentinel.master_for(self.service, redis_class=Redis))  # type: ignore[no-untyped-call]


def _sound(client: Redis) -> Redis:
    """Raises TypeError for options that no connection takes; the library would do so at the first question."""
    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    return client


def _options(url: str) -> dict[str, Any]:
    return cast("dict[str, Any]", parse_url(url))  # type: ignore[no-untyped-call]


def _host(place: str, port: int) -> tuple[str, int]:
    found = urlsplit(f"//{place}")
    return found.hostname or "localhost", found.port or port

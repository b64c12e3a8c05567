"""What Redis and its library say when something is wrong, in the ports' words."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from src.domain.errors import ConfigError, NetworkError

ERRORS = (RedisError, RedisClusterException, OSError)
"""Everything the library raises for the server's sake."""

TEXT = 300
"""Characters shown of an answer."""

NO_LOGIN = "correct user and password in WORKER_REDIS__URL"
NOT_LOGGED_IN = (
    "put user and password into WORKER_REDIS__URL: redis://:password@host:port/db or redis://user:password@..."
)
NO_PERMISSION = (
    "give this Redis user the keys and commands it needs: the queue's name, its name in braces with a colon and anything after"
    " it, the ledger's name in braces with a colon and anything after it, job:* for locks and progress; +@read +@write +@scripting +@connection +@blocking +time +info"
)
OTHER_TYPE = (
    "another program keeps something else under this name: choose another WORKER_QUEUE__NAME or WORKER_LEDGER__NAME"
)
REPLICA = "WORKER_REDIS__URL leads to a replica: give the primary's address, or the Sentinels'"
TOO_OLD = "the queue needs Redis 7.0 or later, the ledger Redis 6.2 or later; or Valkey"
NO_SUCH_DATABASE = "correct the database number in WORKER_REDIS__URL"
AWAY = "is Redis running and reachable from here, and WORKER_REDIS__URL right?"
FULL = "give Redis more memory (maxmemory), or let workers catch up"

SAID = (
    ("wrongpass", NO_LOGIN),
    ("noauth", NOT_LOGGED_IN),
    ("hello must be called", NOT_LOGGED_IN),
    ("authentication required", NOT_LOGGED_IN),
    ("invalid username-password", NO_LOGIN),
    ("noperm", NO_PERMISSION),
    ("no permissions", NO_PERMISSION),
    ("can't run this command", NO_PERMISSION),
    ("can't access", NO_PERMISSION),
    ("wrongtype", OTHER_TYPE),
    ("wrong kind of value", OTHER_TYPE),
    ("unknown command", TOO_OLD),
    ("compiling script", TOO_OLD),
    ("unknown redis command", TOO_OLD),
    ("db index is out of range", NO_SUCH_DATABASE),
    ("read only replica", REPLICA),
)
"""(words of the answer, how to fix it): waiting does not help with these. Scripts wrap the server's own errors in words of
theirs, so the words are looked for wherever they stand."""


def unavailable(
    error: BaseException, port_error: type[NetworkError], where: str, secrets: Sequence[str]
) -> NetworkError:
    """The port's error. It shows neither passwords nor what was sent."""
    said = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    for secret in secrets:
        said = said.replace(secret, "***")
    fix = _set_up(error) or _may_pass(error)
    if fix == NOT_LOGGED_IN:
        # The server's own words are about a command that nobody here gave.
        return port_error(f"Redis at {where} needs a password, and was given none", fix=fix)
    return port_error(f"Redis at {where} did not do as asked: {said[:TEXT]}", fix=fix)


def mistake(error: BaseException) -> ConfigError | None:
    """The error of the configuration that `as_config` makes of it, if it is one."""
    made = as_config(error) if isinstance(error, NetworkError) else None
    return made if isinstance(made, ConfigError) else None


def as_config(error: NetworkError) -> ConfigError | NetworkError:
    """Before the first receive, what waiting can't mend is an error of the configuration."""
    fix = _set_up(error.__cause__)
    return ConfigError(error.message, fix=fix) if fix else error


def _set_up(error: BaseException | None) -> str | None:
    words = str(error).lower() if error is not None else ""
    if (fix := next((fix for said, fix in SAID if said in words), None)) is not None:
        return fix
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return NO_LOGIN
    if isinstance(error, NoPermissionError):
        return NO_PERMISSION
    return REPLICA if isinstance(error, ReadOnlyError) else None


def _may_pass(error: BaseException) -> str | None:
    if isinstance(error, OutOfMemoryError) or "used memory > 'maxmemory'" in str(error):
        return FULL
    return None if isinstance(error, ResponseError) else AWAY

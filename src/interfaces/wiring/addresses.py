"""Whether an address with a login can be told apart: user, password, host. Refused before anything reads it another way and
shows a part of the password as the host's name."""

from __future__ import annotations

ENCODE = "a password's own / and @ have to be percent-encoded (/ is %2F, @ is %40, ? is %3F, # is %23, % is %25)"


def check_login(setting: str, url: str | None) -> None:
    """Raises ValueError, which repeats nothing of the address."""
    scheme, found, rest = (url or "").partition("://")
    if not found or scheme.startswith(("sqlite", "unix", "http")):
        return
    redis = scheme.startswith("redis")
    end = min((rest.find(mark) for mark in ("/?#" if redis else "/") if mark in rest), default=len(rest))
    authority, beyond = rest[:end], rest[end:]
    # The libraries of Redis take the last @ of the authority, as people mean it; those of databases the first.
    twice = authority.count("@") > 1 and not redis
    colon, port = authority.rpartition(",")[2].rpartition("]")[2].rpartition(":")[1:]
    cut = "@" not in authority and "@" in beyond and bool(colon) and not port.isdigit()
    if twice or cut or "@" in beyond.partition("?")[0]:
        raise ValueError(f"{setting} can't be told apart into user, password and host: {ENCODE}")

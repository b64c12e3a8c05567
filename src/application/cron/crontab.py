"""A crontab file in the syntax of Graphile Worker's, one entry a line:

    # minute hour day month weekday   task   options, as in a query string   payload
    0 4 * * 1  send_report  ?id=weekly&fill=2d&max=3&priority=5  {"kind": "weekly"}

As there, times are UTC, the payload gets `_cron` ({"ts", "backfilled"}), and the name of an entry is that of its task unless `id`
says otherwise. The payload is JSON5 in so far as names may stand bare, quotes be single and a last comma be left over.
Ours besides: `tz` (a zone), `missed` (skip, latest, all), `tenant`, and a sixth field of seconds before the five.
Without `fill` an entry goes by the scheduler's default, where there it would skip what it missed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any
from urllib.parse import unquote_plus

from src.application.cron.entry import DEFAULT_TENANT, Entry, Occasion, Payload
from src.application.cron.schedule import Schedule
from src.application.decoders.body import read_body
from src.domain.cron import Missed, Policy
from src.domain.errors import ConfigError, InvalidMessage, WorkerError
from src.domain.ids import identifier

ZONE = "UTC"

NOT_CRON = re.compile(r"[^0-9*/,\-]")
TASK = re.compile(r"[_a-zA-Z][_a-zA-Z0-9:/_-]*")
NAME = re.compile(r"[_a-zA-Z][-_a-zA-Z0-9]*")
QUEUE = re.compile(r"[-a-zA-Z0-9_:.]+")
PHRASE = re.compile(r"(?:[0-9]{1,9}[smhdw])+")
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

MOST_ATTEMPTS = 100
MOST_BYTES = 65_536
MOST_DEPTH = 32

OPTIONS = ("id", "fill", "max", "queue", "priority", "tz", "missed", "tenant")

JSON5 = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")|(?P<single>'(?:[^'\\]|\\.)*')|(?P<name>[A-Za-z_$][\w$]*)(?=\s*:)|,(?=\s*[}\]])"""
)


def read_crontab(text: str, file: str, policy: Policy) -> list[Entry]:
    """The file's entries. Raises ConfigError naming file and line: for the first line that can't be read, and for a name that
    stands twice."""
    found: dict[str, Entry] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{file}, line {number}"
        try:
            entry = _entry(line, where, policy)
        except WorkerError as error:
            raise ConfigError(f"{where}: {error.message}", fix=error.fix or "docs/cron.md shows the syntax") from error
        if (other := found.get(entry.name)) is not None:
            raise ConfigError(
                f"{where}: the entry {entry.name!r} is there already ({other.origin})", fix="give each one its own ?id="
            )
        found[entry.name] = entry
    return list(found.values())


def with_options(written: str, zone: str, policy: Policy) -> tuple[Schedule, Policy]:
    """A schedule as a setting holds it: the fields, and perhaps `?tz=...&missed=...&fill=...`. Raises ConfigError."""
    expression, mark, rest = written.partition("?")
    options = _options(rest.strip()) if mark else {}
    if others := sorted(set(options) - {"tz", "missed", "fill"}):
        raise ConfigError(f"a schedule takes no option {others[0]!r}", fix="it takes tz, missed and fill")
    return Schedule(expression.strip(), options.get("tz", zone)), _policy(options, policy)


def _entry(line: str, where: str, policy: Policy) -> Entry:
    fields = line.split(maxsplit=6)
    count = next((n for n, each in enumerate(fields) if NOT_CRON.search(each)), len(fields))
    form = "* * * * * task ?options {payload}"
    if count not in (5, 6):
        raise ConfigError(f"{count} fields of time stand before the task, not five", fix=form)
    if count == len(fields):
        raise ConfigError("there is no task behind the time", fix=form)
    task, *rest = line.split(maxsplit=count)[count].split(maxsplit=1)
    if not TASK.fullmatch(task):
        raise ConfigError(f"{task[:80]!r} is no name of a task", fix="letters, digits, _ : / and -, a letter first")
    tail = rest[0].strip() if rest else ""
    options: Mapping[str, str] = {}
    if tail.startswith("?"):
        written, tail = (*tail[1:].split(maxsplit=1), "", "")[:2]
        options = _options(written)
    name = options.get("id", task)
    if "id" in options and not NAME.fullmatch(name):
        raise ConfigError(f"id={name[:80]!r} is no name", fix="letters, digits, _ and -, a letter first")
    schedule = Schedule(_either_day(fields[:count]), options.get("tz", ZONE))
    if (queue := options.get("queue")) is not None and not QUEUE.fullmatch(queue):
        raise ConfigError(f"queue={queue[:80]!r} is no name of a queue", fix="letters, digits, - _ : and .")
    return Entry(
        name=name,
        type=task,
        schedule=schedule,
        payload=_payload(tail),
        policy=_policy(options, policy),
        tenant=identifier(options.get("tenant", DEFAULT_TENANT), "tenant"),
        max_attempts=_number(options, "max", range(1, MOST_ATTEMPTS + 1)),
        priority=_number(options, "priority", range(-32_768, 32_768)),
        queue=queue,
        origin=where,
    )


def _either_day(fields: list[str]) -> str:
    """There, a day of the month and a day of the week that both leave something out are alternatives. cronsim says so too, unless
    one of them begins with `*`."""
    *_others, day, _month, weekday = fields
    if day != "*" and weekday != "*":
        fields = [*fields]
        fields[-3], fields[-1] = re.sub(r"^\*", "1-31", day), re.sub(r"^\*", "0-6", weekday)
    return " ".join(fields)


def _options(written: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for part in written.split("&"):
        name, equals, value = part.partition("=")
        if name in ("jobKey", "jobKeyMode"):
            raise ConfigError(
                f"{name} is not known here: a job type itself says what at most one active job may be about",
                fix="take the option away",
            )
        if name not in OPTIONS or not equals or not value:
            raise ConfigError(f"{part[:80]!r} is no option", fix=f"NAME=VALUE with one of {', '.join(OPTIONS)}")
        if name in options:
            raise ConfigError(f"the option {name} stands twice", fix="give it once")
        options[name] = unquote_plus(value)
    return options


def _policy(options: Mapping[str, str], default: Policy) -> Policy:
    policy = default
    if "missed" in options:
        if options["missed"] not in list(Missed):
            raise ConfigError(f"missed={options['missed'][:80]!r} can't be", fix=f"give one of {', '.join(Missed)}")
        policy = replace(policy, missed=Missed(options["missed"]))
    if "fill" in options:
        if policy.missed is not Missed.ALL and "missed" in options:
            raise ConfigError(f"fill goes with missed=all, not with {policy.missed}", fix="take one of them away")
        policy = replace(policy, missed=Missed.ALL, fill_seconds=_seconds(options["fill"]))
    return policy


def _seconds(phrase: str) -> float:
    if not PHRASE.fullmatch(phrase):
        raise ConfigError(f"fill={phrase[:80]!r} is no length of time", fix="e.g. 4w, 2d12h, 90m (s, m, h, d, w)")
    return float(sum(int(n) * PERIODS[unit] for n, unit in re.findall(r"([0-9]+)([smhdw])", phrase)))


def _number(options: Mapping[str, str], name: str, allowed: range) -> int | None:
    if (written := options.get(name)) is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", written) or int(written) not in allowed:
        raise ConfigError(
            f"{name}={written[:80]!r} can't be", fix=f"give a whole number from {allowed[0]} to {allowed[-1]}"
        )
    return int(written)


def _payload(written: str) -> Payload:
    """What the line says and, as there, when the job was due and whether it is late."""
    document: dict[str, Any] = {}
    if written:
        if not written.startswith("{"):
            raise ConfigError(f"{written[:80]!r} is neither ?options nor a {{payload}}", fix='e.g. {"kind": "weekly"}')
        try:
            document = dict(read_body(_plain(written).encode(), max_bytes=MOST_BYTES, max_depth=MOST_DEPTH))
        except InvalidMessage as error:
            raise ConfigError(
                error.message.replace("the body", "the payload"), fix='e.g. {"kind": "weekly"}'
            ) from error

    def of(occasion: Occasion) -> Mapping[str, Any]:
        due = occasion.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {**document, "_cron": {"ts": due, "backfilled": occasion.late}}

    return of


def _plain(written: str) -> str:
    """JSON of what people write in a crontab."""
    return JSON5.sub(_strict, written)


def _strict(found: re.Match[str]) -> str:
    if found["double"]:
        return found["double"]
    if found["name"]:
        return json.dumps(found["name"])
    if found["single"]:
        inner = re.sub(r"""\\.|\"""", _requoted, found["single"][1:-1])
        return f'"{inner}"'
    return ""


def _requoted(found: re.Match[str]) -> str:
    """Inside single quotes `\'` is a quote and `"` is none; every other escape is JSON's too."""
    return {"\\'": "'", '"': '\\"'}.get(found[0], found[0])

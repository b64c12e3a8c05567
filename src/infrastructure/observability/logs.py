"""Logs: one JSON object per line (or plain lines on a terminal), secrets hidden, never in a job's way.

The standard library alone: structlog imports rich, which costs every worker start a quarter of a second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from src.infrastructure.observability.redaction import (
    HIDDEN,
    SECRET_KEY,
    URL_PASSWORD,
    capped,
    one_line,
    redacted,
)
from src.infrastructure.observability.repeats import Repeats

BACKLOG_LINES = 10_000
"""Lines that may wait for a slow reader of stderr; more are dropped and counted."""

CLOSE_SECONDS = 2.0
"""How long an exit waits for the last lines to be read."""

LOOK_SECONDS = 1.0
"""How often lines that were kept back are looked at, while there are any."""

SCAN_CHARACTERS = 65_536
"""Longer texts are cut before they are searched for secrets: searching must stay cheap."""

OWN = ("src", "mediaworker")
"""Loggers that follow the level setting; everybody else's speak from WARNING on."""

SHORTEST_SECRET = 6
"""Shorter values would hide ordinary words."""

KEPT = "MEDIAWORKER_LOG_FIELDS"
"""Variable with a JSON object, by which a process gives those it starts what each of their lines shall carry."""

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class Censor:
    """Makes any value fit to be printed: text cleaned, secrets (known ones by value, others by shape) hidden."""

    secrets: frozenset[str] = frozenset()

    def fields(self, values: Mapping[str, object]) -> dict[str, object]:
        """The same fields, printable."""
        return {self.text(key): HIDDEN if SECRET_KEY.search(key) else self.value(kept) for key, kept in values.items()}

    def value(self, value: object) -> object:
        """JSON's own scalars stay, and so do its objects and lists as long as they are not too long for a line; everything else
        becomes text."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, (Mapping, list, tuple, set, frozenset)):
            kept = self._inside(value)
            whole = json.dumps(kept, ensure_ascii=False)
            return kept if capped(whole) == whole else self.text(whole)
        return self.text(value if isinstance(value, str) else str(value))

    def _inside(self, value: Mapping[object, object] | Iterable[object]) -> object:
        if isinstance(value, Mapping):
            return self.fields({str(key): kept for key, kept in value.items()})
        return [self.value(each) for each in value]

    def text(self, text: str) -> str:
        """Hidden secrets, one line, at most 4 KiB."""
        return capped(one_line(self.hidden(text)))

    def hidden(self, text: str) -> str:
        """The text without secrets, its lines kept."""
        if len(text) > SCAN_CHARACTERS:
            text = text[: SCAN_CHARACTERS // 2] + text[-SCAN_CHARACTERS // 2 :]
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return redacted(text)


@dataclass(slots=True)
class Lines:
    """Turns records into lines. `bound` is added to every line (the job that this process works on), `kept` as well (the one
    job that this process is for)."""

    censor: Censor
    as_json: bool
    bound: Mapping[str, object] = field(default_factory=dict)
    kept: Mapping[str, object] = field(default_factory=dict)

    def bind(self, ids: Mapping[str, object]) -> None:
        """From now on every line carries these, and no others; what is None is left out."""
        self.bound = ids

    def keep(self, ids: Mapping[str, object]) -> None:
        """Every line of this process carries these, whatever is bound beside them; null while one is not known."""
        self.kept = dict(ids)

    def own(self, **fields: object) -> str:
        """A line of the logs' own, about themselves."""
        return json.dumps({**self.censor.fields(self.kept), **fields})

    def line(self, record: logging.LogRecord) -> str:
        """One event, one line, without a line feed."""
        extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        known = {key: value for key, value in (*self.bound.items(), *extra.items()) if value is not None}
        fields = self.censor.fields({**self.kept, **known})
        if record.exc_info:
            fields["traceback"] = self.censor.text(logging.Formatter().formatException(record.exc_info))
        event, at = self.censor.text(record.getMessage()), datetime.fromtimestamp(record.created, UTC)
        if self.as_json:
            stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            head = {"at": stamp, "level": record.levelname.lower(), "event": event, "logger": record.name}
            return json.dumps({**fields, **head}, ensure_ascii=False, allow_nan=True)
        words = " ".join(f"{key}={_word(value)}" for key, value in fields.items())
        return f"{at:%H:%M:%S} {record.levelname.lower():<8}{event}  {words}".rstrip()


def _word(value: object) -> object:
    """As a line for people has it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


class BoundedHandler(logging.Handler):
    """Hands lines to a thread of its own, which writes them; a reader that hangs costs lines, never a job's time."""

    def __init__(self, lines: Lines, descriptor: int, backlog: int = BACKLOG_LINES) -> None:
        super().__init__()
        self.lines = lines
        self.dropped = 0
        self.repeats = Repeats()
        # Of its own: the handler's is held by whoever closes it and waits for the writer.
        self._repeating = threading.Lock()
        self._descriptor = descriptor
        self._waiting: queue.Queue[str | None] = queue.Queue(maxsize=backlog)
        self._writer = threading.Thread(target=self._write_all, name="log-writer", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line, keep it back because its like was said a moment ago, or count it as dropped."""
        with self._repeating:
            held, passes = self.repeats.holding, self.repeats.passes(record)
        if passes:
            self._queue(record)
        elif not held:
            self._put("")  # wakes the writer, which from now on looks when this one's time comes

    def _queue(self, record: logging.LogRecord) -> None:
        try:
            line = self.lines.line(record)
        except Exception:  # noqa: BLE001 - a record that can't be printed (bad arguments) must not hurt who logged it
            line = self.lines.own(level="error", event="log.unprintable", logger=record.name, line=record.lineno)
        self._put(line)

    def _put(self, line: str) -> None:
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Let the waiting lines out, for a moment."""
        with self._repeating:
            for record in self.repeats.rest():
                self._queue(record)
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_SECONDS / 2)
        self._writer.join(timeout=CLOSE_SECONDS)
        super().close()

    def _write_all(self) -> None:
        while (line := self._next()) is not None:
            if not line:
                continue
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                self._write(self.lines.own(level="warning", event="log.dropped", lines=dropped))
            self._write(line)

    def _next(self) -> str | None:
        """The next line; empty when there is none yet."""
        with self._repeating:
            for record in self.repeats.due():
                self._queue(record)
            held = self.repeats.holding
        with contextlib.suppress(queue.Empty):
            return self._waiting.get(timeout=LOOK_SECONDS if held else None)
        return ""

    def _write(self, line: str) -> None:
        rest = memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
        # Nobody reads any more: there is nowhere left to say so.
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def configure(
    level: str = "INFO",
    form: str = "auto",
    *,
    secrets: Iterable[str] = (),
    own: Iterable[str] = (),
    descriptor: int = 2,
) -> Lines:
    """Send this process's logs to `descriptor`. `form` is auto, json or console; `secrets` are values to hide wherever
    they turn up; `own` names more loggers that follow `level`. Bind a job's ids on what comes back."""
    as_json = form == "json" or (form == "auto" and not os.isatty(descriptor))
    lines = Lines(Censor(frozenset(value for value in secrets if len(value) >= SHORTEST_SECRET)), as_json)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(BoundedHandler(lines, descriptor))
    root.setLevel(logging.WARNING)
    for name in (*OWN, *own):
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    return lines


def secret_values(environ: Mapping[str, str]) -> frozenset[str]:
    """Values of variables whose names say that they are secret, and the passwords in addresses."""
    named = [value for name, value in environ.items() if SECRET_KEY.search(name)]
    logins = [match.group(1) for value in environ.values() for match in URL_PASSWORD.finditer(value)]
    return frozenset(value for value in (*named, *logins) if len(value) >= SHORTEST_SECRET)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
    logging.getLogger("mediaworker").critical("uncaught", exc_info=(kind, error, trace))  # type: ignore[arg-type]

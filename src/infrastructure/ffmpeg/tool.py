"""Runs one media tool at a time per call: reads its progress, bounds its messages, ends it when it hangs or is not wanted."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.domain.errors import Cancelled, FfmpegFailed, Stalled
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox

STDERR_LIMIT = 65_536
"""Bytes kept of what a tool says: a broken source makes ffmpeg repeat itself for megabytes. The tail is kept."""
TICK_SECONDS = 0.2
MOST_PROGRESS_LINE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: without any progress, in all, and between TERM and KILL (reliability.md F19)."""

    stall_seconds: float = 60.0
    wall_seconds: float = 3600.0
    kill_after_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a process ended: its exit code (negative: the signal) and the last it said."""

    returncode: int
    stderr: str


class Tool:
    """Starts sandboxed processes and can kill all it started. One instance may be used by several threads; each process is
    started and waited for by the thread that called `run`, because it dies with that thread."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Kill everything; running and later calls raise Cancelled."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.kill()

    def run(
        self,
        argv_for: Callable[[int], list[str]],
        *,
        read: Sequence[Path],
        folder: Path,
        limits: Limits,
        patience: Patience,
        on_progress: Callable[[dict[str, str]], None],
    ) -> Finished:
        """Run `argv_for(progress_fd)` with `folder` as its working folder, the only one it may write to. `on_progress` gets
        each block of ffmpeg's -progress. Raises Cancelled after `stop`, Stalled, FfmpegFailed when it can't start; what
        `on_progress` raises ends the process and passes through."""
        reading, writing = os.pipe()
        try:
            argv = self._sandbox.command(argv_for(writing), read=read, write=[folder], limits=limits)
            process = self._start(argv, folder, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        try:
            stderr = _Watch(process, reading, patience, on_progress).follow()
        finally:
            process.kill()
            process.wait()
            with self._lock:
                self._running.discard(process)
            os.close(reading)
            if process.stderr is not None:
                process.stderr.close()
        if self._stopped:
            raise Cancelled("encoding was stopped")
        return Finished(returncode=process.returncode, stderr=stderr)

    def _start(self, argv: list[str], folder: Path, writing: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise Cancelled("encoding was stopped")
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=folder,
                    env={},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(writing,),
                )
            except OSError as error:
                raise FfmpegFailed(f"the media tool can't be started: {error}") from error
            self._running.add(process)
            return process


class _Watch:
    """Reads both pipes of one process until they close, in one thread."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        progress: int,
        patience: Patience,
        on_progress: Callable[[dict[str, str]], None],
    ) -> None:
        assert process.stderr is not None  # noqa: S101  # it was asked for
        self._process = process
        self._stderr = process.stderr.fileno()
        self._progress = progress
        self._patience = patience
        self._on_progress = on_progress
        self._said = b""
        self._line = b""
        self._block: dict[str, str] = {}
        self._position: tuple[str | None, ...] = ()
        self._started = self._moved = time.monotonic()

    def follow(self) -> str:
        """What the process said, once it has ended. Raises Stalled."""
        with selectors.DefaultSelector() as selector:
            for pipe in (self._stderr, self._progress):
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(TICK_SECONDS):
                    data = os.read(key.fd, 65_536)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.fd == self._stderr:
                        self._said = (self._said + data)[-STDERR_LIMIT:]
                    else:
                        self._read_progress(data)
                self._check_patience()
        while self._process.poll() is None:
            self._check_patience()
            try:
                self._process.wait(TICK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        return self._said.decode("utf-8", "replace")

    def _read_progress(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-MOST_PROGRESS_LINE:]
        for line in lines:
            name, _, value = line.decode("utf-8", "replace").strip().partition("=")
            self._block[name.strip()] = value.strip()
            if name == "progress":
                position = tuple(self._block.get(key) for key in ("frame", "out_time_us", "total_size"))
                if position != self._position:
                    self._position, self._moved = position, time.monotonic()
                block, self._block = self._block, {}
                self._on_progress(block)

    def _check_patience(self) -> None:
        now = time.monotonic()
        if now - self._moved > self._patience.stall_seconds:
            self._end()
            raise Stalled(f"ffmpeg made no progress for {self._patience.stall_seconds:.0f} s: {last_line(self._said)}")
        if now - self._started > self._patience.wall_seconds:
            self._end()
            raise Stalled(f"ffmpeg was still not done after {self._patience.wall_seconds:.0f} s")

    def _end(self) -> None:
        """TERM lets it flush what explains the hang; a stopped process ignores TERM, hence KILL."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._patience.kill_after_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def last_line(said: bytes | str) -> str:
    """The last thing a tool said, for messages: one line, at most 300 characters."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"

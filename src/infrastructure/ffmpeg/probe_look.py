"""The parent's side of the talk with a probing process: hands out ranges, takes answers, and writes down what is cut out."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from src.domain.errors import DiskFull, FfmpegFailed, FileAccessError
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg.probe_blocks import BlockReader
from src.infrastructure.ffmpeg.probe_process import ProbeProcess, TemplateLost
from src.infrastructure.ffmpeg.probe_reply import BrokenReply, parse, refusal

MIB = 1024 * 1024

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

CONTAINERS = frozenset({"mov", "matroska", "asf", "avi", "flv"})
"""What a piece may come in: the demuxer that ffmpeg is then told to use."""

MOST_CUT_BYTES = 80 * MIB
"""One uncompressed picture and what the container adds; everything else is far smaller."""


@dataclass(frozen=True, slots=True)
class CutFile:
    """A short film in a file of its own. The wanted picture is `second` seconds after its beginning, which is `begins`
    seconds into the source."""

    path: Path
    container: str
    second: float
    begins: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """Serves the process's reads until it says something else. Raises ChildGone, BrokenReply, what it refuses with."""

    process: ProbeProcess
    blocks: BlockReader

    def answer(self) -> dict[str, Any]:
        """The next message that is no read."""
        while True:
            message = parse(self.process.receive())
            if "error" in message:
                raise refusal(message["error"])
            if "read" not in message:
                return message
            waited = self.blocks.seconds
            self.process.send(self.blocks.read(*_wanted(message)))
            self.process.grant(self.blocks.seconds - waited)


def _no_other(error: TemplateLost) -> NoReturn:
    raise error


@dataclass(slots=True)
class Look:
    """A source that was probed, and whose process is still there. `anew`: another one, where the first one's template was killed;
    raises what it is given when that is not the first time."""

    conversation: Conversation
    media: SourceMedia
    anew: Callable[[TemplateLost], Conversation] = _no_other

    @property
    def blocks(self) -> BlockReader:
        """What was read so far."""
        return self.conversation.blocks

    def cut(self, second: float, target: Path) -> CutFile | None:
        """The picture at `second` with what decoding it needs, as a file; None when nothing is there. Raises CorruptSource,
        FfmpegFailed, DecoderCrash, DiskFull, FileAccessError."""
        try:
            return self._cut(second, target)
        except TemplateLost as error:
            self.conversation = self.anew(error)
            return self._cut(second, target)

    def _cut(self, second: float, target: Path) -> CutFile | None:
        process = self.conversation.process
        process.renew()
        process.send(json.dumps({"cut": second}).encode())
        message = self.conversation.answer()
        if "unable" in message:
            words = "".join(letter for letter in str(message["unable"])[:300] if letter.isprintable())
            raise FfmpegFailed(f"no piece can be cut out of the source: {words}")
        if "cut" not in message:
            raise BrokenReply("neither a read, nor a piece, nor an error")
        if message["cut"] is None:
            return None
        found, length = _about(message["cut"], target)
        _receive(process, length, target)
        return found


def _about(document: Any, target: Path) -> tuple[CutFile, int]:
    try:
        container, length = document["container"], document["bytes"]
        second, begins = float(document["second"]), float(document["begins"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenReply(f"a piece without {error}") from error
    is_sane = container in CONTAINERS and type(length) is int and 0 < length <= MOST_CUT_BYTES
    if not is_sane or not math.isfinite(second) or not 0 <= second < 1e9 or not math.isfinite(begins):
        raise BrokenReply("a piece of no known shape")
    return CutFile(target, container, second, begins), length


def _receive(process: ProbeProcess, length: int, target: Path) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while length > 0:
                piece = process.receive()
                if not 0 < len(piece) <= length:
                    raise BrokenReply("a piece longer than announced")
                file.write(piece)
                length -= len(piece)
    except OSError as error:
        kind = DiskFull if error.errno in NO_SPACE else FileAccessError
        raise kind(f"a piece of the source can't be written to scratch: {error.strerror}") from error


def _wanted(message: dict[str, Any]) -> tuple[int, int]:
    wanted = message.get("read")
    if not isinstance(wanted, list) or len(wanted) != 2 or not all(type(number) is int for number in wanted):
        raise BrokenReply("neither a read, nor facts, nor an error")
    offset, length = wanted
    if offset < 0 or not 0 <= length <= 256 * MIB:
        raise BrokenReply(f"a read of {length} bytes at {offset}")
    return offset, length

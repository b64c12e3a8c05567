"""Answers what a source is by a few ranged reads, without trusting it and without fetching it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from src.application.ports.media import ReadRange
from src.domain.errors import LimitsExceeded, SourceEmpty, UnsupportedFormat
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg.probe_allowed import MOST_PIXELS, MOST_STREAMS
from src.infrastructure.ffmpeg.probe_blocks import BlockReader
from src.infrastructure.ffmpeg.probe_look import MIB, Conversation, Look
from src.infrastructure.ffmpeg.probe_process import ChildGone, ProbeProcess, TemplateLost
from src.infrastructure.ffmpeg.probe_reply import BrokenReply, crashed, source_media
from src.infrastructure.ffmpeg.probe_sniff import HEAD_BYTES, sniff
from src.infrastructure.ffmpeg.probe_template import Templates
from src.infrastructure.ffmpeg.sandbox import Sandbox

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """What a source may be (pixels of one picture, tracks, seconds, bytes) and what looking at it may cost."""

    pixels: int = MOST_PIXELS
    streams: int = MOST_STREAMS
    duration_seconds: float = 12 * 3600.0
    source_bytes: int = 1 << 40
    read_bytes: int = 256 * MIB
    wall_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PyAvProber:
    """The Prober port on PyAV, in a sandboxed child process per source. `allow_partial`: of a cut file with a whole
    index, what is there counts; otherwise it is a TruncatedSource."""

    limits: ProbeLimits = field(default_factory=ProbeLimits)
    sandbox: Sandbox = field(default_factory=Sandbox)
    allow_partial: bool = False
    templates: Templates = field(default_factory=Templates, compare=False)

    def probe(self, read: ReadRange, size: int) -> SourceMedia:
        """See the port. Raises SourceEmpty as well, for a source of no bytes."""
        with self.looking(read, size) as look:
            return look.media

    @contextmanager
    def looking(self, read: ReadRange, size: int, *, cuts: bool = False) -> Iterator[Look]:
        """The same process, kept after the probe. With `cuts` it cuts pieces out of the source until the block ends."""
        if size <= 0:
            raise SourceEmpty("the source has no bytes", fix="upload it again")
        if size > self.limits.source_bytes:
            raise LimitsExceeded(f"the source has {size} bytes, more than the {self.limits.source_bytes} allowed")
        blocks = BlockReader(read, size, most_bytes=self.limits.read_bytes)
        sniffed = sniff(blocks.read(0, HEAD_BYTES))
        if sniffed.demuxer is None:
            raise UnsupportedFormat(
                f"the source is not a video or sound file: it is {sniffed.found}", fix="upload the media file itself"
            )
        begun = _Begun(self, self._request(size, sniffed.demuxer, cuts=cuts), blocks, sniffed.demuxer, size)
        with begun.processes:
            try:
                conversation, media = begun.first()
                yield Look(conversation, media, begun.anew)
            except (ChildGone, BrokenReply) as error:
                raise crashed(str(error), begun.last_words()) from error

    def _request(self, size: int, demuxer: str, *, cuts: bool) -> bytes:
        request = {
            "size": size,
            "demuxer": demuxer,
            "max_pixels": self.limits.pixels,
            "max_streams": self.limits.streams,
            "max_duration_seconds": self.limits.duration_seconds,
            "allow_partial": self.allow_partial,
            "cuts": cuts,
        }
        return json.dumps(request).encode()


@dataclass(slots=True)
class _Begun:
    """The process that looks at one source; another one takes its place once, when its template was killed under it."""

    prober: PyAvProber
    request: bytes
    blocks: BlockReader
    container: str
    size: int
    processes: ExitStack = field(default_factory=ExitStack)
    """the one that there is: it ends with the next one's beginning, or with the block"""
    _process: ProbeProcess | None = None
    _lost: TemplateLost | None = None

    def first(self) -> tuple[Conversation, SourceMedia]:
        """Probed. Raises ChildGone, BrokenReply, what the source is refused with."""
        try:
            return self._begin()
        except TemplateLost as error:
            self._excuse(error)
            return self._begin()

    def anew(self, error: TemplateLost) -> Conversation:
        """After the loss that `error` tells of. Raises as `first`, and the error itself when it is not the first one."""
        self._excuse(error)
        conversation, _media = self._begin()
        return conversation

    def last_words(self) -> str:
        """Of the last process."""
        return self._process.last_words() if self._process is not None else ""

    def _begin(self) -> tuple[Conversation, SourceMedia]:
        self.processes.close()
        started = ProbeProcess(self.prober.templates, self.prober.sandbox, self.prober.limits.wall_seconds)
        self._process = self.processes.enter_context(started)
        started.send(self.request)
        conversation = Conversation(started, self.blocks)
        return conversation, _media(conversation, self.container, self.size)

    def _excuse(self, error: TemplateLost) -> None:
        if self._lost is not None:
            raise error
        self._lost = error
        self.blocks.allow_again()
        log.warning("probe.template_lost", extra={"error": str(error), "then": "the source is probed once more"})


def _media(conversation: Conversation, container: str, size: int) -> SourceMedia:
    message = conversation.answer()
    if "facts" not in message:
        raise BrokenReply("neither a read, nor facts, nor an error")
    blocks = conversation.blocks
    return source_media(message["facts"], container=container, size=size, read=(blocks.bytes_read, blocks.reads))

"""Decodes as little as proves that a track can be decoded, and measures times on the way. Only inside the probing process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from av.container.input import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from src.domain.errors import CorruptSource
from src.infrastructure.ffmpeg.probe_open import codec_name

MOST_PACKETS = 2000
MOST_BYTES = 32 * 1024 * 1024
"""How far the first decodable picture may lie: a stream cut inside a GOP begins with packets that need what is gone."""

RATE_PACKETS = 90
RATE_BYTES = 6 * 1024 * 1024
"""How much is read for measuring the frame rate where the container has no sample index."""

BREAK_SECONDS = 10.0
"""A jump that a transport stream's time stamps make only where two recordings meet; ffmpeg's own threshold."""

BACK_SECONDS = 0.5
"""A step back that rounding explains; more is a clock set anew."""

STANDARD_RATES = (
    *(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120)),
    *(Fraction(rate * 1000, 1001) for rate in (15, 24, 30, 60, 120)),
)


@dataclass(slots=True)
class Sample:
    """One picture and, in runs between jumps of the clock, when the packets passed are shown (seconds, sorted); `whole`
    when those were all packets of the track."""

    frame: VideoFrame
    runs: list[list[float]] = field(default_factory=list)
    whole: bool = False
    failures: int = 0


@dataclass(slots=True)
class _Clock:
    """Collects time stamps and notices where the clock is set anew. Decoding times only grow, showing times do not."""

    runs: list[list[float]] = field(default_factory=list)
    last: float | None = None

    def see(self, packet: Packet[VideoStream]) -> None:
        """Take down one packet; one without time stamps counts nothing."""
        if packet.pts is None or not packet.time_base:
            return
        shown = float(packet.pts * packet.time_base)
        decoded = float((packet.pts if packet.dts is None else packet.dts) * packet.time_base)
        jumps = self.last is not None and not -BACK_SECONDS <= decoded - self.last <= BREAK_SECONDS
        if jumps or not self.runs:
            self.runs.append([])
        self.runs[-1].append(shown)
        self.last = decoded


def sample_picture(container: InputContainer, stream: VideoStream, *, whole: bool, measure: bool) -> Sample:
    """The first picture of `stream`; with `measure` also its packets' times, all of them with `whole`. Raises
    CorruptSource when nothing decodes."""
    sample: Sample | None = None
    clock = _Clock()
    failures = packets = passed = 0
    for packet in _packets(container, stream):
        packets, passed = packets + 1, passed + packet.size
        clock.see(packet)
        if sample is None:
            frame, failed = _decode(stream, packet)
            failures += failed
            sample = Sample(frame) if frame is not None else None
            if sample is None and (packets > MOST_PACKETS or passed > MOST_BYTES):
                break
        enough = not measure or packets >= RATE_PACKETS or passed >= RATE_BYTES
        if sample is not None and enough and not whole:
            break
    else:
        whole = whole or measure
        sample = sample or _last_words(stream)
        return _finished(stream, sample, clock, whole, failures)
    return _finished(stream, sample, clock, False, failures)


def _finished(
    stream: VideoStream,
    sample: Sample | None,
    clock: _Clock,
    whole: bool,
    failures: int,
) -> Sample:
    if sample is None:
        raise CorruptSource(
            f"the picture track ({codec_name(stream)}) can't be decoded",
            fix="export the video again from its original",
        )
    sample.runs = [sorted(run) for run in clock.runs]
    sample.whole, sample.failures = whole and bool(clock.runs), failures
    return sample


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets with content; a container that breaks off in the middle ends here."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except (FFmpegError, IndexError):
        # IndexError: a damaged FLV showed a new track on the way, which PyAV asks for at the end and does not have
        return


def _decode(stream: VideoStream, packet: Packet[VideoStream]) -> tuple[VideoFrame | None, int]:
    try:
        frames = stream.codec_context.decode(packet)
    except FFmpegError:
        return None, 1
    return (frames[0] if frames else None), 0


def _last_words(stream: VideoStream) -> Sample | None:
    """A decoder that holds pictures back gives them at the end."""
    try:
        frames = stream.codec_context.decode(None)
    except FFmpegError:
        return None
    return Sample(frames[0]) if frames else None


def decodes_further_in(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a picture in the middle decodes: the second look at a track whose first packets did not."""
    middle = (container.duration or 0) // 2
    try:
        container.seek(middle)
        stream.codec_context.flush_buffers()
    except FFmpegError:
        return False
    passed = 0
    for packet in _packets(container, stream):
        passed += packet.size
        if _decode(stream, packet)[0] is not None:
            return True
        if passed > MOST_BYTES:
            return False
    return _last_words(stream) is not None


def check_sound(container: InputContainer, index: int) -> None:
    """Raises CorruptSource when none of the track's first packets can be heard."""
    stream = container.streams.audio[index]
    failures = 0
    try:
        for packet in container.demux(stream):
            try:
                if stream.codec_context.decode(packet if packet.size else None):
                    return
            except FFmpegError:
                failures += 1
            if failures > 50:
                break
    except (FFmpegError, IndexError):
        failures += 1
    raise CorruptSource(
        f"the sound track ({codec_name(stream)}) can't be decoded",
        fix="export it again from its original",
    )


def frame_rates(
    stream: VideoStream, sample: Sample, *, measure: bool, interlaced: bool
) -> tuple[Fraction | None, Fraction | None]:
    """Average and nominal frames per second: the index's where there is one, else measured on the packets' times, since
    containers that count milliseconds guess badly (1000 fps for 29.97)."""
    average, nominal = _sane(stream.average_rate), _sane(stream.base_rate)
    if interlaced:
        # fields travel as packets of their own, so neither the packets nor the nominal rate count frames
        return average, average
    gaps = [b - a for run in sample.runs for a, b in pairwise(run)]
    if not measure or len(gaps) < 3 or sum(gaps) <= 0:
        return average, nominal
    measured = Fraction(len(gaps)) / Fraction(sum(gaps))
    tick = max(float(stream.time_base or 0), 0.0001) * 1.1
    for rate in sorted(STANDARD_RATES, key=lambda rate: abs(rate - measured)):
        if abs(rate / measured - 1) < 0.02 and all(abs(gap - 1 / rate) <= tick for gap in gaps):
            return rate, rate
    return measured.limit_denominator(1001), nominal


def _sane(rate: Fraction | None) -> Fraction | None:
    return rate if rate and rate > 0 else None

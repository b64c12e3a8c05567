"""When a stream is whole."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from src.domain.errors import OutputInvalid
from src.domain.video.planning import PlanSettings, make_plan
from src.domain.video.playlist import MediaPlaylist, Segment, Sound, Variant, write_master, write_media
from src.domain.video.source import AudioStream, SourceMedia, VideoStream
from src.domain.video.verify import verify_stream

PLAN = make_plan(
    SourceMedia(
        container="mov",
        size=1,
        duration_seconds=10.0,
        duration_exact=True,
        video=VideoStream(
            index=0, codec="h264", profile=None, pixel_format=None, width=640, height=360, average_fps=Fraction(25)
        ),
        audio=(AudioStream(index=1, codec="aac", channels=2, sample_rate=48_000, duration_seconds=10.0),),
    ),
    PlanSettings(),
)


class Stream:
    """A stream as the pipeline would hand it over; tests break it."""

    def __init__(self) -> None:
        self.playlists: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        for name in ("360p", "240p", "audio_0"):
            self.put(name, [4.0, 4.0, 2.0])
        self.master = write_master(
            [Variant(uri=f"{name}/index.m3u8", peak=2, average=1, codec="avc1.64001f") for name in ("360p", "240p")],
            [Sound(uri="audio_0/index.m3u8", name="sound", peak=1, average=1)],
        )

    def put(self, name: str, seconds: list[float], *, ended: bool = True) -> None:
        segments = tuple(Segment(f"seg_{number:05d}.m4s", length) for number, length in enumerate(seconds))
        self.playlists[f"{name}/index.m3u8"] = write_media(
            MediaPlaylist(segments=segments, init="init.mp4", ended=ended)
        )
        self.sizes |= {f"{name}/{segment.uri}": 10 for segment in segments} | {f"{name}/init.mp4": 10}

    def verify(self) -> None:
        verify_stream(PLAN, self.master, self.playlists, self.sizes)


def test_a_whole_stream_passes() -> None:
    Stream().verify()


def _lose_object(stream: Stream) -> None:
    del stream.sizes["240p/seg_00001.m4s"]


def _empty_object(stream: Stream) -> None:
    stream.sizes["audio_0/init.mp4"] = 0


def _short(stream: Stream) -> None:
    for name in ("360p", "240p"):
        stream.put(name, [4.0, 4.0])


def _long(stream: Stream) -> None:
    for name in ("360p", "240p"):
        stream.put(name, [4.0, 4.0, 4.0])


def _other_cuts(stream: Stream) -> None:
    stream.put("240p", [4.0, 3.0, 3.0])


def _silent_half(stream: Stream) -> None:
    stream.put("audio_0", [4.0])


def _no_end(stream: Stream) -> None:
    stream.put("360p", [4.0, 4.0, 2.0], ended=False)


def _lose_rung(stream: Stream) -> None:
    del stream.playlists["240p/index.m3u8"]


def _wrong_target(stream: Stream) -> None:
    stream.playlists["360p/index.m3u8"] = stream.playlists["360p/index.m3u8"].replace(
        "TARGETDURATION:4", "TARGETDURATION:9"
    )


def _master_lacks_rung(stream: Stream) -> None:
    stream.master = stream.master.replace("240p/index.m3u8", "360p/index.m3u8")


def _swapped(stream: Stream) -> None:
    text = stream.playlists["240p/index.m3u8"]
    text = text.replace("seg_00000", "seg_x").replace("seg_00001", "seg_00000").replace("seg_x", "seg_00001")
    stream.playlists["240p/index.m3u8"] = text


def _twice(stream: Stream) -> None:
    text = stream.playlists["audio_0/index.m3u8"]
    stream.playlists["audio_0/index.m3u8"] = text.replace("seg_00001", "seg_00000")


def _cut_elsewhere(stream: Stream) -> None:
    for name in ("360p", "240p"):
        stream.put(name, [3.0, 4.0, 3.0])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_lose_object, "240p/seg_00001.m4s is missing"),
        (_empty_object, "audio_0/init.mp4 is missing or empty"),
        (_short, "lasts 8.000 s instead of 10.000"),
        (_long, "lasts 12.000 s"),
        (_other_cuts, "240p is cut at other times than 360p"),
        (_swapped, "240p: seg_00001.m4s stands where another segment belongs"),
        (_twice, "audio_0: seg_00000.m4s stands where another segment belongs"),
        (_cut_elsewhere, "360p is not cut where it was planned"),
        (_silent_half, "audio_0 lasts 4.00 s"),
        (_no_end, "not finished"),
        (_lose_rung, "renditions are"),
        (_wrong_target, "target duration 9 instead of 4"),
        (_master_lacks_rung, "the master names"),
    ],
)
def test_f21_a_stream_that_is_not_whole_is_refused_by_name(damage: Callable[[Stream], None], named: str) -> None:
    stream = Stream()
    damage(stream)
    with pytest.raises(OutputInvalid, match=named):
        stream.verify()

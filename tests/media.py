"""The test media: small files of every kind that people and attackers upload, made with ffmpeg itself, never stored.

    from tests.media import MEDIA, make
    path = make("rotated_phone")               # made once, kept in build/media (git ignores it)
    MEDIA["rotated_phone"].expected            # what any honest look at it has to find
    for path, expected in sample_expectations().items(): ...   # real files, where ../shared/samples exists

Makers stand in media_makers.py, the hand-built hostile bytes in media_hostile.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import media_hostile as hostile, media_makers as makers

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "samples"

UNREADABLE = frozenset({"unsupported_format", "corrupt_source", "truncated_source", "limits_exceeded", "source_empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a probe has to say. `kind` is "ok", "error" (permanent, one of `errors`) or "either" (damage that may show only
    later); sizes on screen in whole pixels; `seconds` with a tolerance of `slack`; None where it does not matter."""

    kind: str = "ok"
    errors: frozenset[str] = UNREADABLE
    display: tuple[int, int] | None = None
    audio: int = 0
    seconds: float | None = None
    slack: float = 0.1
    fps: float | None = None
    codec: str | None = None
    container: str | None = None
    rotation: int = 0
    hdr: bool = False
    interlaced: bool = False
    subtitles: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """One file: what it is called, who makes it (`maker` gets the path to write), what it must be found to be."""

    file: str
    maker: Callable[[Path], None]
    expected: Expectation


def _ok(file: str, maker: Callable[[Path], None], **facts: object) -> Medium:
    return Medium(file=file, maker=maker, expected=Expectation(**facts))  # type: ignore[arg-type]


def _bad(file: str, maker: Callable[[Path], None], *errors: str) -> Medium:
    return Medium(file=file, maker=maker, expected=Expectation(kind="error", errors=frozenset(errors) or UNREADABLE))


SMALL = (320, 180)

PLAYABLE: Mapping[str, Medium] = {
    "moov_first": _ok("first.mp4", makers.moov_first, display=SMALL, audio=1, seconds=4, fps=25, codec="h264"),
    "moov_last": _ok("last.mp4", makers.moov_last, display=SMALL, audio=1, seconds=4, fps=25, codec="h264"),
    "full_hd_51": _ok("hd.mp4", makers.full_hd_51, display=(1920, 1080), audio=1, seconds=2, fps=24, codec="h264"),
    "two_sounds": _ok("two.mp4", makers.two_sounds, display=SMALL, audio=2, seconds=2, fps=25),
    "no_sound": _ok("silent.mp4", makers.no_sound, display=SMALL, seconds=2, fps=25),
    "two_pictures": _ok("double.mp4", makers.two_pictures, display=SMALL, seconds=1, codec="h264"),
    "sound_only": _ok("sound.m4a", makers.sound_only, audio=1, seconds=3, container="mov"),
    "sound_mp3": _ok("sound.mp3", makers.sound_mp3, audio=1, seconds=3, container="mp3"),
    "cover_art": _ok("cover.m4a", makers.cover_art, audio=1, seconds=2, container="mov"),
    "sound_wav": _ok("sound.wav", makers.sound_wav, audio=1, seconds=2, container="wav"),
    "sound_flac": _ok("sound.flac", makers.sound_flac, audio=1, seconds=2, container="flac"),
    "rotated_phone": _ok("phone.mp4", makers.rotated_phone, display=(180, 320), audio=1, seconds=2, rotation=90),
    "upside_down": _ok("down.mp4", makers.upside_down, display=SMALL, audio=1, seconds=2, rotation=180),
    "portrait": _ok("portrait.mp4", makers.portrait, display=(180, 320), audio=1, seconds=2),
    "odd_size": _ok("odd.webm", makers.odd_size, display=(161, 121), seconds=1, codec="vp9"),
    "variable_rate": _ok("vfr.mp4", makers.variable_rate, display=SMALL, seconds=4, slack=0.2),
    "interlaced": _ok("interlaced.ts", makers.interlaced, display=(352, 288), seconds=2, slack=0.2, interlaced=True),
    "ten_bit": _ok("ten.mp4", makers.ten_bit, display=SMALL, seconds=1, codec="h264"),
    "chroma_422": _ok("422.mov", makers.chroma_422, display=SMALL, seconds=1, codec="h264"),
    "chroma_444": _ok("444.mp4", makers.chroma_444, display=SMALL, seconds=1, codec="h264"),
    "hdr10": _ok("hdr10.mp4", makers.hdr10, display=SMALL, seconds=1, codec="hevc", hdr=True),
    "hlg": _ok("hlg.mp4", makers.hlg, display=SMALL, seconds=1, codec="hevc", hdr=True),
    "wide_pixels": _ok("sar.mp4", makers.wide_pixels, display=(640, 180), seconds=1),
    "short_clip": _ok("short.mp4", makers.short_clip, display=SMALL, audio=1, seconds=0.2, slack=0.1),
    "one_frame": _ok("one.mp4", makers.one_frame, display=SMALL, seconds=0.04, slack=0.02),
    "avi": _ok("old.avi", makers.avi, display=SMALL, audio=1, seconds=2, codec="mpeg4", container="avi"),
    "subtitled": _ok("sub.mkv", makers.subtitled, display=SMALL, audio=1, seconds=2, subtitles=1, container="matroska"),
    "webm": _ok("clip.webm", makers.webm, display=SMALL, audio=1, seconds=2, codec="vp9", container="matroska"),
    "webm_no_duration": _ok("live.webm", makers.webm_no_duration, display=SMALL, audio=1, seconds=2, codec="vp9"),
    "transport_stream": _ok("a.ts", makers.transport_stream, display=SMALL, audio=1, seconds=4, container="mpegts"),
    "camera_stream": _ok("c.m2ts", makers.camera_stream, display=SMALL, audio=1, seconds=2, container="mpegts"),
    "sound_ogg": _ok("sound.ogg", makers.sound_ogg, audio=1, seconds=2, container="ogg"),
    "program_stream": _ok("dvd.mpg", makers.program_stream, display=SMALL, audio=1, seconds=2, container="mpeg"),
    "windows_media": _ok("old.wmv", makers.windows_media, display=SMALL, audio=1, seconds=2, container="asf"),
    "cut_stream": _ok("cut.ts", makers.cut_stream, display=SMALL, audio=1, seconds=2.8, slack=0.5, container="mpegts"),
    "flv": _ok("clip.flv", makers.flv, display=SMALL, audio=1, seconds=2, fps=25, container="flv"),
    "phone_3gp": _ok("old.3gp", makers.phone_3gp, display=(176, 144), audio=1, seconds=1, codec="h263"),
    "fragmented": _ok("frag.mp4", makers.fragmented, display=SMALL, audio=1, seconds=4, container="mov"),
    "late_picture": _ok("late.mp4", makers.late_picture, display=SMALL, audio=1, seconds=3),
    "black_lead_in": _ok("black.mp4", makers.black_lead_in, display=SMALL, seconds=6),
    "all_black": _ok("dark.mp4", makers.all_black, display=SMALL, seconds=2),
    "high_rate": _ok("120.mp4", makers.high_rate, display=SMALL, seconds=1, fps=120),
    "located": _ok("gps.mp4", makers.located, display=SMALL, seconds=1),
    "many_scenes": _ok("scenes.mp4", makers.many_scenes, display=SMALL, audio=1, seconds=12, fps=25),
}

REFUSED: Mapping[str, Medium] = {
    "empty": _bad("empty.mp4", hostile.empty, "source_empty"),
    "text": _bad("text.mp4", hostile.text, "unsupported_format"),
    "html": _bad("html.mp4", hostile.html, "unsupported_format"),
    "hls_playlist": _bad("hls.mp4", hostile.hls_playlist, "unsupported_format"),
    "hls_remote": _bad("hls_remote.mp4", hostile.hls_remote, "unsupported_format"),
    "dash_manifest": _bad("dash.mp4", hostile.dash_manifest, "unsupported_format"),
    "concat_script": _bad("concat.mp4", hostile.concat_script, "unsupported_format"),
    "sdp": _bad("sdp.mp4", hostile.sdp, "unsupported_format"),
    "svg": _bad("svg.mp4", hostile.svg, "unsupported_format"),
    "png": _bad("png.mp4", makers.png, "unsupported_format"),
    "zip": _bad("zip.mp4", hostile.zip_archive, "unsupported_format"),
    "zeros": _bad("zeros.mp4", hostile.zeros, "unsupported_format"),
    "noise": _bad("noise.mp4", hostile.noise),
    "playlist_in_mov": _bad("ref.mov", hostile.playlist_in_mov),
    "cut_moov_first": _bad("cut_first.mp4", lambda path: cut(path, "moov_first"), "truncated_source"),
    "cut_moov_last": _bad("cut_last.mp4", lambda path: cut(path, "moov_last"), "truncated_source"),
    "cut_fragmented": _bad("cut_frag.mp4", lambda path: cut(path, "fragmented"), "truncated_source"),
    "cut_webm": _bad("cut.webm", lambda path: cut(path, "webm"), "truncated_source"),
    "cut_avi": _bad("cut.avi", lambda path: cut(path, "avi"), "truncated_source"),
    "cut_flv": _bad("cut.flv", lambda path: cut(path, "flv"), "truncated_source"),
    "cut_wav": _bad("cut.wav", lambda path: cut(path, "sound_wav"), "truncated_source"),
    "declares_hours": _bad("hours.mp4", hostile.declares_hours, "truncated_source", "corrupt_source"),
    "declares_samples": _bad("samples.mp4", hostile.declares_samples, "truncated_source", "corrupt_source"),
    "declares_table": _bad("table.mp4", hostile.declares_table, "truncated_source", "corrupt_source"),
    "many_tracks": _bad("tracks.mp4", hostile.many_tracks),
    "huge_picture": _bad("huge.mp4", hostile.huge_picture),
    "no_index": _bad("nomoov.mp4", hostile.no_index, "corrupt_source"),
    "damaged_vp9": _bad(
        "damaged.webm", lambda path: hostile.spoil_blocks(make("webm_silent_source"), path), "corrupt_source"
    ),
}

DAMAGED: Mapping[str, Medium] = {
    "bits_flipped": Medium(
        file="flipped.mp4",
        maker=lambda path: hostile.flip_bits(make("moov_first"), path),
        expected=Expectation(kind="either"),
    ),
    "joined_streams": _ok(
        "joined.ts", makers.joined_streams, display=SMALL, audio=1, seconds=8, slack=0.2, fps=25, container="mpegts"
    ),
    "webm_silent_source": _ok("silent.webm", makers.webm_silent, display=SMALL, seconds=1, codec="vp9"),
}

MEDIA: Mapping[str, Medium] = {**PLAYABLE, **REFUSED, **DAMAGED}


def make(name: str) -> Path:
    """The file of that name, made now if it is not there yet. The folder's name changes with the makers' source, and a
    file appears whole or not at all, so that test processes can share it."""
    medium = MEDIA[name]
    folder = _folder() / name
    target = folder / medium.file
    if not target.exists():
        workshop = Path(tempfile.mkdtemp(dir=_folder(), prefix="making-"))
        medium.maker(workshop / medium.file)
        try:
            workshop.rename(folder)
        except OSError:
            # another test process was faster; its file is as good as ours
            shutil.rmtree(workshop)
    return target


def cut(path: Path, name: str, share: float = 0.6) -> None:
    """The first `share` of another medium: what a broken upload leaves behind."""
    content = make(name).read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def _folder() -> Path:
    text = b"".join(Path(module.__file__ or "").read_bytes() for module in (makers, hostile))
    named = os.environ.get("MEDIA_TEST_FOLDER")
    folder = (Path(named) if named else ROOT / "build" / "media") / hashlib.sha256(text).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sample(width: int, height: int, seconds: float, audio: int = 1, **facts: object) -> Expectation:
    return Expectation(display=(width, height), seconds=seconds, audio=audio, slack=0.35, **facts)  # type: ignore[arg-type]


SAMPLE_EXPECTATIONS: Mapping[str, Expectation] = {
    "1080p30_h264_aac51.mp4": _sample(1920, 1080, 10.0, fps=30),
    "rotate_minus90_1080p_aac51.mp4": _sample(1080, 1920, 1.96, fps=24, rotation=90),
    "audio_only_two_51_tracks.mp4": Expectation(seconds=5.01, audio=2),
    "vfr_screen_3026x1386.mp4": _sample(3026, 1386, 8.73, 0, fps=7.22),
    "sar_2to1_360p.mp4": _sample(1280, 360, 5.0, 0, fps=30),
    "hdr10_av1_portrait.mp4": _sample(720, 1280, 4.24, fps=29.97, hdr=True, codec="av1"),
    "hlg_hevc10_1080p_short.mp4": _sample(1920, 1080, 0.3, fps=29.99, hdr=True, codec="hevc"),
    "odd_161x121_vp9.webm": _sample(161, 121, 1.0, 0, fps=29.97, codec="vp9"),
    "no_audio_h264.mp4": _sample(1080, 720, 1.0, 0, fps=29.97),
    "audio_only_aac.mp4": Expectation(seconds=15.02, audio=1),
    "ts_no_initial_keyframe.ts": _sample(640, 360, 2.65, container="mpegts"),
    "flv_h264_aac_mono.flv": _sample(1080, 720, 1.1, container="flv", fps=30),
    "avi_mpeg4_mp3_960x400.avi": _sample(960, 400, 4.09, fps=23.976, codec="mpeg4", container="avi"),
    "mkv_h264_ac3_srt.mkv": _sample(1080, 720, 1.0, fps=30, subtitles=1, container="matroska"),
    "webm_no_duration_vp9_opus.webm": _sample(1280, 720, 4.94, fps=14.98, codec="vp9"),
    "audio_shorter_or_broken_mp3.mp4": _sample(640, 360, 11.2, fps=25),
    "two_video_two_audio_subs.mp4": _sample(480, 270, 13.01, 2, fps=29.97, subtitles=2),
    "h263_176x144.3gp": _sample(176, 144, 1.0, 0, fps=15, codec="h263"),
    "iphone_rot90_gps.mov": _sample(320, 568, 4.0, rotation=90, fps=29.99),
    "edit_list_shift_1080p.mp4": _sample(1920, 1080, 10.0, fps=30),
    "corrupt_vp9.webm": Expectation(kind="error", errors=frozenset({"corrupt_source"})),
    "broken_missing_stsd.mp4": _sample(1080, 720, 1.0, 0, fps=29.97),
    "broken_moov_not_found.mp4": Expectation(kind="error", errors=frozenset({"corrupt_source"})),
    "fragmented_mp4.mp4": _sample(1080, 720, 1.07, fps=29.97),
    "avchd_1080i50_ac3_pgs.mts": _sample(1920, 1080, 0.54, fps=25, interlaced=True, subtitles=1, container="mpegts"),
    "hevc_444_10bit_odd.mp4": _sample(321, 241, 1.0, 0, fps=25, codec="hevc"),
    "alpha_vp9.webm": _sample(200, 200, 5.0, fps=30, codec="vp9"),
    "h264_high10.mp4": _sample(200, 200, 1.0, 0, fps=30),
    "truncated_mdat_596s.mp4": Expectation(kind="error", errors=frozenset({"truncated_source"})),
    "h264_baseline_320x240_4to3.mp4": _sample(320, 240, 7.8, fps=30),
}


def sample_expectations() -> dict[Path, Expectation]:
    """The real sample files, where a checkout has them beside it; else nothing. A file without a row is an error."""
    if not SAMPLES.is_dir():
        return {}
    found = sorted(path for path in SAMPLES.iterdir() if path.suffix != ".md")
    return {path: SAMPLE_EXPECTATIONS[path.name] for path in found}

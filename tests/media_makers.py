"""Makes honest media of every kind with ffmpeg's own test pictures and tones."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from src.infrastructure.ffmpeg.binary import find_ffmpeg

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")


@cache
def _binary() -> str:
    return str(find_ffmpeg())


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg; its standard output. A failure carries its words."""
    command = [_binary(), "-hide_banner", "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise AssertionError(f"making test media failed: {done.stderr.decode('utf-8', 'replace')[-1500:]}")
    return done.stdout


def picture(seconds: float, size: str = "320x180", rate: str = "25") -> tuple[str, ...]:
    """A moving test picture as input."""
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}")


def tone(seconds: float, frequency: int = 440) -> tuple[str, ...]:
    """A sine tone as input."""
    return ("-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}")


def moov_first(path: Path) -> None:
    """Index in front, as exported for the web."""
    ffmpeg(*picture(4), *tone(4), *X264, "-g", "50", *AAC, "-movflags", "+faststart", path)


def moov_last(path: Path) -> None:
    """Index at the end, as cameras write; padded so that reading all of it would show."""
    ffmpeg(*picture(4), *tone(4), *X264, "-g", "50", "-b:v", "9M", "-minrate", "9M", "-maxrate", "9M", "-bufsize", "9M",
           "-x264-params", "nal-hrd=cbr", *AAC, path)  # fmt: skip


def full_hd_51(path: Path) -> None:
    """1080p with six sound channels."""
    ffmpeg(*picture(2, "1920x1080", "24"), *tone(2), *X264, "-g", "24", *AAC, "-ac", "6", path)


def two_sounds(path: Path) -> None:
    """Two languages."""
    ffmpeg(*picture(2), *tone(2), *tone(2, 880), "-map", "0", "-map", "1", "-map", "2", *X264, *AAC,
           "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=kor", path)  # fmt: skip


def no_sound(path: Path) -> None:
    """Pictures only."""
    ffmpeg(*picture(2), *X264, path)


def two_pictures(path: Path) -> None:
    """Two picture tracks, the larger one first."""
    ffmpeg(*picture(1), *picture(1, "160x90"), "-map", "0", "-map", "1", *X264, path)


def sound_only(path: Path) -> None:
    """A voice memo."""
    ffmpeg(*tone(3), *AAC, path)


def sound_mp3(path: Path) -> None:
    """A bare MP3 with a tag."""
    ffmpeg(*tone(3), "-c:a", "libmp3lame", "-metadata", "title=tone", path)


def cover_art(path: Path) -> None:
    """Music with a cover: the still image is no film."""
    cover = path.with_name("cover.png")
    png(cover)
    ffmpeg(
        *tone(2), "-i", cover, "-map", "0", "-map", "1", *AAC, "-c:v", "copy", "-disposition:v:0", "attached_pic", path
    )


def sound_ogg(path: Path) -> None:
    """Ogg with Opus."""
    ffmpeg(*tone(2), "-c:a", "libopus", path)


def program_stream(path: Path) -> None:
    """MPEG-2 program stream: a DVD rip."""
    ffmpeg(*picture(2), *tone(2), "-c:v", "mpeg2video", "-g", "12", "-c:a", "mp2", "-f", "vob", path)


def windows_media(path: Path) -> None:
    """WMV 8 with WMA."""
    ffmpeg(*picture(2), *tone(2), "-c:v", "wmv2", "-c:a", "wmav2", path)


def camera_stream(path: Path) -> None:
    """M2TS: each packet behind a time code of four bytes."""
    ffmpeg(*picture(2), *tone(2), *X264, "-g", "25", "-c:a", "ac3", "-f", "mpegts", "-mpegts_m2ts_mode", "1", path)


def sound_wav(path: Path) -> None:
    """Uncompressed sound."""
    ffmpeg(*tone(2), path)


def sound_flac(path: Path) -> None:
    """Lossless sound."""
    ffmpeg(*tone(2), path)


def _turned(path: Path, degrees: int) -> None:
    upright = path.with_name("upright.mp4")
    ffmpeg(*picture(2), *tone(2), *X264, *AAC, upright)
    ffmpeg("-display_rotation:v:0", str(degrees), "-i", upright, "-c", "copy", path)
    upright.unlink()


def rotated_phone(path: Path) -> None:
    """Recorded on its side: to be turned 90 degrees clockwise. The matrix counts the other way."""
    _turned(path, -90)


def upside_down(path: Path) -> None:
    """Recorded upside down."""
    _turned(path, 180)


def portrait(path: Path) -> None:
    """Coded upright."""
    ffmpeg(*picture(2, "180x320"), *tone(2), *X264, *AAC, path)


def odd_size(path: Path) -> None:
    """Odd width and height."""
    ffmpeg(*picture(1, "320x240"), "-vf", "scale=161:121,setsar=1", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p",
           path)  # fmt: skip


def variable_rate(path: Path) -> None:
    """Thirty frames in the first second, then ten in each: a screen recording."""
    ffmpeg(*picture(4, rate="30"), "-vf", "select='lt(t,1)+not(mod(n,3))'", "-fps_mode", "vfr", *X264, path)


def interlaced(path: Path) -> None:
    """Top field first, as broadcast."""
    ffmpeg(*picture(2, "352x288", "50"), "-vf", "tinterlace=interleave_top,fieldorder=tff", "-c:v", "libx264", "-preset",
           "ultrafast", "-threads", "1", "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-pix_fmt", "yuv420p",
           path)  # fmt: skip


def _format(path: Path, name: str) -> None:
    ffmpeg(*picture(1), "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", name, path)


def ten_bit(path: Path) -> None:
    """H.264 High 10, which no browser plays."""
    _format(path, "yuv420p10le")


def chroma_422(path: Path) -> None:
    """An editor's intermediate."""
    _format(path, "yuv422p")


def chroma_444(path: Path) -> None:
    """A screen grab with full colour."""
    _format(path, "yuv444p")


def _hdr(path: Path, transfer: str) -> None:
    tags = f"color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range=tv"
    ffmpeg(*picture(1), "-vf", f"format=yuv420p10le,setparams={tags}", "-c:v", "libx265", "-preset", "ultrafast",
           "-x265-params", "log-level=error:pools=1:frame-threads=1", "-tag:v", "hvc1", path)  # fmt: skip


def hdr10(path: Path) -> None:
    """Tagged PQ."""
    _hdr(path, "smpte2084")


def hlg(path: Path) -> None:
    """Tagged HLG."""
    _hdr(path, "arib-std-b67")


def wide_pixels(path: Path) -> None:
    """Pixels twice as wide as high."""
    ffmpeg(*picture(1), "-vf", "setsar=2", *X264, path)


def short_clip(path: Path) -> None:
    """Five frames."""
    ffmpeg(*picture(0.2), *tone(0.2), *X264, *AAC, path)


def one_frame(path: Path) -> None:
    """A single frame."""
    ffmpeg(*picture(1), "-frames:v", "1", *X264, path)


def avi(path: Path) -> None:
    """MPEG-4 ASP and MP3."""
    ffmpeg(*picture(2), *tone(2), "-c:v", "mpeg4", "-c:a", "libmp3lame", path)


def subtitled(path: Path) -> None:
    """Matroska with a text track."""
    words = path.with_name("words.srt")
    words.write_text("1\n00:00:00,200 --> 00:00:01,500\nHello <script>alert(1)</script>\n")
    ffmpeg(*picture(2), *tone(2), "-i", words, "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "ac3", "-c:s", "srt",
           path)  # fmt: skip


VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k", "-g", "25", "-threads", "1")


def webm(path: Path) -> None:
    """VP9 and Opus."""
    ffmpeg(*picture(2), *tone(2), *VP9, "-pix_fmt", "yuv420p", "-c:a", "libopus", path)


def webm_silent(path: Path) -> None:
    """VP9 alone."""
    ffmpeg(*picture(1), *VP9, "-pix_fmt", "yuv420p", path)


def webm_no_duration(path: Path) -> None:
    """Written to a pipe, as browsers record: no duration, no index, sizes left open."""
    path.write_bytes(
        ffmpeg(*picture(2), *tone(2), *VP9, "-pix_fmt", "yuv420p", "-c:a", "libopus", "-f", "webm", "pipe:1")
    )


def transport_stream(path: Path) -> None:
    """MPEG-TS, keyframes each second."""
    ffmpeg(*picture(4), *tone(4), *X264, "-g", "25", *AAC, "-f", "mpegts", path)


def cut_stream(path: Path) -> None:
    """MPEG-TS that begins in the middle of a GOP."""
    whole = path.with_name("whole.ts")
    transport_stream(whole)
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[len(content) * 3 // 10 // 188 * 188 :])


def joined_streams(path: Path) -> None:
    """Two recordings, one behind the other in one file: the clock starts anew in the middle."""
    first = path.with_name("one.ts")
    transport_stream(first)
    path.write_bytes(first.read_bytes() * 2)
    first.unlink()


def flv(path: Path) -> None:
    """Flash video: times in milliseconds, no frame rate."""
    ffmpeg(*picture(2), *tone(2), *X264, *AAC, "-ar", "44100", path)


def phone_3gp(path: Path) -> None:
    """A phone of 2005."""
    ffmpeg(*picture(1, "176x144", "15"), *tone(1), "-c:v", "h263", *AAC, path)


def fragmented(path: Path) -> None:
    """Fragmented MP4, as browsers and streaming tools record."""
    ffmpeg(*picture(4), *tone(4), *X264, "-g", "25", *AAC, "-movflags", "+frag_keyframe+empty_moov+default_base_moof",
           path)  # fmt: skip


def late_picture(path: Path) -> None:
    """The picture starts a second after the sound, by edit list."""
    ffmpeg("-itsoffset", "1", *picture(2), *tone(3), *X264, *AAC, path)


def black_lead_in(path: Path) -> None:
    """Three seconds of black, then pictures."""
    ffmpeg("-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration=3", *picture(3), "-filter_complex",
           "[0:v][1:v]concat=n=2:v=1:a=0", *X264, "-g", "25", path)  # fmt: skip


def all_black(path: Path) -> None:
    """Nothing but black."""
    ffmpeg("-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration=2", *X264, path)


def high_rate(path: Path) -> None:
    """120 frames a second."""
    ffmpeg(*picture(1, rate="120"), *X264, path)


def located(path: Path) -> None:
    """With the place and the name of the person who filmed it."""
    ffmpeg(*picture(1), *X264, "-movflags", "+use_metadata_tags", "-metadata", "location=+37.5665+126.9780/", "-metadata",
           "artist=CANARY-OWNER", "-metadata", "com.apple.quicktime.location.ISO6709=+37.5665+126.9780/",
           path)  # fmt: skip


def many_scenes(path: Path) -> None:
    """Twelve seconds, keyframes each second: enough for a storyboard."""
    ffmpeg(*picture(12), *tone(12), *X264, "-g", "25", *AAC, path)


def png(path: Path) -> None:
    """A still image under a video's name."""
    path.write_bytes(ffmpeg(*picture(1), "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "pipe:1"))

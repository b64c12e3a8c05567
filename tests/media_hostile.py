"""Builds, byte by byte, files that are not what they say: broken uploads and attacks, crafted here, taken from nowhere."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

CANARY = "canary.ts"
"""The neighbour file that playlists point at; it must never be opened."""


def empty(path: Path) -> None:
    """No bytes."""
    path.write_bytes(b"")


def text(path: Path) -> None:
    """A letter."""
    path.write_text("Dear editor,\nplease find the video attached.\n" * 20)


def html(path: Path) -> None:
    """The error page that a proxy sent instead of the file."""
    path.write_text("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")


def hls_playlist(path: Path) -> None:
    """Points at a file beside it."""
    path.with_name(CANARY).write_bytes(b"\x47" + b"\x00" * 187)
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{CANARY}\n#EXT-X-ENDLIST\n")


def hls_remote(path: Path) -> None:
    """Points at the cloud's metadata service."""
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://169.254.169.254/latest/\n#EXT-X-ENDLIST\n")


def dash_manifest(path: Path) -> None:
    """Another playlist format."""
    path.write_text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S">'
        "<Period><AdaptationSet><Representation><BaseURL>file:///etc/passwd</BaseURL></Representation></AdaptationSet>"
        "</Period></MPD>"
    )


def concat_script(path: Path) -> None:
    """ffmpeg's own list of files."""
    path.write_text("ffconcat version 1.0\nfile '/etc/passwd'\n")


def sdp(path: Path) -> None:
    """Asks for a listening socket."""
    path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n")


def svg(path: Path) -> None:
    """A drawing that includes another file."""
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd" width="9" height="9"/></svg>'
    )


def zip_archive(path: Path) -> None:
    """An archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("video.mp4", b"not really")
    path.write_bytes(content.getvalue())


def zeros(path: Path) -> None:
    """A file whose content never arrived."""
    path.write_bytes(bytes(65_536))


def noise(path: Path) -> None:
    """A media file's first bytes, then nothing that fits."""
    path.write_bytes(_box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"moov", bytes(range(256)) * 16))


def no_index(path: Path) -> None:
    """Data without the index that says where anything is."""
    path.write_bytes(_box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"mdat", bytes(5000)))


def flip_bits(source: Path, path: Path) -> None:
    """One byte in fifty of the middle third spoilt."""
    content = bytearray(source.read_bytes())
    for at in range(len(content) // 3, len(content) * 2 // 3, 50):
        content[at] ^= 0x55
    path.write_bytes(content)


def spoil_blocks(source: Path, path: Path) -> None:
    """A WebM whose container is whole and whose every picture is rubbish: it probes, but does not decode."""
    content = bytearray(source.read_bytes())
    first = content.find(b"\x1f\x43\xb6\x75")
    at = content.find(b"\xa3", first)
    while 0 <= at < len(content) - 16:
        width = 9 - content[at + 1].bit_length() if content[at + 1] else 0
        size = int.from_bytes(content[at + 1 : at + 1 + width]) & ((1 << 7 * width) - 1) if width else 0
        if not width or size < 5 or at + 1 + width + size > len(content):
            break
        body = at + 1 + width + 4
        content[body : at + 1 + width + size] = b"\xff" * (size - 4)
        at = at + 1 + width + size
        if content[at] != 0xA3:
            at = content.find(b"\xa3", at)
    path.write_bytes(content)


def declares_hours(path: Path) -> None:
    """Less than a kilobyte of MP4 that says it lasts eleven hours."""
    path.write_bytes(_mp4(duration=11 * 3600, samples=1, each=100))


def declares_samples(path: Path) -> None:
    """A kilobyte that says it holds 268 million samples of one size."""
    path.write_bytes(_mp4(duration=3600, samples=1 << 28, each=1000))


def declares_table(path: Path) -> None:
    """A kilobyte whose tables say they have 268 million rows."""
    path.write_bytes(_mp4(duration=3600, samples=1 << 28, each=0))


def many_tracks(path: Path) -> None:
    """Four hundred tracks."""
    track = _trak(1, 1, 100, 64, 64)
    path.write_bytes(
        _box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"moov", _mvhd(1) + track * 400) + _box(b"mdat", bytes(100))
    )


def huge_picture(path: Path) -> None:
    """A picture of 65,535 x 65,535 pixels."""
    path.write_bytes(_mp4(duration=1, samples=1, each=100, width=65_535, height=65_535))


def playlist_in_mov(path: Path) -> None:
    """A QuickTime file whose only track's data lies, by its own words, in another file."""
    path.write_bytes(_mp4(duration=2, samples=1, each=100, reference=f"file:{CANARY}\0".encode()))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, content: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags) + content)


def _mvhd(seconds: int) -> bytes:
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    return _full(
        b"mvhd",
        struct.pack(">IIII", 0, 0, 1000, seconds * 1000) + struct.pack(">IH10x", 0x10000, 0x100) + matrix + bytes(28),
    )


def _trak(seconds: int, samples: int, each: int, width: int, height: int, reference: bytes = b"") -> bytes:
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    size = struct.pack(">II", (width << 16) & 0xFFFFFFFF, (height << 16) & 0xFFFFFFFF)
    tkhd = _full(b"tkhd", struct.pack(">IIIII8x8x", 0, 0, 1, 0, seconds * 1000) + matrix + size, 3)
    mdhd = _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, seconds * 1000, 0x55C4, 0))
    hdlr = _full(b"hdlr", b"\0\0\0\0vide" + bytes(12) + b"x\0")
    url = _full(b"url ", reference, 0 if reference else 1)
    dinf = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + url))
    entry = struct.pack(">6xH16xHHII4xH32xHh", 1, width & 0xFFFF, height & 0xFFFF, 0x480000, 0x480000, 1, 24, -1)
    stbl = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1) + _box(b"mp4v", entry))
        + _full(b"stts", struct.pack(">III", 1, samples, max(1, seconds * 1000 // samples)))
        + _full(b"stsc", struct.pack(">IIII", 1, 1, samples, 1))
        + _full(b"stsz", struct.pack(">II", each, samples))
        + _full(b"stco", struct.pack(">II", 1, 40)),
    )
    minf = _box(b"minf", _full(b"vmhd", bytes(8), 1) + dinf + stbl)
    return _box(b"trak", tkhd + _box(b"mdia", mdhd + hdlr + minf))


def _mp4(
    *, duration: int, samples: int, each: int, width: int = 320, height: int = 180, reference: bytes = b""
) -> bytes:
    track = _trak(duration, samples, each, width, height, reference)
    moov = _box(b"moov", _mvhd(duration) + track)
    return _box(b"ftyp", b"qt  \0\0\2\0qt  ") + _box(b"mdat", bytes(200)) + moov

"""Names a file by its first bytes, so that only one known demuxer is ever tried on it.

ffmpeg left to guess takes a playlist named `.mp4` for a playlist and reads what it points at (reliability.md 0.4);
here such a file gets its real name and is refused before any media library sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 4096
"""How much of a file's beginning `sniff` wants to see."""

ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
MOV_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"pnot",
    b"styp",
    b"moof",
    b"sidx",
)
IMAGE_BRANDS = (
    b"avif",
    b"avis",
    b"heic",
    b"heix",
    b"hevc",
    b"heim",
    b"heis",
    b"mif1",
    b"msf1",
    b"jxl ",
)

MEDIA: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "matroska", "Matroska or WebM"),
    (b"FLV\x01", "flv", "Flash video"),
    (b"OggS", "ogg", "Ogg"),
    (b"fLaC", "flac", "FLAC"),
    (b"\x00\x00\x01\xba", "mpeg", "MPEG program stream"),
    (ASF, "asf", "Windows Media"),
)
"""(first bytes, demuxer, name) of containers that need no second look."""

REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"BM", "a bitmap image"),
    (b"8BPS", "a Photoshop image"),
    (b"\x00\x00\x01\x00", "an icon image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\x00", "a database"),
)

TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"#extm3u", "an HLS playlist"),
    (b"ffconcat", "a concat script"),
    (b"v=0", "an SDP session description"),
    (b"[playlist]", "a playlist"),
    (b"#!", "a script"),
    (b"webvtt", "a subtitle file"),
    (b"{", "a JSON text"),
)

MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<mpd", "a DASH manifest"),
    (b"<smoothstreamingmedia", "a Smooth Streaming manifest"),
    (b"<svg", "an SVG image"),
    (b"<html", "an HTML page"),
    (b"<!doctype html", "an HTML page"),
)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`demuxer` is the only one to try, None when the file is refused; `found` says in words what it is."""

    demuxer: str | None
    found: str


def sniff(head: bytes) -> Sniffed:
    """What the file that begins with `head` (its first HEAD_BYTES, or all of it) is. Pure; never raises."""
    for magic, demuxer, found in MEDIA:
        if head.startswith(magic):
            return Sniffed(demuxer, found)
    if head[4:8] in MOV_BOXES:
        return _mov(head)
    if head.startswith(b"RIFF"):
        return _riff(head[8:12])
    if _is_transport_stream(head):
        return Sniffed("mpegts", "MPEG transport stream")
    for magic, found in REFUSED:
        if head.startswith(magic):
            return Sniffed(None, found)
    return _audio(head) or _text(head) or Sniffed(None, "data of no known media format")


def _mov(head: bytes) -> Sniffed:
    if head[4:8] == b"ftyp" and head[8:12] in IMAGE_BRANDS:
        return Sniffed(None, "an AVIF, HEIF or JPEG XL image")
    return Sniffed("mov", "MP4 or QuickTime")


def _riff(kind: bytes) -> Sniffed:
    known = {
        b"AVI ": Sniffed("avi", "AVI"),
        b"WAVE": Sniffed("wav", "WAV"),
        b"WEBP": Sniffed(None, "a WebP image"),
    }
    return known.get(kind, Sniffed(None, "a RIFF file that is neither AVI nor WAV"))


def _is_transport_stream(head: bytes) -> bool:
    """Sync bytes at packet distance: 188 bytes, or 192 where a camera puts a time code before each (M2TS)."""
    for distance, first in ((188, 0), (192, 4)):
        marks = head[first::distance][:8]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return True
    return False


def _audio(head: bytes) -> Sniffed | None:
    if head.startswith(b"ID3"):
        return Sniffed("mp3", "MP3 with a tag")
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return Sniffed("aac", "AAC")
    is_mpeg_audio = head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0 and head[1] & 0x18 != 0x08
    return Sniffed("mp3", "MP3") if is_mpeg_audio and head[2] & 0xF0 != 0xF0 else None


def _text(head: bytes) -> Sniffed | None:
    if not any(head):
        return Sniffed(None, "nothing but zero bytes")
    if any(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for prefix, found in TEXTS:
        if start.startswith(prefix):
            return Sniffed(None, found)
    if start.startswith(b"<"):
        return Sniffed(
            None,
            next((found for mark, found in MARKUP if mark in start), "a markup text"),
        )
    return Sniffed(None, "a text")

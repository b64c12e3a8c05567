"""Broken uploads and attacks: each a permanent error in words, within limits, touching nothing but the source itself."""

from __future__ import annotations

import ctypes
import os
import random
import socket
from pathlib import Path

import av
import pytest

from src.domain.errors import DecoderCrash, JobError, LimitsExceeded, Permanent, UnsupportedFormat
from src.infrastructure.ffmpeg import probe_process, probe_template
from src.infrastructure.ffmpeg.probe_reply import BrokenReply, parse, refusal, source_media
from src.infrastructure.ffmpeg.probe_template import IMPORT, Templates
from src.infrastructure.ffmpeg.prober import ProbeLimits, PyAvProber
from src.infrastructure.ffmpeg.sandbox import Sandbox
from tests.adapters.test_prober import check, outcome, probe
from tests.media import MEDIA, REFUSED, make
from tests.media_hostile import CANARY


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_every_hostile_file_is_a_permanent_error_in_words(name: str) -> None:
    check(MEDIA[name].expected, make(name))


def test_a_picture_track_that_does_not_decode_gives_way_to_one_that_does(tmp_path: Path) -> None:
    source = make("two_pictures")
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        for entry in container.streams.video[0].index_entries:
            content[entry.pos : entry.pos + entry.size] = b"\xff" * entry.size
    spoilt = tmp_path / "spoilt.mp4"
    spoilt.write_bytes(content)

    video = probe(spoilt).video

    assert video is not None
    assert (video.index, video.width) == (1, 160)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, removed or put in, mostly in the headers, where it hurts."""
    spoilt = bytearray(content)
    for _ in range(dice.choice((1, 4, 20, 200))):
        at = dice.randrange(min(len(spoilt), 2000) if dice.random() < 0.6 else len(spoilt))
        match dice.randrange(4):
            case 0:
                spoilt[at : at + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 1:
                del spoilt[at : at + dice.randrange(1, 50)]
            case _:
                spoilt[at] = dice.randrange(256)
    return bytes(spoilt)


@pytest.mark.parametrize("name", ["moov_first", "fragmented", "webm", "transport_stream", "avi", "flv"])
def test_t07_mutated_files_give_facts_or_a_permanent_error(name: str, tmp_path: Path) -> None:
    dice = random.Random(f"mediaworker {name}")
    content = make(name).read_bytes()
    for _ in range(8):
        spoilt = mutated(content, dice)
        path = tmp_path / "spoilt"
        path.write_bytes(spoilt)
        found = outcome(path)
        assert not isinstance(found, JobError) or isinstance(found, Permanent), found


def test_damage_in_the_middle_gives_facts_or_a_permanent_error() -> None:
    found = outcome(make("bits_flipped"))
    assert not isinstance(found, JobError) or isinstance(found, Permanent)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hls_playlist", "HLS playlist"),
        ("dash_manifest", "DASH manifest"),
        ("concat_script", "concat script"),
        ("sdp", "SDP"),
        ("html", "HTML page"),
        ("text", "a text"),
        ("svg", "SVG image"),
        ("png", "PNG image"),
        ("zip", "ZIP archive"),
        ("zeros", "zero bytes"),
    ],
)
def test_t01_what_was_found_is_named_and_no_decoder_sees_it(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a process was started for it")

    monkeypatch.setattr("src.infrastructure.ffmpeg.prober.ProbeProcess", never)
    with pytest.raises(UnsupportedFormat, match=words):
        probe(make(name))


class Watch:
    """Counts who opens a file, by the kernel's own word (inotify)."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._handle, os.fsencode(path), 0x20 | 0x01) >= 0

    def was_touched(self) -> bool:
        try:
            return bool(os.read(self._handle, 4096))
        except BlockingIOError:
            return False


@pytest.mark.parametrize("name", ["hls_playlist", "playlist_in_mov"])
def test_t02_a_source_never_opens_its_neighbour(name: str) -> None:
    source = make(name)
    neighbour = make("hls_playlist").with_name(CANARY)
    watch = Watch(neighbour)

    outcome(source)

    assert not watch.was_touched()
    neighbour.read_bytes()
    assert watch.was_touched()


def test_t03_a_playlist_never_dials(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        playlist = tmp_path / "video.mp4"
        playlist.write_text(f"#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n")
        outcome(playlist)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_t07_a_probe_process_that_was_taken_over_can_neither_dial_nor_read_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    script = f"""
import socket, sys
for name, act in (("file", lambda: open({str(secret)!r})), ("passwd", lambda: open("/etc/passwd")),
                  ("tcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
                  ("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
                  ("write", lambda: open({str(tmp_path / "new")!r}, "w"))):
    try:
        act()
        sys.stderr.write(name + "=open ")
    except OSError:
        sys.stderr.write(name + "=denied ")
sys.exit(7)
"""
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    with pytest.raises(DecoderCrash, match="exit code 7") as caught:
        probe(make("moov_first"), PyAvProber())
    assert "open" not in caught.value.message.split("last words")[1]
    assert caught.value.message.count("denied") == 5
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "signal 11"),
        ("import os; os.abort()", "signal 6"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, time; os.close(0); time.sleep(60)", "without an answer"),
        ("import os; os.write(0, b'\\xff\\xff\\xff\\xff'); os.read(0, 1); import time; time.sleep(60)", "4294967295"),
        ("import os; os.write(0, b'\\0\\0\\0\\2[]'); import time; time.sleep(60)", "not an object"),
        ("import os; os.write(0, b'\\0\\0\\0\\2{}'); import time; time.sleep(60)", "neither a read"),
    ],
)
def test_a_probe_process_that_dies_or_lies_is_a_decoder_crash(
    script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    with pytest.raises(DecoderCrash, match=words):
        probe(make("moov_first"), PyAvProber())


@pytest.mark.parametrize("script", ["import time; time.sleep(600)", "while True: pass"])
def test_a_probe_process_that_hangs_is_killed_and_leaves_nothing(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    before = children()
    with pytest.raises(DecoderCrash, match="no answer within"):
        probe(make("moov_first"), PyAvProber(limits=ProbeLimits(wall_seconds=0.5)))
    assert children() <= before


def instead(script: str) -> str:
    """A template whose processes do this instead of probing."""
    return f"{IMPORT}\nmain(lambda: exec({script!r}, {{}}), sys.argv[2:])"


def children() -> set[str]:
    """Processes of this one, ended ones that nobody waited for included."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_a_slow_storage_is_not_a_hung_probe() -> None:
    with probe_process.ProbeProcess(Templates(), Sandbox(), wall_seconds=0) as process:
        with pytest.raises(probe_process.ChildGone, match="no answer"):
            process.send(b"{}")
        process.grant(60)
        process.send(b"{}")
        with pytest.raises(probe_process.ChildGone, match="exit code 1"):
            process.receive()


def test_a_probe_that_reads_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import json, os
at = 0
while True:
    body = json.dumps({"read": [at, 65536]}).encode()
    os.write(0, len(body).to_bytes(4, "big") + body)
    at += 262144
    left = None
    head = b""
    while len(head) < 4:
        head += os.read(0, 4 - len(head))
    left = int.from_bytes(head, "big")
    while left:
        left -= len(os.read(0, left))
"""
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    size = 1 << 32
    limits = ProbeLimits(read_bytes=4 << 20)
    head = make("moov_first").read_bytes()[:4096]
    with pytest.raises(LimitsExceeded, match="reading more than"):
        PyAvProber(limits=limits).probe(lambda at, n: (head if at == 0 else b"").ljust(n, b"\0"), size)


GOOD = {
    "duration_seconds": 1.0,
    "duration_exact": True,
    "start_seconds": 0.0,
    "bit_rate": 1000,
    "subtitle_streams": 0,
    "clock_jumps": 0,
    "video": None,
    "audio": [
        {
            "index": 0,
            "codec": "aac",
            "channels": 2,
            "sample_rate": 48000,
            "language": None,
            "title": "a\x1b[31m\nb",
            "default": True,
            "start_seconds": 0.0,
            "duration_seconds": 1.0,
        }
    ],
}


def test_t17_text_from_the_file_loses_its_control_characters() -> None:
    found = source_media(GOOD, container="mov", size=1, read=(1, 1))
    assert found.audio[0].title == "a[31mb"


@pytest.mark.parametrize(
    "lie",
    [
        {"duration_seconds": float("nan")},
        {"duration_seconds": float("inf")},
        {"duration_seconds": -1},
        {"duration_seconds": "1"},
        {"bit_rate": -5},
        {"audio": []},
        {"audio": None},
        {"audio": [{}]},
        {"audio": [1]},
        {"video": {}},
        {"video": []},
    ],
)
def test_t25_facts_that_can_not_be_are_not_believed(lie: dict[str, object]) -> None:
    with pytest.raises(BrokenReply):
        source_media({**GOOD, **lie}, container="mov", size=1, read=(1, 1))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 100_000, b"1"])
def test_an_answer_that_is_no_object_is_not_believed(body: bytes) -> None:
    with pytest.raises(BrokenReply):
        parse(body)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"code": "crash", "message": "x"}, {"code": "corrupt_source", "message": 1, "fix": None}]
)
def test_an_error_of_no_known_class_is_not_believed(document: object) -> None:
    with pytest.raises(BrokenReply):
        refusal(document)

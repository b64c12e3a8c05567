"""The process that probes are forked from: each source has a process of its own, and nothing is left of any."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from src.domain.errors import DecoderCrash, FfmpegFailed
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg import probe_template
from src.infrastructure.ffmpeg.probe_template import ROOT, Template, Templates
from src.infrastructure.ffmpeg.prober import ProbeLimits, PyAvProber
from src.infrastructure.ffmpeg.sandbox import Sandbox
from tests.adapters.test_hostile_sources import children, instead
from tests.adapters.test_prober import probe
from tests.functional.fleet import wait_for
from tests.media import make


def descendants(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def template_of(prober: PyAvProber) -> Template:
    return prober.templates.get(prober.sandbox)


def pid_of(template: Template) -> int:
    return template._process.pid


def test_each_source_has_a_process_of_its_own_that_is_gone_after_it() -> None:
    prober, clip = PyAvProber(), make("moov_first")
    template, content = template_of(prober), clip.read_bytes()
    files = len(list(Path("/proc/self/fd").iterdir()))
    seen = set()
    for _ in range(2):
        with prober.looking(lambda at, length: content[at : at + length], len(content), cuts=True):
            (pid,) = descendants(pid_of(template))
            seen.add(pid)
        assert descendants(pid_of(template)) == []
    assert len(seen) == 2
    assert template_of(prober) is template
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_two_sources_at_a_time_do_not_disturb_each_other() -> None:
    prober, content = PyAvProber(), make("moov_first").read_bytes()

    def read(at: int, length: int) -> bytes:
        return content[at : at + length]

    with prober.looking(read, len(content), cuts=True) as first, prober.looking(read, len(content)) as second:
        assert first.media == second.media
        assert len(descendants(pid_of(template_of(prober)))) == 2


def test_a_hung_process_is_gone_and_its_template_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_template, "BOOT", instead("while True: pass"))
    prober = PyAvProber(limits=ProbeLimits(wall_seconds=0.3))
    for _ in range(2):
        with pytest.raises(DecoderCrash, match="no answer within"):
            probe(make("moov_first"), prober)
        assert descendants(pid_of(template_of(prober))) == []


def test_a_template_that_was_killed_gives_way_to_a_new_one() -> None:
    prober = PyAvProber()
    facts, pid = probe(make("moov_first"), prober), pid_of(template_of(prober))
    os.kill(pid, signal.SIGKILL)
    assert probe(make("moov_first"), prober) == facts
    assert pid_of(template_of(prober)) != pid


def facts_of(media: SourceMedia) -> SourceMedia:
    """Without what finding them out took."""
    return replace(media, probed_bytes=0, probed_reads=0)


def test_f23_a_template_that_is_killed_under_a_source_is_not_the_source_s_doing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the kernel does it for want of memory, in the middle of a probe."""
    clip, prober = make("moov_last"), PyAvProber()
    wanted, content, template = probe(clip, prober), clip.read_bytes(), template_of(prober)
    pid, killed = pid_of(template), list[int]()

    def read(start: int, length: int) -> bytes:
        if not killed and (there := descendants(pid)):
            killed.extend(there)
            os.kill(pid, signal.SIGKILL)
        return content[start : start + length]

    found = prober.probe(read, len(content))
    assert killed
    assert facts_of(found) == facts_of(wanted)
    assert pid_of(template_of(prober)) != pid
    assert [record.message for record in caplog.records] == ["probe.template_lost"]


def test_f23_a_template_that_is_killed_while_pieces_are_cut_out_is_replaced_once(tmp_path: Path) -> None:
    prober, content = PyAvProber(), make("moov_first").read_bytes()

    def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    with prober.looking(read, len(content), cuts=True) as look:
        wanted = look.cut(0.5, tmp_path / "wanted")
    with (
        pytest.raises(DecoderCrash, match="forked from is gone"),
        prober.looking(read, len(content), cuts=True) as look,
    ):
        for name in ("first", "second"):
            pid = pid_of(template_of(prober))
            (probing,) = descendants(pid)
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(has_ended, str(probing)), 30, "it has died with its template")
            found = look.cut(0.5, tmp_path / name)
            assert found is not None
            assert wanted is not None
            assert replace(found, path=wanted.path) == wanted
            assert found.path.read_bytes() == wanted.path.read_bytes()
    assert [each.name for each in tmp_path.iterdir() if each.name != "wanted"] == ["first"]
    assert descendants(pid_of(template_of(prober))) == []


def test_f23_a_template_that_is_killed_while_it_forks_gives_way_to_a_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between the fork and the answer: once, as the folder says that it makes."""
    mark = tmp_path / "killed"
    script = f"""
fork = os.fork
def killed_once():
    pid = fork()
    if pid:
        try:
            os.mkdir({str(mark)!r})
        except FileExistsError:
            return pid
        os.kill(os.getpid(), 9)
    return pid
os.fork = killed_once
"""
    monkeypatch.setattr(
        probe_template,
        "BOOT",
        probe_template.BOOT.replace(
            "from src.infrastructure.ffmpeg.probe_child", f"import os{script}from src.infrastructure.ffmpeg.probe_child"
        ),
    )
    before, prober = children(), PyAvProber(sandbox=Sandbox(mode="off"))
    assert probe(make("moov_first"), prober).video is not None
    assert mark.is_dir()
    left = {pid_of(template_of(prober))}
    wait_for(lambda: {int(pid) for pid in children() - before if runs(pid)} == left, 30, "nothing of the first is left")


def test_a_template_that_dies_under_a_source_takes_the_process_along_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not before the first order: by then the template has answered, and nobody takes another one.
    killer = "import os, signal; os.read(0, 1); os.kill(os.getppid(), signal.SIGKILL)"
    monkeypatch.setattr(probe_template, "BOOT", instead(killer))
    before = children()
    with pytest.raises(DecoderCrash, match="the process that probes are forked from"):
        probe(make("moov_first"), PyAvProber(sandbox=Sandbox(mode="off")))
    # The kernel ends the fork with its parent; that takes a moment. Where this process adopts orphans, its remains are ours.
    wait_for(lambda: not any(map(runs, children() - before)), 30, "the fork is gone")


def has_ended(pid: str) -> bool:
    return not runs(pid)


def runs(pid: str) -> bool:
    """Whether it is there, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_template_that_can_not_start_is_our_trouble_and_not_the_source_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_template, "BOOT", "raise SystemExit('no such library')")
    with pytest.raises(FfmpegFailed, match="no such library") as caught:
        probe(make("moov_first"), PyAvProber())
    assert not isinstance(caught.value, DecoderCrash)


def test_a_template_serves_a_number_of_sources_and_then_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_template, "MOST_STARTS", 1)
    prober = PyAvProber()
    first = template_of(prober)
    probe(make("moov_first"), prober)
    assert template_of(prober) is not first
    assert not Path(f"/proc/{pid_of(first)}").exists()


def test_a_template_ends_with_the_thread_that_asked_for_it() -> None:
    templates, found = Templates(), list[int]()
    thread = threading.Thread(target=lambda: found.append(pid_of(templates.get(Sandbox()))))
    thread.start()
    thread.join()
    assert not Path(f"/proc/{found[0]}").exists()


def test_t07_a_probing_process_has_nothing_open_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template's own socket above all: with it, more processes could be had."""
    script = """
import os, sys
found = []
for number in range(3, 64):
    try:
        os.fstat(number)
        found.append(number)
    except OSError:
        pass
sys.stderr.write("open=" + repr(found) + " environment=" + repr([n for n in os.environ if n != "LC_CTYPE"]))
sys.exit(7)
"""
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    with pytest.raises(DecoderCrash, match=r"open=\[\] environment=\[\]"):
        probe(make("moov_first"), PyAvProber())


def test_f23_a_probing_process_has_the_processor_time_of_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import resource, sys; sys.stderr.write('cpu=%r' % (resource.getrlimit(resource.RLIMIT_CPU),)); sys.exit(7)"
    )
    monkeypatch.setattr(probe_template, "BOOT", instead(script))
    with pytest.raises(DecoderCrash, match=r"cpu=\(30, 35\)"):
        probe(make("moov_first"), PyAvProber())


def test_f20_a_template_dies_with_the_process_that_made_it() -> None:
    """A middle process makes one and is killed; the pipe that the template alone still holds then ends."""
    code = (
        "import os, signal\n"
        "from src.infrastructure.ffmpeg.probe_template import Templates\n"
        "from src.infrastructure.ffmpeg.sandbox import Sandbox\n"
        "import subprocess\n"
        "start, held = subprocess.Popen, os.dup(1)\n"
        "subprocess.Popen = lambda argv, **how: start(argv, **how, pass_fds=(held,))\n"
        "templates = Templates()\n"
        "template = templates.get(Sandbox())\n"
        "ours, theirs = os.pipe()\n"
        "template.start(os.open('/dev/null', os.O_RDONLY), theirs)\n"
        "print('up', flush=True)\n"
        "signal.pause()\n"
    )
    middle = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert middle.stdout is not None
    assert middle.stdout.readline() == "up\n"
    middle.kill()
    middle.wait()
    assert select.select([middle.stdout], [], [], 30)[0], "the template outlives its maker"
    assert middle.stdout.read() == ""
    middle.stdout.close()

"""What a media tool can't do any more once the launcher has started it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.errors import ConfigError
from src.infrastructure.ffmpeg import sandbox as sandbox_module
from src.infrastructure.ffmpeg.launcher import LAUNCH_FAILED
from src.infrastructure.ffmpeg.sandbox import HostSandbox, Limits, Sandbox, check_sandbox, host_sandbox

PYTHON = os.path.realpath(sys.executable)
PYTHON_FOLDERS = [sys.prefix, sys.base_prefix, "/etc/localtime"]


def launched(
    code: str, *, folder: Path, mode: sandbox_module.SandboxMode = "best_effort", limits: Limits | None = None
) -> subprocess.CompletedProcess[str]:
    """Run python code as if it were a media tool that may only write to `folder`."""
    command = Sandbox(mode=mode).command(
        [PYTHON, "-I", "-S", "-c", code], read=PYTHON_FOLDERS, write=[folder], limits=limits
    )
    return subprocess.run(command, capture_output=True, text=True, env={}, timeout=60, check=False)


def tried(action: str, folder: Path) -> object:
    """The errno that `action` ends with, or its value."""
    code = f"import os, socket, ctypes, json\ntry:\n    r = {action}\nexcept OSError as e:\n    r = e.errno\nprint(json.dumps(r, default=str))"
    done = launched(code, folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_landlock = pytest.mark.skipif(not host_sandbox().landlock, reason="this kernel gives no Landlock")
needs_seccomp = pytest.mark.skipif(not host_sandbox().seccomp, reason="this machine gives no seccomp filter")


@needs_seccomp
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK"])
def test_t07_no_socket_can_be_opened(tmp_path: Path, family: str) -> None:
    assert tried(f"socket.socket(socket.{family}, socket.SOCK_DGRAM).fileno()", tmp_path) == errno.EPERM


@needs_seccomp
def test_t07_other_processes_cannot_be_traced(tmp_path: Path) -> None:
    action = "(ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0), ctypes.get_errno())[0]"
    assert tried(action, tmp_path) == -1


@needs_landlock
def test_t02_another_tenants_file_cannot_be_read(tmp_path: Path) -> None:
    neighbour = tmp_path / "neighbour"
    neighbour.write_text("secret")
    mine = tmp_path / "mine"
    mine.mkdir()
    assert tried(f"open({str(neighbour)!r}).read()", mine) == errno.EACCES
    assert tried("open('/etc/passwd').read()", mine) == errno.EACCES


@needs_landlock
def test_t07_nothing_outside_the_output_folder_can_be_written(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert tried(f"open({str(tmp_path / 'x')!r}, 'w').write('x')", mine) == errno.EACCES
    assert tried(f"open({str(mine / 'x')!r}, 'w').write('x')", mine) == 1


def test_threads_still_start(tmp_path: Path) -> None:
    code = "import threading\nt = threading.Thread(target=lambda: print('ran'))\nt.start()\nt.join()"
    assert launched(code, folder=tmp_path).stdout == "ran\n"


def test_t22_the_environment_is_empty(tmp_path: Path) -> None:
    code = "import os; print([k for k in os.environ if k != 'LC_CTYPE'])"
    command = Sandbox(mode="off").command([PYTHON, "-I", "-S", "-c", code])
    done = subprocess.run(command, capture_output=True, text=True, env={"SECRET": "x"}, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_f23_a_file_larger_than_the_limit_ends_the_tool_with_its_signal(tmp_path: Path) -> None:
    code = f"import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nopen({str(tmp_path / 'x')!r}, 'wb').write(bytes(100000))"
    assert launched(code, folder=tmp_path, limits=Limits(file_bytes=1000)).returncode == -signal.SIGXFSZ


def test_f23_memory_above_the_limit_is_refused(tmp_path: Path) -> None:
    done = launched("x = bytes(1 << 30)", folder=tmp_path, limits=Limits(address_space=512 << 20))
    assert "MemoryError" in done.stderr


def test_no_core_is_ever_written(tmp_path: Path) -> None:
    assert (
        launched("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))", folder=tmp_path).stdout
        == "(0, 0)\n"
    )


def test_the_tool_stays_in_the_group_that_is_killed(tmp_path: Path) -> None:
    assert launched("import os; print(os.getpgrp())", folder=tmp_path).stdout == f"{os.getpgrp()}\n"


def test_f20_a_tool_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A middle process starts the tool, says its pid and is killed; the pipe that the tool alone still holds then ends."""
    tool = Sandbox(mode="off").command(
        [PYTHON, "-I", "-S", "-c", "import signal; print('up', flush=True); signal.pause()"]
    )
    starter = (
        "import json, os, subprocess, sys, signal\n"
        "argv = json.loads(sys.argv[1])\n"
        "argv = [f'parent={os.getpid()}' if word.startswith('parent=') else word for word in argv]\n"
        "subprocess.Popen(argv)\nsignal.pause()"
    )
    middle = subprocess.Popen([PYTHON, "-I", "-S", "-c", starter, json.dumps(tool)], stdout=subprocess.PIPE, text=True)
    assert middle.stdout is not None
    assert middle.stdout.readline() == "up\n"
    middle.kill()
    middle.wait()
    assert middle.stdout.read() == ""
    middle.stdout.close()


def test_a_tool_whose_starter_is_already_gone_is_not_started(tmp_path: Path) -> None:
    other = f"parent={1 if os.getpid() != 1 else 2}"
    tool = Sandbox(mode="off").command([PYTHON, "-c", "print('ran')"])
    command = [other if word == f"parent={os.getpid()}" else word for word in tool]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (LAUNCH_FAILED, "")


def test_a_tool_that_is_not_there_says_so() -> None:
    done = subprocess.run(Sandbox(mode="off").command(["/nowhere/ffmpeg"]), capture_output=True, text=True, check=False)
    assert done.returncode == LAUNCH_FAILED
    assert "/nowhere/ffmpeg can't be started" in done.stderr


def test_t08_required_refuses_to_start_where_the_host_gives_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "host_sandbox", lambda: HostSandbox(True, False, 0, True))
    with pytest.raises(ConfigError, match="landlock"):
        check_sandbox("required")
    assert check_sandbox("best_effort").to_json()["landlock"] is False

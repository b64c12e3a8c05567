"""Builds the command line that runs a media tool with as few rights as this host can take away (launcher.py does it)."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from src.domain.errors import ConfigError

SandboxMode = Literal["required", "best_effort", "off"]

LAUNCHER = Path(__file__).with_name("launcher.py")
BOOT = "import sys; sys.path.append(sys.argv.pop(1)); import launcher; launcher.main(sys.argv[1:])"
"""As a module, not as a script: a script is compiled anew each time. Its folder comes last, so that none of its neighbours is
taken for a module of the standard library."""
START = (sys.executable, "-I", "-S", "-c", BOOT, str(LAUNCHER.parent))
SYSTEM_FOLDERS = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
)
"""What a dynamically linked tool reads to start, and nothing that belongs to anyone."""

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """rlimits of one tool process: bytes of address space, seconds of CPU, bytes of one written file, open files.
    x264 and the decoders reserve far more address space than they touch, hence 4 GiB."""

    address_space: int = 4 * GIB
    cpu_seconds: int = 3600
    file_bytes: int = 8 * GIB
    open_files: int = 256

    def to_json(self) -> dict[str, int]:
        """As the launcher reads them."""
        return {
            "as": self.address_space,
            "cpu": self.cpu_seconds,
            "fsize": self.file_bytes,
            "nofile": self.open_files,
        }


@dataclass(frozen=True, slots=True)
class HostSandbox:
    """What this host really gives, tried out in a child process. `landlock_abi` is 0 where there is none."""

    no_new_privs: bool
    landlock: bool
    landlock_abi: int
    seccomp: bool

    @property
    def is_whole(self) -> bool:
        """All parts work: `required` can be kept."""
        return self.no_new_privs and self.landlock and self.seccomp

    def to_json(self) -> dict[str, bool | int]:
        """For doctor and health."""
        return {
            "no_new_privs": self.no_new_privs,
            "landlock": self.landlock,
            "landlock_abi": self.landlock_abi,
            "seccomp": self.seccomp,
        }


@functools.cache
def host_sandbox() -> HostSandbox:
    """Ask the host once. Raises ConfigError when even the launcher can't run."""
    command = [*START, "--check"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=30,
            check=True,
            env={},
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigError(
            f"the media launcher can't run: {error}",
            fix="check that python starts from this user",
        ) from error
    return HostSandbox(
        found["no_new_privs"],
        found["landlock"],
        found["landlock_abi"],
        found["seccomp"],
    )


def check_sandbox(mode: SandboxMode) -> HostSandbox:
    """For start-up: raises ConfigError when `required` can't be kept, names what is missing."""
    host = host_sandbox()
    if mode == "required" and not host.is_whole:
        missing = [name for name in ("no_new_privs", "landlock", "seccomp") if not host.to_json()[name]]
        raise ConfigError(
            f"the sandbox is required, but this host gives no {', '.join(missing)}",
            fix="use a kernel >= 5.13 with Landlock and seccomp, or set the sandbox to best_effort",
        )
    return host


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How media tools are started. `command()` is all other modules need; the process it names must be started with
    Popen from a thread that waits for it (the tool is killed when that thread ends)."""

    mode: SandboxMode = "best_effort"
    limits: Limits = field(default_factory=Limits)

    def command(
        self,
        argv: Sequence[str],
        *,
        read: Sequence[Path | str] = (),
        write: Sequence[Path | str] = (),
        limits: Limits | None = None,
    ) -> list[str]:
        """`argv` behind the launcher. `argv[0]` is an absolute path; `read` (files or folders) beside the system's
        libraries, `write` folders that the tool may fill."""
        return [*START, *self.words(read=read, write=write, limits=limits), "--", *argv]

    def words(
        self, *, read: Sequence[Path | str] = (), write: Sequence[Path | str] = (), limits: Limits | None = None
    ) -> list[str]:
        """What may be done, as the launcher reads it."""
        allowed = (limits or self.limits).to_json()
        return [
            f"parent={os.getpid()}",
            f"mode={self.mode}",
            *(f"{name}={value}" for name, value in allowed.items()),
            *(f"read={path}" for path in SYSTEM_FOLDERS),
            *(f"read={os.path.realpath(path)}" for path in read),
            "write=/dev/null",
            *(f"write={os.path.realpath(path)}" for path in write),
        ]

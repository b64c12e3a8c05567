"""The last step before a media tool runs: takes rights away from this process, then becomes the tool.

Run in a python of its own with the words WORDS... -- TOOL ARGUMENTS... (src/infrastructure/ffmpeg/sandbox.py builds that line).
It stays in the process group of whoever started it: killing that group kills the tool.

WORDS, any order: parent=PID mode=required|best_effort|off read=PATH write=PATH (as often as wanted) and limits: as=BYTES cpu=SECONDS
fsize=BYTES nofile=COUNT. `--check` instead prints what this host gives.
Kernel numbers are those of linux/landlock.h, linux/seccomp.h, linux/prctl.h and linux/audit.h.

Every picture and every chunk waits for this to start. So it imports what a bare interpreter has loaded anyway, ctypes and
resource, and nothing that brings `re` or `enum`: json, signal, socket, platform and typing cost twice as much as all of the rest.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LAUNCH_FAILED = 120
"""Exit code when the tool was never started; stderr says why."""

SIGKILL, SIGPIPE, SIGXFSZ, AF_UNIX = 9, 13, 25, 1

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
FS_EXECUTE, FS_WRITE_FILE, FS_READ_FILE, FS_READ_DIR = 1, 2, 4, 8
FS_REMOVE_FILE, FS_MAKE_REG, FS_TRUNCATE, FS_IOCTL_DEV = (
    1 << 5,
    1 << 8,
    1 << 14,
    1 << 15,
)
FILE_RIGHTS = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV
READ_RIGHTS = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR
WRITE_RIGHTS = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE

EPERM = 1
SYSCALLS = {
    # machine: (audit arch, socket, the calls a media tool has no business with: ptrace, io_uring_setup, bpf,
    # process_vm_readv, process_vm_writev, userfaultfd, keyctl, mount, unshare, setns)
    "x86_64": (0xC000003E, 41, (101, 425, 321, 310, 311, 323, 250, 165, 272, 308)),
    "aarch64": (0xC00000B7, 198, (117, 425, 280, 270, 271, 282, 219, 40, 97, 268)),
}


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("filesystem", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, number: int, pointer: Any = None) -> bool:
    """prctl takes unsigned longs behind an ellipsis: a plain int would leave half of each register undefined."""
    zero = ctypes.c_ulong(0)
    second = zero if pointer is None else pointer
    return bool(_libc().prctl(option, ctypes.c_ulong(number), second, zero, zero) == 0)


def landlock_version() -> int:
    """The kernel's Landlock ABI; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(
        0,
        int(_libc().syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))),
    )


def restrict_files(read: list[str], write: list[str]) -> bool:
    """From here on only `read` can be read or run and only `write` be written; no TCP either from ABI 4 on. False where
    the kernel has no Landlock. Paths that do not exist are passed over (/lib64 is not everywhere)."""
    version = landlock_version()
    if version < 1:
        return False
    handled = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    rules = _Ruleset(handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    libc = _libc()
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    for paths, rights in ((read, READ_RIGHTS), (write, WRITE_RIGHTS)):
        for path in paths:
            if not _allow(libc, ruleset, path, rights & handled):
                return False
    restricted = libc.syscall(LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return bool(restricted)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> bool:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            rights &= FILE_RIGHTS
        rule = _Beneath(rights, folder)
        return bool(libc.syscall(LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(folder)


def restrict_calls() -> bool:
    """No socket but AF_UNIX, and none of the calls that reach into other processes; refused with EPERM, so that the tool
    reports an error instead of dying. False on machines whose call numbers are not known here."""
    known = SYSCALLS.get(os.uname().machine)
    if known is None or not sys.platform.startswith("linux"):
        return False
    lines = _filter_lines(*known)
    program = _Program(len(lines), (_Instruction * len(lines))(*lines))
    return _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def _filter_lines(arch: int, socket_call: int, refused: tuple[int, ...]) -> list[_Instruction]:
    """A BPF program over struct seccomp_data (nr at 0, arch at 4, first argument at 16). Everything unnamed is allowed:
    clone3 above all, because glibc starts threads with it."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    lines: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, arch),
        (
            give,
            0,
            0,
            0x00050000 | EPERM,
        ),  # another architecture's calls have other numbers
        (load, 0, 0, 0),
        (at_least, 0, 1, 0x40000000),
        (give, 0, 0, 0x00050000 | EPERM),  # x32 numbers on x86_64
    ]
    for number in refused:
        lines += [(equal, 0, 1, number), (give, 0, 0, 0x00050000 | EPERM)]
    lines += [
        (equal, 0, 3, socket_call),
        (load, 0, 0, 16),
        (equal, 1, 0, AF_UNIX),
        (give, 0, 0, 0x00050000 | EPERM),
        (give, 0, 0, 0x7FFF0000),
    ]
    return [_Instruction(*line) for line in lines]


def limit(limits: dict[str, int]) -> None:
    """Set the rlimits named; never above what the process already has. CPU: SIGXCPU, and SIGKILL 5 s later."""
    kinds = {
        "as": resource.RLIMIT_AS,
        "cpu": resource.RLIMIT_CPU,
        "fsize": resource.RLIMIT_FSIZE,
        "nofile": resource.RLIMIT_NOFILE,
    }
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, value in limits.items():
        kind = kinds[name]
        hard = resource.getrlimit(kind)[1]
        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
        above = top + 5 if name == "cpu" else top
        if hard != resource.RLIM_INFINITY:
            above = min(above, hard)
        resource.setrlimit(kind, (top, above))


def give_up_rights(read: list[str], write: list[str]) -> dict[str, bool]:
    """Take away what this kernel can take away; says which parts it did."""
    done = {"no_new_privs": sys.platform.startswith("linux") and _prctl(PR_SET_NO_NEW_PRIVS, 1)}
    done["landlock"] = done["no_new_privs"] and restrict_files(read, write)
    done["seccomp"] = done["no_new_privs"] and restrict_calls()
    return done


def _fail(reason: str) -> None:
    os.write(2, f"launcher: {reason}\n".encode())
    os._exit(LAUNCH_FAILED)


def check() -> dict[str, Any]:
    """Take the rights away and try to use them: what this host really gives."""
    import socket

    done: dict[str, Any] = give_up_rights(["/usr"], [])
    try:
        os.close(os.open("/", os.O_RDONLY))
        done["landlock"] = False
    except OSError:
        pass
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        done["seccomp"] = False
    except OSError:
        pass
    done["landlock_abi"] = landlock_version()
    return done


def die_with(parent: int) -> None:
    """Be killed when the parent's thread that started this process ends; at once if it has ended."""
    if sys.platform.startswith("linux"):
        _prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:
            os._exit(LAUNCH_FAILED)  # nobody is left to read a message


def confine(spec: dict[str, Any], *also_read: str) -> list[str]:
    """Take away from this process what `spec` says; what is missing on this host of a sandbox that is required."""
    missing: list[str] = []
    if spec["mode"] != "off":
        done = give_up_rights([*spec["read"], *also_read], spec["write"])
        missing = [name for name, given in done.items() if not given and spec["mode"] == "required"]
    limit(spec["limits"])
    return missing


def launch(spec: dict[str, Any], argv: list[str]) -> None:
    """Become `argv`. Never returns."""
    die_with(spec["parent"])
    for number in (SIGPIPE, SIGXFSZ):
        # Python ignores these two, and an ignored signal stays ignored after exec. By libc: the module `signal` takes its time.
        _libc().signal(number, None)
    if missing := confine(spec, argv[0]):
        _fail(f"this host gives no {', '.join(missing)}, and the sandbox is required")
    try:
        os.execve(argv[0], argv, {})  # noqa: S606  # this is what the script is for
    except OSError as error:
        _fail(f"{argv[0]} can't be started: {error.strerror}")


def spec_of(words: list[str]) -> dict[str, Any]:
    """What WORDS say. Raises ValueError, KeyError."""
    spec: dict[str, Any] = {"read": [], "write": [], "limits": {}}
    for word in words:
        name, _, value = word.partition("=")
        if name in ("read", "write"):
            spec[name].append(value)
        elif name == "mode":
            spec[name] = value
        elif name == "parent":
            spec[name] = int(value)
        else:
            spec["limits"][name] = int(value)
    return spec


def main(arguments: list[str]) -> None:
    """`--check`, or WORDS... -- TOOL ARGUMENTS..."""
    if arguments == ["--check"]:
        import json

        sys.stdout.write(json.dumps(check()) + "\n")
        return
    if "--" not in arguments[:-1]:
        _fail("usage: launcher.py WORDS... -- TOOL ARGUMENTS...")
    end = arguments.index("--")
    launch(spec_of(arguments[:end]), arguments[end + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])

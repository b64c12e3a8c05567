"""What the queue benchmark runs on Node: bullmq beside our worker, and `fauxqs`, an emulator of SQS.

Pinned with hashes in benchmarks/peers/package-lock.json, which names no registry: npm asks the one it is set to. To pin anew:
`npm install --package-lock-only --omit-lockfile-registry-resolved` in that folder. (msgpackr-extract is held back at a version
that every platform has: npm refuses a lock in which one is missing.)
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PINNED = Path(__file__).with_name("peers")
FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300


def install(home: Path) -> str | None:
    """Puts the packages into `home`; None, or why that can't be done, for the table."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "not measured: there is no node and npm on this machine"
    wanted = [(PINNED / name).read_bytes() for name in FILES]
    stamp = home / ".locked"
    if stamp.exists() and stamp.read_bytes() == b"".join(wanted):
        return None
    home.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name, text in zip(FILES, wanted, strict=True):
        (home / name).write_bytes(text)
    command = [npm, "ci", "--ignore-scripts", "--loglevel", "error", "--no-fund", "--no-audit"]
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not measured: npm brought nothing within {INSTALL_SECONDS} s"
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        return f"not measured: npm could not install its packages: {said[:300]}"
    stamp.write_bytes(b"".join(wanted))
    return None

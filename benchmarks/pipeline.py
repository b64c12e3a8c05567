"""A 1080p film through the whole worker, beside the bare commands it runs, and beside one ffmpeg per rendition in turn.

The film is BENCH_CLIP when that is set (a real 30-60 s 1080p clip is what the goals speak of), else one we make.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, ratio, rounds, run_all, run_one
from src.application.ports.media import ReadRange
from src.domain.video.plan import Plan
from src.domain.video.planning import PlanSettings, make_plan
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.command import audio_argv, chunk_argv
from src.infrastructure.ffmpeg.encoder import pinned_cpu
from src.infrastructure.ffmpeg.prober import PyAvProber

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 30


def film(folder: Path) -> Path:
    """The clip to encode."""
    if given := os.environ.get("BENCH_CLIP"):
        return Path(given)
    target = folder / "film.mp4"
    picture = f"mandelbrot=size=1920x1080:rate=24,trim=duration={SECONDS},noise=alls=6:allf=t"
    command = [str(find_ffmpeg()), "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi"]
    command += ["-i", f"sine=frequency=330:duration={SECONDS}", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "6M"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", str(target)], check=True)
    return target


def facts(clip: Path) -> SourceMedia:
    """What the worker's own probe says."""
    with clip.open("rb") as stream:

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            return stream.read(length)

        reader: ReadRange = read
        return PyAvProber().probe(reader, clip.stat().st_size)


def bare(clip: Path, plan: Plan, folder: Path) -> Cost:
    """The ffmpeg commands of the plan and nothing around them: chunks on all cores, sound beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    commands = []
    for index in range(len(plan.chunks)):
        place = folder / f"c{index}"
        for rung in plan.rungs:
            (place / rung.name).mkdir(parents=True)
        commands.append((place, chunk_argv(find_ffmpeg(), clip, plan, index, progress_fd=1, cpu=pinned_cpu())))
    for track in plan.audio:
        place = folder / track.name
        (place / track.name).mkdir(parents=True)
        commands.append((place, audio_argv(find_ffmpeg(), clip, plan, track.number, progress_fd=1)))
    wrapped = [["/usr/bin/env", "-C", str(place), *argv] for place, argv in commands]
    return run_all(wrapped, os.cpu_count() or 1)


def in_turn(clip: Path, plan: Plan, folder: Path) -> Cost:
    """One ffmpeg per rendition, each with the sound, as MediaCMS and PeerTube do."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    commands = []
    for rung in plan.rungs:
        command = [str(find_ffmpeg()), "-v", "error", "-nostdin", "-y", "-i", str(clip), "-vf"]
        command += [f"scale={rung.width}:{rung.height}:flags=bicubic,format=yuv420p", "-c:v", "libx264"]
        command += ["-preset", plan.preset, "-crf", f"{rung.crf:g}", "-maxrate", str(rung.maxrate)]
        command += ["-bufsize", str(rung.bufsize), "-profile:v", rung.profile, "-g", str(plan.segment_frames)]
        command += ["-keyint_min", str(plan.segment_frames), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "128k"]
        command += ["-ac", "2", "-f", "hls", "-hls_time", f"{plan.segment_seconds:g}", "-hls_playlist_type", "vod"]
        command += ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", f"{rung.name}-init.mp4"]
        commands.append([*command, str(folder / f"{rung.name}.m3u8")])
    return run_all(commands, 1)


def whole(clip: Path, folder: Path) -> tuple[Cost, float]:
    """A fresh data directory, a submitted job, a worker that drains: cost of the worker process, and the attempt's wall
    seconds (claim to commit) as the ledger has them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
    environment = {**clean, "WORKER_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "WORKER_LOG__FORMAT": "json"}
    command = [sys.executable, "-m", "src.interfaces.cli.app"]
    subprocess.run([*command, "submit", "video", str(clip), "--json"], env=environment, check=True, capture_output=True)
    worker = [sys.executable, "-m", "src.interfaces.workers.video.main", "--drain"]
    cost = run_one(worker, environment, folder / "worker.log")
    with sqlite3.connect(folder / "mediaworker.db") as database:
        ((state, began, ended),) = database.execute("SELECT state, started_at, finished_at FROM jobs").fetchall()
    if state != "SUCCEEDED":
        raise RuntimeError(f"the job ended {state}; see {folder / 'worker.log'}")
    return cost, ended - began


def main(count: int = 3) -> dict[str, object]:
    """Measure and print; the figures as JSON."""
    with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
        work = Path(name)
        clip = film(work)
        plan = make_plan(facts(clip), PlanSettings())
        outs = rounds(
            count,
            lambda: (bare(clip, plan, work / "bare"), 0.0),
            lambda: whole(clip, work / "whole"),
            lambda: (in_turn(clip, plan, work / "turn"), 0.0),
        )
    bares, wholes, turns = outs
    attempt = [seconds for _, seconds in wholes]
    figures: dict[str, object] = {
        "clip_seconds": round(plan.duration_seconds, 1),
        "rungs": [rung.name for rung in plan.rungs],
        "chunks": len(plan.chunks),
        "attempt_wall_over_bare_commands": _shown(ratio(attempt, [cost.wall for cost, _ in bares])),
        "attempt_wall_over_one_ffmpeg_per_rendition": _shown(ratio(attempt, [cost.wall for cost, _ in turns])),
        "worker_cpu_over_one_ffmpeg_per_rendition": _shown(
            ratio([cost.cpu for cost, _ in wholes], [cost.cpu for cost, _ in turns])
        ),
        "worker_cpu_over_bare_commands": _shown(
            ratio([cost.cpu for cost, _ in wholes], [cost.cpu for cost, _ in bares])
        ),
        "seconds": {
            "bare": [round(cost.wall, 2) for cost, _ in bares],
            "attempt": [round(seconds, 2) for seconds in attempt],
            "worker_process": [round(cost.wall, 2) for cost, _ in wholes],
            "in_turn": [round(cost.wall, 2) for cost, _ in turns],
        },
        "speed": round(plan.duration_seconds / statistics.median(attempt), 2),
    }
    print(json.dumps(figures, indent=2))
    return figures


def _shown(values: tuple[float, float, float]) -> dict[str, float]:
    low, middle, high = values
    return {"min": round(low, 3), "median": round(middle, 3), "max": round(high, 3)}


if __name__ == "__main__":
    main(int(os.environ.get("BENCH_ROUNDS", "3")))

"""Makes the demo's clip on the spot: a zoom into the Mandelbrot set with a beep each second. No input file is read."""

from __future__ import annotations

import subprocess
from pathlib import Path

from src.domain.errors import FfmpegFailed

SECONDS = 12.0
"""Long enough for three segments of 4 s, short enough for a demo."""

WIDTH, HEIGHT, FPS = 1280, 720, 30

TIMEOUT_SECONDS = 120.0
"""The clip takes about 3 s on two cores."""


def make_demo_clip(ffmpeg: Path, target: Path, *, seconds: float = SECONDS) -> None:
    """Write an MP4 (H.264, AAC; 1280x720, 30 fps) to `target`. Raises FfmpegFailed."""
    # Drawn at a quarter of the size: the fractal is what costs, not its encoding.
    picture = f"mandelbrot=size={WIDTH // 2}x{HEIGHT // 2}:rate={FPS}:maxiter=400:end_pts=900:end_scale=0.001"
    sound = "sine=frequency=220:beep_factor=4:sample_rate=48000"
    command = [
        *(str(ffmpeg), "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", f"{seconds:g}"),
        *("-vf", f"scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "27", "-g", str(2 * FPS)),
        *("-c:a", "aac", "-b:a", "96k", "-ac", "2", "-movflags", "+faststart", "-f", "mp4", str(target)),
    ]
    try:
        done = subprocess.run(  # fixed words and our own paths only
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FfmpegFailed(f"the demo clip could not be made: {error}", fix="`mediaworker doctor`") from error
    if done.returncode != 0 or not target.is_file() or not target.stat().st_size:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise FfmpegFailed(f"ffmpeg made no demo clip (exit {done.returncode}): {said}", fix="`mediaworker doctor`")

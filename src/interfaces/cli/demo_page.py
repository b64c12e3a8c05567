"""A page with a <video> next to the demo's playlist."""

from __future__ import annotations

import html
from pathlib import Path

from src.domain.errors import FileAccessError

PAGE_NAME = "watch.html"

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mediaworker demo</title>
<style>body{{margin:2rem auto;max-width:60rem;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}}video{{width:100%;background:#000}}</style>
<h1>mediaworker demo</h1>
<video id="player" controls muted autoplay playsinline src="{playlist}"></video>
<p id="note">Browsers that play HLS themselves (Safari, phones, recent Chrome and Edge) show it above. Elsewhere, open
<code>{playlist}</code> of this address in VLC, mpv or ffplay.</p>
<script>
// No script is loaded from elsewhere: the page works offline.
const player = document.getElementById("player");
player.addEventListener("error", () => {{
  document.getElementById("note").textContent =
    "This browser does not play HLS by itself. Open " + player.src + " in VLC, mpv or ffplay.";
}});
</script>
"""


def write_page(root: Path, hls_path: str) -> Path:
    """Write the page beside the master playlist. Raises FileAccessError."""
    master = root / hls_path
    page = master.parent / PAGE_NAME
    try:
        page.write_text(PAGE.format(playlist=html.escape(master.name, quote=True)))
    except OSError as error:
        raise FileAccessError(f"{page} can't be written: {error.strerror}") from error
    return page

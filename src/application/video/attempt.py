"""One attempt at one video, step by step (mission.md V3)."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.application.failpoints import failpoint
from src.application.outcome import Run
from src.application.ports.clock import Clock
from src.application.ports.media import Encoder, Pictures, Prober
from src.application.ports.scratch import Scratch
from src.application.ports.storage import Storage, StoredObject
from src.application.ports.videos import ChunkRepository
from src.application.video.chunks import ChunkRun
from src.application.video.download import Fetched, bringer, fetch, reader
from src.application.video.request import EncodeVideo
from src.application.video.result import describe
from src.application.video.settings import VideoSettings
from src.application.video.steady import SourceChanged, Steady
from src.application.video.steps import Steps
from src.application.video.stream import HEAD_BYTES, Stream, first_objects, make_stream
from src.application.video.uploads import HeadersDiffer, Uploads
from src.domain.errors import DiskFull, NetworkError, OutputInvalid, SourceEmpty
from src.domain.video.keys import MASTER, STORYBOARD, THUMBNAIL, video_prefix
from src.domain.video.ladder import LADDERS
from src.domain.video.plan import Plan
from src.domain.video.planning import make_plan, plan_hash
from src.domain.video.source import SourceMedia
from src.domain.video.storyboard import SpriteSheet, storyboard_webvtt
from src.domain.video.verify import verify_stream

log = logging.getLogger(__name__)

LOOKS = 3
"""How often the source may be replaced under an attempt before the attempt gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the attempt works on: the object's version, its facts, the plan that follows, the bytes on local disk."""

    stored: StoredObject
    media: SourceMedia
    plan: Plan
    fetched: Fetched


@dataclass(kw_only=True)
class Attempt:
    """Everything one attempt needs. `perform` gives the job's result; nothing of it is visible before the engine commits."""

    request: EncodeVideo
    run: Run
    storage: Storage
    scratch: Scratch
    chunks: ChunkRepository
    prober: Prober
    encoder: Encoder
    pictures: Pictures
    settings: VideoSettings
    clock: Clock
    steady: Steady
    uploads: Uploads
    steps: Steps
    replaced_path: str | None = None
    """the playlist that the video shows until this attempt's is committed"""

    def perform(self) -> Mapping[str, Any]:
        """Raises JobErrors; Cancelled and Interrupted come from outside."""
        began, spent = self.clock.monotonic(), _cpu_seconds()
        source = self._source()
        pictures: dict[str, Any] = {}
        work = self._chunk_run(source, beside=lambda: pictures.update(self._make_pictures(source)))
        stream = self._stream(source.plan, work)
        return describe(
            media=source.media,
            plan=source.plan,
            stream=stream,
            prefix=self.uploads.prefix,
            pictures=pictures,
            facts={
                "source_version": source.stored.version,
                "source_sha256": source.fetched.sha256,
                "replaced_path": self.replaced_path,
                "plan_hash": work.plan_hash,
                "chunks_total": len(source.plan.chunks) + len(source.plan.audio),
                "chunks_reused": work.reused,
                "encode_seconds": round(self.clock.monotonic() - began, 3),
                "cpu_seconds": round(_cpu_seconds() - spent, 3),
            },
        )

    def _stream(self, plan: Plan, work: ChunkRun) -> Stream:
        """Every chunk in its place, checked and published."""
        try:
            work.adopt(self._published())
            work.encode()
        except HeadersDiffer:
            # Chunks of another ffmpeg than ours, from before the worker was upgraded.
            self._forget_chunks()
            raise
        try:
            stream = self._validated(plan, work)
            self.steps.enter("thumbnail", done=1.0)
            self._publish(plan, stream)
        except OutputInvalid:
            self._forget_chunks()
            raise
        return stream

    def _forget_chunks(self) -> None:
        """The next attempt must not take over what can't become a whole stream: it would fail as this one did."""
        try:
            self.steady.call(lambda: self.chunks.forget(self.request.video_id))
        except NetworkError as error:
            # The attempt's own error is what the owner has to read.
            log.warning("video.chunks_not_forgotten", extra={"video": self.request.video_id, "error": str(error)})

    # ------------------------------------------------------------------ source
    def _source(self) -> Source:
        for _ in range(LOOKS - 1):
            try:
                return self._look()
            except SourceChanged as error:
                log.warning("video.source_changed", extra={"video": self.request.video_id, "error": str(error)})
        return self._look()

    def _look(self) -> Source:
        self.steps.enter("presigning")
        key = self.request.file_key
        stored = self.steady.call(lambda: self.storage.head(key))
        if stored.size == 0:
            raise SourceEmpty(f"the source {key} has no bytes", fix="upload it again")
        read = reader(self.storage, stored, self.steady)
        media = self.prober.probe(read, stored.size)
        plan = make_plan(media, self._plan_settings())
        failpoint("probed")
        wanted = int(self.settings.free_space_factor * stored.size)
        if (free := self.scratch.free_bytes()) < wanted:
            raise DiskFull(
                f"scratch has {free} bytes free, a source of {stored.size} bytes wants {wanted}",
                fix="free or add scratch space",
            )
        failpoint("download.started")
        self.steps.enter("downloading")
        bring = bringer(self.storage, stored, self.steady)
        fetched = fetch(bring, stored.size, self.run.scratch, self.steps.at)
        self.steps.enter("probing")
        return Source(stored=stored, media=media, plan=plan, fetched=fetched)

    def _plan_settings(self) -> Any:
        chosen = self.request.ladder
        return self.settings.plan if chosen is None else replace(self.settings.plan, ladder=LADDERS[chosen])

    # ------------------------------------------------------------------ chunks
    def _chunk_run(self, source: Source, *, beside: Callable[[], None]) -> ChunkRun:
        folder = self.run.scratch / "work"
        folder.mkdir()
        return ChunkRun(
            video_id=self.request.video_id,
            sha256=source.fetched.sha256,
            plan_hash=plan_hash(source.plan),
            plan=source.plan,
            source=source.fetched.path,
            folder=folder,
            encoder=self.encoder,
            uploads=self.uploads,
            chunks=self.chunks,
            steady=self.steady,
            steps=self.steps,
            parallel=self.settings.parallel,
            waiting=self.settings.waiting_chunks,
            beside=beside,
        )

    def _published(self) -> dict[str, int]:
        prefix = video_prefix(self.request.tenant, self.request.video_id)
        return {stored.key: stored.size for stored in self.steady.call(lambda: list(self.storage.list(prefix)))}

    def _validated(self, plan: Plan, work: ChunkRun) -> Stream:
        self.steps.enter("validating")
        heads = {
            name: self.uploads.head_bytes(path, HEAD_BYTES) for name, path in first_objects(plan, work.segments).items()
        }
        stream = make_stream(plan, work.segments, heads)
        verify_stream(
            plan, stream.master, stream.playlists, {name: one.size for name, one in self.uploads.stored.items()}
        )
        failpoint("output.verified")
        return stream

    # ------------------------------------------------------------------ pictures
    def _make_pictures(self, source: Source) -> Mapping[str, Any]:
        """Runs beside the last chunks, on a core that has none left."""
        if source.media.video is None:
            return {}
        target = self.run.scratch / THUMBNAIL
        second = self.pictures.thumbnail(
            source.fetched.path,
            source.media,
            position=self.settings.thumbnail_position,
            width=self.settings.thumbnail_width,
            height=self.settings.thumbnail_height,
            target=target,
        )
        self.uploads.file(target, THUMBNAIL)
        made = {"thumbnail_path": self.uploads.prefix + THUMBNAIL, "thumbnail_second": round(second, 3)}
        if self.settings.storyboard:
            self._storyboard(source)
            made["storyboard_path"] = self.uploads.prefix + STORYBOARD
        return made

    def _storyboard(self, source: Source) -> None:
        folder: Path = self.run.scratch / "storyboard"
        folder.mkdir()
        sheets = self.pictures.storyboard(
            source.fetched.path,
            source.media,
            tile_width=self.settings.storyboard_tile_width,
            most_tiles=self.settings.storyboard_most_tiles,
            folder=folder,
        )
        named = []
        for number, sheet in enumerate(sheets):
            name = f"storyboard_{number}.jpg"
            self.uploads.file(sheet.path, name)
            named.append(
                SpriteSheet(
                    name=name,
                    columns=sheet.columns,
                    width=sheet.width,
                    height=sheet.height,
                    interval_seconds=sheet.interval_seconds,
                    tiles=sheet.tiles,
                )
            )
        if not named:
            raise OutputInvalid("the storyboard has no sheet")
        self.uploads.text(STORYBOARD, storyboard_webvtt(named, source.media.duration_seconds))

    # ------------------------------------------------------------------ publish
    def _publish(self, plan: Plan, stream: Stream) -> None:
        """Playlists after all segments, master last; then what storage holds must be exactly what was sent."""
        self.steps.enter("uploading")
        for path, text in stream.playlists.items():
            self.uploads.text(path, text)
        self.uploads.text(MASTER, stream.master)
        failpoint("uploaded.all")
        self.steps.at(0.5)
        prefix = self.uploads.prefix
        listed = {
            stored.key.removeprefix(prefix): stored.size
            for stored in self.steady.call(lambda: list(self.storage.list(prefix)))
        }
        sent = {name: stored.size for name, stored in self.uploads.stored.items()}
        wrong = sorted(name for name in {*listed, *sent} if listed.get(name) != sent.get(name))
        if wrong:
            raise OutputInvalid(f"storage does not hold what was sent: {', '.join(wrong[:10])}")
        read = {path: self._read_back(path, listed[path]) for path in stream.playlists}
        verify_stream(plan, self._read_back(MASTER, listed[MASTER]), read, listed)
        self.steps.at(1.0)

    def _read_back(self, name: str, size: int) -> str:
        return self.uploads.head_bytes(name, size).decode()


def _cpu_seconds() -> float:
    """User and system seconds of this process and of the children it has waited for."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total

"""Every chunk of the plan gets published: taken from an earlier attempt where one finished it, else encoded."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.application.failpoints import failpoint
from src.application.ports.media import EncodedFile, Encoder
from src.application.ports.videos import ChunkRepository, FinishedChunk, StoredSegment
from src.application.video.steady import Steady
from src.application.video.steps import Steps
from src.application.video.uploads import Uploads
from src.domain.errors import FileAccessError, SourceMissing
from src.domain.video.plan import Plan


@dataclass(kw_only=True)
class ChunkRun:
    """One attempt's work on all chunks. Indexes as in FinishedChunk: -1 - k is sound track k."""

    video_id: str
    sha256: str
    plan_hash: str
    plan: Plan
    source: Path
    folder: Path
    encoder: Encoder
    uploads: Uploads
    chunks: ChunkRepository
    steady: Steady
    steps: Steps
    parallel: int
    waiting: int
    beside: Callable[[], None] = lambda: None
    """another use of the source (pictures), for a core that has no chunk left"""
    segments: dict[int, Sequence[StoredSegment]] = field(default_factory=dict, init=False)
    """what is published, by chunk"""
    reused: int = field(default=0, init=False)
    _seconds: dict[int, float] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def adopt(self, sizes: dict[str, int]) -> None:
        """Copy the chunks that earlier attempts finished for the same source and plan to this attempt's place. `sizes`:
        every object of this video, by key; a chunk of which anything is missing or of another size is encoded again."""
        rows = self.steady.call(lambda: self.chunks.finished(self.video_id, self.sha256, self.plan_hash))
        wanted = set(self._indexes())
        usable = [
            row
            for row in rows
            if row.index in wanted
            and row.segments
            and all(sizes.get(segment.key) == segment.size and segment.size > 0 for segment in row.segments)
        ]
        copies = [(row.index, [self.uploads.adopt(segment) for segment in row.segments]) for row in usable]
        todo, done = sum(len(copying) for _, copying in copies), 0
        for index, copying in copies:
            try:
                copied = []
                for one in copying:
                    copied.append(one.result())
                    done += 1
                    # Thousands of copies take minutes: without a reading they look like a hang (lesson 18).
                    self.steps.at(done / todo, detail=f"{done} of {todo} objects taken over")
            except SourceMissing:
                continue  # swept between the listing and the copy: this chunk is encoded again
            self._keep(index, copied)
            self.reused += 1

    def encode(self) -> None:
        """Encode and publish the rest, in source order, `parallel` at a time and sound beside them. When anything fails,
        every encode is stopped and no thread is left. Raises the first failure."""
        sound = deque(index for index in self._indexes() if index < 0 and index not in self.segments)
        pictures = deque(index for index in self._indexes() if index >= 0 and index not in self.segments)
        slots = ThreadPoolExecutor(self.parallel + 1, thread_name_prefix="encode")
        keeper = ThreadPoolExecutor(1, thread_name_prefix="keep")
        self.steps.enter("transcoding", done=self._share())
        try:
            self._schedule(slots, keeper, sound, pictures)
        except BaseException:
            self.steady.over.set()
            self.encoder.stop()
            # Before waiting for the keeper: what waits for its upload must not be uploaded first (E8: 5 s).
            self.uploads.close()
            raise
        finally:
            slots.shutdown(wait=True, cancel_futures=True)
            keeper.shutdown(wait=True, cancel_futures=True)

    def _schedule(
        self, slots: ThreadPoolExecutor, keeper: ThreadPoolExecutor, sound: deque[int], pictures: deque[int]
    ) -> None:
        encoding: dict[Future[Sequence[EncodedFile]], int] = {}
        keeping: set[Future[None]] = set()
        aside_began = False
        while sound or pictures or encoding or keeping or not aside_began:
            busy = sum(1 for index in encoding.values() if index >= 0)
            if sound and len(encoding) == busy:
                index = sound.popleft()
                encoding[slots.submit(self._encode, index)] = index
            while pictures and busy < self.parallel and len(keeping) < self.waiting:
                index = pictures.popleft()
                encoding[slots.submit(self._encode, index)] = index
                busy += 1
            if not pictures and busy < self.parallel and not aside_began:
                aside_began = True
                keeping.add(slots.submit(self.beside))
            under_way: list[Future[Any]] = [*encoding, *keeping]
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for one in [one for one in encoding if one in done]:
                index = encoding.pop(one)
                uploading = [self.uploads.segment(file) for file in one.result()]
                keeping.add(keeper.submit(self._publish, index, uploading))
            for kept in keeping & done:
                kept.result()
                keeping.remove(kept)

    def _encode(self, index: int) -> Sequence[EncodedFile]:
        folder = self._folder(index)
        try:
            folder.mkdir()
        except OSError as error:
            raise FileAccessError(f"the folder of chunk {index} can't be made: {error.strerror}") from error
        on_progress: Callable[[float], None] = lambda seconds: self._progress(index, seconds)  # noqa: E731
        failpoint("ffmpeg.running")
        if index < 0:
            return self.encoder.encode_audio(self.source, self.plan, -1 - index, folder, on_progress)
        return self.encoder.encode_chunk(self.source, self.plan, index, folder, on_progress)

    def _publish(self, index: int, uploading: Sequence[Future[StoredSegment]]) -> None:
        segments = []
        for one in uploading:
            segments.append(one.result())
            self.steps.at(self._share(), parts=self._parts())
        shutil.rmtree(self._folder(index))
        self._keep(index, segments)

    def _keep(self, index: int, segments: Sequence[StoredSegment]) -> None:
        chunk = FinishedChunk(
            video_id=self.video_id,
            source_sha256=self.sha256,
            plan_hash=self.plan_hash,
            index=index,
            segments=tuple(segments),
        )
        self.steady.call(lambda: self.chunks.add(chunk))
        self.segments[index] = chunk.segments
        with self._lock:
            self._seconds[index] = self._length(index)

    def _folder(self, index: int) -> Path:
        return self.folder / (f"sound_{-1 - index}" if index < 0 else f"chunk_{index}")

    def _indexes(self) -> list[int]:
        return [chunk.index for chunk in self.plan.chunks] + [-1 - track.number for track in self.plan.audio]

    def _length(self, index: int) -> float:
        if index < 0 or self.plan.fps is None:
            return self.plan.duration_seconds
        return float(self.plan.chunks[index].frames / self.plan.fps)

    def _progress(self, index: int, seconds: float) -> None:
        with self._lock:
            self._seconds[index] = min(seconds, self._length(index))
        self.steps.at(self._share(), parts=self._parts())

    def _share(self) -> float:
        """Pictures decide; sound counts where there are none."""
        shown = [index for index in self._indexes() if index >= 0] or self._indexes()
        with self._lock:
            done = sum(self._seconds.get(index, 0.0) for index in shown)
        return done / max(0.001, sum(self._length(index) for index in shown))

    def _parts(self) -> dict[str, float]:
        share = round(100 * self._share(), 1)
        parts = {rung.name: share for rung in self.plan.rungs}
        with self._lock:
            for track in self.plan.audio:
                done = self._seconds.get(-1 - track.number, 0.0)
                parts[track.name] = round(100 * min(1.0, done / max(0.001, self.plan.duration_seconds)), 1)
        return parts

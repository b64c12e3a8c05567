"""The search index on Meilisearch, by its official client.

Whatever changes something is a task there, which the server does later, one after the other: a call of ours ends when its
tasks have succeeded.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from meilisearch import Client
from meilisearch.errors import MeilisearchApiError
from meilisearch.models.task import TaskInfo

from src.application.ports.clock import Clock
from src.application.ports.search import (
    FILTERABLE,
    KEY,
    SEARCHABLE,
    SORTABLE,
    Document,
    Query,
    SearchRefused,
    SearchUnavailable,
)
from src.domain.errors import ConfigError
from src.infrastructure.search.meili_errors import NO_INDEX, Missing, failed_task, is_denied, or_missing, translated
from src.infrastructure.search.meili_notes import CHANGED, FIELDS, notes, opposites, told

log = logging.getLogger(__name__)

BATCH_DOCUMENTS, BATCH_BYTES = 1_000, 8 * 2**20
"""Most of one request; the server takes 100 MB by default, a proxy before it may take less."""

FIRST_LOOK, LONGEST_LOOK = 0.02, 0.5
"""Seconds between looks at a task: twice as long each time, up to the second."""

PAGE = 1_000
"""Rows of one listing."""

DEFAULT_RULES = ["words", "typo", "proximity", "attribute", "sort", "exactness"]
RULES = ["sort", *(rule for rule in DEFAULT_RULES if rule != "sort")]
"""Ranking rules: who asks for an order gets it before anything else. Rules that somebody chose are left alone."""

UNREADABLE = "embedders"
"""A setting that the server doesn't tell whole (it hides keys), so that it can't be given to a second index."""

BUILD = "__build_"


@dataclass(slots=True, kw_only=True)
class MeiliSearchIndex:
    """SearchIndex, Checkable. `name`: the index's uid. `timeout_seconds`: of one request; `task_seconds`: of a task, waiting in
    the server's queue included."""

    url: str
    name: str
    clock: Clock
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0
    task_seconds: float = 120.0
    _client: Client = field(init=False, repr=False)
    _ensured: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        # The client's type says int; it hands the number to `requests`, which takes both.
        self._client = Client(self.url, self.api_key, timeout=self.timeout_seconds)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ documents
    def put(self, documents: Sequence[Document]) -> None:
        """In batches, by number and by size."""
        if documents:
            self._ensure()
            if self.name not in self._note([key_of(document) for document in documents], for_good=False):
                # Somebody removed it; the server would make it again by itself, without our settings.
                self._ensure(anew=True)
            self._add(self.name, documents)

    def remove(self, ids: Sequence[str], *, for_good: bool = False) -> None:
        """In one request; an index that is not there has nothing to remove."""
        if ids and self._exists(self.name):
            self._note(ids, for_good=for_good)
            self._delete(self.name, ids)

    def _add(self, uid: str, documents: Sequence[Document]) -> None:
        what = f"put {len(documents)} documents into {uid}"
        index = self._client.index(uid)
        tasks = []
        for payload in batches(documents):
            with translated(what):
                tasks.append(index.add_documents_json(payload, primary_key=KEY))
        self._wait(what, *tasks)

    def _delete(self, uid: str, ids: Sequence[str]) -> None:
        what = f"remove {len(ids)} documents from {uid}"
        with translated(what):
            # The client's own method for this warns that it will go; the route stays.
            task = TaskInfo(**self._client.http.post(f"indexes/{uid}/documents/delete-batch", list(ids)))
        self._wait(what, task, fine=NO_INDEX)

    def _note(self, ids: Sequence[str], *, for_good: bool, but: str = "") -> list[str]:
        """For rebuilds that are going on, before the change itself: the server works off its queue in order, so a change that
        the swap of the indexes overtakes has been noted before the swap. All indexes that are there."""
        names = self._names()
        for build in self._builds(names):
            if not build.endswith(CHANGED) and build != but:
                self._delete(build + CHANGED, opposites(ids, for_good=for_good))
                self._add(build + CHANGED, notes(ids, for_good=for_good))
        return names

    # ------------------------------------------------------------------ rebuild
    @contextmanager
    def rebuild(self) -> Iterator[MeiliRebuild]:
        """A second index with the settings of the first, and a list of what changes meanwhile."""
        self._ensure(anew=True)
        self._drop(self._builds(self._names()))
        uid = f"{self.name}{BUILD}{uuid.uuid4().hex[:8]}"
        settings = self._settings(self.name) or {}
        if settings.get(UNREADABLE):
            raise SearchRefused(
                f"index {self.name} has {UNREADABLE}, and Meilisearch does not tell their keys: a second index would lose them",
                fix="re-index it with a tool that knows them",
            )
        self._make(uid, {name: value for name, value in settings.items() if name != UNREADABLE})
        made = MeiliRebuild(self, uid, self._made_at(uid))
        try:
            yield made
        finally:
            try:
                self._drop([uid, uid + CHANGED])
            except SearchUnavailable as error:
                # What is left costs space, no more; the next rebuild removes it.
                log.warning("search.left_over", extra={"index": uid, "error": str(error)})

    def _builds(self, names: Sequence[str]) -> list[str]:
        """Indexes of rebuilds, and their lists."""
        return [each for each in names if each.startswith(self.name + BUILD)]

    def _names(self) -> list[str]:
        """Of all indexes of the server that the key lets us see."""
        found: list[str] = []
        start = 0
        while True:
            with translated("list indexes"):
                listed: Mapping[str, Any] = self._client.http.get(f"indexes?limit={PAGE}&offset={start}")
                names = [each["uid"] for each in listed["results"]]
            found += names
            start += PAGE
            if len(names) < PAGE:
                return found

    def _drop(self, uids: Sequence[str]) -> None:
        for uid in uids:
            with translated(f"remove index {uid}"):
                task = self._client.delete_index(uid)
            self._wait(f"remove index {uid}", task, fine=NO_INDEX)

    def _made_at(self, uid: str) -> str | None:
        """When the index was made, or None: there is none."""
        try:
            with or_missing(f"look at index {uid}"):
                return str(self._client.http.get(f"indexes/{uid}")["createdAt"])
        except Missing:
            return None

    # ------------------------------------------------------------------ search
    def search(self, query: Query) -> Sequence[Document]:
        """One request. Without words none: the server would take signs for no query at all, which is all documents."""
        if query.is_wordless:
            return []
        options: dict[str, Any] = {
            "limit": query.limit,
            "matchingStrategy": "all",
            "filter": [f"{name} IN [{', '.join(map(_quoted, values))}]" for name, values in query.filters.items()],
            "sort": [f"{each.field}:{'desc' if each.descending else 'asc'}" for each in query.sort],
        }
        try:
            with or_missing(f"search {self.name}"):
                hits: list[Document] = self._client.index(self.name).search(query.text, options)["hits"]
                return hits
        except Missing:
            return []

    # ------------------------------------------------------------------ settings
    def _ensure(self, *, anew: bool = False) -> None:
        """The index is there, and searches, filters and sorts by our fields. Looked at once for each object, which lives as long as
        its process, unless `anew`."""
        if self._ensured and not anew:
            return
        found = self._settings(self.name)
        if found is None:
            self._make(self.name, {})
            found = self._settings(self.name) or {}
        if wanted := missing_settings(found):
            self._set(self.name, wanted)
        self._ensured = True

    def _exists(self, uid: str) -> bool:
        return self._made_at(uid) is not None

    def _settings(self, uid: str) -> dict[str, Any] | None:
        try:
            with or_missing(f"read the settings of {uid}"):
                found = dict(self._client.http.get(f"indexes/{uid}/settings"))
                # Told always: an answer without them is somebody else's.
                _ = found["rankingRules"]
                return found
        except Missing:
            return None

    def _make(self, uid: str, settings: dict[str, Any]) -> None:
        with translated(f"make index {uid}"):
            task = self._client.create_index(uid, {"primaryKey": KEY})
        # Another worker may have made it meanwhile.
        self._wait(f"make index {uid}", task, fine="index_already_exists")
        if settings:
            self._set(uid, settings)

    def _set(self, uid: str, settings: dict[str, Any]) -> None:
        with translated(f"set up index {uid}"):
            task = self._client.index(uid).update_settings(settings)
        self._wait(f"set up index {uid}", task)

    # ------------------------------------------------------------------ tasks
    def _wait(self, what: str, *tasks: TaskInfo, fine: str = "") -> None:
        """Until all have succeeded. `fine`: a code with which one may fail."""
        until = self.clock.monotonic() + self.task_seconds
        for task in tasks:
            pause = FIRST_LOOK
            while True:
                with translated(f"{what}: ask for task {task.task_uid}"):
                    seen = self._client.get_task(task.task_uid)
                if seen.status == "succeeded" or (seen.status == "failed" and (seen.error or {}).get("code") == fine):
                    break
                if seen.status not in ("enqueued", "processing"):
                    raise failed_task(what, task.task_uid, seen.error)
                if self.clock.monotonic() >= until:
                    raise SearchUnavailable(
                        f"{what}: Meilisearch's task {task.task_uid} is {seen.status} after {self.task_seconds:.0f} s",
                        fix="see what else the server is working on (GET /tasks), or raise WORKER_SEARCH__TASK_SECONDS",
                    )
                self.clock.sleep(pause)
                pause = min(pause * 2, LONGEST_LOOK)

    # ------------------------------------------------------------------ start-up
    def check(self) -> Sequence[str]:
        """The server is up, and the key may do everything that is done. The writing requests are empty, which the server refuses
        after it has looked at the key."""
        with translated(f"ask {self.url} for its health"):
            health = self._client.health()
            if health.get("status") != "available":
                raise SearchUnavailable(f"Meilisearch at {self.url} says of its health: {health.get('status')}")
        lacking = [action for action, ask in self._probes().items() if self._denied(action, ask)]
        if lacking:
            raise ConfigError(
                f"the key for Meilisearch at {self.url} may not: {', '.join(lacking)}",
                fix=f"set WORKER_SEARCH__API_KEY to a key with these actions on the indexes {self.name} and {self.name}{BUILD}*"
                " (docs/search.md)",
            )
        return [f"Meilisearch at {self.url}, index {self.name}"]

    def _probes(self) -> dict[str, Callable[[], Any]]:
        """{action of a key: a request that needs it and changes nothing}"""
        http, index = self._client.http, f"indexes/{self.name}"
        return {
            "documents.add": lambda: http.post(f"{index}/documents", ""),
            "documents.delete": lambda: http.post(f"{index}/documents/delete-batch", ""),
            "documents.get": lambda: http.post(f"{index}/documents/fetch", {"limit": 0}),
            "indexes.get": lambda: http.get("indexes?limit=1"),
            "indexes.create": lambda: http.post("indexes", ""),
            "indexes.swap": lambda: http.post("swap-indexes", ""),
            "settings.get": lambda: http.get(f"{index}/settings"),
            "settings.update": lambda: http.patch(f"{index}/settings", ""),
            "tasks.get": lambda: http.get("tasks?limit=1"),
            "search": lambda: http.post(f"{index}/search", {"limit": 0}),
        }

    def _denied(self, action: str, ask: Callable[[], Any]) -> bool:
        with translated(f"try {action}"):
            try:
                ask()
            except MeilisearchApiError as error:
                if is_denied(error):
                    return True
                if error.status_code >= 500:
                    raise
                # Refused for what the request is: so the key is good for it.
        return False


@dataclass(slots=True)
class MeiliRebuild:
    """Rebuild. `made_at` tells our index from one of the same name that a late request would make after ours was removed."""

    index: MeiliSearchIndex
    uid: str
    made_at: str | None
    _target: str = ""

    def __post_init__(self) -> None:
        self._target = self.uid

    def add(self, documents: Sequence[Document]) -> None:
        """In batches."""
        if documents:
            self._note_shown([key_of(document) for document in documents])
            self.index._add(self._target, documents)  # noqa: SLF001 - two halves of one thing

    def remove(self, ids: Sequence[str]) -> None:
        """In one request."""
        if ids:
            self._note_shown(ids)
            self.index._delete(self._target, ids)  # noqa: SLF001 - two halves of one thing

    def _note_shown(self, ids: Sequence[str]) -> None:
        if self._target == self.index.name:
            self.index._note(ids, for_good=False, but=self.uid)  # noqa: SLF001 - two halves of one thing

    def changed(self) -> Mapping[str, bool]:
        """What writers have noted. The list is read, then shortened by what was read. A note that is made between the two may
        go with it: its writer had read the record by then, and who asked here reads it, or removes it, after that."""
        rows: list[Mapping[str, Any]] = []
        client = self.index._client  # noqa: SLF001 - two halves of one thing
        try:
            while True:
                with or_missing(f"read what changed since {self.uid} was begun"):
                    asked = {"limit": PAGE, "offset": len(rows), "fields": FIELDS}
                    page = client.http.post(f"indexes/{self.uid}{CHANGED}/documents/fetch", asked)["results"]
                    rows += page
                if len(page) < PAGE:
                    break
        except Missing:
            return {}
        if rows:
            self.index._delete(self.uid + CHANGED, [str(row[KEY]) for row in rows])  # noqa: SLF001 - two halves of one thing
        return told(rows)

    def publish(self) -> None:
        """One swap, which the server does as a whole."""
        index = self.index
        if self.made_at is None or index._made_at(self.uid) != self.made_at:  # noqa: SLF001 - two halves of one thing
            raise SearchUnavailable(f"index {self.uid} was removed: another rebuild began meanwhile")
        what = f"exchange {index.name} and {self.uid}"
        with translated(what):
            task = index._client.swap_indexes([{"indexes": [index.name, self.uid]}])  # noqa: SLF001 - two halves of one thing
        index._wait(what, task)  # noqa: SLF001 - two halves of one thing
        self._target = index.name


def key_of(document: Document) -> str:
    """Its id. Raises SearchRefused."""
    if not isinstance(found := document.get(KEY), str) or not found:
        raise SearchRefused(f"a document needs {KEY!r}, a text, and has {type(found).__name__}")
    return found


def batches(documents: Sequence[Document]) -> Iterator[bytes]:
    """JSON arrays of at most BATCH_DOCUMENTS and, but for a single larger document, BATCH_BYTES."""
    parts: list[bytes] = []
    size = 0
    for document in documents:
        try:
            part = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise SearchRefused(f"document {key_of(document)!a} is no JSON: {error}") from error
        if parts and (len(parts) == BATCH_DOCUMENTS or size + len(part) > BATCH_BYTES):
            yield b"[" + b",".join(parts) + b"]"
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b"[" + b",".join(parts) + b"]"


def missing_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be added for our fields; what somebody added besides stays."""
    wanted: dict[str, Any] = {}
    searched = found.get("searchableAttributes", ["*"])
    if not set(SEARCHABLE) <= {each for each in searched if isinstance(each, str)}:
        wanted["searchableAttributes"] = list(SEARCHABLE)
    for name, fields in (("filterableAttributes", FILTERABLE), ("sortableAttributes", SORTABLE)):
        there = list(found.get(name, ()))
        if lacking := [each for each in fields if each not in there]:
            wanted[name] = [*there, *lacking]
    if found.get("rankingRules", DEFAULT_RULES) == DEFAULT_RULES:
        wanted["rankingRules"] = RULES
    return wanted


def _quoted(value: str) -> str:
    if re.search(r"[\\\x00-\x1f]", value):
        raise SearchRefused(f"a filter's value can't have a backslash or control characters: {value[:80]!r}")
    return '"' + value.replace('"', '\\"') + '"'

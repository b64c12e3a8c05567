"""What embedded search finds and how long it takes: ours, SQLite's own two tokenizers, and tantivy with n-grams beside it."""

from __future__ import annotations

import importlib
import random
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.search_corpus import Asked, corpus, queries
from src.application.ports.search import MOST_HITS, Query, Sort
from src.infrastructure.search.embedded import EmbeddedSearchIndex

DOCUMENTS = 5_000
Documents = list[dict[str, object]]
Find = Callable[[str], Iterable[str]]


def ours(folder: Path, documents: Documents) -> Find:
    """The embedded adapter."""
    index = EmbeddedSearchIndex(path=folder / "search.db")
    index.put(documents)
    return lambda text: [str(hit["id"]) for hit in index.search(Query(text=text, limit=MOST_HITS))]


def fts5(tokenizer: str, expression: Callable[[str], str]) -> Callable[[Path, Documents], Find]:
    """SQLite's full text search as it comes."""

    def make(folder: Path, documents: Documents) -> Find:
        connection = sqlite3.connect(folder / f"{tokenizer}.db")
        connection.execute(
            f"CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, title, description, tokenize='{tokenizer}')"
        )
        with connection:
            rows = [(each["id"], each["title"], each["description"]) for each in documents]
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)

        def find(text: str) -> list[str]:
            match = " AND ".join(expression(word) for word in text.split())
            rows = connection.execute("SELECT id FROM t WHERE t MATCH ? ORDER BY rank LIMIT ?", (match, MOST_HITS))
            return [each for (each,) in rows]

        return find

    return make


def tantivy(folder: Path, documents: Documents) -> Find:
    """All two-letter pieces of a word, or a whole word with at most one slip."""
    library: Any = importlib.import_module("tantivy")
    schema = library.SchemaBuilder()
    schema.add_text_field("id", stored=True, tokenizer_name="raw")
    schema.add_text_field("pieces", tokenizer_name="pieces")
    schema.add_text_field("words")
    built = schema.build()
    (folder / "tantivy").mkdir()
    index = library.Index(built, path=str(folder / "tantivy"))
    pieces = library.TextAnalyzerBuilder(library.Tokenizer.ngram(2, 2)).filter(library.Filter.lowercase()).build()
    index.register_tokenizer("pieces", pieces)
    with index.writer(heap_size=50_000_000, num_threads=1) as writer:
        for each in documents:
            text = f"{each['title']} {each['description']}"
            writer.add_document(library.Document(id=str(each["id"]), pieces=text, words=text))
        writer.commit()
    index.reload()
    query, must, should = library.Query, library.Occur.Must, library.Occur.Should

    def fitting(word: str) -> Any:
        grams = [word[at : at + 2] for at in range(len(word) - 1)]
        exact = query.boolean_query([(must, query.term_query(built, "pieces", gram)) for gram in grams])
        slips = int(len(word) >= (5 if word.isascii() else 3) and not word.isdigit())
        near = query.fuzzy_term_query(built, "words", word, distance=slips, prefix=True)
        return query.boolean_query([(should, exact), (should, near)])

    def find(text: str) -> list[str]:
        searcher = index.searcher()
        wanted = query.boolean_query([(must, fitting(word)) for word in text.lower().split()])
        return [searcher.doc(at)["id"][0] for _score, at in searcher.search(wanted, MOST_HITS).hits]

    return find


PEERS: Mapping[str, Callable[[Path, Documents], Find]] = {
    "embedded (ours)": ours,
    "tantivy, 2-grams + fuzzy": tantivy,
    "FTS5 trigram": fts5("trigram", lambda word: f'"{word}"'),
    "FTS5 unicode61, prefix": fts5("unicode61", lambda word: f'"{word}" *'),
}


def measure(find: Find, asked: list[Asked]) -> tuple[dict[str, tuple[float, float]], list[float]]:
    """{kind: (mean recall, mean precision)} and the milliseconds of each query. Answers beyond MOST_HITS can't be given."""
    by_kind: dict[str, list[tuple[float, float]]] = defaultdict(list)
    times = []
    for each in asked:
        if not each.answers:
            continue
        began = time.perf_counter()
        found = set(find(each.text))
        times.append((time.perf_counter() - began) * 1000)
        right = len(found & each.answers)
        by_kind[each.kind].append((right / min(len(each.answers), MOST_HITS), right / len(found) if found else 1.0))
    means = {
        kind: (statistics.mean(one for one, _ in pairs), statistics.mean(two for _, two in pairs))
        for kind, pairs in by_kind.items()
    }
    return means, times


def main() -> None:
    """Recall and precision by kind of query, then times."""
    dice = random.Random(7)
    documents, inside = corpus(DOCUMENTS, dice)
    asked = queries(inside, dice)
    print(f"{DOCUMENTS} documents, {len(asked)} queries; recall / precision in percent")
    for name, make in PEERS.items():
        with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as folder:
            began = time.perf_counter()
            try:
                find = make(Path(folder), documents)
            except ModuleNotFoundError as error:
                print(f"\n{name}: not measured, {error}: pip install tantivy")
                continue
            built = time.perf_counter() - began
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20
            means, times = measure(find, asked)
            ordered = sorted(times)
            print(f"\n{name}: indexed in {built:.2f} s, {size:.1f} MiB; query p50 {statistics.median(times):.1f} ms, "
                  f"p95 {ordered[int(len(ordered) * 0.95)]:.1f} ms")  # fmt: skip
            for kind, (recall, precision) in means.items():
                print(f"  {kind:<26} {recall * 100:5.1f} / {precision * 100:5.1f}")
    one_by_one(documents)


def one_by_one(documents: Documents) -> None:
    """What a job of one document costs, and a sorted page."""
    with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as folder:
        index = EmbeddedSearchIndex(path=Path(folder) / "search.db")
        index.put(documents)
        puts = [_seconds(partial(index.put, [each])) for each in documents[:100]]
        page = Query(sort=[Sort("view_count", descending=True)], filters={"brand": ["WSOP"]})
        pages = [_seconds(lambda: index.search(page)) for _ in range(20)]
    print(f"\nembedded: one put {statistics.median(puts) * 1000:.1f} ms, a filtered and sorted page without words "
          f"{statistics.median(pages) * 1000:.1f} ms")  # fmt: skip


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

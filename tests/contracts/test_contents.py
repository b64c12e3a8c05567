"""Content records, wherever the platform keeps them."""

from __future__ import annotations

import pytest

from src.application.ports.content import FIELDS, ContentMissing
from tests.contracts.backends.content import ContentPlace, ForeignPlatform

METADATA = {
    "duration_seconds": 5400.25,
    "video_codec": "h264",
    "audio_codec": None,
    "resolution": "1920x1080",
    "file_size": 3_000_000_000,
}


def test_a_record_says_where_its_film_lies(platform: ContentPlace) -> None:
    platform.add("17", file_path="films/17.mkv", title="Seventeen")
    contents = platform.contents()
    assert contents.get_file_path("17") == "films/17.mkv"
    record = contents.get("17")
    assert (record["id"], record["file_path"], record["title"]) == ("17", "films/17.mkv", "Seventeen")


def test_metadata_is_written_into_its_fields_and_nothing_else_is_touched(platform: ContentPlace) -> None:
    platform.add("17", file_path="films/17.mkv", title="Seventeen")
    platform.add("18", file_path="films/18.mkv", title="Eighteen")
    contents = platform.contents()
    for _ in range(2):
        contents.update_metadata("17", METADATA, file_path="films/other.mkv")
    assert set(METADATA) == set(FIELDS)
    assert {name: contents.get("17")[name] for name in FIELDS} == METADATA
    assert (contents.get("17")["title"], contents.get_file_path("17")) == ("Seventeen", "films/17.mkv")
    assert contents.get("18").get("file_size") is None


@pytest.mark.parametrize("name", ["404", "no-such-content"])
def test_what_is_not_there_is_an_error_for_good(platform: ContentPlace, name: str) -> None:
    contents = platform.contents()
    for ask in (contents.get, contents.get_file_path):
        with pytest.raises(ContentMissing) as caught:
            ask(name)
        assert not caught.value.retryable
    if platform.makes_records:
        contents.update_metadata(name, METADATA, file_path="films/new.mkv")
        assert contents.get(name)["file_size"] == METADATA["file_size"]
        contents.update_metadata(name, METADATA, file_path="films/other.mkv")
        assert contents.get_file_path(name) == "films/new.mkv", "later jobs find the film; what is there stays"
    else:
        with pytest.raises(ContentMissing):
            contents.update_metadata(name, METADATA)


def test_a_record_without_a_path_has_none(platform: ContentPlace) -> None:
    platform.add("17", title="Seventeen")
    with pytest.raises(ContentMissing, match="file_path"):
        platform.contents().get_file_path("17")


def test_all_records_are_gone_through_in_pages(platform: ContentPlace) -> None:
    contents = platform.contents()
    assert list(contents.page(None, 2)) == []
    for number in range(3, 8):
        platform.add(str(number), file_path=f"films/{number}.mkv", title=f"Film {number}")
    found: list[str] = []
    pages = 0
    while page := contents.page(found[-1] if found else None, 2):
        assert len(page) <= 2
        assert [record["title"] for record in page] == [f"Film {record['id']}" for record in page]
        found += [record["id"] for record in page]
        pages += 1
    assert (sorted(found), pages) == (["3", "4", "5", "6", "7"], 3)


def test_an_id_that_is_gone_is_still_a_place_to_go_on_from(platform: ContentPlace) -> None:
    for number in (1, 3):
        platform.add(str(number), file_path="films/1.mkv", title="A film")
    assert [record["id"] for record in platform.contents().page("2", 10)] == ["3"]


def test_a_record_says_its_id_as_pages_do_however_it_was_asked_for(platform: ContentPlace) -> None:
    """Else one content would have two documents in the search index."""
    platform.add("17", file_path="films/17.mkv", title="Seventeen")
    contents = platform.contents()
    if not isinstance(platform, ForeignPlatform):
        with pytest.raises(ContentMissing):
            contents.get("017")
        return
    assert contents.get("017")["id"] == "17"
    assert contents.get("017") == contents.page(None, 1)[0]

"""What a request to delete may name (reliability.md T12, T26, F42)."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from src.domain.errors import InvalidPayload, Permanent, TenantMismatch
from src.domain.video.deletion import Removal, check_source, make_removal

SOURCE = "tenants/7/video/raw/s1/42.mp4"
HLS = "tenants/7/video/hls/42/"


def test_a_request_names_the_source_and_the_folder_of_the_video() -> None:
    removal = make_removal(7, 42, SOURCE, HLS, asked_at=5.0)
    assert removal == Removal(tenant="7", video_id="42", file_key=SOURCE, prefix=HLS, asked_at=5.0)


@pytest.mark.parametrize("nothing", ["", None])
def test_either_half_may_be_missing(nothing: str | None) -> None:
    assert make_removal(7, 42, nothing, HLS).file_key is None
    assert make_removal(7, 42, SOURCE, nothing).prefix is None
    with pytest.raises(InvalidPayload, match="nothing is named"):
        make_removal(7, 42, nothing, nothing)


def test_the_folder_of_video_1_is_not_the_beginning_of_that_of_video_12() -> None:
    assert make_removal(7, 1, "", "tenants/7/video/hls/1").prefix == "tenants/7/video/hls/1/"
    for other in ("tenants/7/video/hls/12", "tenants/7/video/hls/12/", "tenants/7/video/hls/1x/"):
        with pytest.raises(InvalidPayload, match="not the folder of video 1"):
            make_removal(7, 1, "", other)


def test_a_folder_within_the_videos_own_is_its_own_too() -> None:
    assert make_removal(7, 42, "", f"{HLS}_tmp/job-1/").prefix == f"{HLS}_tmp/job-1/"


@pytest.mark.parametrize(
    "prefix",
    [
        "/", "*", " ", ".", "..", "t", "tenants", "tenants/", "tenants/7/", "tenants/7/video/", "tenants/7/video/hls/",
        "tenants/7/video/hls//", "tenants/7/video/hls/4", "tenants/7/video/hls/42*", "tenants/7/video/hls/../hls/42/",
        "tenants/7/video/hls/42/../43/", "tenants/7/video/hls/42//", "/tenants/7/video/hls/42/", "./tenants/7/video/hls/42",
        "tenants/7/video/raw/", "tenants/7/video/hls/42\x00/", "tenants\\7\\video\\hls\\42", "%2e%2e/",
        "tenants/7/video/hls/%34%32/", "tenants/７/video/hls/42/", HLS + "x" * 1100, 42, ["tenants"], True, b"tenants/7",
    ],
)  # fmt: skip
def test_t26_a_prefix_that_is_too_short_or_leads_elsewhere_is_refused(prefix: object) -> None:
    with pytest.raises(Permanent):
        make_removal(7, 42, "", prefix)


@pytest.mark.parametrize("tenant", ["8", "70", "A7"])
def test_f42_another_tenants_objects_are_refused(tenant: str) -> None:
    with pytest.raises(TenantMismatch):
        make_removal(tenant, 42, "", HLS)
    with pytest.raises(TenantMismatch):
        make_removal(tenant, 42, SOURCE, "")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "7/../8", "*", None, True, 1.5, "x" * 129])
def test_t12_ids_that_are_none_are_refused(name: object) -> None:
    with pytest.raises(InvalidPayload):
        make_removal(name, 42, SOURCE, HLS)
    with pytest.raises(InvalidPayload):
        make_removal(7, name, SOURCE, HLS)


PIECES = st.sampled_from(
    [
        "tenants",
        "7",
        "8",
        "video",
        "hls",
        "raw",
        "42",
        "4",
        "421",
        "..",
        ".",
        "",
        "*",
        "%2e%2e",
        "\\",
        "\x00",
        "ai",
        "é",
        " ",
    ]
)
PATHS = st.one_of(
    st.text(max_size=60), st.lists(PIECES, max_size=8).map("/".join), st.text(max_size=20).map(HLS.__add__)
)


@given(PATHS)
def test_t12_no_prefix_whatsoever_reaches_beyond_the_videos_folder(prefix: str) -> None:
    try:
        removal = make_removal(7, 42, SOURCE, prefix)
    except Permanent:
        return
    if removal.prefix is None:
        assert prefix == ""
        return
    assert removal.prefix.startswith(HLS)
    assert removal.prefix.endswith("/")
    assert ".." not in removal.prefix.split("/")


@given(PATHS)
def test_t12_no_source_whatsoever_is_another_tenants_or_an_output(key: str) -> None:
    try:
        removal = make_removal(7, 42, key, HLS)
        check_source(removal, None)
    except Permanent:
        return
    assert removal.file_key is None or removal.file_key.startswith("tenants/7/video/raw/")


def checked(key: str, row: str | None) -> None:
    check_source(make_removal(7, 42, key, HLS), row)


@pytest.mark.parametrize("key", [SOURCE, "tenants/7/video/raw/42/film.mp4", "tenants/7/video/raw/42.mp4"])
def test_a_source_that_names_the_video_may_go_whatever_the_row_says(key: str) -> None:
    for row in (None, SOURCE, "tenants/7/video/raw/42/newer.mp4"):
        checked(key, row)


def test_the_row_decides_about_keys_that_do_not_name_the_video() -> None:
    upload = "tenants/7/video/raw/session-9/0f8e.mp4"
    checked(upload, upload)
    checked(upload, None)
    with pytest.raises(InvalidPayload, match="not the source of video 42"):
        checked(upload, SOURCE)


def test_a_key_outside_every_tenants_folder_needs_the_row() -> None:
    checked("raw/film.mov", "raw/film.mov")
    for row in (None, SOURCE):
        with pytest.raises(InvalidPayload, match="no row that names it"):
            checked("raw/film.mov", row)


@pytest.mark.parametrize(
    "key",
    ["tenants/7/ai/submissions/1/a.jpg", f"{HLS}master.m3u8", "tenants/7/video/raw", "tenants/7/video/rawer/42.mp4"],
)
def test_an_object_that_is_no_upload_is_no_source(key: str) -> None:
    with pytest.raises(InvalidPayload, match="not an uploaded video"):
        make_removal(7, 42, key, HLS)

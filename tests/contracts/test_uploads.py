"""UnfinishedUploads."""

from __future__ import annotations

import time

import pytest

from src.application.ports.uploads import UnfinishedUpload
from src.domain.errors import InvalidPayload
from src.infrastructure.s3 import uploads as s3
from src.interfaces.wiring.adapters import Adapters
from tests.contracts.backends.uploads import UPLOADS, UploadsPlace
from tests.fakes.clock import FrozenClock

KEY = "tenants/t1/video/raw/7/ü film.mp4"


@pytest.fixture(params=sorted(UPLOADS))
def place(request: pytest.FixtureRequest) -> UploadsPlace:
    return UPLOADS[request.param](FrozenClock(time.time()))


def found(place: UploadsPlace, prefix: str = "") -> list[tuple[str, str]]:
    return sorted((upload.key, upload.upload_id) for upload in place.uploads.unfinished(prefix))


def test_every_adapter_that_can_be_chosen_is_here() -> None:
    assert {"memory", *Adapters.uploads.providers} == UPLOADS.keys()


def test_what_was_begun_is_there_until_it_is_aborted(place: UploadsPlace) -> None:
    assert found(place) == []
    before = time.time()
    ids = [place.begin(KEY), place.begin(KEY), place.begin("tenants/t2/video/hls/8/a.m4s")]
    assert found(place) == sorted([(KEY, ids[0]), (KEY, ids[1]), ("tenants/t2/video/hls/8/a.m4s", ids[2])])
    assert found(place, "tenants/t1/") == sorted([(KEY, ids[0]), (KEY, ids[1])])
    (first,) = [upload for upload in place.uploads.unfinished("tenants/") if upload.upload_id == ids[0]]
    assert abs(first.begun_at - before) < 60, "the storage's time, in seconds"
    for _ in range(2):
        place.uploads.abort(first)
    assert found(place, "tenants/t1/") == [(KEY, ids[1])]


def test_more_than_one_page(place: UploadsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAGE", 3)
    wanted = {
        (f"tenants/t1/video/raw/{number}/a", place.begin(f"tenants/t1/video/raw/{number}/a")) for number in range(7)
    }
    assert set(found(place, "tenants/")) == wanted


def test_one_that_was_finished_meanwhile_keeps_its_object(place: UploadsPlace) -> None:
    upload_id = place.begin(KEY)
    (upload,) = place.uploads.unfinished("")
    if place.finish is None:
        place.uploads.abort(upload)
    else:
        place.finish(KEY, upload_id)
    place.uploads.abort(upload)
    assert found(place) == []


def test_t12_keys_and_prefixes_can_t_leave_the_root(place: UploadsPlace) -> None:
    with pytest.raises(InvalidPayload):
        list(place.uploads.unfinished("../"))
    with pytest.raises(InvalidPayload):
        place.uploads.abort(UnfinishedUpload(key="../x", upload_id="u", begun_at=0.0))

"""What the answers of the platform's API mean, and that its token goes nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from src.application.ports.content import ContentGone, ContentMissing, ContentRefused, ContentUnavailable
from src.domain.errors import ErrorReport
from src.infrastructure.http.api import Api
from tests.servers.platform_api import TOKEN, PlatformApi


@pytest.fixture
def platform() -> Iterator[PlatformApi]:
    made = PlatformApi(contents={"a": {"file_path": "a.mp4"}, "x/y?z": {"file_path": "b.mp4"}}).start()
    yield made
    made.close()


@pytest.fixture
def api(platform: PlatformApi) -> Api:
    return Api(url=platform.url, token=TOKEN, timeout_seconds=2)


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (400, ContentRefused, False),
        (403, ContentRefused, False),
        (409, ContentRefused, False),
        (302, ContentRefused, False),
        (404, ContentMissing, False),
        (410, ContentGone, False),
        (408, ContentUnavailable, True),
        (429, ContentUnavailable, True),
        (500, ContentUnavailable, True),
        (503, ContentUnavailable, True),
    ],
)
def test_a_status_says_whether_another_try_can_help(
    platform: PlatformApi, api: Api, status: int, error: type[Exception], retryable: bool
) -> None:
    platform.answers.append(status)
    with pytest.raises(error, match=str(status)) as caught:
        api.ask("GET", "contents/a")
    report = ErrorReport.of(caught.value)
    assert report.retryable == retryable
    assert TOKEN not in f"{report}{caught.value!r}{api!r}{report.traceback}"


def test_the_token_is_sent_and_its_lack_is_an_error_for_good(platform: PlatformApi, api: Api) -> None:
    api.ask("GET", "contents/a")
    assert platform.seen == [("GET", "/api/contents/a", f"Bearer {TOKEN}")]
    with pytest.raises(ContentRefused, match="401"):
        Api(url=platform.url, token=None, timeout_seconds=2).ask("GET", "contents/a")


def test_nobody_there_may_pass() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ContentUnavailable, match="GET contents/a"):
            Api(url=f"http://127.0.0.1:{port}", timeout_seconds=2).ask("GET", "contents/a")


def test_an_api_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api(url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(ContentUnavailable, match="Timeout"):
            api.ask("GET", "contents/a")

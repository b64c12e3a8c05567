"""Crontab files in Graphile Worker's syntax."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from src.application.catalog import Catalog, JobType
from src.application.cron.builtin import BUILT_IN
from src.application.cron.crontab import read_crontab, with_options
from src.application.cron.entry import Entry, Occasion
from src.application.cron.schedule import Schedule
from src.domain.cron import Missed, Policy
from src.domain.errors import ConfigError, InvalidPayload

AT = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
DAY = 86_400.0


def one(line: str, policy: Policy = Policy()) -> Entry:  # noqa: B008 - frozen
    (entry,) = read_crontab(line, "crontab", policy)
    return entry


def payload(entry: Entry, *, late: bool = False) -> Mapping[str, Any]:
    return entry.payload(Occasion(AT, late))


def test_comments_and_empty_lines_are_passed_over() -> None:
    text = "# a comment\n\n  # another\n30 4 * * 1 send_weekly_email\n\t\r\n0 */4 * * * rollup\n"
    assert [(entry.name, entry.origin) for entry in read_crontab(text, "crontab", Policy())] == [
        ("send_weekly_email", "crontab, line 4"),
        ("rollup", "crontab, line 6"),
    ]


def test_a_line_without_options_is_by_utc_and_by_the_default_policy() -> None:
    policy = Policy(missed=Missed.SKIP, grace_seconds=5)
    entry = one("30 4 * * 1  send_weekly_email", policy)
    assert (entry.type, entry.schedule, entry.policy) == ("send_weekly_email", Schedule("30 4 * * 1", "UTC"), policy)
    assert (entry.tenant, entry.max_attempts, entry.priority, entry.queue) == ("default", None, None, None)


def test_the_payload_says_when_it_was_due() -> None:
    entry = one('* * * * * t {"a": [1, {"b": null}]}')
    assert payload(entry) == {"a": [1, {"b": None}], "_cron": {"ts": "2026-03-02T04:30:00.000Z", "backfilled": False}}
    assert payload(one("* * * * * t"), late=True) == {"_cron": {"ts": "2026-03-02T04:30:00.000Z", "backfilled": True}}


def test_all_options_at_once() -> None:
    line = "5 0 * * * task:x ?id=my-id&fill=4w3d2h1m&max=3&priority=-7&queue=video&tz=Asia%2FSeoul&tenant=acme {}"
    entry = one(line)
    assert (entry.name, entry.type, entry.max_attempts, entry.priority) == ("my-id", "task:x", 3, -7)
    assert (entry.queue, entry.tenant, entry.schedule.zone) == ("video", "acme", "Asia/Seoul")
    assert (entry.policy.missed, entry.policy.fill_seconds) == (Missed.ALL, 44_761 * 60)


@pytest.mark.parametrize("missed", list(Missed))
def test_what_becomes_of_missed_moments_can_be_said(missed: Missed) -> None:
    assert one(f"* * * * * t ?missed={missed}").policy.missed is missed


def test_seconds_may_stand_first() -> None:
    assert one("*/5 * * * * * t").schedule == Schedule("*/5 * * * * *", "UTC")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{onboarding:false}", {"onboarding": False}),
        ("{'a b': 'it\\'s \"q\"', $c_1 : [1,], }", {"a b": 'it\'s "q"', "$c_1": [1]}),
        ('{"k: v": "a, }", x: "\\"", y: \'\\u00e9\'}', {"k: v": "a, }", "x": '"', "y": "é"}),
    ],
)
def test_a_payload_may_be_written_as_people_write_it(written: str, meant: Mapping[str, Any]) -> None:
    found = dict(payload(one(f"* * * * * t {written}")))
    del found["_cron"]
    assert found == meant


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Cs"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a:,'} \\\"b", max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text("ab,:' {}\"\\", max_size=6), JSON, max_size=3))
def test_every_json_object_is_read_as_json(document: dict[str, Any]) -> None:
    import json

    found = dict(payload(one(f"* * * * * t {json.dumps(document, ensure_ascii=False)}")))
    del found["_cron"]
    document.pop("_cron", None)
    assert found == document


def test_two_days_that_leave_something_out_are_alternatives() -> None:
    """In Graphile Worker also when one of them is a step; cronsim alone would take both together."""
    assert one("0 0 */10 * 1 t").schedule == Schedule("0 0 1-31/10 * 1", "UTC")
    assert one("0 0 */10 * * t").schedule == Schedule("0 0 */10 * *", "UTC")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("* * * * t", "4 fields of time"),
        ("* * * * *", "no task"),
        ("MON * * * * t", "0 fields of time"),
        ("* * * * * * * t", "no name of a task"),
        ("* * * * * 9t", "no name of a task"),
        ("61 * * * * t", "Bad minute"),
        ("* * * * * t ?foo=1", "'foo=1' is no option"),
        ("* * * * * t ?", "'' is no option"),
        ("* * * * * t ?max", "'max' is no option"),
        ("* * * * * t ?max=1&max=2", "twice"),
        ("* * * * * t ?max=0", "max='0'"),
        ("* * * * * t ?max=1e3", "max='1e3'"),
        ("* * * * * t ?priority=x", "priority='x'"),
        ("* * * * * t ?id=-x", "is no name"),
        ("* * * * * t ?fill=3", "no length of time"),
        ("* * * * * t ?missed=never", "missed='never'"),
        ("* * * * * t ?missed=latest&fill=1d", "fill goes with missed=all"),
        ("* * * * * t ?tz=Nowhere/At", "no time zone"),
        ("* * * * * t ?tenant=..%2Fx", "tenant"),
        ("* * * * * t ?queue=a%20b", "no name of a queue"),
        ("* * * * * t ?jobKey=k", "jobKey is not known here"),
        ("* * * * * t {", "the payload is not JSON"),
        ("* * * * * t {a:1} b", "the payload is not JSON"),
        ('* * * * * t {"a":1,"a":2}', "stands twice"),
        ("* * * * * t [1]", "neither .options nor a .payload"),
        ("* * * * * t id=x", "neither .options nor a .payload"),
    ],
)
def test_what_can_not_be_read_is_said_with_file_and_line(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^my/crontab, line 3: .*{words}") as raised:
        read_crontab(f"# one\n* * * * * fine\n{line}\n", "my/crontab", Policy())
    assert raised.value.fix


def test_a_name_stands_once() -> None:
    with pytest.raises(ConfigError, match=r"f, line 2: the entry 't' is there already \(f, line 1\)"):
        read_crontab("* * * * * t\n0 * * * * t\n", "f", Policy())
    assert len(read_crontab("* * * * * t\n0 * * * * t ?id=b\n", "f", Policy())) == 2


def test_a_setting_may_say_zone_and_policy() -> None:
    assert with_options("0 3 * * *", "Asia/Seoul", Policy()) == (Schedule("0 3 * * *", "Asia/Seoul"), Policy())
    schedule, policy = with_options("0 3 * * * ?tz=UTC&fill=2d", "Asia/Seoul", Policy())
    assert (schedule, policy.missed, policy.fill_seconds) == (Schedule("0 3 * * *", "UTC"), Missed.ALL, 2 * DAY)
    with pytest.raises(ConfigError, match="no option 'max'"):
        with_options("0 3 * * * ?max=3", "Asia/Seoul", Policy())


def test_the_examples_of_the_docs_can_be_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cron.md").read_text()
    (example,) = (part for part in page.split("```") if "{kind: 'nightly'}" in part)
    weekly, done, night = read_crontab(example, "docs", Policy())
    assert (weekly.name, weekly.policy.fill_seconds, weekly.max_attempts, weekly.priority) == ("weekly", 2 * DAY, 3, 5)
    assert (done.name, done.schedule) == ("auto_done_sessions", Schedule("0 19 * * *"))
    assert (night.schedule.zone, payload(night)["kind"]) == ("Europe/Berlin", "nightly")


def test_the_built_in_entries_are_the_seeds() -> None:
    zone = "Asia/Seoul"
    midnight = Occasion(datetime.fromisoformat("2026-03-01T00:00+09:00"))
    found = {each.name: (each.schedule, each.type, each.payload(midnight)) for each in BUILT_IN}
    assert found == {
        "cache_cleanup": ("0 3 * * *", "cleanup", {"target": "cache"}),
        "session_cleanup": ("0 * * * *", "cleanup", {"target": "sessions"}),
        "full_reindex": ("0 4 * * *", "index", {"all": True}),
        "daily_statistics": ("0 0 * * *", "daily_statistics", {"date": "2026-02-28"}),
    }
    # By the zone's day: in UTC it is still the 28th of February when that day is counted.
    statistics = Schedule(BUILT_IN[-1].schedule, zone)
    at = statistics.next(datetime(2026, 2, 28, 12, tzinfo=UTC).timestamp())
    assert at is not None
    assert BUILT_IN[-1].payload(Occasion(statistics.local(at))) == {"date": "2026-02-28"}


def refusing(_tenant: str, payload: Mapping[str, Any]) -> object:
    if "key" not in payload:
        raise InvalidPayload("there is no key")
    return payload


def test_an_entry_whose_job_type_refuses_the_payload_is_refused_itself() -> None:
    catalog = Catalog([JobType(name="t", parse=refusing, handler="x:Y", max_attempts=7)])
    with pytest.raises(ConfigError, match="crontab, line 1: job type 't' refuses the payload: there is no key"):
        one("* * * * * t").check(catalog, 0.0)
    good = one("* * * * * t {key: 1}")
    good.check(catalog, 0.0)
    assert good.draft(catalog, "id", 0.0).max_attempts == 7
    assert one("* * * * * t ?max=2 {key: 1}").draft(catalog, "id", 0.0).max_attempts == 2


def test_a_job_is_about_what_its_type_says() -> None:
    catalog = Catalog(
        [JobType(name="t", parse=refusing, handler="x:Y", subject=lambda tenant, payload: f"{tenant}/{payload['key']}")]
    )
    assert one("* * * * * t ?tenant=acme {key: 'k'}").draft(catalog, "id", 0.0).subject == "acme/k"

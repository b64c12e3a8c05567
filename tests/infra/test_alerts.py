"""The alert rules speak of metrics that there are, and lead to a page that says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from src.application.metrics import CATALOGUE
from src.application.ports.meter import Kind

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "scripts/alerts/mediaworker.rules.yml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
LABELS = {
    name: set(metric.labels)
    for metric in CATALOGUE
    for name in {
        Kind.COUNTER: [f"{metric.name}_total"],
        Kind.GAUGE: [metric.name],
        Kind.HISTOGRAM: [f"{metric.name}_{end}" for end in ("sum", "count", "bucket")],
    }[metric.kind]
}
"""{name as it is exposed: its labels}"""

DURATION = re.compile(r"[1-9][0-9]*[smhd]")


def by_name(name: str) -> dict[str, Any]:
    (found,) = [rule for rule in ALERTS if rule["alert"] == name]
    return found


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_exposed(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    expression = rule["expr"]
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    named = re.findall(r"\b(worker_\w+)(?:\{([^}]*)\})?", expression)
    assert named or "up{" in expression
    for name, matchers in named:
        assert name in LABELS
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= LABELS[name]
    for counted, window in re.findall(r"(worker_\w+_(?:total|sum|count|bucket))(?:\{[^}]*\})?(\[\w+\])?", expression):
        assert window, f"{counted} only grows: take its rate"
    for seconds in (rule.get("for", "1m"), *re.findall(r"\[(\w+)\]", expression)):
        assert DURATION.fullmatch(seconds)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text()
    assert f'<a id="{anchor}">' in text
    assert rule["alert"] in text


def test_every_name_is_there_once() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names)) > 5


@pytest.mark.parametrize(
    ("name", "limit"),
    [("QueueLong", "> 100"), ("FailureRateRaised", "> 0.05"), ("FailureRateHigh", "> 0.1"), ("JobsSlow", "> 10")],
)
def test_the_platform_s_numbers_are_in_the_rules(name: str, limit: str) -> None:
    assert by_name(name)["expr"].strip().endswith(limit)
    assert by_name("WorkerDown")["for"] == "1m"

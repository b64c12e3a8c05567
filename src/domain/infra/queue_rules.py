"""Rules for queues of messages: what fails is set aside, not too soon, and kept long enough for somebody to look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from src.domain.infra.problems import Problem

KEPT_SECONDS = 1_209_600
"""14 days, the most that SQS takes: a request that nobody consumes must not vanish over a holiday (lesson 30)."""

LEAST_RECEIVES = 10
"""Every retry and hand-back of a worker is a receive (docs/publishing.md)."""

LEAST_HIDDEN_SECONDS = 720
"""Six times the timeout of the Lambda that takes from it (contracts.md 1.2: 120 s), as AWS asks for; workers set their own."""

DLQ = "-dlq"


def message_queue_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """What is wrong with a queue, or with a queue of dead letters (its name says so)."""
    attributes = document.get("Attributes") or {}
    problems = []
    if attributes.get("MessageRetentionPeriod") != str(KEPT_SECONDS):
        path = "$.Attributes.MessageRetentionPeriod"
        problems.append(Problem(file, path, f"must be {KEPT_SECONDS}: messages are kept for 14 days"))
    aside = redrive(attributes)
    if str(document.get("QueueName", "")).endswith(DLQ):
        if "RedrivePolicy" in attributes:
            problems.append(Problem(file, "$.Attributes.RedrivePolicy", "dead letters are set aside once"))
        return problems
    path = "$.Attributes.RedrivePolicy"
    if aside is None:
        text = "missing, or not one: what fails would come back until it expires"
        return [*problems, Problem(file, path, text, f"a policy to a queue whose name ends in {DLQ}")]
    target, receives = aside
    if not target.endswith(DLQ):
        problems.append(Problem(file, path, f"dead letters go to {target}", f"a queue whose name ends in {DLQ}"))
    if receives < LEAST_RECEIVES:
        text = f"maxReceiveCount must be {LEAST_RECEIVES} or more: hand-backs are receives as well"
        problems.append(Problem(file, path, text))
    hidden = str(attributes.get("VisibilityTimeout", ""))
    if not hidden.isdecimal() or int(hidden) < LEAST_HIDDEN_SECONDS:
        path = "$.Attributes.VisibilityTimeout"
        problems.append(Problem(file, path, f"must be {LEAST_HIDDEN_SECONDS} or more: six times the Lambda's timeout"))
    return problems


def redrive(attributes: Mapping[str, Any]) -> tuple[str, int] | None:
    """(name of the queue of dead letters, receives before); None where there is no policy, or none that can be read."""
    try:
        policy = json.loads(str(attributes.get("RedrivePolicy", "")))
        return str(policy["deadLetterTargetArn"]).rpartition(":")[2], int(policy["maxReceiveCount"])
    except (ValueError, KeyError, TypeError):
        return None

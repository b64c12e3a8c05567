"""What a job queue and a job definition must be before anything is submitted to them (lessons 5, 11, 29). Pure: documents in,
facts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from src.domain.errors import ConfigError

JOB_ID = "Ref::job_id"
REGISTER = "register the job definition again, whole: retryStrategy, timeout and command (lesson 29)"


def queue_facts(queue: Mapping[str, Any], environments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Raises ConfigError for a queue that takes no jobs, or one that can never start any."""
    name, state, status = queue["jobQueueName"], queue.get("state"), queue.get("status")
    if state != "ENABLED":
        raise ConfigError(f"the job queue {name} is {state}", fix="enable it: UpdateJobQueue, state ENABLED")
    if status != "VALID":
        why = f": {queue['statusReason']}" if queue.get("statusReason") else ""
        raise ConfigError(
            f"the job queue {name} is {status}, not VALID{why}", fix="wait while it is UPDATING; else mend what it says"
        )
    fit = [each for each in environments if each.get("state") == "ENABLED" and each.get("status") == "VALID"]
    if not fit:
        seen = ", ".join(
            f"{one['computeEnvironmentName']} {one.get('state')} {one.get('status')}" for one in environments
        )
        raise ConfigError(
            f"the job queue {name} has no compute environment that is ENABLED and VALID ({seen or 'none'}): jobs would stay"
            " RUNNABLE for ever",
            fix="enable or mend a compute environment of the queue",
        )
    return [f"queue {name} is ENABLED and VALID, with {len(fit)} of {len(environments)} compute environments fit"]


def definition_facts(definition: Mapping[str, Any]) -> list[str]:
    """Raises ConfigError naming everything that is wrong with it."""
    shown = f"{definition['jobDefinitionName']}:{definition['revision']}"
    wrong = _faults(definition)
    if wrong:
        raise ConfigError(f"the job definition {shown}: {'; '.join(wrong)}", fix=REGISTER)
    seconds = definition["timeout"]["attemptDurationSeconds"]
    return [f"definition {shown} is ACTIVE: 1 attempt, timeout {seconds} s, {JOB_ID}"]


def _faults(definition: Mapping[str, Any]) -> list[str]:
    wrong = []
    if definition.get("status") != "ACTIVE":
        wrong.append(f"status is {definition.get('status')}, not ACTIVE")
    retry = definition.get("retryStrategy") or {}
    if retry.get("attempts") != 1:
        wrong.append(
            f"retryStrategy.attempts is {retry.get('attempts', 'not set')}, not 1: retries are the ledger's alone"
        )
    if retry.get("evaluateOnExit"):
        wrong.append("retryStrategy.evaluateOnExit is set: retries are the ledger's alone")
    if not (definition.get("timeout") or {}).get("attemptDurationSeconds"):
        wrong.append("timeout.attemptDurationSeconds is not set: a container that hangs would be paid for without end")
    container = definition.get("containerProperties")
    if not container:
        wrong.append("it has no containerProperties: job id and environment are given to one plain container")
    elif JOB_ID not in container.get("command", ()):
        wrong.append(f"its command has no {JOB_ID}: the container would not know its job")
    return wrong

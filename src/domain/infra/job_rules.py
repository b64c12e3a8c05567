"""Rules for what runs a job: one attempt, a time limit, an image that stays the same, no secret in the open.

AWS takes a job definition without any of these; lessons 28 and 29 are about what happens then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from src.domain.infra.problems import Problem

ENTRY = ["python", "-m", "src.interfaces.workers.batch.main", "Ref::job_id"]
LOG_GROUPS = "/aws/batch/"
SHORTEST_TIMEOUT = 60
"""Seconds; what AWS Batch takes."""

SECRET_NAME = re.compile(
    r"PASSW|SECRET|TOKEN|CREDENTIAL|ACCESS_?KEY|API_?KEY|PRIVATE|DATABASE__URL|REDIS__URL|_DSN", re.IGNORECASE
)
LOGIN = re.compile(r"://[^/@\s]*:[^/@\s]*@")
REFERENCE = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/.+")
NUMERIC_USER = re.compile(r"[1-9]\d*(:\d+)?")


def definition_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """What is wrong with a job definition."""
    container = document.get("containerProperties")
    if not isinstance(container, dict):
        return [Problem(file, "$.containerProperties", "missing: a job is one container")]
    return [
        *_attempts(document, file),
        *_job_id(document, container, file),
        *_image(container, file),
        *_resources(container, file),
        *_secrets(container, file),
        *_isolation(container, file),
        *_log(container, file),
    ]


def compute_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """What is wrong with a compute environment."""
    resources = document.get("computeResources")
    if document.get("type") != "MANAGED" or not isinstance(resources, dict):
        return [Problem(file, "$.type", "must be MANAGED with computeResources: AWS Batch starts and ends the hosts")]
    problems = []
    if resources.get("minvCpus") != 0:
        problems.append(Problem(file, "$.computeResources.minvCpus", "must be 0: hosts that wait for jobs cost money"))
    if "desiredvCpus" in resources:
        path = "$.computeResources.desiredvCpus"
        problems.append(
            Problem(file, path, "AWS Batch sets it as jobs come; two owners fight (lesson 25)", "leave it out")
        )
    if document.get("state") != "ENABLED":
        problems.append(Problem(file, "$.state", "must be ENABLED"))
    return problems


def queue_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """What is wrong with a job queue."""
    problems = []
    if document.get("state") != "ENABLED":
        problems.append(Problem(file, "$.state", "must be ENABLED"))
    if not document.get("computeEnvironmentOrder"):
        problems.append(Problem(file, "$.computeEnvironmentOrder", "names no compute environment"))
    return problems


def host_problems(document: Mapping[str, Any], file: str) -> list[Problem]:
    """What is wrong with a launch template: a job must not reach the credentials of its host (reliability.md T03)."""
    data = document.get("LaunchTemplateData")
    options = data.get("MetadataOptions") if isinstance(data, dict) else None
    given = options if isinstance(options, dict) else {}
    path = "$.LaunchTemplateData.MetadataOptions"
    wanted = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    return [
        Problem(file, f"{path}.{name}", f"must be {value!r}: a job must not reach its host's credentials")
        for name, value in wanted.items()
        if given.get(name) != value
    ]


def _attempts(document: Mapping[str, Any], file: str) -> Iterator[Problem]:
    retry = document.get("retryStrategy")
    attempts = retry.get("attempts") if isinstance(retry, dict) else None
    owner = "attempts are counted by the ledger and made by scan-stuck (B3)"
    if attempts != 1:
        yield Problem(file, "$.retryStrategy.attempts", f"is {attempts!r}, must be 1: {owner}", "set it to 1")
    if isinstance(retry, dict) and "evaluateOnExit" in retry:
        yield Problem(file, "$.retryStrategy.evaluateOnExit", f"must not be there: {owner}", "leave it out")
    timeout = document.get("timeout")
    seconds = timeout.get("attemptDurationSeconds") if isinstance(timeout, dict) else None
    if not isinstance(seconds, int) or seconds < SHORTEST_TIMEOUT:
        text = f"is {seconds!r}: a job without a time limit can hang for ever"
        yield Problem(file, "$.timeout.attemptDurationSeconds", text, f"seconds, at least {SHORTEST_TIMEOUT}")


def _job_id(document: Mapping[str, Any], container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    if container.get("command") != ENTRY:
        text = f"must be {' '.join(ENTRY)}"
        yield Problem(file, "$.containerProperties.command", text, "Ref::job_id is where AWS Batch puts the job's id")
    parameters = document.get("parameters")
    if not isinstance(parameters, dict) or not parameters.get("job_id"):
        text = "missing: Ref::job_id of the command stands for it"
        yield Problem(file, "$.parameters.job_id", text, 'declare it, such as "unset"; submitting fills it')


def _image(container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    image, path = str(container.get("image") or ""), "$.containerProperties.image"
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            yield Problem(file, path, f"{digest!r} is not a digest", "sha256: and 64 hexadecimal digits")
    elif not tag or tag == "latest":
        text = f"{image!r} is whatever was pushed last"
        yield Problem(file, path, text, "name a digest (...@sha256:...) or a tag other than latest")


def _resources(container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    required = container.get("resourceRequirements")
    given = {one.get("type") for one in required if isinstance(one, dict)} if isinstance(required, list) else set()
    for kind in ("VCPU", "MEMORY"):
        if kind not in given:
            yield Problem(file, "$.containerProperties.resourceRequirements", f"says no {kind}")


def _secrets(container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    root = "$.containerProperties"
    for number, one in enumerate(container.get("environment") or []):
        name, value = str(one.get("name", "")), str(one.get("value", ""))
        if SECRET_NAME.search(name) or LOGIN.search(value):
            text = f"{name} is a secret, and everybody who may look at job definitions reads it"
            fix = "put it into the SSM Parameter Store, and its ARN into containerProperties.secrets"
            yield Problem(file, f"{root}.environment[{number}]", text, fix)
    for number, one in enumerate(container.get("secrets") or []):
        if not REFERENCE.fullmatch(str(one.get("valueFrom", ""))):
            # Not its value: it may be the secret.
            text = f"{one.get('name')} is no reference"
            fix = "valueFrom is the ARN of a parameter in the SSM Parameter Store"
            yield Problem(file, f"{root}.secrets[{number}].valueFrom", text, fix)


def _isolation(container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    root = "$.containerProperties"
    if container.get("privileged"):
        yield Problem(file, f"{root}.privileged", "must not be set: a job works on files of strangers")
    if not NUMERIC_USER.fullmatch(str(container.get("user", ""))):
        yield Problem(file, f"{root}.user", "must be a number other than 0, as in Dockerfile.worker")
    if container.get("readonlyRootFilesystem") is not True:
        yield Problem(file, f"{root}.readonlyRootFilesystem", "must be true")
    environment = {one.get("name"): one.get("value") for one in container.get("environment") or []}
    folder = environment.get("WORKER_DATA_DIR")
    writable = [one for one in container.get("mountPoints") or [] if not one.get("readOnly")]
    mounts = {one.get("containerPath"): one.get("sourceVolume") for one in writable}
    volumes = {one.get("name") for one in container.get("volumes") or []}
    if folder is None or mounts.get(folder) not in volumes:
        text = f"WORKER_DATA_DIR ({folder}) is on no writable volume: the root is read-only, and scratch needs a place"
        yield Problem(file, f"{root}.mountPoints", text)


def _log(container: Mapping[str, Any], file: str) -> Iterator[Problem]:
    log = container.get("logConfiguration")
    options = log.get("options") if isinstance(log, dict) else None
    group = options.get("awslogs-group") if isinstance(options, dict) else None
    if not isinstance(log, dict) or log.get("logDriver") != "awslogs" or not str(group or "").startswith(LOG_GROUPS):
        path = "$.containerProperties.logConfiguration"
        yield Problem(file, path, f"logs go to a group of their own below {LOG_GROUPS} (awslogs)")

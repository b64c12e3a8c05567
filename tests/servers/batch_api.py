"""What each request to the Batch emulator does. Requests are already checked against the service model, replies will be."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers.batch_jobs import ENDED, Job, Yard, arn
from tests.servers.batch_model import client_error

Document = dict[str, Any]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
REFERENCE = re.compile(r"Ref::([A-Za-z0-9_-]+)")
LEAST_TIMEOUT = 60
MOST_ATTEMPTS = 10
DESCRIBED = 100
LISTED, FILTERED = 1000, 100
QUEUE, ENVIRONMENT = "video-queue", "video-environment"
NOT_HERE = ("arrayProperties", "dependsOn", "nodeOverrides", "eksPropertiesOverride", "ecsPropertiesOverride")


def _environment() -> Document:
    return {
        "computeEnvironmentName": ENVIRONMENT,
        "computeEnvironmentArn": arn("compute-environment", ENVIRONMENT),
        "type": "MANAGED",
        "state": "ENABLED",
        "status": "VALID",
    }


def _queue() -> Document:
    order = [{"order": 1, "computeEnvironment": arn("compute-environment", ENVIRONMENT)}]
    return {
        "jobQueueName": QUEUE,
        "jobQueueArn": arn("job-queue", QUEUE),
        "state": "ENABLED",
        "status": "VALID",
        "priority": 1,
        "computeEnvironmentOrder": order,
    }


@dataclass
class BatchApi:
    """Queues, environments and definitions are plain documents that a test may change."""

    yard: Yard
    queues: list[Document] = field(default_factory=lambda: [_queue()])
    environments: list[Document] = field(default_factory=lambda: [_environment()])
    definitions: list[Document] = field(default_factory=list)

    def answer(self, operation: str, request: Mapping[str, Any]) -> Document:
        """The reply. Raises batch_model.Refused."""
        operations: Mapping[str, Callable[[Mapping[str, Any]], Document]] = {
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe,
            "ListJobs": self._list,
            "TerminateJob": self._terminate,
            "CancelJob": self._cancel,
            "DescribeJobQueues": self._describe_queues,
            "DescribeJobDefinitions": self._describe_definitions,
            "RegisterJobDefinition": self._register,
            "DescribeComputeEnvironments": self._describe_environments,
        }
        with self.yard.changed:
            return operations[operation](request)

    # ------------------------------------------------------------------ jobs
    def _submit(self, request: Mapping[str, Any]) -> Document:
        if not NAME.fullmatch(request["jobName"]):
            raise client_error(f"Job name {request['jobName']!r} should match valid pattern")
        if unknown := [name for name in NOT_HERE if name in request]:
            raise client_error(f"the emulator has no {', '.join(unknown)}")
        queue = self._queue_named(request["jobQueue"])
        if queue["state"] != "ENABLED":
            raise client_error(f"Job queue {queue['jobQueueArn']} is not ENABLED")
        definition = self._newest(request["jobDefinition"])
        override = request.get("containerOverrides", {})
        parameters = {**definition.get("parameters", {}), **request.get("parameters", {})}
        retry = request.get("retryStrategy") or definition.get("retryStrategy") or {}
        timeout = request.get("timeout") or definition.get("timeout") or {}
        _check_limits(retry, timeout)
        if len(request.get("tags", {})) > 50:
            raise client_error("Too many tags")
        job = Job(
            name=request["jobName"],
            queue=queue["jobQueueArn"],
            definition=definition,
            parameters=parameters,
            command=_substituted(override.get("command") or definition["containerProperties"]["command"], parameters),
            environment=_variables(definition["containerProperties"].get("environment", []), override),
            allowed=retry.get("attempts", 1),
            timeout=timeout.get("attemptDurationSeconds"),
            tags=request.get("tags", {}),
            created=self.yard.millis(),
        )
        self.yard.add(job)
        return {"jobArn": arn("job", job.id), "jobName": job.name, "jobId": job.id}

    def _describe(self, request: Mapping[str, Any]) -> Document:
        if len(request["jobs"]) > DESCRIBED:
            raise client_error(f"no more than {DESCRIBED} jobs")
        wanted = [each.rsplit("/", 1)[-1] for each in request["jobs"]]
        return {"jobs": [_detail(self.yard.jobs[each]) for each in dict.fromkeys(wanted) if each in self.yard.jobs]}

    def _list(self, request: Mapping[str, Any]) -> Document:
        if "jobQueue" not in request or "arrayJobId" in request or "multiNodeJobId" in request:
            raise client_error("the emulator lists by job queue alone")
        queue, filters = self._queue_named(request["jobQueue"])["jobQueueArn"], request.get("filters", [])
        if len(filters) > 1:
            raise client_error("only one filter can be used at a time")
        found = [job for job in self.yard.jobs.values() if job.queue == queue]
        if filters:
            found = [job for job in found if _passes(job, filters[0]["name"], filters[0]["values"])]
        else:
            found = [job for job in found if job.status == request.get("jobStatus", "RUNNING")]
        most = FILTERED if filters else LISTED
        # By the last one's id, so that the next page begins behind it although others have moved on.
        page, token = _page(found, request.get("nextToken"), min(request.get("maxResults", most), most))
        return {"jobSummaryList": [_summary(job) for job in page], **token}

    def _terminate(self, request: Mapping[str, Any]) -> Document:
        _check_reason(request)
        self.yard.terminate(request["jobId"], request["reason"])
        return {}

    def _cancel(self, request: Mapping[str, Any]) -> Document:
        _check_reason(request)
        self.yard.cancel(request["jobId"], request["reason"])
        return {}

    # ------------------------------------------------------------------ what jobs need
    def _register(self, request: Mapping[str, Any]) -> Document:
        name, properties = request["jobDefinitionName"], request.get("containerProperties")
        if not NAME.fullmatch(name):
            raise client_error(f"jobDefinitionName {name!r} should match valid pattern")
        if request["type"] != "container" or not properties or not properties.get("image"):
            raise client_error("the emulator has container definitions only, with an image")
        _check_limits(request.get("retryStrategy", {}), request.get("timeout", {}))
        revision = 1 + sum(each["jobDefinitionName"] == name for each in self.definitions)
        made = {**request, "revision": revision, "jobDefinitionArn": arn("job-definition", f"{name}:{revision}")}
        self.definitions.append({**made, "status": "ACTIVE"})
        return {name: made[name] for name in ("jobDefinitionName", "jobDefinitionArn", "revision")}

    def _describe_definitions(self, request: Mapping[str, Any]) -> Document:
        found = [
            each
            for each in self.definitions
            if request.get("status") in (None, each["status"])
            and request.get("jobDefinitionName") in (None, each["jobDefinitionName"])
            and (not request.get("jobDefinitions") or {*request["jobDefinitions"]} & _names(each))
        ]
        start = int(request.get("nextToken", "0"))
        end = start + min(request.get("maxResults", 100), 100)
        return {"jobDefinitions": found[start:end], **({"nextToken": str(end)} if end < len(found) else {})}

    def _describe_queues(self, request: Mapping[str, Any]) -> Document:
        wanted = request.get("jobQueues", [])
        return {
            "jobQueues": [q for q in self.queues if not wanted or {q["jobQueueName"], q["jobQueueArn"]} & {*wanted}]
        }

    def _describe_environments(self, request: Mapping[str, Any]) -> Document:
        wanted = {*request.get("computeEnvironments", [])}
        names = ("computeEnvironmentName", "computeEnvironmentArn")
        found = [each for each in self.environments if not wanted or {each[name] for name in names} & wanted]
        return {"computeEnvironments": found}

    def _queue_named(self, name: str) -> Document:
        for queue in self.queues:
            if name in (queue["jobQueueName"], queue["jobQueueArn"]):
                return queue
        raise client_error(f"JobQueue {name} does not exist")

    def _newest(self, name: str) -> Document:
        fit = [each for each in self.definitions if each["status"] == "ACTIVE" and name in _names(each)]
        if not fit:
            raise client_error(f"JobDefinition {name} does not exist or is not active")
        return dict(fit[-1])


def _names(definition: Mapping[str, Any]) -> set[str]:
    name = definition["jobDefinitionName"]
    return {name, f"{name}:{definition['revision']}", definition["jobDefinitionArn"]}


def _check_limits(retry: Mapping[str, Any], timeout: Mapping[str, Any]) -> None:
    if not 1 <= retry.get("attempts", 1) <= MOST_ATTEMPTS:
        raise client_error(f"attempts must be between 1 and {MOST_ATTEMPTS}")
    if timeout.get("attemptDurationSeconds", LEAST_TIMEOUT) < LEAST_TIMEOUT:
        raise client_error(f"attemptDurationSeconds must be at least {LEAST_TIMEOUT}")


def _check_reason(request: Mapping[str, Any]) -> None:
    if not request["jobId"] or not 0 < len(request["reason"]) <= 1024:
        raise client_error("jobId and reason must be given, the reason in 1024 characters")


def _substituted(command: list[str], parameters: Mapping[str, str]) -> list[str]:
    missing = {name for word in command for name in REFERENCE.findall(word)} - set(parameters)
    if missing:
        raise client_error(f"missing parameters: {', '.join(sorted(missing))}")
    return [REFERENCE.sub(lambda found: parameters[found[1]], word) for word in command]


def _variables(defined: list[Mapping[str, str]], override: Mapping[str, Any]) -> dict[str, str]:
    found = {each["name"]: each.get("value", "") for each in [*defined, *override.get("environment", [])]}
    if reserved := [name for name in found if name.startswith("AWS_BATCH")]:
        raise client_error(f"reserved environment variables: {reserved}")
    return found


def _page(found: list[Job], token: str | None, most: int) -> tuple[list[Job], dict[str, str]]:
    if most < 1:
        raise client_error("maxResults must be at least 1")
    if token is not None:
        try:
            created, last = base64.b64decode(token, validate=True).decode().split(" ")
        except ValueError as error:
            raise client_error("nextToken is not valid") from error
        found = [job for job in found if (-job.created, job.id) > (-int(created), last)]
    found.sort(key=lambda job: (-job.created, job.id))
    page = found[:most]
    more = len(found) > most
    return page, {"nextToken": base64.b64encode(f"{page[-1].created} {page[-1].id}".encode()).decode()} if more else {}


def _passes(job: Job, name: str, values: list[str]) -> bool:
    if name == "BEFORE_CREATED_AT":
        return any(job.created < int(value) for value in values)
    if name == "AFTER_CREATED_AT":
        return any(job.created > int(value) for value in values)
    if name == "JOB_NAME":
        return any(_like(job.name.lower(), value.lower()) for value in values)
    if name == "JOB_DEFINITION":
        bare = job.definition["jobDefinitionName"]
        return any(_like(bare, value) or value == job.definition["jobDefinitionArn"] for value in values)
    raise client_error(f"the emulator has no filter {name}")


def _like(text: str, value: str) -> bool:
    return text.startswith(value[:-1]) if value.endswith("*") else text == value


def _times(job: Job) -> Document:
    known = {"stoppedAt": job.stopped} if job.stopped and job.status in ENDED else {}
    return {"createdAt": job.created, "startedAt": job.started, **known}


def _summary(job: Job) -> Document:
    last = job.attempts[-1]["container"].get("exitCode") if job.attempts else None
    return {
        "jobArn": arn("job", job.id),
        "jobId": job.id,
        "jobName": job.name,
        "status": job.status,
        "jobDefinition": job.definition["jobDefinitionArn"],
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
        **({"statusReason": job.reason} if job.reason else {}),
        **({"container": {"exitCode": last}} if last is not None and job.status in ENDED else {}),
        **_times(job),
    }


def _detail(job: Job) -> Document:
    """The model demands startedAt, which is 0 before the start."""
    last = job.attempts[-1]["container"].get("exitCode") if job.attempts else None
    container = {
        "image": job.definition["containerProperties"]["image"],
        "command": job.command,
        "environment": [{"name": name, "value": value} for name, value in job.environment.items()],
        **({"exitCode": last} if last is not None and job.status in ENDED else {}),
    }
    return {
        "jobArn": arn("job", job.id),
        "jobId": job.id,
        "jobName": job.name,
        "jobQueue": job.queue,
        "jobDefinition": job.definition["jobDefinitionArn"],
        "status": job.status,
        "attempts": list(job.attempts),
        "retryStrategy": {"attempts": job.allowed, "evaluateOnExit": []},
        "parameters": dict(job.parameters),
        "container": container,
        "dependsOn": [],
        "tags": dict(job.tags),
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
        **({"timeout": {"attemptDurationSeconds": int(job.timeout)}} if job.timeout else {}),
        **({"statusReason": job.reason} if job.reason else {}),
        **_times(job),
    }

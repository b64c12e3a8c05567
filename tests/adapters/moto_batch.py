"""Somebody else's AWS, in this process: moto's simple Batch, whose jobs are SUCCEEDED at once. A second opinion on our emulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

REGION = "us-east-1"
QUEUE, DEFINITION = "video-queue", "video-definition"
COMMAND = ["/bin/true", "Ref::job_id"]


def session() -> Any:
    """Credentials that mean nothing."""
    made = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    made.events.register_first("before-parse", _with_length)
    return made


def _with_length(response_dict: dict[str, Any], **_more: Any) -> None:
    """What never went over a wire has no length, and ours take such an answer for one that was cut."""
    response_dict["headers"].setdefault("content-length", str(len(response_dict["body"])))


@contextmanager
def moto() -> Iterator[None]:
    """Nothing of boto3's reaches a network inside."""
    with mock_aws(config={"batch": {"use_docker": False}, "iam": {"load_aws_managed_policies": True}}):
        yield


def prepare(client: Any) -> None:
    """Compute environment, queue and definition, as our emulator has them from the start."""
    role = session().client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = client.create_compute_environment(
        computeEnvironmentName="video-environment", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    client.create_job_queue(
        jobQueueName=QUEUE,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}],
    )


def define(client: Any) -> Any:
    """The definition's next revision."""
    return client.register_job_definition(
        jobDefinitionName=DEFINITION,
        type="container",
        containerProperties={"image": "i:1", "command": COMMAND, "vcpus": 1, "memory": 128},
        retryStrategy={"attempts": 1},
        timeout={"attemptDurationSeconds": 60},
    )

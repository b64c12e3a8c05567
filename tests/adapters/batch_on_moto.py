"""The happy path of the Batch adapter on somebody else's emulator, as a second opinion on our own: moto's simple Batch, whose jobs
are SUCCEEDED at once. Not collected by pytest, because moto is not in the lock; with any interpreter that has moto[server] and boto3:

    python -m tests.adapters.batch_on_moto
"""

from __future__ import annotations

import urllib.request

import boto3
from moto.server import ThreadedMotoServer

from src.application.ports.batch import BatchState
from src.domain.errors import BatchRefused
from src.infrastructure.aws.batch import AwsBatch
from src.infrastructure.clock import SystemClock

JOB = "0190a5e2-7c1d-7f3a-9b3e-1a2b3c4d5e6f"
UNKNOWN = "11111111-2222-3333-4444-555555555555"
SIMPLE = b'{"batch": {"use_docker": false}}'


def main() -> None:
    """Raises AssertionError for what differs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        _host, port = server.get_host_and_port()
        check(f"http://127.0.0.1:{port}")
    finally:
        server.stop()
    print("moto agrees: submit, describe, list, terminate, start-up check, refusals")


def check(url: str) -> None:
    """Everything once."""
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(  # noqa: S310 - loopback
        urllib.request.Request(f"{url}/moto-api/config", SIMPLE, headers)  # noqa: S310
    ).close()
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    prepare(session, url)

    def adapter(queue: str = "queue", definition: str = "definition") -> AwsBatch:
        return AwsBatch(
            queue=queue,
            definition=definition,
            clock=SystemClock(),
            endpoint_url=url,
            region="us-east-1",
            make_session=lambda: session,
        )

    batch = adapter()
    made = batch.submit(JOB, name="video", tenant="academy")
    job = batch.describe([made, UNKNOWN])[made]
    assert (job.job_id, job.name, job.state) == (JOB, "video-0190a5e2", BatchState.SUCCEEDED), job
    assert job.created_at and job.started_at and job.stopped_at, job
    assert UNKNOWN not in batch.describe([made, UNKNOWN])
    assert [one.batch_id for one in batch.listing(set(BatchState))] == [made]
    batch.terminate(made, "it has ended")
    batch.terminate(UNKNOWN, "it never was")  # moto says no to this one, AWS says yes
    assert batch.describe([made])[made].state is BatchState.SUCCEEDED
    assert "definition:1 is ACTIVE: 1 attempt, timeout 60 s" in batch.check()[1]
    for wrong in (adapter(queue="nowhere"), adapter(definition="nothing")):
        assert "does not exist" in refusal(wrong)


def refusal(batch: AwsBatch) -> str:
    """What is said against a submission."""
    try:
        made = batch.submit(JOB, name="video", tenant="academy")
    except BatchRefused as refused:
        return refused.message
    return f"taken: {made}"


def prepare(session: boto3.session.Session, url: str) -> None:
    """Role, compute environment, queue and definition."""
    iam, batch = (session.client(name, endpoint_url=url) for name in ("iam", "batch"))
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = batch.create_compute_environment(
        computeEnvironmentName="environment", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    batch.create_job_queue(
        jobQueueName="queue",
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}],
    )
    batch.register_job_definition(
        jobDefinitionName="definition",
        type="container",
        containerProperties={"image": "i:1", "command": ["run", "Ref::job_id"], "vcpus": 1, "memory": 128},
        retryStrategy={"attempts": 1},
        timeout={"attemptDurationSeconds": 60},
    )


if __name__ == "__main__":
    main()

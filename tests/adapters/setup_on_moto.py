"""Registering the Batch road on somebody else's emulator, as a second opinion: moto keeps the whole of a job definition. Not
collected by pytest, because moto is not in the lock; with any interpreter that has moto[server] and boto3:

    python -m tests.adapters.setup_on_moto
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from src.application.infra.register import Action, Registration
from src.application.infra.road import Road
from src.infrastructure.aws.setup import AwsSetup
from tests.fakes.clock import FrozenClock
from tests.infra.roles import REGION, VALUES, road, texts

COMPUTE, DEFINITION = "batch/video_compute_env.json", "batch/video_job_definition.json"


def main() -> None:
    """Register twice, change a number, see one new revision."""
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    setup = AwsSetup(region=REGION, endpoint_url=f"http://{host}:{port}", make_session=session)
    try:
        setup.check(VALUES["ACCOUNT_ID"])
        registration = Registration(setup, FrozenClock())
        wanted = files(setup)
        expect(registration, wanted, [Action.CREATE] * 10)
        expect(registration, wanted, [Action.EQUAL] * 10)
        definition = json.loads(texts()[DEFINITION])
        definition["timeout"]["attemptDurationSeconds"] = 21_600
        expect(registration, files(setup, **{DEFINITION: json.dumps(definition)}), [*[Action.EQUAL] * 9, Action.CHANGE])
    finally:
        setup.close()
        server.stop()
    print("moto agrees: everything made, read back equal, one field changed")


def expect(registration: Registration, wanted: Road, actions: list[Action]) -> None:
    """The plan says it, and registering does it."""
    for said in (registration.plan(wanted), registration.register(wanted)):
        if [step.action for step in said] != actions:
            raise AssertionError([(step.resource.name, step.action, *map(str, step.changes)) for step in said])


def files(setup: AwsSetup, **changed: str) -> Road:
    """moto asks for a service role, where AWS takes its own; and for subnets and security groups that exist."""
    ec2 = session().client("ec2", region_name=REGION, endpoint_url=setup.endpoint_url)
    subnets = ",".join(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"])
    (group,) = (one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"])
    compute = json.loads(texts()[COMPUTE])
    compute["serviceRole"] = "arn:aws:iam::${ACCOUNT_ID}:role/academy-video-submitter"
    values = {**VALUES, "SUBNETS": subnets, "SECURITY_GROUPS": group}
    return road({COMPUTE: json.dumps(compute), **changed}, values).sound()


def session() -> Any:
    """Credentials that mean nothing."""
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test")


if __name__ == "__main__":
    main()

"""Registering the Batch road on somebody else's AWS: moto keeps the whole of a job definition and of a role."""

from __future__ import annotations

import json

from src.application.infra.register import Action, Registration
from src.application.infra.road import Road
from src.infrastructure.aws.setup import AwsSetup
from tests.adapters.moto_batch import moto, session
from tests.fakes.clock import FrozenClock
from tests.infra.roles import REGION, VALUES, road, texts

COMPUTE, DEFINITION = "batch/video_compute_env.json", "batch/video_job_definition.json"


def files(**changed: str) -> Road:
    """moto asks for a service role, where AWS takes its own; and for subnets and security groups that exist."""
    ec2 = session().client("ec2", region_name=REGION)
    subnets = ",".join(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"])
    (group,) = (one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"])
    compute = json.loads(texts()[COMPUTE])
    compute["serviceRole"] = "arn:aws:iam::${ACCOUNT_ID}:role/academy-video-submitter"
    values = {**VALUES, "SUBNETS": subnets, "SECURITY_GROUPS": group}
    return road({COMPUTE: json.dumps(compute), **changed}, values).sound()


def done(registration: Registration, wanted: Road) -> list[Action]:
    """What the plan says, which registering does."""
    planned, registered = (
        [step.action for step in said] for said in (registration.plan(wanted), registration.register(wanted))
    )
    assert planned == registered
    return planned


def test_b6_everything_is_made_reads_back_equal_and_a_change_is_one_new_revision() -> None:
    with moto():
        setup = AwsSetup(region=REGION, make_session=session)
        setup.check(VALUES["ACCOUNT_ID"])
        registration, wanted = Registration(setup, FrozenClock()), files()
        count = len(done(registration, wanted))
        assert done(registration, wanted) == [Action.EQUAL] * count
        definition = json.loads(texts()[DEFINITION])
        definition["timeout"]["attemptDurationSeconds"] = 21_600
        changed = done(registration, files(**{DEFINITION: json.dumps(definition)}))
        assert changed == [*[Action.EQUAL] * (count - 1), Action.CHANGE]
        setup.close()

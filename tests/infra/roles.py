"""Who runs which code, and what each call of it needs: the tables between the code's calls and the policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.application.infra.road import Road, read_road
from src.infrastructure.aws.shapes import BotocoreShapes
from tests.infra.calls import ROOT, packages

FILES = ROOT / "scripts" / "infra"
ACCOUNT, REGION = "123456789012", "ap-northeast-2"
VALUES = {
    "ACCOUNT_ID": ACCOUNT,
    "REGION": REGION,
    "BUCKET": "media-bucket",
    "PREFIX": "a/b",
    "IMAGE": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/academy-video-worker:1.2.0",
    "SUBNETS": "subnet-1,subnet-2",
    "SECURITY_GROUPS": "sg-1",
}

HERE = f"{REGION}:{ACCOUNT}"
BUCKET = "arn:aws:s3:::media-bucket"
SOURCE = f"{BUCKET}/a/b/tenants/acme/video/raw/7/film.mov"
STREAM = f"{BUCKET}/a/b/tenants/acme/video/hls/7/1-1-0123abcd/master.m3u8"
MESSAGE = f"{BUCKET}/a/b/_messages/0123456789abcdef0123456789abcdef"
VIDEO_QUEUE = f"arn:aws:sqs:{HERE}:academy-video-jobs"
DELETE_QUEUE = f"arn:aws:sqs:{HERE}:academy-video-delete-r2"
TOPIC = f"arn:aws:sns:{HERE}:academy-video-alerts"
DEFINITION = f"arn:aws:batch:{HERE}:job-definition/academy-video-batch-jobdef"
BATCH_QUEUE = f"arn:aws:batch:{HERE}:job-queue/academy-video-batch-queue"
COMPUTE = f"arn:aws:batch:{HERE}:compute-environment/academy-video-batch-compute"
JOB = f"arn:aws:batch:{HERE}:job/876da822-4198-45f2-a252-6cea32512ea8"
PARAMETER = f"arn:aws:ssm:{HERE}:parameter/academy/video-worker/env"
TEMPLATE = f"arn:aws:ec2:{HERE}:launch-template/lt-0123456789abcdef0"
REPOSITORY = f"arn:aws:ecr:{HERE}:repository/academy-video-worker"
BATCH_LOG = f"arn:aws:logs:{HERE}:log-group:/aws/batch/academy-video-worker"
LAMBDA_LOG = f"arn:aws:logs:{HERE}:log-group:/aws/lambda/academy-video-delete-r2"
IAM = f"arn:aws:iam::{ACCOUNT}"
JOB_ROLE, EXECUTION_ROLE, INSTANCE_ROLE = (
    f"{IAM}:role/academy-video-batch-{x}" for x in ("job", "execution", "instance")
)
PROFILE = f"{IAM}:instance-profile/academy-video-batch-instance"
LINKED = f"{IAM}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"

STRANGERS = (
    "arn:aws:s3:::other-bucket",
    "arn:aws:s3:::other-bucket/a/b/tenants/acme/video/hls/7/x.ts",
    f"{BUCKET}/tenants/acme/video/hls/7/x.ts",  # above the prefix
    f"{BUCKET}/a/b/tenants/acme/ai/submissions/1/x.png",
    f"{BUCKET}/a/b/secrets.txt",
    f"arn:aws:sqs:{HERE}:other-queue",
    f"arn:aws:sqs:{REGION}:999999999999:academy-video-jobs",
    f"arn:aws:ssm:{HERE}:parameter/academy/other/env",
    f"arn:aws:sns:{HERE}:other",
    f"arn:aws:batch:{HERE}:job-queue/other",
    f"arn:aws:batch:{HERE}:job-definition/other",
    f"arn:aws:batch:us-east-1:{ACCOUNT}:job/876da822",
    f"{IAM}:role/admin",
    f"{IAM}:user/ann",
    f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0",
    f"arn:aws:ecr:{HERE}:repository/other",
    f"arn:aws:logs:{HERE}:log-group:/aws/other",
    "*",
)
"""What no role may touch in any way (`*`: what an action without a resource is asked with)."""

ROWS: Mapping[tuple[str, str], Sequence[str]] = {
    ("s3", "head_object"): ("s3:GetObject", "s3:ListBucket"),  # without ListBucket, what is missing is "forbidden"
    ("s3", "get_object"): ("s3:GetObject",),
    ("s3", "put_object"): ("s3:PutObject",),
    ("s3", "upload_file"): ("s3:PutObject", "s3:AbortMultipartUpload"),
    ("s3", "copy"): ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
    ("s3", "delete_objects"): ("s3:DeleteObject",),
    ("s3", "list_objects_v2"): ("s3:ListBucket",),
    ("s3", "list_multipart_uploads"): ("s3:ListBucketMultipartUploads",),
    ("s3", "abort_multipart_upload"): ("s3:AbortMultipartUpload",),
    ("sqs", "get_queue_url"): ("sqs:GetQueueUrl",),
    ("sqs", "get_queue_attributes"): ("sqs:GetQueueAttributes",),
    ("sqs", "receive_message"): ("sqs:ReceiveMessage",),
    ("sqs", "delete_message"): ("sqs:DeleteMessage",),
    ("sqs", "delete_message_batch"): ("sqs:DeleteMessage",),
    ("sqs", "change_message_visibility"): ("sqs:ChangeMessageVisibility",),
    ("sqs", "change_message_visibility_batch"): ("sqs:ChangeMessageVisibility",),
    ("sqs", "send_message"): ("sqs:SendMessage",),
    ("sqs", "send_message_batch"): ("sqs:SendMessage",),
    ("sqs", "create_queue"): ("sqs:CreateQueue",),
    ("sqs", "set_queue_attributes"): ("sqs:SetQueueAttributes",),
    ("batch", "submit_job"): ("batch:SubmitJob", "batch:TagResource"),  # tags at submission are asked for apart
    ("batch", "describe_jobs"): ("batch:DescribeJobs",),
    ("batch", "list_jobs"): ("batch:ListJobs",),
    ("batch", "terminate_job"): ("batch:TerminateJob",),
    ("batch", "describe_job_queues"): ("batch:DescribeJobQueues",),
    ("batch", "describe_job_definitions"): ("batch:DescribeJobDefinitions",),
    ("batch", "describe_compute_environments"): ("batch:DescribeComputeEnvironments",),
    ("batch", "create_compute_environment"): (
        "batch:CreateComputeEnvironment",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
    ),
    ("batch", "update_compute_environment"): ("batch:UpdateComputeEnvironment", "iam:PassRole"),
    ("batch", "create_job_queue"): ("batch:CreateJobQueue",),
    ("batch", "update_job_queue"): ("batch:UpdateJobQueue",),
    ("batch", "register_job_definition"): ("batch:RegisterJobDefinition", "iam:PassRole"),
    ("sts", "get_caller_identity"): (),  # everybody may ask who they are
    ("ssm", "get_parameter"): ("ssm:GetParameter",),
    ("sns", "publish"): ("sns:Publish",),
    ("ec2", "describe_launch_template_versions"): ("ec2:DescribeLaunchTemplateVersions",),
    ("ec2", "create_launch_template"): ("ec2:CreateLaunchTemplate",),
    ("ec2", "create_launch_template_version"): ("ec2:CreateLaunchTemplateVersion",),
    ("ec2", "modify_launch_template"): ("ec2:ModifyLaunchTemplate",),
    ("iam", "get_role"): ("iam:GetRole",),
    ("iam", "get_role_policy"): ("iam:GetRolePolicy",),
    ("iam", "list_role_policies"): ("iam:ListRolePolicies",),
    ("iam", "list_attached_role_policies"): ("iam:ListAttachedRolePolicies",),
    ("iam", "create_role"): ("iam:CreateRole",),
    ("iam", "put_role_policy"): ("iam:PutRolePolicy",),
    ("iam", "delete_role_policy"): ("iam:DeleteRolePolicy",),
    ("iam", "attach_role_policy"): ("iam:AttachRolePolicy",),
    ("iam", "detach_role_policy"): ("iam:DetachRolePolicy",),
    ("iam", "update_assume_role_policy"): ("iam:UpdateAssumeRolePolicy",),
    ("iam", "update_role_description"): ("iam:UpdateRoleDescription",),
    ("iam", "get_instance_profile"): ("iam:GetInstanceProfile",),
    ("iam", "create_instance_profile"): ("iam:CreateInstanceProfile",),
    ("iam", "add_role_to_instance_profile"): ("iam:AddRoleToInstanceProfile", "iam:PassRole"),
}
"""{(service, operation): actions that it takes}. A call in the code without a row is an error."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Code that a role runs: a class (or some of its methods), or a module by its path. `planned`: what a module will call
    that is not written yet; it counts as called until there is such a module."""

    folder: str
    owner: str = ""
    methods: Sequence[str] = ()
    module: str = ""
    planned: frozenset[tuple[str, str]] = frozenset()

    def operations(self, root: Path = ROOT) -> set[tuple[str, str]]:
        """(service, operation)."""
        if not self.module:
            return packages(root)[self.folder].reached(self.owner, self.methods)
        if not (root / self.module).exists():
            return set(self.planned)
        return packages(root)[self.folder].of_module(self.module)


S3 = "src/infrastructure/s3"
SQS = "src/infrastructure/sqs"
AWS = "src/infrastructure/aws"
BATCH_MODULE = Runs(
    AWS,
    module=f"{AWS}/batch.py",
    planned=frozenset(
        ("batch", name)
        for name in (
            *("submit_job", "describe_jobs", "list_jobs", "terminate_job"),
            *("describe_job_queues", "describe_job_definitions", "describe_compute_environments"),
        )
    ),
)
TOPIC_MODULE = Runs(AWS, module=f"{AWS}/topic.py")
PARAMETERS_MODULE = Runs(AWS, module=f"{AWS}/parameters.py", planned=frozenset({("ssm", "get_parameter")}))


@dataclass(frozen=True, slots=True)
class Role:
    """`runs`: our code under it; `agents`: actions that AWS itself takes in its name, and why; `reach`: what the actions are
    for, and nothing else."""

    name: str
    runs: Sequence[Runs]
    reach: Mapping[str, Sequence[str]]
    agents: Mapping[str, str]

    def needed(self, root: Path = ROOT) -> set[str]:
        """Actions."""
        operations = {operation for code in self.runs for operation in code.operations(root)}
        if unknown := operations - ROWS.keys():
            raise LookupError(f"{self.name}: no row says what {sorted(unknown)} takes")
        return {action for operation in operations for action in ROWS[operation]} | self.agents.keys()


WRITES = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject")
STORED = {"s3:ListBucket": [BUCKET], "s3:GetObject": [SOURCE, STREAM], **{key: [STREAM] for key in WRITES}}
ON_QUEUE = tuple(
    f"sqs:{name}"
    for name in ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage")
)
LOOKS = {f"batch:Describe{what}": ["*"] for what in ("ComputeEnvironments", "JobDefinitions", "JobQueues")}
LOG_CALLS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
OWN_ROLES = (JOB_ROLE, EXECUTION_ROLE, INSTANCE_ROLE, f"{IAM}:role/academy-video-submitter")

ROLES = (
    Role(
        "academy-video-batch-job",
        [Runs(S3, "S3Storage"), PARAMETERS_MODULE, TOPIC_MODULE],
        {**STORED, "ssm:GetParameter": [PARAMETER], "sns:Publish": [TOPIC]},
        {},
    ),
    Role(
        "academy-video-batch-execution",
        [],
        {
            "ecr:GetAuthorizationToken": ["*"],
            **{
                key: [REPOSITORY]
                for key in ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
            },
            **{key: [BATCH_LOG, f"{BATCH_LOG}:log-stream:video/default/1"] for key in LOG_CALLS},
            "ssm:GetParameters": [PARAMETER],
        },
        {
            "ecr:GetAuthorizationToken": "ECS's agent logs in to the registry",
            "ecr:BatchCheckLayerAvailability": "and pulls the image",
            "ecr:BatchGetImage": "and pulls the image",
            "ecr:GetDownloadUrlForLayer": "and pulls the image",
            "logs:CreateLogGroup": "awslogs-create-group",
            "logs:CreateLogStream": "the awslogs driver",
            "logs:PutLogEvents": "the awslogs driver",
            "ssm:GetParameters": "ECS's agent reads containerProperties.secrets",
        },
    ),
    Role("academy-video-batch-instance", [], {}, {}),
    Role(
        "academy-video-submitter",
        [BATCH_MODULE, Runs(SQS, "SqsPublisher"), Runs(S3, "S3Storage", ("check", "head"))],
        {
            "s3:ListBucket": [BUCKET],
            "s3:GetObject": [SOURCE],
            "batch:SubmitJob": [DEFINITION, f"{DEFINITION}:7", BATCH_QUEUE],
            "batch:TagResource": [JOB],
            "batch:TerminateJob": [JOB],
            **LOOKS,
            "batch:DescribeJobs": ["*"],
            "batch:ListJobs": ["*"],
            **{f"sqs:{x}": [VIDEO_QUEUE, DELETE_QUEUE] for x in ("GetQueueAttributes", "GetQueueUrl", "SendMessage")},
        },
        {},
    ),
    Role(
        "academy-video-recovery",
        [
            BATCH_MODULE,
            Runs(S3, "S3Storage", ("check", "delete", "head", "list")),
            Runs(S3, "S3Uploads", ("abort", "unfinished")),
            PARAMETERS_MODULE,
            TOPIC_MODULE,
        ],
        {
            "sns:Publish": [TOPIC],
            "s3:ListBucketMultipartUploads": [BUCKET],
            "s3:AbortMultipartUpload": [SOURCE, STREAM],
            "batch:SubmitJob": [DEFINITION, f"{DEFINITION}:7", BATCH_QUEUE],
            "batch:TagResource": [JOB],
            "batch:TerminateJob": [JOB],
            **LOOKS,
            "batch:DescribeJobs": ["*"],
            "batch:ListJobs": ["*"],
            "s3:ListBucket": [BUCKET],
            "s3:GetObject": [SOURCE],
            "s3:DeleteObject": [SOURCE, STREAM],
            "ssm:GetParameter": [PARAMETER],
        },
        {},
    ),
    Role(
        "academy-video-sqs-worker",
        [
            Runs(S3, "S3Storage"),
            *(Runs(SQS, owner) for owner in ("SqsConsumer", "SqsPublisher", "SqsInspector")),
            TOPIC_MODULE,
        ],
        {
            "sns:Publish": [TOPIC],
            "s3:ListBucket": [BUCKET],
            "s3:GetObject": [SOURCE, STREAM, MESSAGE],
            **{key: [STREAM, MESSAGE] for key in WRITES},
            **{key: [VIDEO_QUEUE] for key in (*ON_QUEUE, "sqs:SendMessage")},
        },
        {},
    ),
    Role(
        "academy-video-delete-consumer",
        [Runs(S3, "S3Storage", ("check", "delete", "list")), Runs(SQS, "SqsConsumer")],
        {
            "s3:ListBucket": [BUCKET],
            "s3:DeleteObject": [SOURCE, STREAM],
            **{key: [DELETE_QUEUE] for key in ON_QUEUE},
            **{key: [LAMBDA_LOG, f"{LAMBDA_LOG}:log-stream:1"] for key in LOG_CALLS},
        },
        dict.fromkeys(LOG_CALLS, "what a function prints"),
    ),
    Role(
        "policy_deployer.json",
        [Runs(AWS, "AwsSetup")],
        {
            **{
                f"iam:{name}": OWN_ROLES
                for name in (
                    *("AttachRolePolicy", "CreateRole", "DeleteRolePolicy", "DetachRolePolicy", "GetRole"),
                    *("GetRolePolicy", "ListAttachedRolePolicies", "ListRolePolicies", "PutRolePolicy"),
                    *("UpdateAssumeRolePolicy", "UpdateRoleDescription"),
                )
            },
            **{f"iam:{x}InstanceProfile": [PROFILE] for x in ("AddRoleTo", "Create", "Get")},
            "iam:PassRole": [JOB_ROLE, EXECUTION_ROLE, INSTANCE_ROLE],
            "iam:CreateServiceLinkedRole": [LINKED],
            **LOOKS,
            "ec2:DescribeLaunchTemplateVersions": ["*"],
            **{
                f"ec2:{x}": [TEMPLATE]
                for x in ("CreateLaunchTemplate", "CreateLaunchTemplateVersion", "ModifyLaunchTemplate")
            },
            **{f"batch:{x}ComputeEnvironment": [COMPUTE] for x in ("Create", "Update")},
            **{f"batch:{x}JobQueue": [BATCH_QUEUE, COMPUTE] for x in ("Create", "Update")},
            **{
                f"sqs:{x}": [DELETE_QUEUE, f"{DELETE_QUEUE}-dlq"]
                for x in ("CreateQueue", "GetQueueAttributes", "GetQueueUrl", "SetQueueAttributes")
            },
            "batch:RegisterJobDefinition": [DEFINITION, f"{DEFINITION}:7"],
        },
        {},
    ),
)
"""Every role of roles.json, and the policy of whoever registers."""

CONTEXTS: Mapping[str, Mapping[str, str]] = {
    "iam:PassRole": {"iam:PassedToService": "ecs-tasks.amazonaws.com"},
    "iam:CreateServiceLinkedRole": {"iam:AWSServiceName": "batch.amazonaws.com"},
}
"""{action: what IAM is told beside}."""


def texts() -> dict[str, str]:
    """The files as they are."""
    return {path.relative_to(FILES).as_posix(): path.read_text() for path in sorted(FILES.glob("*/*.json"))}


def road(changed: Mapping[str, str] | None = None, values: Mapping[str, str] | None = None) -> Road:
    """The files, some of them changed, filled in."""
    return read_road({**texts(), **(changed or {})}, VALUES if values is None else values, BotocoreShapes())


def every_resource() -> Iterator[str]:
    """All that any role reaches, and what none may."""
    yield from dict.fromkeys([arn for role in ROLES for arns in role.reach.values() for arn in arns] + list(STRANGERS))

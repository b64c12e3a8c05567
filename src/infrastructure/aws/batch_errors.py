"""What AWS Batch and its SDK say when something is wrong, in the port's words."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from src.domain.errors import BatchDenied, BatchNotTaken, BatchRefused, BatchUnavailable, ConfigError
from src.infrastructure.aws.answers import code_of

NO_PERMISSION = (
    "the role needs batch:SubmitJob and batch:TagResource on the job queue and job definition, batch:TerminateJob on jobs, and"
    " batch:DescribeJobs, ListJobs, DescribeJobQueues, DescribeJobDefinitions and DescribeComputeEnvironments"
)
NO_CREDENTIALS = (
    "credentials come from AWS's own chain: a role of the instance, task or pod, or AWS_ACCESS_KEY_ID and its secret"
)
WRONG_REQUEST = (
    "does the job queue exist and take jobs, and is the job definition active? Check WORKER_BATCH__QUEUE, WORKER_BATCH__DEFINITION"
    " and WORKER_AWS__REGION; `mediaworker doctor` tries them"
)

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
REFUSED = frozenset({"ClientException", "ValidationException", "InvalidParameterValue", "ValidationError"})
THROTTLED = frozenset(
    {"TooManyRequestsException", "ThrottlingException", "Throttling", "ThrottledException", "RequestLimitExceeded"}
)
"""Refused before anything was done: the only answers after which sending a submission again can't double it."""

CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

WITHOUT_AN_ANSWER: Mapping[type[BaseException], str] = {
    NoCredentialsError: NO_CREDENTIALS,
    PartialCredentialsError: NO_CREDENTIALS,
    CredentialRetrievalError: NO_CREDENTIALS,
    TokenRetrievalError: NO_CREDENTIALS,
    ProfileNotFound: "correct AWS_PROFILE, or unset it",
    NoRegionError: "set WORKER_AWS__REGION",
    ValueError: "correct WORKER_AWS__ENDPOINT_URL: it is not an address",
}
"""{error that the SDK raises before it has asked anybody: how to mend the set-up}"""

NEVER_SENT = (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
"""Raised before a byte of the request went out. Others may come after the service took it."""

SDK_ERRORS = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    OSError,
    ValueError,
    # What botocore's parser stumbles with over a body that is JSON, but no object.
    TypeError,
    AttributeError,
)
TEXT = 300
"""Characters shown of an answer."""


def translated(error: BaseException, operation: str) -> BatchRefused | BatchUnavailable:
    """The port's error for whatever the SDK raised. It shows no address: that may hold a password."""
    said = code_of(error)
    if said and isinstance(error, ClientError):
        text = str(error.response.get("Error", {}).get("Message", ""))[:TEXT]
        words = f"AWS Batch: {operation} was refused: {said}: {text}"
        if said in DENIED:
            return BatchDenied(words, fix=NO_PERMISSION)
        if said in REFUSED:
            return BatchRefused(words, fix=WRONG_REQUEST)
        kind = BatchNotTaken if said in THROTTLED | CREDENTIALS else BatchUnavailable
        return kind(words, fix=fix_of(error))
    kind = BatchNotTaken if isinstance(error, NEVER_SENT) else BatchUnavailable
    return kind(
        f"AWS Batch: {operation} got no answer ({type(error).__name__})",
        fix=fix_of(error) or "is the service reachable from here, and WORKER_AWS__ENDPOINT_URL right?",
    )


def fix_of(error: BaseException | None) -> str | None:
    """How to mend the set-up; None for what may pass by itself."""
    if said := code_of(error):
        return NO_CREDENTIALS if said in CREDENTIALS else None
    return next((fix for kind, fix in WITHOUT_AN_ANSWER.items() if isinstance(error, kind)), None)


def at_start(error: BatchUnavailable) -> ConfigError | BatchUnavailable:
    """Before the first submission, what waiting can't mend is an error of the configuration."""
    fix = fix_of(error.__cause__)
    return ConfigError(error.message, fix=fix) if fix else error

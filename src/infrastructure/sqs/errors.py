"""What SQS and its SDK say when something is wrong, in the port's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from src.domain.errors import ConfigError, QueueUnavailable
from src.infrastructure.aws import answers

OLD = "AWS.SimpleQueueService."
"""Begins the codes of SQS's older protocol, which some endpoints still speak; the name behind it is the same."""

NO_SUCH_QUEUE = "create the queue, or correct WORKER_QUEUE__NAME or WORKER_QUEUE__URL, and WORKER_AWS__REGION"
NO_PERMISSION = (
    "a worker's role needs sqs:GetQueueUrl, GetQueueAttributes, ReceiveMessage, DeleteMessage, ChangeMessageVisibility and"
    " SendMessage on this queue; an API that only publishes needs GetQueueUrl and SendMessage"
)
NO_CREDENTIALS = (
    "credentials come from AWS's own chain: a role of the instance, task or pod, or AWS_ACCESS_KEY_ID and its secret"
)

SET_UP: Mapping[str, str] = {
    "NonExistentQueue": NO_SUCH_QUEUE,
    "QueueDoesNotExist": NO_SUCH_QUEUE,
    "InvalidAddress": NO_SUCH_QUEUE,
    "AccessDenied": NO_PERMISSION,
    "AccessDeniedException": NO_PERMISSION,
    "KmsAccessDenied": "the queue is encrypted: the role needs kms:Decrypt and kms:GenerateDataKey on its key",
    "KMS.AccessDeniedException": "the queue is encrypted: the role needs kms:Decrypt and kms:GenerateDataKey on its key",
    "AuthFailure": NO_CREDENTIALS,
    "ExpiredToken": NO_CREDENTIALS,
    "ExpiredTokenException": NO_CREDENTIALS,
    "IncompleteSignature": NO_CREDENTIALS,
    "InvalidClientTokenId": NO_CREDENTIALS,
    "InvalidSecurity": NO_CREDENTIALS,
    "InvalidSignatureException": NO_CREDENTIALS,
    "MissingAuthenticationToken": NO_CREDENTIALS,
    "SignatureDoesNotMatch": NO_CREDENTIALS,
    "UnrecognizedClientException": NO_CREDENTIALS,
}
"""{code: how to fix it}: waiting does not help with these."""

WITHOUT_AN_ANSWER: Mapping[type[BaseException], str] = {
    NoCredentialsError: NO_CREDENTIALS,
    PartialCredentialsError: NO_CREDENTIALS,
    CredentialRetrievalError: NO_CREDENTIALS,
    TokenRetrievalError: NO_CREDENTIALS,
    ProfileNotFound: "correct AWS_PROFILE, or unset it",
    NoRegionError: "set WORKER_AWS__REGION",
    ValueError: "correct WORKER_AWS__ENDPOINT_URL or WORKER_QUEUE__URL: it is not an address",
}
"""The same for errors that the SDK raises before it has asked anybody."""

STALE = frozenset(
    {
        "ReceiptHandleIsInvalid",
        "MessageNotInflight",
        "InvalidParameterValue",
        "InvalidParameterCombination",
    }
)
"""Answers about a receipt: it is another receive's, has expired, its message is deleted, visible again, or has been hidden
for 12 hours. (SQS says InvalidParameterValue for an expired receipt and for too long a time; every other value of our
requests is checked here.)"""

NONSENSE = STALE | {
    "EmptyBatchRequest",
    "ReadCountOutOfRange",
    "MissingParameter",
}
"""Answers to the questions of a start-up check, which are meant to change nothing: permitted, but refused as nonsense."""

SDK_ERRORS = (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError)
TEXT = 300
"""Characters shown of an answer: SQS repeats whole receipts in it."""


def code_of(error: BaseException | None) -> str:
    """SQS's own name of the error, in either protocol; empty for errors of another kind."""
    return answers.code_of(error).removeprefix(OLD)


def unavailable(error: BaseException, queue: str, operation: str) -> QueueUnavailable:
    """The port's error for whatever the SDK raised. It shows neither addresses with credentials nor keys."""
    said, fix = code_of(error), fix_of(error)
    if said and isinstance(error, ClientError):
        text = str(error.response.get("Error", {}).get("Message", ""))[:TEXT]
        if error.operation_name == "GetQueueUrl":
            # Asked before any other call, by its name: the call that was wanted is not the one that is refused.
            operation = "get_queue_url"
            fix = f"{fix}; with WORKER_QUEUE__URL it is not asked" if fix == NO_PERMISSION else fix
        return QueueUnavailable(f"SQS queue {queue}: {operation} was refused: {said}: {text}", fix=fix)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return QueueUnavailable(f"SQS queue {queue}: {operation} can't be asked: no credentials were found", fix=fix)
    return QueueUnavailable(
        f"SQS queue {queue}: {operation} got no answer ({type(error).__name__})",
        fix=fix or "is the service reachable from here, and WORKER_AWS__ENDPOINT_URL right?",
    )


def fix_of(error: BaseException | None) -> str | None:
    """How to mend the set-up; None for what may pass by itself."""
    if said := code_of(error):
        return SET_UP.get(said)
    return next((fix for kind, fix in WITHOUT_AN_ANSWER.items() if isinstance(error, kind)), None)


def at_start(error: QueueUnavailable) -> ConfigError | QueueUnavailable:
    """Before the first receive, what waiting can't mend is an error of the configuration."""
    fix = fix_of(error.__cause__)
    return ConfigError(error.message, fix=fix) if fix else error


@dataclass(frozen=True, slots=True)
class Failed:
    """One entry of a batch that failed. `may_pass`: the fault is the service's, asking again may help."""

    key: str
    code: str
    text: str
    may_pass: bool


def failed_entries(answer: Mapping[str, Any]) -> list[Failed]:
    """A batch's answer is a success even when every entry of it failed."""
    return [
        Failed(
            str(one["Id"]),
            str(one["Code"]).removeprefix(OLD),
            str(one.get("Message", ""))[:TEXT],
            not one.get("SenderFault", True),
        )
        for one in answer.get("Failed", ())
    ]

"""What S3 and its SDK say when something is wrong, in the port's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
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

from src.domain.errors import ConfigError, DiskFull, SourceMissing, StorageUnavailable
from src.infrastructure.aws.answers import code_of

NO_CREDENTIALS = "set WORKER_STORAGE__ACCESS_KEY and WORKER_STORAGE__SECRET_KEY, or give AWS's own chain a role or key"
NO_PERMISSION = (
    "the role needs s3:ListBucket on the bucket, and s3:GetObject, PutObject, DeleteObject and AbortMultipartUpload on its"
    " objects"
)
NO_BUCKET = "create the bucket, or correct WORKER_STORAGE__BUCKET and WORKER_STORAGE__ENDPOINT_URL"
AWAY = "is the storage reachable from here, and WORKER_STORAGE__ENDPOINT_URL right?"
WRONG_REGION = "correct WORKER_STORAGE__REGION"

SET_UP: Mapping[str, str] = {
    "NoSuchBucket": NO_BUCKET,
    "AccessDenied": NO_PERMISSION,
    "AllAccessDisabled": NO_PERMISSION,
    "403": NO_PERMISSION,
    "Forbidden": NO_PERMISSION,
    "InvalidAccessKeyId": NO_CREDENTIALS,
    "SignatureDoesNotMatch": NO_CREDENTIALS,
    "ExpiredToken": NO_CREDENTIALS,
    "InvalidToken": NO_CREDENTIALS,
    "PermanentRedirect": WRONG_REGION,
    "AuthorizationHeaderMalformed": WRONG_REGION,
    "IllegalLocationConstraintException": WRONG_REGION,
    "301": WRONG_REGION,
}
"""{code: how to fix it}: waiting does not help with these."""

WITHOUT_AN_ANSWER: Mapping[type[BaseException], str] = {
    NoCredentialsError: NO_CREDENTIALS,
    PartialCredentialsError: NO_CREDENTIALS,
    CredentialRetrievalError: NO_CREDENTIALS,
    TokenRetrievalError: NO_CREDENTIALS,
    ProfileNotFound: "correct AWS_PROFILE, or unset it",
    NoRegionError: "set WORKER_STORAGE__REGION",
    ValueError: "correct WORKER_STORAGE__ENDPOINT_URL: it is not an address",
}
"""The same for errors that the SDK raises before it has asked anybody."""

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
CHANGED = frozenset({"PreconditionFailed", "412"})
BEYOND = frozenset({"InvalidRange", "416"})
FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})

SDK_ERRORS = (BotoCoreError, Boto3Error, ClientError, ResponseParserError, OSError, ValueError)
TEXT = 300
"""Characters shown of an answer."""


@contextmanager
def translated(action: str, key: str) -> Iterator[None]:
    """Raises SourceMissing, DiskFull or StorageUnavailable for what the SDK raises inside."""
    try:
        yield
    except SDK_ERRORS as error:
        # The transfer manager wraps what it met.
        cause = error.__cause__ or error.__context__ if isinstance(error, Boto3Error) else error
        found = cause if isinstance(cause, ClientError) else error
        said = code_of(found)
        if said in MISSING:
            raise SourceMissing(f"no object {key}") from found
        if said in FULL:
            raise DiskFull(
                f"no space to store {key}: {said}", fix="free space in the storage, or raise its quota"
            ) from found
        if said in CHANGED:
            raise StorageUnavailable(f"{key} changed while it was read") from found
        raise StorageUnavailable(_words(action, key, found), fix=fix_of(found) or (None if said else AWAY)) from found


def fix_of(error: BaseException | None) -> str | None:
    """How to mend the set-up; None for what may pass by itself."""
    if said := code_of(error):
        return SET_UP.get(said)
    return next((fix for kind, fix in WITHOUT_AN_ANSWER.items() if isinstance(error, kind)), None)


def at_start(error: StorageUnavailable | SourceMissing) -> ConfigError | StorageUnavailable | SourceMissing:
    """Before the first receive, what waiting can't mend is an error of the configuration."""
    fix = fix_of(error.__cause__)
    return ConfigError(error.message, fix=fix) if fix else error


def _words(action: str, key: str, error: BaseException) -> str:
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return f"can't {action} {key}: {answer.get('Code', '')}: {str(answer.get('Message', ''))[:TEXT]}"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return f"can't {action} {key}: no credentials were found"
    # Not the error's own text: it may show the address with its query.
    return f"can't {action} {key}: no answer from the storage{_place(error)} ({type(error).__name__})"


def _place(error: BaseException) -> str:
    """Who was asked, where the SDK says so: host and port alone."""
    asked = urlsplit(str((getattr(error, "kwargs", None) or {}).get("endpoint_url") or ""))
    try:
        port = f":{asked.port}" if asked.port else ""
    except ValueError:
        port = ""
    return f" at {asked.hostname}{port}" if asked.hostname else ""

"""One parameter of AWS Systems Manager's Parameter Store, by boto3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from src.domain.errors import ConfigError
from src.infrastructure.aws.answers import code_of, refuse_cut_answers
from src.infrastructure.aws.batch_errors import (
    CREDENTIALS,
    DENIED,
    NO_CREDENTIALS,
    SDK_ERRORS,
    WITHOUT_AN_ANSWER,
)

EMULATOR_REGION = "us-east-1"
"""Where an endpoint of its own is given and no region: emulators take any."""

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5
TRIES = 4
"""Asking changes nothing, so the SDK may repeat it: some 20 s until a service that is silent counts as away."""

NO_SUCH = "create it, or correct the name, WORKER_AWS__REGION and the account"
NO_PERMISSION = "the role needs ssm:GetParameter on it, and kms:Decrypt on the key of a SecureString"
NO_KEY = "the key that the SecureString is encrypted with is disabled, deleted, or not this role's to use (kms:Decrypt)"

FIXES: Mapping[str, str] = {
    "ParameterNotFound": NO_SUCH,
    "ParameterVersionNotFound": NO_SUCH,
    "ValidationException": NO_SUCH,
    "InvalidKeyId": NO_KEY,
    "KMSKeyNotAccessible": NO_KEY,
    **dict.fromkeys(DENIED, NO_PERMISSION),
    **dict.fromkeys(CREDENTIALS, NO_CREDENTIALS),
}
"""{AWS's name of the error: how to mend it}"""


def read_parameter(name: str, *, region: str | None, endpoint_url: str | None) -> str:
    """The parameter's value, decrypted. Raises ConfigError, with neither value nor address in it: without its settings a process
    must not go on (lesson 27)."""
    try:
        session = boto3.session.Session()
        region = region or session.region_name or (EMULATOR_REGION if endpoint_url else None)
        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
        )
        client = refuse_cut_answers(session.client("ssm", endpoint_url=endpoint_url, region_name=region, config=limits))
        try:
            answer = client.get_parameter(Name=name, WithDecryption=True)
        finally:
            client.close()
    except SDK_ERRORS as error:
        raise _refused(name, error) from error
    return _value(name, answer)


def _value(name: str, answer: Mapping[str, Any]) -> str:
    found = answer.get("Parameter")
    value = found.get("Value") if isinstance(found, Mapping) else None
    if not isinstance(value, str):
        raise ConfigError(
            f"SSM parameter {name}: the answer holds no value", fix="does WORKER_AWS__ENDPOINT_URL lead to AWS?"
        )
    return value


def _refused(name: str, error: BaseException) -> ConfigError:
    if code := code_of(error):
        return ConfigError(f"SSM parameter {name} can't be read: {code}", fix=FIXES.get(code, "try again later"))
    fix = next((fix for kind, fix in WITHOUT_AN_ANSWER.items() if isinstance(error, kind)), None)
    return ConfigError(
        f"SSM parameter {name} can't be read: no answer ({type(error).__name__})",
        fix=fix or "is the service reachable from here, and WORKER_AWS__ENDPOINT_URL right?",
    )

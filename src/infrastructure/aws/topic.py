"""Tells an administrator by an SNS topic: e-mail, SMS, chat, whatever is subscribed to it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from src.application.notice import Notice, of_event, of_letter
from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent
from src.domain.errors import ConfigError, NetworkError
from src.infrastructure.aws.answers import code_of, refuse_cut_answers
from src.infrastructure.aws.batch_errors import SDK_ERRORS, fix_of

log = logging.getLogger(__name__)

SUBJECT_LIMIT = 100
"""Characters (Publish, Subject): ASCII, no line ends, and a letter, digit or sign at the beginning."""

GROUP = "mediaworker"
"""Of all notices to a FIFO topic: they come in order."""

CONNECT_SECONDS, ANSWER_SECONDS, TRIES = 3, 5, 2
"""A notice that does not get through is told again later."""

REFUSED = frozenset({"InvalidParameter", "InvalidParameterValue", "ValidationError", "ParameterValueInvalid"})
"""Of the message itself: the same words will get the same answer."""

NO_SUCH = "does the topic exist in that region and account? Check WORKER_NOTIFY__SNS_TOPIC"
NO_PERMISSION = "the role needs sns:Publish on the topic, and kms:GenerateDataKey and kms:Decrypt where it is encrypted"
FIXES = {
    "NotFound": NO_SUCH,
    "NotFoundException": NO_SUCH,
    "AuthorizationError": NO_PERMISSION,
    "AuthorizationErrorException": NO_PERMISSION,
    "AccessDenied": NO_PERMISSION,
    "AccessDeniedException": NO_PERMISSION,
}

ARN = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


@dataclass
class SnsNotifier:
    """AdminNotifier that publishes to `topic` (its ARN, which names the region). Thread-safe."""

    topic: str
    endpoint_url: str | None = field(default=None, repr=False)
    redact: Callable[[str], str] = field(default=str, repr=False)
    session: Any = field(default_factory=boto3.session.Session, repr=False)
    _client: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (found := ARN.fullmatch(self.topic)):
            raise ConfigError(
                "notify.sns_topic is no ARN of an SNS topic",
                fix="set WORKER_NOTIFY__SNS_TOPIC, as in arn:aws:sns:eu-west-1:123456789012:alerts",
            )
        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
        )
        try:
            client = self.session.client(
                "sns", endpoint_url=self.endpoint_url, region_name=found.group(1), config=limits
            )
        except SDK_ERRORS as error:
            raise ConfigError(f"SNS can't be used: {type(error).__name__}", fix=fix_of(error)) from error
        self._client = refuse_cut_answers(client)

    def notify(self, letter: DeadLetter) -> None:
        """Raises NetworkError. What SNS refuses for good is logged, and counts as told."""
        self._send(of_letter(letter, self.redact))

    def notify_event(self, event: OpsEvent) -> None:
        """As `notify`."""
        self._send(of_event(event, self.redact))

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def _send(self, notice: Notice) -> None:
        ordered: dict[str, str] = {}
        if self.topic.endswith(".fifo"):
            # An id may have more letters, and others, than SNS takes.
            ordered = {
                "MessageGroupId": GROUP,
                "MessageDeduplicationId": hashlib.sha256(notice.id.encode()).hexdigest(),
            }
        try:
            self._client.publish(
                TopicArn=self.topic,
                Subject=subject(notice.title),
                Message=notice.body().decode(),
                MessageAttributes={
                    "type": {"DataType": "String", "StringValue": notice.type},
                    "kind": {"DataType": "String", "StringValue": notice.kind or "unknown"},
                },
                **ordered,
            )
        except SDK_ERRORS as error:
            said = code_of(error)
            if said in REFUSED:
                log.error("notify.refused", extra={"way": "sns", "notice": notice.id, "error": said})  # noqa: TRY400
                return
            raise NetworkError(
                f"SNS: {said or type(error).__name__}",
                fix=FIXES.get(said) or fix_of(error) or "is SNS reachable from here?",
            ) from error


def subject(title: str) -> str:
    """A title that SNS takes."""
    plain = re.sub(r"[^\x20-\x7e]", "?", title).strip()
    return plain[:SUBJECT_LIMIT] or "mediaworker"

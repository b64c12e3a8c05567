"""SQS queues as the files describe them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from src.domain.infra.resource import Found, Resource
from src.infrastructure.aws.answers import code_of

ABSENT = "NonExistentQueue"
BY_HAND = frozenset({"Policy", "RedriveAllowPolicy"})
"""Attributes that nobody has unless somebody set them, and that open a queue to others."""


@dataclass(frozen=True, slots=True)
class SqsQueues:
    """Calls raise what the SDK raises."""

    sqs: Any

    def find(self, resource: Resource) -> Found | None:
        """With the attributes that the file names, and those that open it; the others have AWS's own values."""
        url = self._url(resource.name)
        if url is None:
            return None
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
        wanted = resource.document.get("Attributes", {})
        found = {name: value for name, value in answer.items() if name in {*wanted, *BY_HAND}}
        return Found({"QueueName": resource.name, "Attributes": {**found, **_as_written(wanted, found)}})

    def create(self, resource: Resource) -> None:
        """By the request that the file holds."""
        self.sqs.create_queue(**resource.document)

    def change(self, resource: Resource, found: Found) -> None:
        """All that the file names; what opens the queue and is not named goes."""
        wanted = resource.document.get("Attributes", {})
        opened = {name: "" for name in BY_HAND if name in found.document["Attributes"] and name not in wanted}
        self.sqs.set_queue_attributes(QueueUrl=self._url(resource.name), Attributes={**wanted, **opened})

    def _url(self, name: str) -> str | None:
        try:
            return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])
        except ClientError as error:
            # The older protocol puts the service's name before it.
            if code_of(error).rpartition(".")[2] in (ABSENT, "QueueDoesNotExist"):
                return None
            raise


def _as_written(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Policies are texts, which AWS may write in its own way: the file's words where they mean the same."""
    return {
        name: text
        for name, text in wanted.items()
        if name in found and name.endswith("Policy") and _policy(text) == _policy(found[name])
    }


def _policy(text: str) -> Any:
    document = json.loads(text)
    # Some say the number as a text.
    return {key: str(value) for key, value in document.items()}

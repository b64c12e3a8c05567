"""One SQS queue, side by side."""

from __future__ import annotations

from src.application.ports.clock import Clock
from src.application.ports.queue import QueueSides
from src.infrastructure.sqs.connection import ANSWER_SECONDS, SqsConnection
from src.infrastructure.sqs.consumer import SqsConsumer
from src.infrastructure.sqs.publisher import SqsInspector, SqsPublisher


def sqs_queue(
    *, name: str, url: str | None, endpoint_url: str | None, region: str | None, clock: Clock, lease_seconds: float
) -> QueueSides:
    """The three roles. Credentials come from AWS's own chain. Connects to nothing yet."""
    # Three tries and their pauses must leave time for the next heartbeat.
    answer = min(ANSWER_SECONDS, max(1.0, lease_seconds / 6))
    connection = SqsConnection(
        name=name, url=url, endpoint_url=endpoint_url, region=region, clock=clock, answer_seconds=answer
    )
    return QueueSides(
        consumer=SqsConsumer(connection), publisher=SqsPublisher(connection), inspector=SqsInspector(connection)
    )

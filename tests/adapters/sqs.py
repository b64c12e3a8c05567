"""SQS connections that see what is asked, and answer as the real service does where the emulator does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from src.domain.errors import QueueUnavailable
from src.infrastructure.sqs.connection import SqsConnection
from src.infrastructure.sqs.errors import unavailable
from tests.fakes.clock import FrozenClock

Answer = Mapping[str, Any] | Exception


@dataclass
class Recorded(SqsConnection):
    """Remembers every call; answers from `answers` first, then with an empty success."""

    name: str = "video"
    clock: FrozenClock = field(default_factory=FrozenClock)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        self.calls.append((operation, arguments))
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, QueueUnavailable):
            raise answer
        if isinstance(answer, Exception):
            raise unavailable(answer, self.shown, operation) from answer
        return answer

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The arguments of all calls of that kind."""
        return [arguments for name, arguments in self.calls if name == operation]


def refusal(code: str, text: str = "said so", status: int = 400) -> ClientError:
    """What boto3 raises for an answer of the service."""
    response = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Anything")  # type: ignore[arg-type, unused-ignore]


def messages(*names: str, **more: Any) -> dict[str, Any]:
    """A receive's answer."""
    return {"Messages": [{"MessageId": name, "ReceiptHandle": f"r-{name}", "Body": name, **more} for name in names]}


def failing(*failures: tuple[str, str, bool]) -> dict[str, Any]:
    """A batch's answer: (entry id, code, whether it is our fault) of the entries that failed."""
    return {
        "Failed": [{"Id": key, "Code": code, "SenderFault": ours, "Message": "text"} for key, code, ours in failures]
    }


def receipts(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of a batch."""
    return [str(entry["ReceiptHandle"]) for entry in entries]


Make = Callable[[], SqsConnection]

"""Tells an administrator by a signed webhook."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.notice import Notice, of_event, of_letter
from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent
from src.domain.errors import EventRefused
from src.infrastructure.events.signed_post import SignedPost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """AdminNotifier. `redact` takes secrets out of texts. The notice's id is the same at each try, so a receiver that remembers ids
    sees each once."""

    post: SignedPost
    redact: Callable[[str], str] = field(default=str, repr=False)

    def notify(self, letter: DeadLetter) -> None:
        """Raises NetworkError. What the receiver refuses for good is logged, and counts as told."""
        self._send(of_letter(letter, self.redact))

    def notify_event(self, event: OpsEvent) -> None:
        """As `notify`."""
        self._send(of_event(event, self.redact))

    def _send(self, notice: Notice) -> None:
        try:
            self.post.send(notice.id, notice.body())
        except EventRefused as error:
            # It would be refused for ever, and told again for ever.
            log.error("notify.refused", extra={"way": "webhook", "notice": notice.id, "error": str(error)})  # noqa: TRY400

"""Settings of who is told of dead letters and grave events."""

from __future__ import annotations

from pydantic import Field, SecretStr

from src.interfaces.wiring.group import Group


class NotifySettings(Group):
    """Who is told of dead letters and grave events, beside the log."""

    webhook_url: SecretStr | None = Field(
        default=None, description="Notices are posted there. Kept like a secret, as chat services' addresses are."
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="Signs them (Standard Webhooks): `whsec_` and the base64 of 24 to 64 random bytes."
    )
    sns_topic: str | None = Field(
        default=None,
        min_length=1,
        description="ARN of an SNS topic that they are published to. Its region is the one in the ARN; the address is `WORKER_AWS__ENDPOINT_URL` if set.",
    )

"""The settings of the deletion of videos' objects."""

from __future__ import annotations

from pydantic import Field

from src.interfaces.wiring.group import Group, Positive


class DeletionSettings(Group):
    """Where the API side asks for the objects of deleted videos to be removed. The queue is of the backend `WORKER_QUEUE__BACKEND`;
    who consumes it is a worker with `WORKER_QUEUE__NAME` set to it, or the Lambda (docs/deletion.md)."""

    queue_name: str = Field(
        default="academy-video-delete-r2", min_length=1, max_length=80, description="Name of the deletion queue."
    )
    queue_url: str | None = Field(
        default=None,
        description="Address of the deletion queue, as `WORKER_QUEUE__URL` is for the other. Default: looked up by name (SQS), "
        "else where the other queue is.",
    )
    unattended_seconds: Positive = Field(
        default=900.0,
        description="Requests that wait longer, while none is being worked on, mean that nobody consumes them (`mediaworker doctor`).",
    )

    @property
    def configured(self) -> bool:
        """Whether somebody chose a queue; without that nobody has to look after one."""
        return bool(self.model_fields_set & {"queue_name", "queue_url"})

"""What every group of settings is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Group(BaseModel):
    """Settings that belong together: frozen, and nothing unknown in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def comma_separated(value: object) -> object:
    """The parts of a text."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

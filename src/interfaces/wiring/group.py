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
    """The parts of a text. Raises ValueError for one that is something and has no parts: who wrote it meant something, and would get
    what there is without it."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if value and not parts:
        raise ValueError(f"{value[:20]!r} names nothing: set one or more, comma separated, or unset it")
    return parts

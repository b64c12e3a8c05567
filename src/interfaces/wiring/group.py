"""What every group of settings is."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


def matching(pattern: str, words: str) -> AfterValidator:
    """Refuses what does not match, in `words` that say what would: a regular expression is no answer."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value[:60]!r} is no {words}")
        return value

    return AfterValidator(check)

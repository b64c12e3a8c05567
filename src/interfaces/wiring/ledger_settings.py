"""The settings of the ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from src.interfaces.wiring.group import Group, matching


class LedgerSettings(Group):
    """Who keeps the truth about jobs, their attempts and dead letters."""

    backend: Literal["database", "redis"] = Field(
        default="database",
        description="Who keeps jobs. `redis` is for short jobs in great numbers: job types that write more than their own row "
        "(video) don't run on it.",
    )
    name: Annotated[
        str, matching(r"[^{}\s]+", "name that keys can begin with: one character or more, no braces and no blanks")
    ] = Field(
        default="ledger",
        json_schema_extra={"pattern": r"^[^{}\s]+$"},
        max_length=80,
        description="`redis`: what the ledger's keys begin with, in braces.",
    )
    keep_seconds: float = Field(
        default=604_800.0,
        ge=1,
        description="`redis`: how long ended jobs stay, with their history and dead letters. Active ones stay until they end.",
    )

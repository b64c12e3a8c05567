"""What is wrong with a file, said so that it can be found: file, JSON path, text, way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.domain.errors import ConfigError, NetworkError

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding. `path` is a JSON path from the file's root (`$.retryStrategy.attempts`)."""

    file: str
    path: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.file} {self.path}: {self.text}"


class InfraInvalid(ConfigError):
    """The files can't be registered as they are."""

    code = "infra_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        left = len(self.problems) - MOST_SHOWN
        shown = "; ".join(str(problem) for problem in self.problems[:MOST_SHOWN])
        fixes = dict.fromkeys(problem.fix for problem in self.problems if problem.fix)
        super().__init__(
            shown + (f"; and {left} more" if left > 0 else ""),
            fix="; ".join(list(fixes)[:MOST_SHOWN]) or "`mediaworker infra validate` lists them one by one",
        )


class InfraRefused(ConfigError):
    """AWS does not take a resource, or does not permit us to ask."""

    code = "infra_refused"


class InfraDiffers(ConfigError):
    """What was registered reads back differently from its file (lesson 29)."""

    code = "infra_differs"


class InfraUnavailable(NetworkError):
    """AWS did not answer, or a resource did not settle in time."""

    code = "infra_unavailable"

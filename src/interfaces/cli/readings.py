"""What the port of progress answers, to commands that can do without: a reading says less than the job's row."""

from __future__ import annotations

from dataclasses import dataclass, field

import click

from src.domain.errors import DatabaseUnavailable, NetworkError
from src.domain.progress import ProgressReport
from src.infrastructure.observability.redaction import one_line, redacted
from src.interfaces.cli.session import Session

Reading = ProgressReport | NetworkError | None
"""The last one, none yet, or why nobody knows."""


@dataclass(slots=True)
class Readings:
    """Readings of jobs. Once their backend did not answer it is not asked again: every question would cost its time limit."""

    session: Session
    _away: NetworkError | None = field(default=None, init=False)

    def of(self, job_id: str) -> Reading:
        """The job's last reading. That they can't be read is said on stderr, once. Raises DatabaseUnavailable: the jobs are not
        there then either."""
        if self._away is not None:
            return self._away
        try:
            return self.session.progress.latest(job_id)
        except DatabaseUnavailable:
            raise
        except NetworkError as error:
            self._away = error
            said = one_line(redacted(error.message))
            click.echo(f"mediaworker: the progress can't be read, the rest is as it stands: {said}", err=True)
            return error

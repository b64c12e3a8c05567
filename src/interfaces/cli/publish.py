"""`mediaworker publish`: puts a message on the queue, as a producer would."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

import click

from src.application.decoders import Decoders
from src.application.decoders.decoded import Decoded, Reference, Requests
from src.application.ports.queue import Envelope, QueuePublisher
from src.domain.errors import Permanent
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import Session, open_session
from src.interfaces.wiring.decoding import decoder_settings
from src.interfaces.wiring.queues import shown_queue


@click.command()
@click.argument("file", metavar="FILE|-", type=click.File("rb"))
@click.option("--anyway", is_flag=True, help="Also a message that the worker would set aside.")
@json_option
def publish(file: BinaryIO, anyway: bool, as_json: bool) -> None:
    """Put one message on the queue: the bytes of FILE, or of standard input.

    Any shape that the worker understands (docs: "Feeding it from an API"). It is decoded here first, so that a mistake is
    seen at once and not in the dead letters. Prints the ids of the jobs that it asks for.
    """
    session, body = open_session(), file.read()
    jobs = [] if anyway else asked_for(session, body)
    publisher: QueuePublisher = session.adapters.queue_publisher()
    # The same message twice is one message while it waits; an id that is sent again is one job in any case.
    key = jobs[0] if len(jobs) == 1 else hashlib.sha256(body).hexdigest()
    publisher.publish([Envelope(body=body, key=key)])
    if as_json:
        print_json({"queue": shown_queue(session.settings), "bytes": len(body), "jobs": jobs})
        return
    for job_id in jobs:
        click.echo(job_id)


def asked_for(session: Session, body: bytes) -> list[str]:
    """Ids of the jobs that a message asks for. Raises UsageError for one that the worker would set aside."""
    decoders = Decoders(session.catalog, decoder_settings(session.settings))
    try:
        decoded: Decoded = decoders.decode(body, {})
    except Permanent as error:
        fix = f"; {error.fix}" if error.fix else ""
        raise click.UsageError(
            f"the worker would set this message aside: {error.message}{fix}. Send it all the same with --anyway."
        ) from error
    match decoded:
        case Requests(drafts):
            return [draft.id for draft in drafts]
        case Reference(job_id):
            return [job_id]
        case _:
            return []

"""`mediaworker delete`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from src.application.ports.storage import Storage
from src.application.video.delete_objects import Removed
from src.application.video.delete_video import Deletion, still_running
from src.domain.errors import SourceMissing
from src.domain.video.deletion import Removal
from src.interfaces.cli.output import Document, json_option, print_json
from src.interfaces.cli.session import Session, open_existing
from src.interfaces.wiring.deletions import delete_objects, delete_video


@dataclass(frozen=True, slots=True)
class Found:
    """Objects that are there now; sizes in bytes."""

    source_bytes: int | None
    objects: int
    size: int


@click.command()
@click.argument("video_id", metavar="VIDEO_ID")
@click.option("--tenant", help="Whose video it has to be. Default: whoever it belongs to.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--now", is_flag=True, help="Remove the objects here and at once, without the deletion queue.")
@json_option
def delete(video_id: str, tenant: str | None, dry_run: bool, now: bool, as_json: bool) -> None:
    """Delete a video: mark its row, end its jobs, ask the consumer of the deletion queue to remove its objects.

    The row stays, marked. Calling it again is safe, and asks again for objects that are left.
    """
    session = open_existing(f"video {video_id[:80]!r}")
    use_case = delete_video(session.settings, session.adapters, asks=not (now or dry_run))
    found = count(session.adapters.storage(), use_case.preview(video_id, tenant))
    removed: Removed | None = None
    if dry_run:
        deletion = use_case.preview(video_id, tenant)
    elif now:
        deletion = use_case.mark(video_id, tenant)
        removed = delete_objects(session.adapters).delete(deletion.removal)
    else:
        deletion = use_case.delete(video_id, tenant)
    queue = None if now else session.settings.deletion.queue_name
    document = described(deletion, found, dry_run=dry_run, queue=queue, removed=removed)
    print_json(document) if as_json else _show(session, document, deletion)


def count(storage: Storage, deletion: Deletion) -> Found:
    """What lies there. Raises StorageUnavailable."""
    removal = deletion.removal
    stored = list(storage.list(removal.prefix or ""))
    return Found(_size(storage, removal), len(stored), sum(one.size for one in stored))


def described(
    deletion: Deletion, found: Found, *, dry_run: bool, queue: str | None, removed: Removed | None
) -> Document:
    """For programs."""
    return {
        "video_id": deletion.video.id,
        "tenant": deletion.video.tenant,
        "dry_run": dry_run,
        "deleted_at": deletion.video.deleted_at,
        "source": {
            "key": deletion.removal.file_key,
            "bytes": found.source_bytes,
            "stays_for": list(deletion.shared_with),
        },
        "prefix": {"key": deletion.removal.prefix, "objects": found.objects, "bytes": found.size},
        "jobs": [{"id": job.id, "state": job.state.value} for job in deletion.jobs],
        "queue": queue,
        "removed": removed.to_json() if removed else None,
    }


def _size(storage: Storage, removal: Removal) -> int | None:
    if removal.file_key is None:
        return None
    try:
        return storage.head(removal.file_key).size
    except SourceMissing:
        return None


def _show(session: Session, document: Document, deletion: Deletion) -> None:
    source, prefix = document["source"], document["prefix"]
    would = "would be " if document["dry_run"] else ""
    if source["stays_for"]:
        click.echo(f"source   {source['key']} stays: video {', '.join(source['stays_for'])} needs it")
    else:
        size = "is not there" if source["bytes"] is None else f"{source['bytes']} bytes"
        click.echo(f"source   {source['key'] or '-'} ({size})")
    click.echo(f"objects  {prefix['objects']} under {prefix['key']} ({prefix['bytes']} bytes)")
    for job in deletion.jobs:
        click.echo(f"job      {job.id} {job.state.value}{', ' + would + 'cancelled' if document['dry_run'] else ''}")
    if document["dry_run"]:
        click.echo("Nothing was changed (--dry-run).")
    elif document["removed"] is not None:
        click.echo(f"Video {deletion.video.id} is deleted: {document['removed']['objects']} objects removed.")
    else:
        click.echo(
            f"Video {deletion.video.id} is deleted; its objects go when queue {document['queue']!r} is worked on."
        )
        if document["queue"] != session.settings.queue.name:
            click.echo("  `mediaworker doctor` says whether anybody does; `mediaworker delete --now` needs nobody.")
    if not document["dry_run"] and still_running(deletion):
        click.echo("  Its running job is stopped within a few seconds.")

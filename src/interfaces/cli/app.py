"""`mediaworker`: every command is imported when it is called, so that `run` starts as fast as the worker does."""

from __future__ import annotations

import importlib
import io
import sys
import traceback
from typing import Any, cast

import click

from src.domain.errors import WorkerError
from src.interfaces.cli.errors import INTERRUPTED, OK, UNEXPECTED, USAGE, show_error, show_error_json
from src.interfaces.cli.output import nobody_reads
from src.interfaces.cli.words import speak

COMMANDS = {
    "demo": ("demo:demo", "Make a clip (or take FILE), turn it into HLS, show how to watch it."),
    "plan": ("plan:plan", "Show what would be made of FILE, without making it."),
    "run": ("run:run", "Run a worker until it is told to stop."),
    "submit": ("submit:submit", "Ask for a job."),
    "delete": ("delete:delete", "Delete a video: its jobs, its objects."),
    "publish": ("publish:publish", "Put one message on the queue, as a producer would."),
    "status": ("status:status", "Show where a job stands."),
    "jobs": ("jobs:jobs", "List, show, cancel, retry and explain jobs."),
    "dlq": ("dlq:dlq", "Dead letters: list, show, requeue, purge."),
    "events": ("events:events", "What happened that operators should know: list."),
    "outbox": ("outbox:outbox", "Events that other systems have yet to be told: list, retry, purge."),
    "queues": ("queues:queues", "How much waits, and for how long."),
    "cron": ("cron:cron", "Jobs by the clock: list, next, run."),
    "search": ("search:search", "Search the index of contents."),
    "recover": ("recover:recover", "Put right what is stuck, lost or left over."),
    "doctor": ("doctor:doctor", "Try everything a worker needs."),
    "config": ("config:config", "Settings in effect, and all there are."),
    "infra": ("infra:infra", "AWS Batch: check, compare and register its files."),
    "db": ("db:db", "Create or migrate the database."),
    "version": ("version:version", "Version of this program and of its tools."),
}
"""{command: (where it is, what its help says in the list)}."""


class Commands(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(f"src.interfaces.cli.{module}"), name))

    def invoke(self, ctx: click.Context) -> Any:
        """A reader of our output that goes away (`| head`) is not an error of ours; click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            nobody_reads()
            return OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_path, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def app() -> None:
    """Heavy media jobs on the queue you have, or on none at all.

    Exit codes: 0 ok, 1 unexpected, 2 usage, 3 not found, 4 settings or machine, 5 job failed, 6 wait timed out,
    7 backend unreachable. Settings are WORKER_* environment variables: `mediaworker config show`.
    """


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal has no code for is written out: it must not turn an answer into a fault.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line; the exit code. Nothing but a fault of ours is shown with a traceback."""
    as_json = "--json" in arguments
    speak()
    try:
        answer = app.main(arguments, prog_name="mediaworker", standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except click.ClickException as error:
        if as_json:
            return show_error_json("usage", error.format_message(), "`mediaworker --help`", USAGE)
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except WorkerError as error:
        # Imported when something went wrong: `run` and `--help` start without it.
        from src.interfaces.wiring.mistakes import as_mistake

        return show_error(as_mistake(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last place where an unforeseen error gets its exit code
        if not as_json:
            traceback.print_exc()
        show_error(error, as_json=as_json)
        return UNEXPECTED


if __name__ == "__main__":
    main()

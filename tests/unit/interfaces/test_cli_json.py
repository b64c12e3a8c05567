"""Every command has `--json`, as the README says."""

from __future__ import annotations

from collections.abc import Iterator

import click

from src.interfaces.cli.app import app


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


def test_every_command_prints_json_when_asked() -> None:
    found = dict(commands(app))
    assert ("recover", "owners") in found
    assert [path for path, each in found.items() if not any("--json" in option.opts for option in each.params)] == []

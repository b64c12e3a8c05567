"""No setting may do nothing: each one is read by code that goes by it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from src.interfaces.wiring.environment import fields

SRC = Path(__file__).resolve().parents[2] / "src"
WIRING = SRC / "interfaces" / "wiring"
DECLARED = tuple(
    WIRING / name
    for name in (
        "settings.py",
        "video_settings.py",
        "ledger_settings.py",
        "batch_settings.py",
        "deletion_settings.py",
        "recovery_settings.py",
        "cron_settings.py",
        "content_settings.py",
        "search_settings.py",
        "notify_settings.py",
    )
)
SHOWN_ONLY = (WIRING / "reference.py", WIRING / "aliases.py")


def chains(tree: ast.AST) -> Iterator[str]:
    """`settings.queue.name` gives "queue.name" and "settings.queue"; so does the path given to the wiring's `_setting`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Attribute):
                yield f"{owner.attr}.{node.attr}"
            elif isinstance(owner, ast.Name):
                yield f"{owner.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_setting":
            path = node.args[0]
            assert isinstance(path, ast.Constant)
            assert isinstance(path.value, str)
            yield path.value if "." in path.value else f"settings.{path.value}"


def read_outside() -> set[str]:
    files = [path for path in SRC.rglob("*.py") if path not in (*DECLARED, *SHOWN_ONLY)]
    return {chain for path in files for chain in chains(ast.parse(path.read_text()))}


def read_by_properties(outside: set[str]) -> set[str]:
    """What is read by those properties of Settings that somebody reads."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(DECLARED[0].read_text())):
        if isinstance(node, ast.FunctionDef) and f"settings.{node.name}" in outside:
            found |= {chain.replace("self.", "settings.") for chain in chains(node)}
    return found


def unread() -> set[str]:
    outside = read_outside()
    read = outside | read_by_properties(outside)
    return {name for name, _field in fields() if (name if "." in name else f"settings.{name}") not in read}


def test_every_setting_is_read_by_something_that_goes_by_it() -> None:
    assert unread() == set()

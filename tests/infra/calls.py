"""Which AWS operations the code calls, read from its syntax trees.

Every module of a package that imports the SDK is read. A call counts wherever the name of an operation of a service that the
package makes clients of stands: as a method (`client.head_object(...)`) or as a text (`call("receive_message", ...)`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
INFRASTRUCTURE = "src/infrastructure"
EXTRAS = {
    "s3": {"upload_file", "upload_fileobj", "download_file", "download_fileobj", "copy", "generate_presigned_post"},
}
"""What boto3 puts on clients beside the operations."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the code: what it asks of AWS, and which functions of its package it may call, by name."""

    module: str
    owner: str
    name: str
    operations: frozenset[tuple[str, str]]
    calls: frozenset[tuple[str, str]]
    """(class, name); no class where the text does not tell"""


@dataclass(frozen=True, slots=True)
class Package:
    """Modules that share clients."""

    name: str
    services: frozenset[str]
    functions: Sequence[Function] = field(repr=False)

    def of_module(self, module: str) -> set[tuple[str, str]]:
        """(service, operation) of everything in one module."""
        return {operation for one in self.functions if one.module == module for operation in one.operations}

    def reached(self, owner: str, methods: Sequence[str] = ()) -> set[tuple[str, str]]:
        """(service, operation) that a class's public methods (or those) lead to, through their package."""
        own = [one for one in self.functions if one.owner == owner]
        names = {one.name for one in own}
        if not own or set(methods) - names:
            raise LookupError(f"{self.name} has no {owner} with {sorted(set(methods) - names)}")
        waiting = [one for one in own if (one.name in methods if methods else not one.name.startswith("_"))]
        seen: set[Function] = set()
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += [
                    other
                    for other in self.functions
                    if {(other.owner or "(function)", other.name), ("", other.name)} & one.calls
                ]
        return {operation for one in seen for operation in one.operations}


@cache
def packages(root: Path = ROOT) -> dict[str, Package]:
    """{folder: package} of everything in src that imports the SDK."""
    folders = {path.parent for path in (root / "src").rglob("*.py") if _imports_sdk(_tree(path))}
    return {str(folder.relative_to(root)): _package(folder, root) for folder in sorted(folders)}


def _package(folder: Path, root: Path) -> Package:
    trees = {str(path.relative_to(root)): _tree(path) for path in sorted(folder.glob("*.py"))}
    services = {path: _services(tree) for path, tree in trees.items()}
    every = frozenset().union(*services.values())
    functions = [one for path, tree in trees.items() for one in _functions(path, tree, services[path] or every)]
    return Package(str(folder.relative_to(root)), every, functions)


def fields_of(node: ast.ClassDef) -> dict[str, str]:
    """{field: its type's name} of a dataclass."""
    return {
        one.target.id: ast.unparse(one.annotation)
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }


def _functions(path: str, tree: ast.Module, services: frozenset[str]) -> Iterator[Function]:
    inside: set[ast.AST] = set()
    for node in tree.body:
        owner, fields = (node.name, fields_of(node)) if isinstance(node, ast.ClassDef) else ("", {})
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef):
                inside |= set(ast.walk(one))
                yield _function(path, (owner, fields), one.name, one, services)
    rest = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and call not in inside]
    for call in rest:
        yield _function(path, ("", {}), "(module)", call, services)


def _function(
    path: str, owner: tuple[str, dict[str, str]], name: str, tree: ast.AST, services: frozenset[str]
) -> Function:
    operations, calls = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for word, receives in _words(node):
                known = [service for service in services if word in operations_of(service)]
                if len(known) > 1:
                    raise LookupError(f"{path}: {word} may be of {known}")
                # A mapping's copy() takes nothing; a client's takes what to copy.
                if known and not (receives and word == "copy" and not node.args):
                    operations.add((known[0], word))
            # Methods that are handed on (`partial(self._one_batch, ...)`) are called by somebody.
            calls |= {
                _called(one, owner) for one in (node.func, *node.args) if isinstance(one, ast.Attribute | ast.Name)
            }
    return Function(path, owner[0], name, frozenset(operations), frozenset(calls))


def _called(node: ast.Attribute | ast.Name, owner: tuple[str, dict[str, str]]) -> tuple[str, str]:
    """(class, name) of `self.x`, `self.field.x` and `Class(...).x`; of all others the name alone."""
    if isinstance(node, ast.Name):
        return "(function)", node.id
    receiver, name = node.value, node.attr
    match receiver:
        case ast.Name(id="self"):
            return owner[0], name
        case ast.Attribute(value=ast.Name(id="self"), attr=held) if held in owner[1]:
            return owner[1][held], name
        case ast.Call(func=ast.Name(id=made)) if made[:1].isupper():
            return made, name
    return "", name


def _words(call: ast.Call) -> Iterator[tuple[str, bool]]:
    """(what may be an operation's name, whether it is the method)."""
    if isinstance(call.func, ast.Attribute):
        yield call.func.attr, True
    for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value, False


def _services(tree: ast.Module) -> frozenset[str]:
    """Of `client("sqs", ...)`, however the method is called that ends so."""
    return frozenset(
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("client", "resource"))
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in _known_services()
    )


def _imports_sdk(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.partition(".")[0] == "boto3" for name in names):
            return True
    return False


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _known_services() -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_available_services())


@cache
def model_operations(service: str) -> frozenset[str]:
    """As the service names them: `HeadObject`."""
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


@cache
def operations_of(service: str) -> frozenset[str]:
    """As clients name them: `head_object`."""
    return frozenset(xform_name(name) for name in model_operations(service)) | EXTRAS.get(service, set())

"""AWS Batch's own description of its requests and replies, as botocore ships it: what the emulator reads and says must fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

SERVED = (
    "SubmitJob",
    "DescribeJobs",
    "ListJobs",
    "TerminateJob",
    "CancelJob",
    "DescribeJobQueues",
    "DescribeJobDefinitions",
    "RegisterJobDefinition",
    "DescribeComputeEnvironments",
)
"""Operations that the emulator knows."""


@dataclass
class Refused(Exception):
    """An answer that is an error: status of HTTP, AWS's name of it, text."""

    status: int
    code: str
    text: str = field(default="said so")


def client_error(text: str) -> Refused:
    """What Batch calls a mistake of the caller."""
    return Refused(400, "ClientException", text)


@cache
def model() -> Any:
    """The service model."""
    return botocore.session.get_session().get_service_model("batch")


@cache
def paths() -> Mapping[str, str]:
    """{path: operation}"""
    return {model().operation_model(name).http["requestUri"]: name for name in SERVED}


def request_faults(operation: str, document: Any) -> list[str]:
    """What is wrong with a request; nothing when it fits."""
    return _faults(document, model().operation_model(operation).input_shape)


def reply_faults(operation: str, document: Any) -> list[str]:
    """What is wrong with a reply."""
    return _faults(document, model().operation_model(operation).output_shape)


def _faults(document: Any, shape: Any) -> list[str]:
    report = ParamValidator().validate(document, shape)
    said = [report.generate_report()] if report.has_errors() else []
    return said or list(_enum_faults(document, shape, "$"))


def _enum_faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    """botocore's validator does not look at enums."""
    if shape.type_name == "structure":
        for name, one in value.items():
            yield from _enum_faults(one, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for number, one in enumerate(value):
            yield from _enum_faults(one, shape.member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for name, one in value.items():
            yield from _enum_faults(one, shape.value, f"{path}.{name}")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"

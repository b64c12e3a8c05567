"""The SSM parameter as it comes over the wire: from an emulator, and from servers that refuse or say nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from src.domain.errors import ConfigError
from src.infrastructure.aws.parameters import read_parameter
from src.interfaces.wiring.environment import load_with_origins
from tests.contracts.backends.batch import REGION, session
from tests.functional.places import AWS_KEYS
from tests.servers.shared import shared

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-5b1d"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS_KEYS.items():
        monkeypatch.setenv(name, value)


@dataclass
class Server:
    """Answers every request in the same way."""

    status: int
    body: bytes
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def __enter__(self) -> str:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.headers["X-Amz-Target"], document))
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_arguments: object) -> None:
                """Silent."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return f"http://127.0.0.1:{self._http.server_port}"

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def put() -> Iterator[Any]:
    """Stores a parameter; (its name, the service's address)."""
    server = shared("sqs")
    client = session().client("ssm", endpoint_url=server.url)

    def store(value: str, kind: str = "SecureString") -> tuple[str, str]:
        name = f"/video/{uuid.uuid4().hex}"
        client.put_parameter(Name=name, Value=value, Type=kind)
        return name, server.url

    yield store
    client.close()


@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_its_value_comes_decrypted(put: Any, kind: str) -> None:
    name, url = put(CANARY, kind)
    assert read_parameter(name, region=REGION, endpoint_url=url) == CANARY


def test_settings_come_from_it(put: Any) -> None:
    name, url = put(
        json.dumps({"WORKER_STORAGE__BUCKET": "theirs", "WORKER_STORAGE__SECRET_KEY": CANARY, "R2_ACCESS_KEY": "k"})
    )
    own = {"WORKER_SSM_PARAMETER": name, "WORKER_AWS__ENDPOINT_URL": url, "AWS_REGION": REGION}
    loaded = load_with_origins(own)
    secret = loaded.settings.storage.secret_key
    assert secret is not None
    assert (loaded.settings.storage.bucket, secret.get_secret_value()) == ("theirs", CANARY)
    assert loaded.origins["storage.bucket"].source == f"ssm:{name}"


def test_lesson_27_one_that_is_not_there_is_named_with_what_to_do(put: Any) -> None:
    _name, url = put("x")
    with pytest.raises(ConfigError, match="SSM parameter /no/such can't be read: ParameterNotFound") as raised:
        read_parameter("/no/such", region=REGION, endpoint_url=url)
    assert "create it" in str(raised.value.fix)


def refused(status: int, body: object) -> tuple[ConfigError, list[tuple[str, Any]]]:
    server = Server(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    with server as url, pytest.raises(ConfigError, match="SSM parameter /p") as raised:
        read_parameter("/p", region=REGION, endpoint_url=url)
    return raised.value, server.asked


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("AccessDeniedException", "ssm:GetParameter"),
        ("InvalidKeyId", "kms:Decrypt"),
        ("UnrecognizedClientException", "AWS's own chain"),
        ("SomethingNew", "try again later"),
    ],
)
def test_lesson_27_a_refusal_is_an_error_that_says_how_to_mend_it(code: str, fix: str) -> None:
    error, asked = refused(400, {"__type": code, "message": CANARY})
    assert code in error.message
    assert fix in str(error.fix)
    assert CANARY not in str(error)
    # As sent, it fits AWS's own description of the request.
    ((target, document),) = asked
    assert (target, document) == ("AmazonSSM.GetParameter", {"Name": "/p", "WithDecryption": True})
    shape = botocore.session.get_session().get_service_model("ssm").operation_model("GetParameter").input_shape
    assert not ParamValidator().validate(document, shape).has_errors()


@pytest.mark.parametrize("body", [{}, {"Parameter": {"Name": "/p"}}, b"[]", b"<html>"])
def test_lesson_27_an_answer_without_a_value_is_no_empty_parameter(body: object) -> None:
    refused(200, body)


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="no answer") as raised:
        read_parameter("/p", region=REGION, endpoint_url=f"{CANARY}/x")
    assert "WORKER_AWS__ENDPOINT_URL" in str(raised.value.fix)
    assert CANARY not in str(raised.value)


def test_e14_its_sdk_is_imported_when_a_parameter_is_named_and_not_before(put: Any, tmp_path: Path) -> None:
    name, url = put("WORKER_QUEUE__NAME=theirs")
    code = (
        "import sys\n"
        "from src.interfaces.wiring.environment import load\n"
        "print(load().queue.name, 'boto3' in sys.modules)\n"
    )
    named = {"WORKER_SSM_PARAMETER": name, "WORKER_AWS__ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, **AWS_KEYS}
    for environ, said in (({}, "video False"), (named, "theirs True")):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == said

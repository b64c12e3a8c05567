"""What an answer says: the service's own name of an error, and whether the answer is whole.

An answer that breaks off inside its headers must not pass for an empty success: Python's HTTP library takes the end of a connection for the end of the headers, so the SDK sees a 200 that says nothing: no
messages, no failed entries, no errors.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

WITHOUT_BODY = frozenset({204, 304})


def code_of(error: BaseException | None) -> str:
    """The service's own name of the error; empty for errors of another kind."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def refuse_cut_answers(client: Any) -> Any:
    """The client, which from now on raises ConnectionClosedError for such an answer."""
    client.meta.events.register("before-parse", _check)
    return client


def _check(response_dict: dict[str, Any], **_more: Any) -> None:
    headers, status = response_dict["headers"], int(response_dict["status_code"])
    if status in WITHOUT_BODY or "content-length" in headers or "transfer-encoding" in headers:
        return
    if str(headers.get("connection", "")).lower() == "close":
        # What has no length may end with the connection: that can't be told from an answer that was cut.
        return
    raise ConnectionClosedError(endpoint_url="(an answer without its end)", request=None)

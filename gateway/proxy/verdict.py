"""What an answer of the backend means: the one table of it, as pure functions.

| the backend | an event that waits for a reply | an expiry |
|---|---|---|
| no answer, no success, no JSON | error 100, temporary | prolonged, asked again |
| a status with a meaning of its own | that error or disconnect | over |
| disconnect, error | the same for the client | (only the result counts) |
| a result | granted | goes on, or over |
| neither | None: granted with defaults; for connect: nobody | over |
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from config.proxy_settings import StatusTransform
from gateway.protocol.disconnects import Disconnect, DisconnectClient
from gateway.protocol.errors import ClientError, Error
from gateway.protocol.json_codec import is_json
from gateway.proxy.errors import BackendFailed
from gateway.proxy.http_client import HttpAnswer
from gateway.proxy.messages import DisconnectBody, ErrorBody, Response

__all__ = ["check_status", "judge", "read_response"]

R = TypeVar("R")

_CODE_MAX: Final = 2**32 - 1
_REASON_BYTES: Final = 123
_FALLBACK_REASON: Final = "disconnected by the application"
_FALLBACK_MESSAGE: Final = "application error"


def check_status(answer: HttpAnswer, transforms: Sequence[StatusTransform]) -> None:
    """Insist on success.

    Raises:
        ClientError, DisconnectClient: The status stands for it.
        BackendFailed: It stands for nothing.
    """
    if answer.status == 200:
        return
    for transform in transforms:
        if transform.status_code != answer.status:
            continue
        error, disconnect = transform.to_error, transform.to_disconnect
        if error.code:
            raise ClientError(_error(ErrorBody(error.code, error.message, error.temporary)))
        raise DisconnectClient(_disconnect(DisconnectBody(disconnect.code, disconnect.reason)))
    raise BackendFailed(f"status {answer.status}")


def read_response(body: bytes, decoder: "msgspec.json.Decoder[Response[R]]") -> Response[R]:
    """Read a body.

    Raises:
        BackendFailed: It has another form.
    """
    try:
        if not body.isascii():
            body.decode()  # payloads are passed on as they are, and must be UTF-8 to their last byte
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BackendFailed("answer is not of the form agreed") from exc


def judge(response: Response[R]) -> R | None:
    """Tell the result, None where there is none.

    Raises:
        ClientError, DisconnectClient: The backend says so.
        BackendFailed: It says so with a code that no client understands.
    """
    if response.disconnect is not None:
        raise DisconnectClient(_disconnect(response.disconnect))
    if response.error is not None:
        raise ClientError(_error(response.error))
    return response.result


def _error(body: ErrorBody) -> Error:
    if not 0 < body.code <= _CODE_MAX:
        raise BackendFailed("error.code must be above 0")
    return Error(body.code, body.message or _FALLBACK_MESSAGE, bool(body.temporary))


def _disconnect(body: DisconnectBody) -> Disconnect:
    if not 3000 <= body.code <= 4999:
        raise BackendFailed("disconnect.code must be from 3000 to 4999")
    return Disconnect(body.code, _reason(body.reason or ""))


def _reason(text: str) -> str:
    """Make a reason fit for a close frame: neither empty nor long nor JSON, which SDKs would misread."""
    kept = text.encode(errors="ignore")[:_REASON_BYTES].decode(errors="ignore")
    if not kept.strip() or not kept.isprintable() or is_json(kept.encode()):
        return _FALLBACK_REASON
    return kept

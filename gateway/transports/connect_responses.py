"""Which HTTP response stands for a failed connect, on one-way HTTP transports whose settings ask for one."""

from http import HTTPStatus

from config.connect_codes import ConnectResponseSettings
from gateway.protocol.disconnects import Disconnect

__all__ = ["ConnectResponses", "connect_responses"]

_UNNAMED = HTTPStatus.INTERNAL_SERVER_ERROR


class ConnectResponses:
    """Code of the error or of the disconnect → status and text; 500 for what nobody named."""

    def __init__(self, settings: ConnectResponseSettings) -> None:
        self._table = {entry.code: entry.to for entry in settings.transforms}

    def response_for(self, disconnect: Disconnect) -> tuple[int, str]:
        """Tell status and text."""
        error = disconnect.error
        code, says = (disconnect.code, disconnect.reason) if error is None else (error.code, error.message)
        target = self._table.get(code)
        if target is None:
            return _UNNAMED, _UNNAMED.phrase
        return target.status_code, target.body or says


def connect_responses(settings: ConnectResponseSettings) -> ConnectResponses | None:
    """Make the table; None where a failed connect is told in the stream."""
    return ConnectResponses(settings) if settings.enabled else None

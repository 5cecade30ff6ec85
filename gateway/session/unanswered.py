"""What stands for the error of a failed connect where no error can be answered: on transports that only go down."""

from collections.abc import Mapping
from typing import Final

from config.connect_codes import ConnectDisconnectSettings
from gateway.protocol import disconnects
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.errors import Error

__all__ = ["Unanswered"]

_BUILT_IN: Final[Mapping[int, Disconnect]] = {
    103: disconnects.PERMISSION_DENIED,
    109: disconnects.EXPIRED,
    110: disconnects.EXPIRED,
    111: disconnects.TOO_MANY_REQUESTS,
}


class Unanswered:
    """Error code → disconnect: what the settings name goes first, and what nobody names is 3004."""

    def __init__(self, settings: ConnectDisconnectSettings) -> None:
        own = settings.transforms if settings.enabled else ()
        self._table = {**_BUILT_IN, **{entry.code: Disconnect(entry.to.code, entry.to.reason) for entry in own}}

    def disconnect_for(self, error: Error) -> Disconnect:
        """Tell the disconnect, which remembers the error."""
        told = self._table.get(error.code, disconnects.INTERNAL)
        return Disconnect(told.code, told.reason, error)

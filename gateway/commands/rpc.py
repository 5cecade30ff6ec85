"""The command `rpc`: built-in methods of ours, and the application's where it has any."""

from collections.abc import Awaitable, Callable, Mapping

from config.settings import RpcSettings
from gateway.commands.answer import Answer
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import RpcRequest, RpcResult, raw
from gateway.session.client import Client

__all__ = ["Rpc", "RpcMethod"]

# Takes the caller's user and the call's data as JSON bytes, gives the answer's; raises ClientError.
RpcMethod = Callable[[str, bytes], Awaitable[bytes]]


class Rpc:
    """Call a method."""

    def __init__(self, settings: RpcSettings, methods: Mapping[str, RpcMethod]) -> None:
        self._settings, self._methods = settings, methods

    async def __call__(self, client: Client, request: RpcRequest, answer: Answer) -> None:
        method = self._methods.get(request.method)
        if method is not None:
            answer(RpcResult(raw(await method(client.user, bytes(request.data)))))
        elif self._settings.ping.enabled and request.method == self._settings.ping.method:
            answer(RpcResult())
        else:
            # Built-in methods do not count as configuration: without any of the application's the feature is off.
            raise ClientError(errors.NOT_AVAILABLE)

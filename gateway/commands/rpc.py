"""The command `rpc`: built-in methods of ours, and the application's where it has any."""

from collections.abc import Awaitable, Callable, Mapping

from config.settings import RpcOptions, RpcSettings
from gateway.commands.answer import Answer
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import RpcRequest, RpcResult, raw
from gateway.proxy.rpc import RpcProxy
from gateway.session.client import Client

__all__ = ["Rpc", "RpcMethod"]

# Takes the caller's user and the call's data as JSON bytes, gives the answer's; raises ClientError.
RpcMethod = Callable[[str, bytes], Awaitable[bytes]]


class Rpc:
    """Call a method."""

    def __init__(self, settings: RpcSettings, methods: Mapping[str, RpcMethod], proxy: RpcProxy | None) -> None:
        self._settings, self._methods, self._proxy = settings, methods, proxy
        self._namespaces: Mapping[str, RpcOptions] = {entry.name: entry for entry in settings.namespaces}

    async def __call__(self, client: Client, request: RpcRequest, answer: Answer) -> None:
        method = self._methods.get(request.method)
        if method is not None:
            answer(RpcResult(raw(await method(client.user, bytes(request.data)))))
        elif self._settings.ping.enabled and request.method == self._settings.ping.method:
            answer(RpcResult())
        elif self._proxy is not None:
            self._check_namespace(request.method)
            data = await self._proxy(client, request)
            if not client.is_connected:
                raise DisconnectClient(disconnects.CLOSED)  # it left while the backend answered
            answer(RpcResult(raw(data)))
        else:
            # Built-in methods do not count as configuration: without any of the application's the feature is off.
            raise ClientError(errors.NOT_AVAILABLE)

    def _check_namespace(self, method: str) -> None:
        namespace, colon, _ = method.partition(":")
        options = self._namespaces.get(namespace) if colon else self._settings.without_namespace
        if options is None:
            raise ClientError(errors.METHOD_NOT_FOUND)
        if not options.proxy_enabled:
            raise ClientError(errors.NOT_AVAILABLE)

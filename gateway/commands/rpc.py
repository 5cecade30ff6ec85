"""The command `rpc`: built-in methods of ours, and the application's where it has any."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from broker.caller import within
from config.settings import RpcSettings
from gateway.auth.access import Access
from gateway.callers import caller_of
from gateway.commands.answer import Answer, fitting
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import RpcRequest, RpcResult, raw
from gateway.proxy.rpc import RpcRoutes
from gateway.session.client import Client

__all__ = ["Rpc", "RpcMethod"]

# Takes the caller's user and the call's data as JSON bytes, gives the answer's; raises ClientError.
RpcMethod = Callable[[str, bytes], Coroutine[Any, Any, bytes]]


class Rpc:
    """Call a method."""

    def __init__(self, settings: RpcSettings, methods: Mapping[str, RpcMethod], routes: RpcRoutes, access: Access) -> None:
        self._settings, self._methods, self._routes, self._access = settings, methods, routes, access

    async def __call__(self, client: Client, request: RpcRequest, answer: Answer) -> None:
        method = self._methods.get(request.method)
        # What we have ourselves is for everybody, unless a policy says otherwise.
        needs_permission = method is None and self._routes.needs_permission(request.method)
        decision = self._access.rpc(client, request.method, needs_permission=needs_permission)
        self._access.require_rpc(decision, client, request.method)
        if method is not None:
            data = await within(caller_of(client), method(client.user, bytes(request.data)))
            answer(RpcResult(fitting(data, client.wire.codec)))
        elif self._settings.ping.enabled and request.method == self._settings.ping.method:
            answer(RpcResult())
        else:
            # Built-in methods do not count as configuration: without any of the application's the feature is off.
            data = await self._routes.find(request.method)(client, request)
            if not client.is_connected:
                raise DisconnectClient(disconnects.CLOSED)  # it left while the backend answered
            answer(RpcResult(raw(data)))

    async def call(self, method: str, params: bytes) -> bytes:
        """Call a method for the server API, on nobody's behalf; `params` and the answer are JSON, empty for none.

        The built-in methods act for the connected user, and the server API has the same things as methods of its own: by
        their names nothing is found here, and the application's backend is not asked for them either.

        Raises:
            ClientError: 104 for a method that nobody has; else as the backend says.
            DisconnectClient: The backend says so, of whomever.
            BackendFailed: It says nothing of use.
        """
        if self._settings.ping.enabled and method == self._settings.ping.method:
            return b""
        if method in self._methods or not self._routes:
            raise ClientError(errors.METHOD_NOT_FOUND)
        return await self._routes.find(method).call(method, params)

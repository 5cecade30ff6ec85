"""The event `rpc`: the backend answers the calls of clients, and those of the server API."""

from collections.abc import Mapping

from msgspec import Raw

from config.settings import RpcOptions, RpcSettings
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import RpcRequest
from gateway.proxy.backend import Backend
from gateway.proxy.messages import RpcAnswer, RpcCall
from gateway.proxy.payloads import json_of, payload_for
from gateway.proxy.verdict import judge
from gateway.session.client import Client

__all__ = ["RpcProxy", "RpcRoutes"]


class RpcProxy:
    """Hands calls on."""

    def __init__(self, backend: Backend[RpcAnswer]) -> None:
        self._backend = backend

    async def __call__(self, client: Client, request: RpcRequest) -> bytes:
        """Call for a client; gives the payload of the answer, b"" for none.

        Raises:
            ClientError, DisconnectClient: It says so; 3506 where its payload does not fit the client's encoding.
            BackendFailed: It says nothing of use.
        """
        data, b64data = self._backend.pack(request.data)
        call = RpcCall(**self._backend.identity(client), method=request.method, data=data, b64data=b64data)
        answer = judge(await self._backend.ask(client, call)) or RpcAnswer()
        return payload_for(client, answer.data, answer.b64data)

    async def call(self, method: str, params: bytes) -> bytes:
        """Call on nobody's behalf, for the server API: user and client are empty, the transport is `api`.

        Args:
            params: JSON, empty for none; so is what comes back.
        Raises:
            ClientError, DisconnectClient: The backend says so.
            BackendFailed: It says nothing of use.
        """
        data, b64data = self._backend.pack(Raw(params))
        call = RpcCall(**self._backend.nobody(), method=method, data=data, b64data=b64data)
        answer = judge(await self._backend.ask(None, call)) or RpcAnswer()
        return json_of(answer.data, answer.b64data)


class RpcRoutes:
    """Which proxy answers a method: a matter of its namespace."""

    def __init__(self, settings: RpcSettings, proxies: Mapping[str, RpcProxy]) -> None:
        self._without_namespace, self._proxies = settings.without_namespace, proxies
        self._namespaces: Mapping[str, RpcOptions] = {entry.name: entry for entry in settings.namespaces}

    def __bool__(self) -> bool:
        """Whether any method of the application's can be called at all."""
        return bool(self._proxies)

    def needs_permission(self, method: str) -> bool:
        """Whether only those may call a method whom a role or a policy allows it."""
        options = self._options(method)
        return options is not None and options.permission_required

    def find(self, method: str) -> RpcProxy:
        """Find the proxy that answers a method.

        Raises:
            ClientError: 108 where there is none for the method's namespace, or none at all; 104 for an unknown namespace.
        """
        if not self._proxies:
            raise ClientError(errors.NOT_AVAILABLE)
        options = self._options(method)
        if options is None:
            raise ClientError(errors.METHOD_NOT_FOUND)
        proxy = self._proxies.get(options.proxy_name) if options.proxy_enabled else None
        if proxy is None:
            raise ClientError(errors.NOT_AVAILABLE)
        return proxy

    def _options(self, method: str) -> RpcOptions | None:
        namespace, colon, _ = method.partition(":")
        return self._namespaces.get(namespace) if colon else self._without_namespace

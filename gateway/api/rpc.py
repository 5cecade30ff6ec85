"""API method `rpc`: the application's own methods, called by a backend.

The built-in RPC methods belong to the connected user, and a backend is nobody's connection: it has the same things as
methods of the API. So what is not the application's is not found here.
"""

from collections.abc import Awaitable, Callable

from gateway.api.errors import NOT_FOUND, ApiFailure, bad_request
from gateway.api.messages import RpcRequest, RpcResult
from gateway.api.method import Method
from gateway.protocol.json_codec import is_json
from gateway.protocol.messages import raw

__all__ = ["ServerRpc", "rpc_api_methods"]

# Takes the method's name and its parameters as JSON bytes (empty for none), gives the answer as JSON bytes (empty for none);
# raises ApiFailure, 104 for a name that the application does not know.
ServerRpc = Callable[[str, bytes], Awaitable[bytes]]


class _Rpc:
    def __init__(self, call: ServerRpc | None) -> None:
        self._call = call

    async def rpc(self, request: RpcRequest) -> RpcResult:
        """Call a method of the application, on nobody's behalf; without any configured, each is error 104."""
        if not request.method:
            raise bad_request("method must not be empty")
        if self._call is None:
            raise ApiFailure(NOT_FOUND)
        data = await self._call(request.method, bytes(request.params))
        if data and not is_json(data):
            raise ValueError("an RPC method answered with bytes that are no JSON")
        return RpcResult(raw(data))


def rpc_api_methods(call: ServerRpc | None = None) -> list[Method]:
    """Make the method; `call` reaches the application's, where it has any."""
    return [Method("rpc", RpcRequest, _Rpc(call).rpc, group="Connections")]

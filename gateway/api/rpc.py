"""API method `rpc`: the application's own methods, called by a backend.

The built-in RPC methods belong to the connected user, and a backend is nobody's connection: it has the same things as
methods of the API. So what is not the application's is not found here, but for `ping`, which belongs to nobody.
"""

from collections.abc import Awaitable, Callable

from broker.errors import Unavailable
from gateway.api.errors import NOT_FOUND, ApiError, ApiFailure, bad_request
from gateway.api.messages import RpcRequest, RpcResult
from gateway.api.method import Method
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.json_codec import is_json
from gateway.protocol.messages import raw

__all__ = ["ServerRpc", "rpc_api_methods"]

# Takes the method's name and its parameters as JSON bytes (empty for none), gives the answer as JSON bytes (empty for none);
# raises ClientError as for a client, 104 for a name that nobody knows.
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
        try:
            data = await self._call(request.method, bytes(request.params))
        except ClientError as exc:
            raise ApiFailure(_api_error(exc)) from exc
        except DisconnectClient as exc:
            raise Unavailable("the backend disconnects whom nobody knows") from exc
        if data and not is_json(data):
            raise ValueError("an RPC method answered with bytes that are no JSON")
        return RpcResult(raw(data))


def _api_error(exc: ClientError) -> ApiError:
    """Say an error of a client command as the API does: built-in codes in the API's words, the application's in its own."""
    return NOT_FOUND if exc.error.code == NOT_FOUND.code else ApiError(exc.error.code, exc.error.message)


def rpc_api_methods(call: ServerRpc | None = None) -> list[Method]:
    """Make the method; `call` reaches the application's, where it has any."""
    return [Method("rpc", RpcRequest, _Rpc(call).rpc, group="Connections")]

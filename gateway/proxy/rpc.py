"""The event `rpc`: the backend answers the calls of clients."""

from gateway.protocol.messages import RpcRequest
from gateway.proxy.backend import Backend
from gateway.proxy.messages import RpcAnswer, RpcCall
from gateway.proxy.payloads import payload_for
from gateway.proxy.verdict import judge
from gateway.session.client import Client

__all__ = ["RpcProxy"]


class RpcProxy:
    """Hands calls on."""

    def __init__(self, backend: Backend[RpcAnswer]) -> None:
        self._backend = backend

    async def __call__(self, client: Client, request: RpcRequest) -> bytes:
        """Call; gives the payload of the answer, b"" for none.

        Raises:
            ClientError, DisconnectClient: It says so; 3506 where its payload does not fit the client's encoding.
            BackendFailed: It says nothing of use.
        """
        data, b64data = self._backend.pack(request.data)
        call = RpcCall(**self._backend.identity(client), method=request.method, data=data, b64data=b64data)
        answer = judge(await self._backend.ask(client, call)) or RpcAnswer()
        return payload_for(client, answer.data, answer.b64data)

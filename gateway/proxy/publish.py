"""The event `publish`: the backend decides whether a client's publication goes out, and may change it."""

from collections.abc import Mapping

import msgspec

from broker.model import NO_TAGS
from config.settings import ChannelOptions
from gateway.payloads import payload_fault
from gateway.protocol.messages import PublishRequest
from gateway.proxy.backend import Backend
from gateway.proxy.errors import BadAnswer
from gateway.proxy.messages import PublishCall, PublishGrant
from gateway.proxy.payloads import payload_of
from gateway.proxy.verdict import judge
from gateway.session.client import Client

__all__ = ["Approval", "PublishProxy"]


class Approval(msgspec.Struct, frozen=True):
    """A publication as the backend wants it."""

    data: bytes
    tags: Mapping[str, str] = NO_TAGS
    delta: bool = False
    skip_history: bool = False
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


class PublishProxy:
    """Asks whether a client may publish."""

    def __init__(self, backend: Backend[PublishGrant]) -> None:
        self._backend = backend

    async def __call__(self, client: Client, request: PublishRequest, options: ChannelOptions) -> Approval:
        """Ask; what comes back without a refusal is a yes.

        Raises:
            ClientError, DisconnectClient: It says no.
            BackendFailed: It says nothing of use, or puts data in that the channel does not take.
        """
        data, b64data = self._backend.pack(request.data)
        call = PublishCall(**self._backend.identity(client), channel=request.channel, data=data, b64data=b64data)
        grant = judge(await self._backend.ask(client, call)) or PublishGrant()
        replaced = payload_of(grant.data, grant.b64data)
        if replaced and (fault := payload_fault(replaced, options)):
            raise BadAnswer(fault)
        return Approval(
            data=replaced or bytes(request.data),
            tags=grant.tags or NO_TAGS,
            delta=bool(grant.delta) or options.delta_publish,
            skip_history=bool(grant.skip_history),
            idempotency_key=grant.idempotency_key or "",
            version=grant.version or 0,
            version_epoch=grant.version_epoch or "",
        )

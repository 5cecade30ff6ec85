"""The command `publish`: a client's word to a channel, with its own info attached."""

from broker.channels import ChannelRules, publish_options
from broker.model import Publication, PublishOptions
from broker.pubsub import PubSub
from config.settings import ChannelOptions
from gateway.auth.access import Access
from gateway.commands.answer import Answer, require_channel
from gateway.payloads import payload_fault
from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Empty, PublishRequest
from gateway.proxy.proxies import Proxies
from gateway.proxy.publish import Approval
from gateway.session.client import Client

__all__ = ["Publish"]

_DONE = Empty()


class Publish:
    """Publish from the client's side. Its own copy may come before or after the reply."""

    def __init__(self, rules: ChannelRules, access: Access, pubsub: PubSub, proxies: Proxies) -> None:
        self._rules, self._access, self._pubsub, self._proxies = rules, access, pubsub, proxies
        # How publications are kept is the same for all channels of the same options.
        self._kept: dict[int, PublishOptions] = {}

    async def __call__(self, client: Client, request: PublishRequest, answer: Answer) -> None:
        channel = require_channel(request.channel)
        options = self._rules.options(channel)
        if request.type != 0:
            raise ClientError(errors.NOT_AVAILABLE)
        data = bytes(request.data)
        if fault := payload_fault(data, options):
            raise ClientError(errors.BAD_REQUEST, fault)
        access = self._access
        if (proxy := self._proxies.publish(options)) is not None:
            access.require(access.publish_by_proxy(client, channel, options), client, "publish", channel)
            await self._publish_approved(client, channel, await proxy(client, request, options), options)
            answer(_DONE)
            return
        decision = access.publish(client, channel, options)
        if not decision.allowed:
            access.require(decision, client, "publish", channel)
        await self._pubsub.publish(
            channel, Publication(data, info=client.info(channel), delta=options.delta_publish), self._how(options)
        )
        answer(_DONE)

    async def _publish_approved(self, client: Client, channel: str, approval: Approval, options: ChannelOptions) -> None:
        """Publish what the backend made of it."""
        if not client.is_connected:
            raise DisconnectClient(disconnects.CLOSED)  # it left while the backend answered
        publication = Publication(approval.data, info=client.info(channel), tags=approval.tags, delta=approval.delta)
        how = publish_options(
            options,
            skip_history=approval.skip_history,
            idempotency_key=approval.idempotency_key,
            version=approval.version,
            version_epoch=approval.version_epoch,
        )
        await self._pubsub.publish(channel, publication, how)

    def _how(self, options: ChannelOptions) -> PublishOptions:
        kept = self._kept.get(id(options))
        if kept is None:
            kept = self._kept[id(options)] = publish_options(options)
        return kept

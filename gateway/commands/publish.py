"""The command `publish`: a client's word to a channel, with its own info attached."""

from broker.channels import ChannelRules, publish_options
from broker.model import Publication, PublishOptions
from broker.pubsub import PubSub
from config.settings import ChannelOptions
from gateway.auth.permissions import Permissions
from gateway.commands.answer import Answer, require_channel
from gateway.payloads import payload_fault
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Empty, PublishRequest
from gateway.session.client import Client

__all__ = ["Publish"]

_DONE = Empty()


class Publish:
    """Publish from the client's side. Its own copy may come before or after the reply."""

    def __init__(self, rules: ChannelRules, permissions: Permissions, pubsub: PubSub) -> None:
        self._rules, self._permissions, self._pubsub = rules, permissions, pubsub
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
        if not self._permissions.may_publish(client.user, channel in client.subscriptions, options):
            raise ClientError(errors.PERMISSION_DENIED)
        await self._pubsub.publish(
            channel, Publication(data, info=client.info(channel), delta=options.delta_publish), self._how(options)
        )
        answer(_DONE)

    def _how(self, options: ChannelOptions) -> PublishOptions:
        kept = self._kept.get(id(options))
        if kept is None:
            kept = self._kept[id(options)] = publish_options(options)
        return kept

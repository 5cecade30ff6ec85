"""API methods `publish` and `broadcast`."""

import asyncio
import base64
import binascii

from broker.channels import ChannelRules, publish_options
from broker.model import NO_TAGS, Publication
from broker.pubsub import PubSub
from gateway.api.errors import api_error_of, bad_request
from gateway.api.messages import (
    BroadcastRequest,
    BroadcastResponse,
    BroadcastResult,
    PublishRequest,
    PublishResult,
)
from gateway.api.method import Method
from gateway.api.overlap import Overlap
from gateway.api.pace import Pace
from gateway.payloads import payload_fault

__all__ = ["publishing_methods"]


class _Publishing:
    def __init__(self, rules: ChannelRules, pubsub: PubSub) -> None:
        self._rules, self._pubsub = rules, pubsub

    async def publish(self, request: PublishRequest) -> PublishResult:
        """Send a publication to everybody who is subscribed to a channel."""
        if not request.channel:
            raise bad_request("channel must not be empty")
        return await self._publish(request.channel, _payload(request), request)

    async def broadcast(self, request: BroadcastRequest) -> BroadcastResult:
        """Send one publication to several channels; one that fails does not keep the others from it."""
        if not request.channels:
            raise bad_request("channels must name at least one channel")
        data = _payload(request)
        pace = Pace()
        async with Overlap[BroadcastResponse]() as calls:
            for channel in request.channels:
                calls.begin(self._respond(channel, data, request))
                if pace.counts(len(data)):
                    await calls.settle()
                    await asyncio.sleep(0)
        return BroadcastResult(calls.results)

    async def _respond(self, channel: str, data: bytes, request: BroadcastRequest) -> BroadcastResponse:
        try:
            if not channel:
                raise bad_request("channels must not hold an empty name")
            return BroadcastResponse(result=await self._publish(channel, data, request))
        except Exception as exc:  # the edge of one channel: the others get theirs
            return BroadcastResponse(error=api_error_of(exc))

    async def _publish(self, channel: str, data: bytes, request: PublishRequest | BroadcastRequest) -> PublishResult:
        options = self._rules.options(channel)
        if fault := payload_fault(data, options):
            raise bad_request(fault)
        kept = publish_options(
            options,
            skip_history=request.skip_history,
            idempotency_key=request.idempotency_key,
            version=request.version,
            version_epoch=request.version_epoch,
        )
        publication = Publication(data, tags=request.tags or NO_TAGS, delta=request.delta or options.delta_publish)
        published = await self._pubsub.publish(channel, publication, kept)
        return PublishResult(published.position.offset, published.position.epoch)


def _payload(request: PublishRequest | BroadcastRequest) -> bytes:
    if not request.b64data:
        return bytes(request.data)
    try:
        return base64.b64decode(request.b64data, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("b64data must be base64") from None


def publishing_methods(rules: ChannelRules, pubsub: PubSub) -> list[Method]:
    """Make the methods of this group."""
    group = _Publishing(rules, pubsub)
    return [
        Method("publish", PublishRequest, group.publish, may_overlap=True, group="Publishing"),
        Method("broadcast", BroadcastRequest, group.broadcast, group="Publishing"),
    ]

"""The command `unsubscribe`: success also for a channel the client is not in."""

from gateway.commands.answer import Answer, require_channel
from gateway.protocol.messages import Empty, UnsubscribeRequest
from gateway.session.client import Client
from gateway.session.entrance import Entrances

__all__ = ["Unsubscribe"]


class Unsubscribe:
    """Leave a channel."""

    def __init__(self, entrances: Entrances) -> None:
        self._entrances = entrances

    async def __call__(self, client: Client, request: UnsubscribeRequest, answer: Answer) -> None:
        channel = require_channel(request.channel)
        left = self._entrances.leave(client, channel)
        answer(Empty())
        if left is not None:
            await self._entrances.clean_up(client, left)

"""Keeps the engine's subscriptions of this node in step with its rooms: one channel's changes never overtake each other."""

import asyncio

from broker.pubsub import PubSub
from gateway.hub import Hub
from gateway.room import Room
from gateway.tasks import Tasks

__all__ = ["Upstream"]


class Upstream:
    """Subscribes with the first client of a channel and unsubscribes after the last."""

    def __init__(self, pubsub: PubSub, hub: Hub, tasks: Tasks) -> None:
        self._pubsub, self._hub, self._tasks = pubsub, hub, tasks
        self._linked: set[str] = set()
        self._changing: dict[str, asyncio.Future[None]] = {}

    async def link(self, channel: str) -> None:
        """Have the engine bring a channel; returns when it does.

        Raises:
            EngineUnavailable: It does not; the room should be released.
        """
        if channel in self._linked and channel not in self._changing:
            return
        await self._settled(channel)
        if channel in self._linked:
            return
        changed = self._begin(channel)
        try:
            await self._pubsub.subscribe(channel)
            self._linked.add(channel)
        finally:
            self._end(channel, changed)

    def release(self, room: Room) -> None:
        """Let go of a room that may be empty now."""
        if self._hub.close_room(room):
            self._tasks.run(self._unlink(room.channel), "upstream.unlink")

    async def _unlink(self, channel: str) -> None:
        await self._settled(channel)
        if self._hub.room(channel) is not None or channel not in self._linked:
            return  # somebody came back meanwhile
        changed = self._begin(channel)
        try:
            self._linked.discard(channel)
            await self._pubsub.unsubscribe(channel)
        finally:
            self._end(channel, changed)

    async def _settled(self, channel: str) -> None:
        while (changing := self._changing.get(channel)) is not None:
            await asyncio.wait((changing,))

    def _begin(self, channel: str) -> asyncio.Future[None]:
        changed = self._changing[channel] = asyncio.get_running_loop().create_future()
        return changed

    def _end(self, channel: str, changed: asyncio.Future[None]) -> None:
        del self._changing[channel]
        changed.set_result(None)

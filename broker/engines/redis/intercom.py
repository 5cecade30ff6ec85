"""How nodes talk to each other: one channel that all of them hear, and one for each node alone. At most once, in order."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from broker.engines.redis.link import Link
from broker.engines.redis.messages import Message, encode
from broker.engines.redis.places import Places
from config.logs import get_logger

__all__ = ["Intercom"]

M = TypeVar("M", bound=Message)

_log = get_logger()
_LOGGED_EVERY: Final = 1000
_decoder = msgspec.msgpack.Decoder(Message)


class Intercom:
    """Sends messages and hands those that come to whoever asked for their kind. A node does not hear itself."""

    def __init__(self, link: Link, places: Places, node_id: str) -> None:
        self._link, self._places = link, places
        self.node_id = node_id
        self._takers: dict[type[Any], Callable[[Any], None]] = {}
        self._unread = 0

    def on(self, kind: type[M], take: Callable[[M], None]) -> None:
        """Say who takes messages of a kind; synchronous, called in the loop's thread."""
        self._takers[kind] = take

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            EngineUnavailable: Nothing is heard.
        """
        await self._link.listen(self._places.all_nodes, self.hear)
        await self._link.listen(self._places.one_node(self.node_id), self.hear)

    async def tell_all(self, message: Message) -> None:
        """Send to every other node.

        Raises:
            EngineUnavailable: It is unknown whether they have been told.
        """
        await self._link.publish(self._places.all_nodes, encode(message))

    async def tell(self, node_id: str, message: Message) -> None:
        """Send to one node.

        Raises:
            EngineUnavailable: It is unknown whether it has been told.
        """
        await self._link.publish(self._places.one_node(node_id), encode(message))

    def hear(self, payload: bytes) -> None:
        """Take what has come. What cannot be read is passed over: a newer node may say what this one does not know."""
        try:
            message = _decoder.decode(payload)
        except msgspec.DecodeError as exc:  # (also what does not fit the types)
            self._unread += 1
            if self._unread % _LOGGED_EVERY == 1:
                _log.warning("control.not_understood", reason=str(exc), count=self._unread)
            return
        take = self._takers.get(type(message))
        if take is not None and message.sender != self.node_id:
            take(message)

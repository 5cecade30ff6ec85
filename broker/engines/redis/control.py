"""Words between nodes: commands to all of them, and questions to all of them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from broker.control import Command, ConnectionInfo, NodeInfo
from broker.control import Perform as Node
from broker.engines.redis.intercom import Intercom
from broker.engines.redis.leases import Leases
from broker.engines.redis.link import Link
from broker.engines.redis.messages import ChannelsBody, ConnectionsBody, NodesBody, Perform, Question, encode
from broker.engines.redis.places import Places
from broker.engines.redis.surveys import Surveys
from config.clock import Clock
from config.logs import get_logger

__all__ = ["RedisControl"]

_log = get_logger()
# So many commands of other nodes wait to be carried out; those beyond them are lost, and said to be.
_COMMANDS: Final = 10_000
# So many channels or connections travel in one part of an answer: about 60 KiB.
_PART: Final = 1000

_nodes = msgspec.msgpack.Decoder(NodesBody)
_channels = msgspec.msgpack.Decoder(ChannelsBody)
_connections = msgspec.msgpack.Decoder(ConnectionsBody)


class RedisControl:
    """The port Control. Commands of other nodes are carried out one after the other, in the order in which they came."""

    def __init__(self, link: Link, places: Places, leases: Leases, intercom: Intercom, clock: Clock) -> None:
        self._intercom = intercom
        self._surveys = Surveys(link, places, leases, intercom, clock, self._answer)
        self._node: Node | None = None
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(_COMMANDS)
        self._tasks: list[asyncio.Task[None]] = []
        intercom.on(Perform, lambda message: self._note(message.command))

    def on_command(self, node: Node) -> None:
        self._node = node

    def start(self) -> None:
        """Begin to carry out commands and to answer questions of other nodes."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._work(), name="redis:commands"),
            loop.create_task(self._surveys.work(), name="redis:surveys"),
        ]

    async def close(self) -> None:
        """End that; may come twice, or before the start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def send(self, command: Command) -> None:
        try:
            # The others first: what is to be done here may take a while.
            await self._intercom.tell_all(Perform(self._intercom.node_id, command))
        finally:
            if self._node is not None:
                await self._node.perform(command)

    def send_here(self, command: Command) -> None:
        """Have only this node carry a command out, after those that wait; does not wait for it."""
        self._note(command)

    async def nodes(self) -> Sequence[NodeInfo]:
        found = [] if self._node is None else [self._node.describe()]
        await self._surveys.ask(Question.NODES, lambda part: found.extend(_nodes.decode(part)))
        return found

    async def channels(self) -> Mapping[str, int]:
        counts = {} if self._node is None else dict(self._node.channels())

        def add(part: bytes) -> None:
            for channel, count in _channels.decode(part).items():
                counts[channel] = counts.get(channel, 0) + count

        await self._surveys.ask(Question.CHANNELS, add)
        return counts

    async def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        found = {} if self._node is None else dict(self._node.connections(user))
        await self._surveys.ask(Question.CONNECTIONS, lambda part: found.update(_connections.decode(part)), user=user)
        return found

    def _answer(self, question: Question, user: str) -> Iterator[bytes]:
        """Tell what this node knows, in encoded parts; a process without a node knows nothing."""
        if question is Question.NODES:
            yield encode([] if self._node is None else [self._node.describe()])
            return
        known: Mapping[str, object] = {}
        if self._node is not None:
            known = self._node.channels() if question is Question.CHANNELS else self._node.connections(user)
        items = iter(list(known.items()))
        yield encode(dict(islice(items, _PART)))
        while part := dict(islice(items, _PART)):
            yield encode(part)

    def _note(self, command: Command) -> None:
        if self._waiting.full():
            _log.error("control.command_lost", command=type(command).__name__, waiting=self._waiting.qsize())
            return
        self._waiting.put_nowait(command)

    async def _work(self) -> None:
        while True:
            command = await self._waiting.get()
            try:
                if self._node is not None:
                    await self._node.perform(command)
            except Exception:  # the edge of one command: the next ones are to be carried out
                _log.exception("control.command_failed", command=type(command).__name__)

"""Words between nodes where there is one node: it is told directly."""

from collections.abc import Mapping, Sequence

from broker.control import Command, ConnectionInfo, NodeInfo, Perform

__all__ = ["MemoryControl"]


class MemoryControl:
    """The port Control. Before a node has registered there is nobody to tell, and the fleet is empty."""

    def __init__(self) -> None:
        self._node: Perform | None = None

    def on_command(self, node: Perform) -> None:
        self._node = node

    async def send(self, command: Command) -> None:
        if self._node is not None:
            await self._node.perform(command)

    async def nodes(self) -> Sequence[NodeInfo]:
        return [] if self._node is None else [self._node.describe()]

    async def channels(self) -> Mapping[str, int]:
        return {} if self._node is None else dict(self._node.channels())

    async def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        return {} if self._node is None else dict(self._node.connections(user))

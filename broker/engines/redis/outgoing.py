"""What is to be written to a connection: all of one loop turn leaves in one write, after the one before it."""

import asyncio

from redis.asyncio.connection import AbstractConnection

__all__ = ["Outgoing"]


class Outgoing:
    """Collects packed commands; whoever owns it runs it in a task of its own."""

    __slots__ = ("_connection", "_is_filled", "_packed")

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._packed: list[bytes] = []
        self._is_filled = asyncio.Event()

    def put(self, packed: bytes) -> None:
        """Have it written with whatever else comes in this turn."""
        self._packed.append(packed)
        self._is_filled.set()

    async def run(self) -> None:
        """Write until the connection ends.

        Raises:
            One of `failures.LOST`: It has.
        """
        while True:
            await self._is_filled.wait()
            self._is_filled.clear()
            packed, self._packed = self._packed, []
            await self._connection.send_packed_command(b"".join(packed), check_health=False)

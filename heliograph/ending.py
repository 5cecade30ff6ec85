"""How a process is told to end: once politely, a second time in a hurry."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Ending"]


T = TypeVar("T")


class Ending:
    """What signals and supervisors set, and the parts of a process wait for."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.is_replaced = False
        self._hurried = asyncio.Event()
        self._on_hurry: list[Callable[[], None]] = []

    def heed_signals(self) -> None:
        """Let SIGTERM and SIGINT begin the end of this process, and hurry it when they come again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.begin_or_hurry)

    def begin(self, *, is_replaced: bool = False) -> None:
        """Begin the end; may come twice. `is_replaced`: a successor listens on the same port already."""
        self.is_replaced = self.is_replaced or is_replaced
        self.begun.set()

    def begin_or_hurry(self) -> None:
        """Begin the end, or hurry it: what a signal from a person means."""
        if self.begun.is_set():
            self.hurry()
        else:
            self.begin()

    def hurry(self) -> None:
        """Wait no longer for anything that is only kind."""
        self.begin()
        self._hurried.set()
        for call in self._on_hurry:
            call()

    @property
    def is_hurried(self) -> bool:
        return self._hurried.is_set()

    def on_hurry(self, call: Callable[[], None]) -> None:
        """Have something called when the end is hurried, once for each time."""
        self._on_hurry.append(call)

    async def unless_begun(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do some work; once the end begins it is cancelled, and None comes back."""
        begun, working = asyncio.ensure_future(self.begun.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait((begun, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            return None
        finally:
            begun.cancel()
            working.cancel()
            await asyncio.wait((begun, working))

    async def pause(self, delay_s: float) -> None:
        """Wait so long, or until the end is hurried."""
        try:
            async with asyncio.timeout(delay_s):
                await self._hurried.wait()
        except TimeoutError:
            pass

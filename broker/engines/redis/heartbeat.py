"""What a node does on the server at every beat: it renews its lease, makes good what was lost, and clears up after the dead."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from broker.engines.redis.holdings import Holdings
from broker.engines.redis.leases import BEAT_S, Leases
from broker.errors import Unavailable
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger

__all__ = ["Heartbeat", "Part"]

_log = get_logger()
# All holdings are written again once in so many beats (ten minutes).
_ROUNDS: Final = 60
# At the end, so long is spent on clearing up; what is left then, another node clears.
_FAREWELL_S: Final = 2.0


class Part(Protocol):
    """A port whose entries name a lease."""

    @property
    def holdings(self) -> Holdings[Any, Any]:
        """What this node has entered."""

    async def evict(self, ended: frozenset[str]) -> None:
        """Clear up what ended leases left.

        Raises:
            EngineUnavailable: Some of it is left.
        """


class Heartbeat:
    """The owner of the engine's background work. Renewing never waits for the longer works, which are done beside it."""

    def __init__(
        self, leases: Leases, parts: Sequence[Part], checks: Sequence[Callable[[], Awaitable[None]]], clock: Clock
    ) -> None:
        """`checks` are done at every beat, after the renewal."""
        self._leases, self._parts, self._checks, self._clock = leases, parts, checks, clock
        self._outage = Outage("engine", clock, base_s=0.5)
        self._woken = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the lease, and go on beating until `close`.

        Raises:
            EngineUnavailable: There is no lease; nothing goes on.
        """
        await self.beat()
        self._beating = asyncio.get_running_loop().create_task(self._run(), name="redis:heartbeat")

    def wake(self) -> None:
        """Beat now: the server has just come back."""
        self._woken.set()

    async def close(self) -> None:
        """Take back what this node has entered, as far as that goes quickly, and its lease; may come twice."""
        await _end(self._beating, self._settling, self._sweeping)
        if self._beating is None:
            return
        self._beating = None
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._leases.give_back()
                for part in self._parts:
                    await part.holdings.drop_all()
                await self._leases.forget({self._leases.lease})
        except (Unavailable, TimeoutError):
            _log.info("lease.left", lease=self._leases.lease)  # it ends by itself

    async def beat(self) -> None:
        """Do what is due once.

        Raises:
            EngineUnavailable: Some of it was not done.
        """
        told = await self._leases.renew()
        if told.was_lost:
            _log.warning("lease.lost", lease=self._leases.lease, entries=sum(len(part.holdings) for part in self._parts))
        for part in self._parts:
            if told.was_lost:
                part.holdings.owe_all()
            else:
                part.holdings.owe_some(_ROUNDS)
        self._settling = _go_on(self._settling, self._settle, "redis:settle")
        if told.ended:
            self._sweeping = _go_on(self._sweeping, lambda: self._sweep(told.ended), "redis:sweep")
        for check in self._checks:
            await check()

    async def quiet(self) -> None:
        """Wait until what the last beat set going is done."""
        await asyncio.wait([task for task in (self._settling, self._sweeping) if task is not None])

    async def _run(self) -> None:
        wait_s = BEAT_S
        while True:
            await self._pause(wait_s)
            try:
                await self.beat()
            except Unavailable as exc:
                wait_s = self._outage.failed(exc)
            except Exception:  # the edge of a background duty: the lease must be renewed whatever else fails
                _log.exception("heartbeat.failed")
                wait_s = BEAT_S
            else:
                self._outage.ended()
                # A little early, and not all nodes at once.
                wait_s = BEAT_S * (0.8 + 0.2 * self._clock.spread())

    async def _pause(self, seconds: float) -> None:
        """Wait for so long, or until woken."""
        waits = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._woken.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self._woken.clear()

    async def _settle(self) -> None:
        for part in self._parts:
            await part.holdings.settle()

    async def _sweep(self, ended: frozenset[str]) -> None:
        for part in self._parts:
            await part.evict(ended)
        await self._leases.forget(ended)
        _log.info("lease.swept", leases=sorted(ended))


def _go_on(running: asyncio.Task[None] | None, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """Begin a work unless it is still under way."""
    if running is not None and not running.done():
        return running
    return asyncio.get_running_loop().create_task(_logged(work, name), name=name)


async def _logged(work: Callable[[], Awaitable[None]], name: str) -> None:
    try:
        await work()
    except Unavailable as exc:
        _log.info("duty.put_off", duty=name, reason=str(exc))  # the next beat begins it again
    except Exception:  # the edge of a background duty
        _log.exception("duty.failed", duty=name)


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel and await."""
    known = [task for task in tasks if task is not None]
    for task in known:
        task.cancel()
    await asyncio.gather(*known, return_exceptions=True)

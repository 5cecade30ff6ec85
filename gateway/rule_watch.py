"""How a node notices that rules have changed: it is told over control, and compares versions with the store once a second.

What is told comes within milliseconds and may be lost; comparing costs one small read per node and second, and is how a node
learns of what it was not told, also where nodes share a store and no engine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from broker.bell import Bell
from broker.errors import Unavailable
from broker.outage import Outage
from broker.rules import RuleVersions, Subject
from config.clock import Clock
from config.logs import get_logger

__all__ = ["POLL_S", "RuleWatch"]

_log = get_logger()

POLL_S: Final = 1.0


class RuleWatch:
    """Reads what has changed.

    Args:
        readers: Read what the store has of each subject, and put it in force; raise `StoreUnavailable`.
        duties: What else is to be done at every turn.
        poll_s: How long it waits to be told before it looks.
    """

    def __init__(
        self,
        versions: RuleVersions,
        readers: Mapping[Subject, Callable[[], Awaitable[None]]],
        clock: Clock,
        *,
        duties: Callable[[], Awaitable[None]] | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._versions, self._readers, self._clock, self._duties = versions, readers, clock, duties
        self._poll_s = poll_s
        self._known: dict[Subject, int] = {}
        self._held_at: dict[Subject, float] = {}
        self._reading = asyncio.Lock()  # so that what was read earlier never takes the place of what was read later
        self._bell = Bell(clock)
        self._outage = Outage("rules", clock)

    def ages(self) -> Mapping[Subject, float]:
        """Tell for how many seconds each subject may have been another one in the store; only of those that were read once."""
        now = self._clock.monotonic()
        return {subject: now - held_at for subject, held_at in self._held_at.items()}

    def tell(self, subject: str, version: int) -> None:
        """Take the word of whoever changed something; a version that is known already changes nothing."""
        if subject in self._readers and self._known.get(Subject(subject), 0) < version:
            self._bell.ring()

    async def check(self) -> None:
        """Compare versions, and read what has another one.

        Raises:
            StoreUnavailable: What was in force stays so.
        """
        async with self._reading:
            await self._compare()

    async def _compare(self) -> None:
        asked_at = self._clock.monotonic()
        versions = await self._versions.versions()
        unread: Exception | None = None
        for subject, read in self._readers.items():
            # Read before, so that what changes meanwhile is read once more rather than missed.
            version = versions.get(subject, 0)
            if self._known.get(subject) != version:
                is_change = subject in self._known
                try:
                    await read()
                except Unavailable:
                    raise
                except Exception as exc:  # the edge between subjects: one that cannot be read holds up no other
                    unread = unread or exc
                    continue
                self._known[subject] = version
                if is_change:
                    _log.info("rules.changed", subject=subject.value, version=version)
            self._held_at[subject] = asked_at
        if unread is not None:
            raise unread

    async def load(self) -> None:
        """Read everything before anybody is served: without its rules a node would be open to what they forbid."""
        while True:
            try:
                await self.check()
            except Unavailable as exc:
                await self._clock.sleep(self._outage.failed(exc))
            else:
                self._outage.ended()
                return

    async def turn(self, wait_s: float = POLL_S) -> None:
        """Wait until something is told, or for so long; then compare versions.

        Raises:
            StoreUnavailable: As `check`.
        """
        await self._bell.wait_for(wait_s)
        await self.check()
        if self._duties is not None:
            await self._duties()

    async def run(self) -> None:
        """Keep watching, until cancelled."""
        wait_s = self._poll_s
        while True:
            try:
                await self.turn(wait_s)
            except Unavailable as exc:
                wait_s = self._outage.failed(exc)
            except Exception:  # the edge of a background duty: rules must go on being read
                _log.exception("rules.failed")
                wait_s = self._poll_s
            else:
                self._outage.ended()
                wait_s = self._poll_s

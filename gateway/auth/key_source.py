"""The keys that one issuer publishes: fetched at the start, every few minutes, and when a token names one that is new.

*Fail static*: keys that were fetched are used until others take their place. An issuer that is down, or answers with rubbish or
with an empty set, changes nothing; where nodes share what they fetched, newer keys of another node stand in for it
(`gateway.auth.shared_keys`). What a stranger's token can cause is bounded: a name that is unknown makes one fetch for all
who wait for it, and the next one only some seconds later, however many names are made up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from broker.errors import Unavailable
from broker.last_look import NO_LOOK, LastLook
from config.clock import Clock
from config.logs import get_logger
from gateway.auth.jwks import BadKeySet, KeySet, PublishedKey, read_key_set
from gateway.auth.jwks_client import NotFetched
from gateway.auth.shared_keys import SharedDocuments

__all__ = ["PAUSE_S", "KeySource", "KeySourceState", "KeysUnavailable"]

_log = get_logger()

# Between the end of a fetch and the next one that a token may cause. With the time that fetching takes it is less than the
# time that a connection may take to connect, so that whoever comes with a new key is let in and not sent away.
PAUSE_S: Final = 4.0
_RETRY_S: Final = 60.0
_JITTER: Final = 0.1
# What this node has shared itself is not newer than what it holds: the two moments of one fetch differ by less than this.
_GRAIN_S: Final = 1.0
_NOTHING: Final = KeySet((), ())


class KeysUnavailable(Unavailable):
    """The issuer does not say which keys it has; whether the token is good is unknown, and it may be tried again."""


class KeySourceState(msgspec.Struct, frozen=True):
    """What an operator asks: how many keys are held, how old they are (None: there never were any), what is wrong ("" where the
    last fetch went well), and what came of the last fetch."""

    name: str
    keys: int
    age_s: float | None
    error: str
    fetches: int
    failures: int
    last: LastLook = NO_LOOK


class KeySource:
    """Holds the keys of one issuer.

    Args:
        name: The issuer's, for logs and metrics.
        fetch: Gets its document, or raises `NotFetched`; bounded in time and size.
        refresh_s: How often it is fetched again, unasked.
        address: Where from, as the settings have it; what is shared is known by it.
        shared: What nodes of the fleet have fetched; None where they do not share it.
    Attributes:
        on_change: Told at once, with the name and a digest of each key by its kid, when others are held than before. It must
            not fail.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[bytes]],
        clock: Clock,
        *,
        refresh_s: float,
        address: str = "",
        shared: SharedDocuments | None = None,
    ) -> None:
        self.name, self._address, self._shared = name, address, shared
        self._fetch, self._clock, self._refresh_s = fetch, clock, refresh_s
        self.on_change: Callable[[str, Mapping[str, str]], None] = lambda _name, _digests: None
        self._set = _NOTHING
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._error = ""
        self._last = NO_LOOK
        self._fetches = self._failures = self._failed_in_a_row = 0
        self._flight: asyncio.Task[None] | None = None

    def find(self, algorithm: str, kid: str | None) -> tuple[PublishedKey, ...]:
        """Find the keys that are held and that a token's header may mean; never waits."""
        return self._set.find(algorithm, kid)

    async def look_for(self, algorithm: str, kid: str | None) -> None:
        """Wait until it is known whether the issuer has a key: at once where it is held, else for one fetch.

        Raises:
            KeysUnavailable: It cannot be known now.
        """
        if self.find(algorithm, kid):
            return
        await asyncio.wait({self._begin()})  # whoever goes away leaves the fetch to the others
        if self._error and not self.find(algorithm, kid):
            raise KeysUnavailable(f"the keys of {self.name} cannot be fetched")

    async def run(self) -> None:
        """Keep the keys fresh, until cancelled."""
        while True:
            await asyncio.wait({self._begin()})
            await self._clock.sleep(self._rest_s())

    async def close(self) -> None:
        """End a fetch that is under way; may come twice."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait({self._flight})

    def state(self) -> KeySourceState:
        """Tell how it stands."""
        age_s = None if self._fetched_at is None else self._clock.monotonic() - self._fetched_at
        return KeySourceState(self.name, len(self._set.keys), age_s, self._error, self._fetches, self._failures, self._last)

    def _begin(self) -> asyncio.Task[None]:
        """Join the fetch that is under way, or begin one as soon as one may begin."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._renew(), name=f"keys:{self.name}")  # owned here: ended by close()
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._error = "a fault of ours"
            self._last = self._last.then(self._error, 0.0, self._clock.now())
            _log.error("keys.failed", issuer=self.name, exc_info=error)

    async def _renew(self) -> None:
        if self._tried_at is not None:
            await self._clock.sleep(self._tried_at + PAUSE_S - self._clock.monotonic())
        self._fetches += 1
        began = self._clock.monotonic()
        try:
            document = await self._fetch()
            self._take(read_key_set(document))
        except (NotFetched, BadKeySet) as exc:
            document = b""
            self._fail(str(exc))
        finally:
            self._tried_at = self._clock.monotonic()
        self._last = self._last.then(self._error, self._tried_at - began, self._clock.now())
        if self._shared is not None:
            if document:
                await self._shared.share(self._address, document)
            else:
                await self._stand_in(self._shared)

    async def _stand_in(self, shared: SharedDocuments) -> None:
        """Hold what another node has fetched, where it is newer; that this one could not fetch is told as before."""
        if (found := await shared.find(self._address)) is None:
            return
        age_s = max(0.0, self._clock.now().timestamp() - found.fetched_at)
        fetched_at = self._clock.monotonic() - age_s
        if self._fetched_at is not None and fetched_at <= self._fetched_at + _GRAIN_S:
            return
        try:
            self._hold(read_key_set(found.document), fetched_at)
        except BadKeySet:  # a version of ours that is less strict has shared it
            return
        _log.info("keys.stood_in", issuer=self.name, keys=len(self._set.keys), age_s=round(age_s))

    def _take(self, fetched: KeySet) -> None:
        if fetched.faults != self._set.faults:
            for fault in fetched.faults:
                _log.warning("keys.passed_over", issuer=self.name, reason=fault)
        if self._error:
            _log.info("keys.back", issuer=self.name, keys=len(fetched.keys))
        self._hold(fetched, self._clock.monotonic())
        self._error, self._failed_in_a_row = "", 0

    def _hold(self, fetched: KeySet, fetched_at: float) -> None:
        if (digests := fetched.digests()) != self._set.digests():
            _log.info("keys.changed", issuer=self.name, kids=sorted(digests))
            self.on_change(self.name, digests)
        self._set, self._fetched_at = fetched, fetched_at

    def _fail(self, reason: str) -> None:
        if reason != self._error:  # told once, and again when it is another one
            _log.warning("keys.not_fetched", issuer=self.name, reason=reason, keys=len(self._set.keys))
        self._error = reason
        self._failures += 1
        self._failed_in_a_row += 1

    def _rest_s(self) -> float:
        rest_s = self._refresh_s
        if self._failed_in_a_row:
            rest_s = min(rest_s, _RETRY_S, PAUSE_S * 2.0 ** min(self._failed_in_a_row, 10))
        return rest_s * (1 - _JITTER * self._clock.spread())

"""Whether a provider may be called now: its breaker, and the times in which it is to be left alone.

An operator may have it left alone too. What comes back to the queue then is due again in a moment, for an operator may think
otherwise at any time; claims leave it where it is as long as the gate is held.
Two things leave a provider alone beside the breaker: its own word (a Retry-After that is meant for everything), and settings
that are wrong. The latter is probed: after the pause a single call goes ahead, and the others follow only when its answer no
longer complains of the settings; each further complaint doubles the pause.
"""

from typing import Final

import msgspec

from broker.breaker import Breaker, BreakerState
from broker.last_look import NO_LOOK
from config.clock import Clock
from config.logs import get_logger
from pushers.outcome import Ambiguous, ConfigPause, Retry, SendOutcome
from pushers.retry import clamp_after_s

__all__ = ["Gate", "Permit"]

_log = get_logger()

_PAUSE_CAP_S: Final = 900.0
_HELD_S: Final = 1.0
# What says that something is wrong with the provider, its settings or the way to it.
_TROUBLES: Final = (Ambiguous, Retry, ConfigPause)


class Permit(msgspec.Struct, frozen=True, gc=False):
    """A call that may be made; to be handed back by `leave` or `abandon`."""

    number: int
    began: float
    is_probe: bool


class Gate:
    """One carrier's gate. Synchronous; time comes from the clock that is handed in."""

    def __init__(self, provider: str, clock: Clock, breaker: Breaker | None = None) -> None:
        self.provider = provider
        self.is_held = False
        """Whether an operator has it left alone."""
        self._clock = clock
        self._breaker = breaker or Breaker()
        self._quiet_until = 0.0  # by its own word
        self._paused_until = 0.0  # by ours: the settings are wrong
        self._complaints = 0
        self._probing = False
        self._complaint = ""
        self.last = NO_LOOK
        """What came of the last call; what is wrong with one message or device counts as an answer."""

    @property
    def complaint(self) -> str:
        """What was said last against the settings; empty while nothing is held against them."""
        return self._complaint if self._complaints else ""

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands now."""
        return self._breaker.state(self._clock.monotonic())

    @property
    def is_wide_open(self) -> bool:
        """Whether calls pass without being counted one by one."""
        return not self._complaints and self.state is BreakerState.CLOSED

    @property
    def is_out(self) -> bool:
        """Whether calls fail as far as can be told, or are not wanted: the breaker is open, the settings are wrong, or an
        operator has it left alone."""
        now = self._clock.monotonic()
        return self.is_held or self._breaker.state(now) is BreakerState.OPEN or now < self._paused_until

    def blocked_s(self) -> float:
        """Tell for how long nothing will pass; 0 where something may."""
        now = self._clock.monotonic()
        held_s = _HELD_S if self.is_held else 0.0
        return max(self._quiet_until - now, self._paused_until - now, self._breaker.blocked_s(now), held_s)

    def enter(self) -> Permit | None:
        """Ask to make a call; None where it must not be made now."""
        now = self._clock.monotonic()
        if self.is_held or now < max(self._quiet_until, self._paused_until) or self._probing:
            return None
        number = self._breaker.begin(now)
        if number is None:
            return None
        self._probing = self._complaints > 0
        return Permit(number, now, self._probing)

    def leave(self, permit: Permit, outcome: SendOutcome) -> float:
        """Tell how the call ended; gives back how many seconds it took."""
        now = self._clock.monotonic()
        took_s = now - permit.began
        failed = isinstance(outcome, Ambiguous) or (isinstance(outcome, Retry) and outcome.is_failure)
        before = self._breaker.state(now)
        error = outcome.reason if isinstance(outcome, _TROUBLES) else ""
        self.last = self.last.then(error, took_s, self._clock.now())
        self._breaker.end(permit.number, failed=failed, took_s=took_s, now=now, spread=self._clock.spread())
        self._tell_of_breaker(before, now)
        if permit.is_probe:
            self._probing = False
        match outcome:
            case ConfigPause(after_s=after_s) if now >= self._paused_until:
                # Those that were under way beside the first complaint only say the same once more.
                self._complaints += 1
                self._complaint = outcome.reason
                self._tell_of_complaint()
                pause_s = min(_PAUSE_CAP_S, clamp_after_s(after_s) * 2.0 ** min(self._complaints - 1, 20))
                self._paused_until = self._spread_until(pause_s)
            case ConfigPause():
                pass
            case Retry(after_s=float(after_s), scope="lane"):
                self._quiet_until = max(self._quiet_until, self._spread_until(clamp_after_s(after_s)))
            case _ if permit.is_probe and not failed:
                self._complaints = 0
                _log.warning("provider.resumed", provider=self.provider)
        return took_s

    def abandon(self, permit: Permit) -> None:
        """Give a permit back: the call was not made, or says nothing of the provider."""
        self._breaker.abandon(permit.number)
        if permit.is_probe:
            self._probing = False

    def trust_again(self) -> None:
        """Forget what was held against the settings: they have changed. The next call is a probe all the same."""
        self._paused_until = 0.0

    def _tell_of_complaint(self) -> None:
        """Alarm at the first one; what probes find out after it is the same trouble still."""
        told = {"provider": self.provider, "reason": self._complaint, "complaints": self._complaints}
        if self._complaints == 1:
            _log.error("provider.paused", **told)
        else:
            _log.warning("provider.still_paused", **told)

    def _tell_of_breaker(self, before: BreakerState, now: float) -> None:
        state = self._breaker.state(now)
        if state is not before:
            tell = _log.warning if state is BreakerState.OPEN else _log.info
            tell("breaker.moved", provider=self.provider, state=state, open_s=round(self._breaker.blocked_s(now), 1))

    def _spread_until(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds * (1 + 0.1 * self._clock.spread())

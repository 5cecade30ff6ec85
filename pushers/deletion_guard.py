"""Keeps a provider that suddenly calls many devices gone from emptying the registry.

A wrong key, topic or project makes a provider answer "unregistered" for devices that are perfectly alive. So the answers of a
window are counted: once those that would remove a device exceed both a number and a share of all, devices are kept until the
count has come down to half of that, or an operator says that the answers are true. Then nothing is counted for one window, or
each further batch of them would have to be confirmed again.

Each process counts for itself, each carrier apart. What was removed before the guard closed is at most what the settings allow.
"""

from collections import deque
from typing import Final

from config.clock import Clock
from config.logs import get_logger
from config.operation_settings import DeletionGuardSettings
from pushers.outcome import Accepted, DropDevice, DropMessage, SendOutcome, TooLarge

__all__ = ["DeletionGuard"]

_log = get_logger()

# The window moves in so many steps: fine enough, and bounded in memory whatever the rate.
_SLOTS: Final = 20


class _Slot:
    """Answers of one part of the window."""

    __slots__ = ("answers", "doubtful", "gone", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers = self.gone = self.doubtful = 0


class DeletionGuard:
    """One carrier's guard. Synchronous; time comes from the clock that is handed in."""

    def __init__(self, carrier: str, settings: DeletionGuardSettings, clock: Clock) -> None:
        self.carrier = carrier
        self._settings, self._clock = settings, clock
        self._slots: deque[_Slot] = deque()
        self._answers = self._gone = self._doubtful = 0
        self._is_keeping = False
        self._trusted_until = 0.0
        self._kept = 0

    @property
    def is_keeping(self) -> bool:
        """Whether devices are kept whatever the provider says."""
        self._look()
        return self._is_keeping

    @property
    def kept(self) -> int:
        """How many removals were held back so far."""
        return self._kept

    def allows(self, outcome: SendOutcome) -> bool:
        """Count an answer; False where it would remove a device that is to be kept."""
        match outcome:
            case DropDevice(confident=True):
                self._count(gone=1)
            case DropDevice():
                self._count(doubtful=1)
            case Accepted() | DropMessage() | TooLarge():
                self._count()
                return True
            case _:
                return True  # no answer about a device
        self._look()
        if self._is_keeping and outcome.confident:
            self._kept += 1
            return False
        return True

    def trust(self) -> None:
        """Believe the provider again, for at least one window: an operator has looked."""
        self._slots.clear()
        self._answers = self._gone = self._doubtful = 0
        self._trusted_until = self._clock.monotonic() + self._settings.window
        if self._is_keeping:
            self._reopen("an operator's word")

    def _count(self, *, gone: int = 0, doubtful: int = 0) -> None:
        if not self._settings.enabled or self._clock.monotonic() < self._trusted_until:
            return
        number = self._number()
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        slot = self._slots[-1]
        slot.answers += 1
        slot.gone += gone
        slot.doubtful += doubtful
        self._answers += 1
        self._gone += gone
        self._doubtful += doubtful

    def _look(self) -> None:
        """Forget what has left the window, and judge the rest."""
        oldest = self._number() - _SLOTS
        while self._slots and self._slots[0].number <= oldest:
            slot = self._slots.popleft()
            self._answers -= slot.answers
            self._gone -= slot.gone
            self._doubtful -= slot.doubtful
        excess = max(
            self._excess(self._gone, self._settings.share), self._excess(self._doubtful, self._settings.doubtful_share)
        )
        if not self._is_keeping and excess > 1:
            self._is_keeping = True
            _log.error(
                "deletion_guard.closed",
                provider=self.carrier,
                unregistered=self._gone,
                doubtful=self._doubtful,
                answers=self._answers,
            )
        elif self._is_keeping and excess <= 0.5:
            self._reopen("few again")

    def _excess(self, count: int, share: float) -> float:
        """How many times more than what is allowed."""
        return count / max(self._settings.least, share * self._answers)

    def _reopen(self, why: str) -> None:
        self._is_keeping = False
        _log.warning("deletion_guard.opened", provider=self.carrier, reason=why, kept=self._kept)

    def _number(self) -> int:
        return int(self._clock.monotonic() * _SLOTS / self._settings.window)

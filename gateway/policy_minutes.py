"""When subscriptions are judged again with nothing changed but the time: as minutes turn, while rules ask for it.

A minute is as finely as conditions can ask. While no rule about subscribing asks for the time, nothing is noted and nothing
done; whatever else rules are about is asked when it is done, and needs no looking after.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from config.clock import Clock
from gateway.auth.policy_desk import PolicyDesk
from gateway.tasks import Tasks
from gateway.wheel import Note, Wheel

__all__ = ["PolicyMinutes"]

_MINUTE_S: Final = 60.0


class PolicyMinutes:
    """One note on the wheel, or none.

    Args:
        look: Judges everybody again and then calls `mind`, so that one that takes over a minute is not overtaken by the next.
    """

    def __init__(
        self, desk: PolicyDesk, wheel: Wheel, tasks: Tasks, clock: Clock, look: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._desk, self._wheel, self._tasks, self._clock, self._look = desk, wheel, tasks, clock, look
        self._note: Note | None = None

    def mind(self, since: datetime) -> None:
        """Wait for the next minute if the policy in force asks for the time, else for none; to be called after each look.

        Args:
            since: When the look began: a minute that has turned meanwhile found some judged by the one before it.
        """
        if self._note is not None:
            self._note.drop()
            self._note = None
        if self._desk.enforced is not None and self._desk.enforced.asks_time_about("subscribe"):
            # Never early by the monotonic clock; if the wall clock lags behind it, the rest of the minute is waited for again.
            looked_s = (self._clock.now() - since).total_seconds()
            left_s = _MINUTE_S - since.timestamp() % _MINUTE_S - looked_s
            self._note = self._wheel.note(min(max(0.0, left_s), _MINUTE_S), self._turn)

    def _turn(self) -> None:
        self._note = None
        self._tasks.run(self._look(), "policy.minute")

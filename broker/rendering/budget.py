"""How much work one rendering may be: counted, so that the same template ends the same way on every machine.

Python cannot be stopped from outside, so every thing that a template can repeat or blow up pays before it happens: each entry
into the body of a loop or macro its weight, each call, filter and joined text its size. A unit is about a node of the template
or 64 characters, some 0.2 to 0.5 µs. The clock is looked at as well, as a net for what the count does not see.

The budget of the rendering under way stands in a context variable: what a template can name it could also reassign.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from config.clock import Clock

__all__ = ["MAX_ITEMS", "MAX_TEXT", "Budget", "Exhausted", "charge", "granted", "weigh"]

# What one rendering may be in all: fifty times what a long newsletter takes, and at most a third of a second.
UNITS: Final = 250_000
# The longest text and the longest list that may come into being on the way.
MAX_TEXT: Final = 256 * 1024
MAX_ITEMS: Final = 10_000
_DEADLINE_S: Final = 2.0
_UNIT_CHARS: Final = 64
_CLOCK_EVERY: Final = 256


class Exhausted(Exception):
    """The rendering asked for more than is granted; the text is the rule that it breaks."""


class Budget:
    """What is left of one rendering."""

    def __init__(self, clock: Clock, units: int = UNITS) -> None:
        self._clock, self._left = clock, units
        self._deadline = clock.monotonic() + _DEADLINE_S
        self._charges = 0

    def charge(self, units: int) -> None:
        """Take units.

        Raises:
            Exhausted: There are not so many left, or the time is over.
        """
        self._left -= units
        if self._left < 0:
            raise Exhausted("takes more work than one rendering may: loops are too long or too deep")
        self._charges += 1
        if self._charges % _CLOCK_EVERY == 0 and self._clock.monotonic() > self._deadline:
            raise Exhausted("takes longer than one rendering may")


_current: ContextVar[Budget | None] = ContextVar("rendering_budget", default=None)


@contextmanager
def granted(budget: Budget) -> Iterator[None]:
    """Render under a budget; in this thread or task alone."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


def charge(units: int) -> None:
    """Take units from the rendering under way; free while a template is only compiled."""
    budget = _current.get()
    if budget is not None:
        budget.charge(units)


def weigh(value: Any) -> int:
    """Charge for all that a value holds, and tell how many characters of text that is.

    Raises:
        Exhausted: It is more than a text may have. What is shared within the value counts each time, as it would be written.
    """
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            charge(len(item))
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            charge(len(item))
            waiting += item
        else:
            size += 8
        if size > MAX_TEXT or len(waiting) > MAX_TEXT:
            raise Exhausted(f"makes a text of more than {MAX_TEXT} characters")
    charge(1 + size // _UNIT_CHARS)
    return size

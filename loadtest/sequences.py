"""What a subscriber missed, got twice, or got in the wrong order.

Every source (one HTTP connection that publishes, one request after the other) numbers its publications from 1. The
order between sources is the server's to choose; within a source a subscriber must see every number once and rising.
"""

import msgspec

__all__ = ["Findings", "SequenceCheck", "SourceTotal"]


class SourceTotal(msgspec.Struct, frozen=True):
    """What one source published: numbers 1 to `last`, without those that were refused or whose fate is unknown."""

    source: int
    last: int
    refused: list[int] = []
    unknown: list[int] = []

    @property
    def accepted(self) -> int:
        """How many publications every subscriber must have got."""
        return self.last - len(self.refused) - len(self.unknown)


class Findings(msgspec.Struct, frozen=True):
    """Faults in what subscribers received; all zero when delivery was perfect."""

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.lost + other.lost, self.duplicated + other.duplicated, self.reordered + other.reordered)


class SequenceCheck:
    """Follows the numbers that one subscriber receives."""

    __slots__ = ("_duplicated", "_highest", "_missing", "_reordered")

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        self._missing: dict[int, set[int]] = {}
        self._duplicated = 0
        self._reordered = 0

    def see(self, source: int, number: int) -> None:
        """Take the next number that arrived from a source."""
        highest = self._highest.get(source, 0)
        if number == highest + 1:
            self._highest[source] = number
        elif number > highest:
            self._missing.setdefault(source, set()).update(range(highest + 1, number))
            self._highest[source] = number
        elif number in (missing := self._missing.get(source, set())):
            missing.remove(number)
            self._reordered += 1
        else:
            self._duplicated += 1

    def findings(self, totals: list[SourceTotal]) -> Findings:
        """Judge what was seen against what was published."""
        lost = 0
        for total in totals:
            missing = self._missing.get(total.source, set()) | set(
                range(self._highest.get(total.source, 0) + 1, total.last + 1)
            )
            lost += len(missing.difference(total.refused, total.unknown))
        return Findings(lost, self._duplicated, self._reordered)

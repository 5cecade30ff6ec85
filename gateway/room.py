"""The clients of this node in one channel, and how far the channel's stream has come here.

The position belongs to the room: in steady state all its positioned subscribers stand at the same offset, so a gap is
looked for once per publication and not once per client. A publication that does not follow the last one is *held*,
with all that come after it, until
`gateway.positions` has filled the gap from history or given it up.
"""

from collections.abc import Callable
from enum import Enum

from broker.model import Join, Leave, Position, Publication
from gateway.cohort import Audience, Cohort, Filter, Forms
from gateway.member import Member

__all__ = ["Room", "Taken"]


class Taken(Enum):
    """What became of a message that was brought to a room."""

    ADDED = "added"  # it leaves at the end of the turn
    KNOWN = "known"  # the room has had it
    HELD = "held"  # it waits behind a gap
    GAP = "gap"  # it is the first behind a gap


class Room:
    """One channel on this node."""

    __slots__ = (
        "_base",
        "channel",
        "checked_at",
        "cohorts",
        "entering",
        "held",
        "is_dirty",
        "position",
        "positioned",
        "size",
        "when_whole",
    )

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.cohorts: dict[Audience, Cohort] = {}
        # Clients on their way in, with the live publications that reached the room meanwhile.
        self.entering: dict[Member, list[Publication]] = {}
        self.size = 0
        self.positioned = 0
        self.is_dirty = False
        self.position: Position | None = None
        self.held: list[Publication] | None = None
        # Called with True when nothing is held back any more, with False when nobody can tell how long that takes.
        self.when_whole: list[Callable[[bool], None]] = []
        self.checked_at = 0.0
        self._base: bytes | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it or on the way in."""
        return self.size == 0 and not self.entering

    def is_behind(self, top: Position) -> bool:
        """Whether its stream has gone on, as somebody has read, without its having heard of that yet."""
        at = self.position
        return at is not None and (at.epoch != top.epoch or at.offset < top.offset)

    def has(self, publication: Publication) -> bool:
        """Whether it has come as far as a publication of its stream already."""
        at = self.position
        return at is not None and publication.epoch == at.epoch and publication.offset <= at.offset

    def add(self, member: Member, audience: Audience, passes: Filter | None, *, is_positioned: bool) -> None:
        """Let a member in; what waits for this turn must have been written before."""
        cohort = self.cohorts.get(audience)
        if cohort is None:
            cohort = self.cohorts[audience] = Cohort(audience, passes)
        cohort.add(member)
        self.size += 1
        self.positioned += is_positioned

    def remove(self, member: Member, audience: Audience, *, is_positioned: bool) -> None:
        """Let a member go."""
        cohort = self.cohorts[audience]
        cohort.remove(member)
        self.size -= 1
        self.positioned -= is_positioned
        if cohort.is_empty:
            del self.cohorts[audience]

    def take(self, message: Publication | Join | Leave) -> Taken:
        """Add a message to the batches of this turn, if it is the next."""
        base = None
        if isinstance(message, Publication):
            for buffered in self.entering.values():
                buffered.append(message)
            if self.held is not None:
                self.held.append(message)
                return Taken.HELD
            taken = self._advance(message)
            if taken is not Taken.ADDED:
                return taken
            base = self._base if message.delta and message.offset else None
            # What is in no stream breaks the chain: clients would take it for the base, and others never got it.
            self._base = message.data if message.offset else None
        forms = Forms(self.channel, message, base)
        for cohort in self.cohorts.values():
            cohort.take(message, forms)
        return Taken.ADDED

    def _advance(self, publication: Publication) -> Taken:
        offset, at = publication.offset, self.position
        if not offset:
            return Taken.ADDED
        if at is not None:
            if publication.epoch == at.epoch and offset <= at.offset:
                return Taken.KNOWN
            if self.positioned and (publication.epoch != at.epoch or offset != at.offset + 1):
                self.held = [publication]
                return Taken.GAP
        self.position = Position(offset, publication.epoch)
        return Taken.ADDED

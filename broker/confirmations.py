"""What users do with a notification: the marks they leave, where each puts it in their inbox, and which of them say "seen".

A mark is recorded with its first moment and never taken back, also after the notification has ended: the timeline's end is
decided once, what a person did later stays worth knowing. Where the notification lies in the inbox is one place, which marks
move; so counting and listing ask for a place, not for what all marks together come to.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

__all__ = ["RULES", "Mark", "Marked", "Place", "Rule"]


class Mark(StrEnum):
    """Something a user did. All but `opened` and `unread` say that somebody saw it, and so end every later step."""

    OPENED = "opened"  # its mail was shown by some program, for whoever: less than seen, so it ends and moves nothing
    SEEN = "seen"  # it was on a screen; what an ack says
    READ = "read"
    DISMISSED = "dismissed"  # swept away unopened
    CLICKED = "clicked"  # its link or itself was opened
    ARCHIVED = "archived"
    UNREAD = "unread"  # takes `read` or `archived` back in the inbox; is no moment to remember


class Place(IntEnum):
    """Where a notification lies in its user's inbox."""

    LEFT_OUT = 0
    UNSEEN = 1
    UNREAD = 2  # seen
    READ = 3
    ARCHIVED = 4


class Rule(msgspec.Struct, frozen=True):
    """What a mark does: it moves a notification that lies at one of `moves` to `to`, and records moments for `records`."""

    moves: tuple[Place, ...]
    to: Place
    records: tuple[Mark, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether it says that somebody saw the notification."""
        return Mark.SEEN in self.records

    def place_after(self, place: Place) -> Place:
        """Tell where a notification lies that lay at `place`."""
        return self.to if place in self.moves else place


_ARRIVED: Final = (Place.UNSEEN,)
_UNOPENED: Final = (Place.UNSEEN, Place.UNREAD)
RULES: Final[Mapping[Mark, Rule]] = {
    Mark.OPENED: Rule((), Place.UNSEEN, (Mark.OPENED,)),
    Mark.SEEN: Rule(_ARRIVED, Place.UNREAD, (Mark.SEEN,)),
    Mark.DISMISSED: Rule(_ARRIVED, Place.UNREAD, (Mark.SEEN, Mark.DISMISSED)),
    Mark.READ: Rule(_UNOPENED, Place.READ, (Mark.SEEN, Mark.READ)),
    Mark.CLICKED: Rule(_UNOPENED, Place.READ, (Mark.SEEN, Mark.READ, Mark.CLICKED)),
    Mark.ARCHIVED: Rule((*_UNOPENED, Place.READ), Place.ARCHIVED, (Mark.SEEN, Mark.ARCHIVED)),
    Mark.UNREAD: Rule((Place.READ, Place.ARCHIVED), Place.UNREAD),
}


class Marked(msgspec.Struct, frozen=True):
    """A mark and when it was first left."""

    mark: Mark
    at: datetime

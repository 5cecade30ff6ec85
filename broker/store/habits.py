"""When users open what they are told: counted with the marks that they leave, read for what is to be told by habit."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, select, update

from broker.confirmations import Mark
from broker.habits import NO_HOURS, Habits, Hours, count_open, is_enough
from broker.quiet_hours import zone_of
from broker.store.dialect import Among, TextList, upsert
from broker.store.habit_table import HABITS
from broker.store.moments import from_micros
from broker.store.preference_tables import USER_RULES
from broker.store.preferences import rules_from
from broker.store.schema import DEVICES

__all__ = ["Opens", "habits_of"]

# By which of all users it is told when users usually open: a look at so many rows.
_SAMPLE: Final = 500
# What a user does who reads; whoever sweeps away or files may do so at any time.
_OPENS: Final = frozenset({Mark.SEEN, Mark.READ, Mark.CLICKED})

_H: Final = HABITS.c
_USER: Final[BindParameter[str]] = bindparam("of_user")
_DECODER: Final = msgspec.json.Decoder(Hours)
_NONE: Final = msgspec.json.encode(NO_HOURS)

_RULES: Final = select(USER_RULES).where(USER_RULES.c.user == _USER)
_NEWEST_ZONE: Final = (
    select(DEVICES.c.timezone)
    .where(DEVICES.c.user == _USER, DEVICES.c.timezone != "")
    .order_by(DEVICES.c.registered_at.desc(), DEVICES.c.id.desc())
    .limit(1)
)
_SET: Final = update(HABITS).where(_H.user == _USER).values(hours=bindparam("new_hours"))
_OF_USERS: Final = select(HABITS).where(Among(_H.user, bindparam("among", type_=TextList())))
_OF_SOME: Final = select(_H.hours).limit(_SAMPLE)


class Opens:
    """Counts opens, where that is asked for.

    Args:
        timezone: The zone of users of whom none is known.
    """

    def __init__(self, *, is_kept: bool, timezone: str) -> None:
        self._is_kept, self._timezone = is_kept, timezone

    def marked(self, connection: Connection, user: str, left: Mark, now: int) -> None:
        """Count a mark on what was not seen before; within the transaction that brings it, and the last thing that it does."""
        if not self._is_kept or left not in _OPENS:
            return
        hour = from_micros(now).astimezone(zone_of(*self._zones(connection, user))).hour
        put = upsert(connection, HABITS)
        # Writing what is there holds the row, so that nobody else counts at the same time.
        hold = put.on_conflict_do_update(index_elements=[_H.user], set_={"hours": _H.hours}).returning(_H.hours)
        hours = connection.execute(hold, {"user": user, "hours": _NONE}).scalar_one()
        new = msgspec.json.encode(count_open(_DECODER.decode(hours), hour))
        connection.execute(_SET, {"of_user": user, "new_hours": new})

    def _zones(self, connection: Connection, user: str) -> tuple[str, str, str]:
        rules = connection.execute(_RULES, {"of_user": user}).one_or_none()
        said = "" if rules is None else rules_from(rules).timezone
        newest = "" if said else connection.execute(_NEWEST_ZONE, {"of_user": user}).scalar_one_or_none()
        return said, newest or "", self._timezone


def habits_of(connection: Connection, users: Iterable[str]) -> Mapping[str, Habits]:
    """Read the habits of users; a sample of all is looked at only where somebody's own say too little."""
    names = sorted(set(users))
    if not names:
        return {}
    own = {row.user: _DECODER.decode(row.hours) for row in connection.execute(_OF_USERS, {"among": names})}
    of_all = NO_HOURS
    if not all(is_enough(own.get(user, NO_HOURS)) for user in names):
        samples = [_DECODER.decode(hours) for hours in connection.execute(_OF_SOME).scalars()]
        of_all = tuple(sum(counts) for counts in zip(*samples, strict=True)) or NO_HOURS
    return {user: Habits(own.get(user, NO_HOURS), of_all) for user in names}

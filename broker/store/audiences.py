"""Who belongs to an audience, on SQL: pages of users in the order of their ids, each read by index and bounded.

Topics are numbered (`topic_tables`); an audience without topics is everybody who has a device.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from broker.errors import BadInput
from broker.store.bulk import Rows, execute_rows
from broker.store.dialect import Among, TextList
from broker.store.schema import DEVICES
from broker.store.topic_tables import SUBSCRIBERS, TOPICS

__all__ = ["MOST_COUNTED", "AudiencePage", "count_audience", "numbers_of", "read_page"]

MOST_COUNTED: Final = 1_000_000

_S: Final = SUBSCRIBERS.c
_D: Final = DEVICES.c

_TOPIC: Final = select(TOPICS.c.number).where(TOPICS.c.name == bindparam("of_name"))
# A user's first row is that of the user as a whole, where there is one: nothing has to be grouped.
_SUBSCRIBED: Final = (
    select(_S.user, _S.device_id)
    .where(_S.topic == bindparam("of_topic"), _S.user > bindparam("place"))
    .order_by(_S.user, _S.device_id)
    .limit(bindparam("most"))
)
_EVERYBODY: Final = select(_D.user).where(_D.user > bindparam("place")).order_by(_D.user).limit(bindparam("most"))
_USERS: Final = bindparam("among", type_=TextList())
# `device` is None where it is gone, or somebody else's by now.
_BY_DEVICE: Final = (
    select(_S.user, _S.device_id, _D.id.label("device"))
    .outerjoin_from(SUBSCRIBERS, DEVICES, (_D.id == _S.device_id) & (_D.user == _S.user))
    .where(_S.topic == bindparam("of_topic"), Among(_S.user, _USERS))
    .order_by(_S.user, _S.device_id)
)
_STALE: Final = Rows(_S.topic, _S.user, _S.device_id)
_FORGET: Final = delete(SUBSCRIBERS).where(
    tuple_(_S.topic, _S.user, _S.device_id).in_(
        select(_STALE[_S.topic], _STALE[_S.user], _STALE[_S.device_id]).select_from(_STALE.given)
    )
)
_SIZE: Final = select(func.count()).select_from(
    select(_S.user).where(_S.topic == bindparam("of_topic")).limit(bindparam("most")).subquery()
)
_SIZE_OF_ALL: Final = select(func.count()).select_from(select(_D.user).distinct().limit(bindparam("most")).subquery())


class AudiencePage(msgspec.Struct, frozen=True):
    """The next users of an audience, in the order of their ids.

    Attributes:
        users: Those who are meant as a whole.
        devices_by_user: Those of whom only devices are subscribed, with these; none where all are gone.
        place: The last of them.
        is_last: Nobody comes after them.
    """

    users: tuple[str, ...]
    devices_by_user: Mapping[str, tuple[str, ...]]
    place: str
    is_last: bool

    @property
    def taken(self) -> int:
        """How many users these are."""
        return len(self.users) + len(self.devices_by_user)


def numbers_of(connection: Connection, topics: Sequence[str]) -> list[int]:
    """Find topics.

    Raises:
        BadInput: Naming `topic`, or `topics[i]` where there are several, that does not exist.
    """
    numbers = [connection.execute(_TOPIC, {"of_name": topic}).scalar_one_or_none() for topic in topics]
    if None in numbers:
        field = "topic" if len(topics) == 1 else f"topics[{numbers.index(None)}]"
        raise BadInput(field, "must be a topic that exists")
    return [int(number) for number in numbers if number is not None]


def count_audience(connection: Connection, topics: Sequence[int]) -> int:
    """Count an audience, each topic by its subscriptions; at most a million."""
    if not topics:
        return int(connection.execute(_SIZE_OF_ALL, {"most": MOST_COUNTED}).scalar_one())
    counts = (connection.execute(_SIZE, {"of_topic": topic, "most": MOST_COUNTED}).scalar_one() for topic in topics)
    return min(MOST_COUNTED, sum(counts))


def read_page(connection: Connection, topics: Sequence[int], place: str, limit: int) -> AudiencePage:
    """Read at most `limit` users behind `place`, and forget the subscriptions of devices that are gone.

    Whoever is in several topics is met once: these are walked side by side.
    """
    asked = {"place": place, "most": limit}
    ranges: list[Sequence[Any]]
    if topics:
        ranges = [connection.execute(_SUBSCRIBED, {**asked, "of_topic": topic}).all() for topic in topics]
    else:
        ranges = [connection.execute(_EVERYBODY, asked).all()]
    # A range that was cut is known up to its last user, and so is nobody behind them.
    known_to = min((rows[-1].user for rows in ranges if len(rows) == limit), default=None)
    users = sorted({row.user for rows in ranges for row in rows if known_to is None or row.user <= known_to})
    is_last = known_to is None and len(users) <= limit
    users = users[:limit]
    whole = _whole(ranges) if topics else set(users)
    partly = [user for user in users if user not in whole]
    devices = _devices(connection, topics, partly) if partly else {}
    return AudiencePage(
        tuple(user for user in users if user in whole),
        {user: tuple(devices.get(user, ())) for user in partly},
        users[-1] if users else place,
        is_last,
    )


def _whole(ranges: Sequence[Sequence[Any]]) -> set[str]:
    return {row.user for rows in ranges for row in rows if not row.device_id}


def _devices(connection: Connection, topics: Sequence[int], users: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Tell which devices of users are subscribed, each once."""
    found: dict[str, dict[str, None]] = {}
    stale: list[tuple[int, str, str]] = []
    for topic in topics:
        for row in connection.execute(_BY_DEVICE, {"of_topic": topic, "among": list(users)}):
            if row.device is None:
                stale.append((topic, row.user, row.device_id))
            else:
                found.setdefault(row.user, {})[row.device] = None
    execute_rows(connection, _FORGET, stale)
    return {user: list(devices) for user, devices in found.items()}

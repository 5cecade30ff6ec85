"""Topics on SQL."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from broker.audit import Act
from broker.errors import BadInput, NotFound
from broker.store.audit_trail import Trail
from broker.store.bulk import Rows, execute_rows
from broker.store.database import Database
from broker.store.dialect import Among, TextList, upsert
from broker.store.moments import from_micros, to_micros
from broker.store.schema import DEVICES
from broker.store.texts import check_name, is_name
from broker.store.topic_tables import SUBSCRIBERS, TOPICS
from broker.topics import Subscriber, Topic
from config.clock import Clock

__all__ = ["SqlTopics"]

_T: Final = TOPICS.c
_S: Final = SUBSCRIBERS.c

_NUMBER: Final = select(_T.number).where(_T.name == bindparam("of_name"))
# Nobody removes the topic before whoever subscribes has committed.
_NUMBER_HELD: Final = _NUMBER.with_for_update(read=True, key_share=True)
_DEVICE: Final = select(DEVICES.c.id).where(DEVICES.c.id == bindparam("of_device"), DEVICES.c.user == bindparam("of_user"))
_LEAVE: Final = delete(SUBSCRIBERS).where(
    _S.topic == bindparam("of_topic"), Among(_S.user, bindparam("among", type_=TextList()))
)
_LEAVE_BY_DEVICE: Final = _LEAVE.where(_S.device_id == bindparam("of_device"))
_ALL: Final = select(_T.name, _T.created_at).where(_T.name > bindparam("after")).order_by(_T.name).limit(bindparam("most"))
# A user is in few topics, so that all are read before they are sorted.
_OF_USER: Final = (
    select(_T.name, _T.created_at)
    .distinct()
    .join_from(SUBSCRIBERS, TOPICS, _T.number == _S.topic)
    .where(_S.user == bindparam("of_user"), _T.name > bindparam("after"))
    .order_by(_T.name)
    .limit(bindparam("most"))
)
_SUBSCRIBERS: Final = (
    select(_S.user, _S.device_id, _S.subscribed_at)
    .where(
        _S.topic == bindparam("of_topic"),
        tuple_(_S.user, _S.device_id) > tuple_(bindparam("after_user"), bindparam("after_device")),
    )
    .order_by(_S.user, _S.device_id)
    .limit(bindparam("most"))
)
_REMOVE: Final = update(TOPICS).where(_T.name == bindparam("of_name")).values(name=None)
_REMOVED: Final = select(_T.number).where(_T.name.is_(None)).order_by(_T.number).limit(1)
_SOME: Final = (
    select(_S.user, _S.device_id)
    .where(_S.topic == bindparam("of_topic"))
    .order_by(_S.user, _S.device_id)
    .limit(bindparam("most"))
)
_GONE: Final = Rows(_S.user, _S.device_id)
_CLEAR: Final = delete(SUBSCRIBERS).where(
    _S.topic == bindparam("of_topic"),
    tuple_(_S.user, _S.device_id).in_(select(_GONE[_S.user], _GONE[_S.device_id]).select_from(_GONE.given)),
)
_FORGET: Final = delete(TOPICS).where(_T.number == bindparam("of_topic"), _T.name.is_(None))


class SqlTopics:
    """Implements `broker.topics.Topics`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail) -> None:
        self._database, self._clock, self._trail = database, clock, trail

    async def create(self, topic: str) -> None:
        check_name("topic", topic)
        now = to_micros(self._clock.now())
        await self._trail.write(lambda connection: _created(connection, topic, now), Act("topic.created", f"topic:{topic}"))

    async def subscribe(self, topic: str, users: Sequence[str], *, device_id: str = "", creates: bool = True) -> None:
        check_name("topic", topic)
        for user in users:
            check_name("user", user)
        if not is_name(device_id):
            raise _unknown_device()
        now = to_micros(self._clock.now())
        rows = [{"user": user, "device_id": device_id, "subscribed_at": now} for user in sorted(set(users))]
        act = _membership("topic.subscribed", topic, users, device_id)
        await self._trail.write(partial(_subscribe, topic=topic, rows=rows, creates=creates), act)

    async def unsubscribe(self, topic: str, users: Sequence[str], *, device_id: str = "") -> None:
        named = sorted({user for user in users if is_name(user)})
        act = _membership("topic.unsubscribed", topic, named, device_id)
        await self._trail.write(partial(_unsubscribe, topic=topic, users=named, device_id=device_id), act)

    async def find(self, *, user: str = "", after: str = "", limit: int) -> Sequence[Topic]:
        if not (is_name(user) and is_name(after)):
            return ()
        query, asked = (_OF_USER, {"of_user": user}) if user else (_ALL, {})
        rows = await self._database.read(
            lambda connection: connection.execute(query, {**asked, "after": after, "most": limit}).all()
        )
        return [Topic(row.name, from_micros(row.created_at)) for row in rows]

    async def subscribers(self, topic: str, *, after: tuple[str, str] = ("", ""), limit: int) -> Sequence[Subscriber]:
        if not all(map(is_name, after)):
            return ()
        asked = {"after_user": after[0], "after_device": after[1], "most": limit}
        rows = await self._database.read(
            lambda connection: connection.execute(_SUBSCRIBERS, {**asked, "of_topic": _known(connection, topic)}).all()
        )
        return [Subscriber(row.user, row.device_id, from_micros(row.subscribed_at)) for row in rows]

    async def remove(self, topic: str) -> None:
        if not is_name(topic):
            raise NotFound("topic")
        act = Act("topic.removed", f"topic:{topic}")
        if not await self._trail.write(
            lambda connection: connection.execute(_REMOVE, {"of_name": topic}).rowcount, lambda count: [act] if count else []
        ):
            raise NotFound("topic")

    async def sweep(self, *, limit: int) -> int:
        # Looked at first: where nothing was removed, it costs no write.
        number = await self._database.read(lambda connection: connection.execute(_REMOVED).scalar_one_or_none())
        if number is None:
            return 0
        return await self._database.write(partial(_clear, number=number, limit=limit))


def _membership(action: str, topic: str, users: Sequence[str], device_id: str) -> Act:
    """Tell of one user by name, and of many by their number."""
    details = {"device": device_id} if device_id else {}
    if len(users) == 1:
        return Act(action, f"topic:{topic}", users[0], details=details)
    return Act(action, f"topic:{topic}", details={**details, "users": len(users)})


def _known(connection: Connection, topic: str) -> int:
    """Tell the number of a topic.

    Raises:
        NotFound: It does not exist.
    """
    number = connection.execute(_NUMBER, {"of_name": topic}).scalar_one_or_none() if is_name(topic) else None
    if number is None:
        raise NotFound("topic")
    return int(number)


def _created(connection: Connection, topic: str, now: int) -> int:
    """Tell the number of a topic that exists from now on, and hold it."""
    insert = upsert(connection, TOPICS).values(name=topic, created_at=now)
    connection.execute(insert.on_conflict_do_nothing(index_elements=[_T.name]))
    return int(connection.execute(_NUMBER_HELD, {"of_name": topic}).scalar_one())


def _subscribe(connection: Connection, topic: str, rows: Sequence[dict[str, Any]], creates: bool) -> None:
    if not rows:
        return
    if device_id := rows[0]["device_id"]:
        asked = {"of_device": device_id, "of_user": rows[0]["user"]}
        if connection.execute(_DEVICE, asked).first() is None:
            raise _unknown_device()
    number = connection.execute(_NUMBER_HELD, {"of_name": topic}).scalar_one_or_none()
    if number is None:
        if not creates:
            raise NotFound("topic")
        number = _created(connection, topic, int(rows[0]["subscribed_at"]))
    insert = upsert(connection, SUBSCRIBERS).on_conflict_do_nothing(index_elements=[_S.topic, _S.user, _S.device_id])
    connection.execute(insert, [{**row, "topic": number} for row in rows])


def _unsubscribe(connection: Connection, topic: str, users: Sequence[str], device_id: str) -> None:
    named = {"of_topic": _known(connection, topic), "among": list(users)}
    if not device_id:
        connection.execute(_LEAVE, named)
    elif is_name(device_id):
        connection.execute(_LEAVE_BY_DEVICE, {**named, "of_device": device_id})


def _clear(connection: Connection, number: int, limit: int) -> int:
    """Clear some subscriptions of a removed topic away, and the topic with the last of them."""
    rows = connection.execute(_SOME, {"of_topic": number, "most": limit}).all()
    execute_rows(connection, _CLEAR, [tuple(row) for row in rows], of_topic=number)
    if len(rows) < limit:
        connection.execute(_FORGET, {"of_topic": number})
    return len(rows)


def _unknown_device() -> BadInput:
    return BadInput("device", "must be a device of the user")

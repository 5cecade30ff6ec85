"""Rows of notifications into the facts that statistics count, a page at a time by the primary key, which follows time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from broker.store.dialect import Among, TextList
from broker.store.marks_table import MARKS
from broker.store.moments import to_micros
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from broker.tallies import HOUR_US, Facts, Line

__all__ = ["hour_of_id", "read_facts"]

_N: Final = NOTIFICATIONS.c
_E: Final = ENTRIES.c
_IDS: Final = bindparam("among", type_=TextList())
_PAGE: Final = (
    select(_N.id, _N.draft_id, _N.state, _N.experiment, _N.variant)
    .where(_N.id >= bindparam("first"), _N.id < bindparam("before"))
    .order_by(_N.id)
    .limit(bindparam("most"))
)
_DRAFTS: Final = select(DRAFTS.c.id, DRAFTS.c.lane, DRAFTS.c.created_at, DRAFTS.c.body).where(Among(DRAFTS.c.id, _IDS))
_LINES: Final = (
    select(_E.notification_id, _E.at, _E.route, _E.outcome, _E.provider, _E.device_id)
    .where(Among(_E.notification_id, _IDS))
    .order_by(_E.notification_id, _E.at, _E.number)
)
_MARKS: Final = select(MARKS.c.notification_id, MARKS.c.mark, MARKS.c.at).where(Among(MARKS.c.notification_id, _IDS))
_STEPS: Final = select(STEPS.c.notification_id, STEPS.c.device_id).where(Among(STEPS.c.notification_id, _IDS))


class _Content(msgspec.Struct, frozen=True, gc=False):
    category: str = ""


class _Terms(msgspec.Struct, frozen=True, gc=False):
    send_at: datetime | None = None
    send_at_local: str = ""
    by_habit: bool = False
    collects_until: tuple[str, ...] = ()


class _Body(msgspec.Struct):
    """What of `rows.Body` is counted by."""

    content: _Content
    terms: _Terms = _Terms()


class _Draft(msgspec.Struct):
    category: str
    lane: int
    starts_at: int | None


_DECODER: Final = msgspec.json.Decoder(_Body)


def hour_of_id(notification_id: str) -> int:
    """Tell the beginning of the hour in which an id (UUID version 7) was made, in microseconds."""
    micros = int(notification_id.replace("-", "")[:12], 16) * 1000
    return micros - micros % HOUR_US


def read_facts(connection: Connection, first: str, before: str, limit: int) -> tuple[Sequence[Facts], str]:
    """Read notifications with ids from `first` up to `before`, in their order; tells where to go on, empty at the end."""
    rows = connection.execute(_PAGE, {"first": first, "before": before, "most": limit}).all()
    among = {"among": [row.id for row in rows]}
    if not rows:
        return (), ""
    drafts = _drafts(connection, sorted({row.draft_id for row in rows}))
    lines: dict[str, list[Line]] = {}
    for notification_id, at, route, outcome, provider, device_id in connection.execute(_LINES, among).all():
        lines.setdefault(notification_id, []).append(Line(at, route, outcome, provider, device_id))
    marks: dict[str, dict[str, int]] = {}
    for notification_id, mark, at in connection.execute(_MARKS, among).all():
        marks.setdefault(notification_id, {})[mark] = at
    steps: dict[str, list[str]] = {}
    for notification_id, device_id in connection.execute(_STEPS, among).all():
        steps.setdefault(notification_id, []).append(device_id)
    facts = []
    for notification_id, draft_id, state, experiment, variant in rows:
        draft = drafts.get(draft_id)
        if draft is None:
            continue  # removed between two statements
        facts.append(
            Facts(
                hour_of_id(notification_id),
                draft.category,
                draft.lane,
                experiment,
                variant,
                state,
                draft.starts_at,
                lines.get(notification_id, ()),
                marks.get(notification_id, {}),
                steps.get(notification_id, ()),
            )
        )
    return facts, _after(rows[-1].id) if len(rows) == limit else ""


def _after(notification_id: str) -> str:
    """Make a text that lies between an id and the next one."""
    return f"{notification_id}~"


def _drafts(connection: Connection, ids: list[str]) -> dict[str, _Draft]:
    found: dict[str, _Draft] = {}
    row: Any
    for row in connection.execute(_DRAFTS, {"among": ids}):
        body = _DECODER.decode(row.body)
        terms = body.terms
        starts_at = row.created_at if terms.send_at is None else to_micros(terms.send_at)
        # By the user's clock: nobody knows any more which moment that was.
        is_local = bool(terms.send_at_local or terms.by_habit or terms.collects_until)
        found[row.id] = _Draft(body.content.category.replace("\0", ""), row.lane, None if is_local else starts_at)
    return found

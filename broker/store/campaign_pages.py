"""Pages of campaigns on SQL: users told, pages called off, and what became of them; each a function of one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from broker.campaigns import CampaignEvent, CampaignState, Expansion, following, next_page_at
from broker.notification import Draft, Route, State
from broker.routing import RoutePolicy, in_turn
from broker.store import companions
from broker.store.accepting import prepare, store_new
from broker.store.audiences import AudiencePage, read_page
from broker.store.bulk import execute_rows, insert_rows
from broker.store.campaign_rows import decode_body
from broker.store.campaign_tables import CAMPAIGNS, COUNTS, PAGES, TARGETS
from broker.store.dialect import upsert
from broker.store.moments import from_micros, to_micros
from broker.store.schema import NOTIFICATIONS
from broker.store.status_outbox import StatusOutbox
from config.clock import Clock

__all__ = ["CalledOff", "call_off", "expand", "for_devices", "tally"]

_C: Final = CAMPAIGNS.c
_P: Final = PAGES.c
_N: Final = NOTIFICATIONS.c

# What one call to call off ends at most, so that no other write waits for long.
_PIECE: Final = 500
_SECOND_US: Final = 1_000_000
# A page is looked at again when it has become half as old again, but while something is pending at least this often.
_LONGEST_PENDING_US: Final = 300 * _SECOND_US
_SHORTEST_US: Final = 2 * _SECOND_US
# Rows that are gone from a page: their users were erased.
_REMOVED: Final = "removed"

# Not its key, to which pages and counts refer: whoever counts a page that is waited for adds to the sums meanwhile.
_HOLD: Final = select(CAMPAIGNS).where(_C.id == bindparam("of_campaign")).with_for_update(key_share=True, skip_locked=True)
_MOVE: Final = (
    update(CAMPAIGNS)
    .where(_C.id == bindparam("of_campaign"))
    .values(
        state=bindparam("new_state"),
        place=bindparam("new_place"),
        due_at=bindparam("new_due_at"),
        finished_at=bindparam("new_finished_at"),
        expanded=_C.expanded + bindparam("more_expanded"),
        skipped=_C.skipped + bindparam("more_skipped"),
    )
)
_ADD_PAGE: Final = insert(PAGES)
_AIM: Final = insert_rows(TARGETS, TARGETS.c.notification_id, TARGETS.c.device_id)
_NEXT_PAGE: Final = (
    select(PAGES)
    .where(_P.campaign_id == bindparam("of_campaign"), _P.draft_id > bindparam("after"))
    .order_by(_P.draft_id)
    .limit(1)
    .with_for_update()
)
_PENDING: Final = (
    select(_N.id)
    .where(_N.draft_id == bindparam("of_draft"), _N.state == State.PENDING.value)
    .order_by(_N.id)
    .limit(bindparam("most"))
)
_CALLED_OFF_TO: Final = (
    update(CAMPAIGNS).where(_C.id == bindparam("of_campaign")).values(calling_off=bindparam("new_calling_off"))
)
_CALLED_OFF: Final = (
    update(CAMPAIGNS)
    .where(_C.id == bindparam("of_campaign"))
    .values(calling_off=None, place="", finished_at=bindparam("new_finished_at"))
)
_DUE_PAGES: Final = (
    select(PAGES)
    .where(_P.tally_at <= bindparam("now"))
    .order_by(_P.tally_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_STATES: Final = select(_N.state, func.count().label("total")).where(_N.draft_id == bindparam("of_draft")).group_by(_N.state)
_COUNTED: Final = (
    update(PAGES)
    .where(_P.campaign_id == bindparam("of_campaign"), _P.draft_id == bindparam("of_draft"))
    .values(counts=bindparam("new_counts"), tally_at=bindparam("new_tally_at"))
)
_NUMBERS: Final = msgspec.json.Decoder(dict[str, int])

# (campaign, state) to a difference of its count.
Differences = Counter[tuple[str, str]]


class CalledOff(msgspec.Struct, frozen=True):
    """What a piece of calling off came to: the ids that were called off, and whether somebody should go on."""

    ids: tuple[str, ...] = ()
    goes_on: bool = False


def expand(connection: Connection, campaign_id: str, limit: int, clock: Clock) -> Expansion | None:
    """Tell a page of users; None where the campaign does not run, is not due, or somebody else holds it."""
    row = connection.execute(_HOLD, {"of_campaign": campaign_id}).one_or_none()
    now = clock.now()
    if row is None or row.state != CampaignState.RUNNING.value or row.due_at is None or row.due_at > to_micros(now):
        return None
    body = decode_body(row.body)
    page = read_page(connection, body.numbers, row.place, limit)
    told = _tell(connection, campaign_id, body.draft, page, clock)
    skipped = page.taken - len(told)
    state, due_at = CampaignState(row.state), None
    if page.is_last:
        state = following(state, CampaignEvent.FINISH)
    else:
        due_at = to_micros(next_page_at(from_micros(row.due_at), now, page.taken, row.rate_per_s))
    moved = {
        "of_campaign": campaign_id,
        "new_state": state.value,
        "new_place": "" if page.is_last else page.place,
        "new_due_at": due_at,
        "new_finished_at": to_micros(now) if page.is_last else None,
        "more_expanded": len(told),
        "more_skipped": skipped,
    }
    connection.execute(_MOVE, moved)
    arrives_now = body.draft.inbox and not body.draft.terms.arrives
    return Expansion(len(told), skipped, page.is_last, told if arrives_now else ())


def for_devices(draft: Draft) -> Draft | None:
    """Make of a draft one for devices: not live, which reaches a user's every connection, and not collected with what goes to
    others. None where the request names no route to a device."""
    routing = draft.terms.routing or RoutePolicy(in_turn(draft.routes))
    stages = routing.stages or in_turn(route for route in Route)
    without_live = tuple(tuple(route for route in stage if route is not Route.LIVE) for stage in stages)
    routing = msgspec.structs.replace(routing, stages=tuple(stage for stage in without_live if stage))
    if not routing.stages:
        return None
    terms = msgspec.structs.replace(draft.terms, routing=routing, is_aimed=True)
    return msgspec.structs.replace(draft, routes=routing.routes, terms=terms, digest=None)


def _tell(connection: Connection, campaign_id: str, draft: Draft, page: AudiencePage, clock: Clock) -> tuple[str, ...]:
    """Store a page's notifications; tells whose they are."""
    _store(connection, campaign_id, msgspec.structs.replace(draft, users=page.users), clock)
    aimed = for_devices(draft) if page.devices_by_user else None
    if aimed is None:
        return page.users
    reachable = tuple(user for user, devices in page.devices_by_user.items() if devices)
    answer = _store(connection, campaign_id, msgspec.structs.replace(aimed, users=reachable), clock)
    execute_rows(connection, _AIM, [(id_, device) for user, id_ in answer for device in page.devices_by_user[user]])
    return page.users + reachable


def _store(connection: Connection, campaign_id: str, draft: Draft, clock: Clock) -> Sequence[tuple[str, str]]:
    """Store notifications as `notify` does, and their page; gives pairs of user and id."""
    if not draft.users:
        return ()
    # Whose turn comes after the latest moment is told at once.
    new = msgspec.structs.replace(prepare(draft, clock), latest_at=None)
    answer = [(one.user, one.id) for one in store_new(connection, new, None)]
    counts = {State.PENDING.value: len(answer)}
    told_at = new.draft["created_at"]
    page = {
        "campaign_id": campaign_id,
        "draft_id": new.draft["id"],
        "told_at": told_at,
        "users": len(answer),
        "counts": msgspec.json.encode(counts),
        "tally_at": told_at + _SHORTEST_US,
    }
    connection.execute(_ADD_PAGE, page)
    _add(connection, Counter({(campaign_id, State.PENDING.value): len(answer)}))
    return answer


def call_off(connection: Connection, campaign_id: str, now: int, outbox: StatusOutbox) -> CalledOff:
    """Call off a piece of what is pending of a cancelled campaign, page after page."""
    row = connection.execute(_HOLD, {"of_campaign": campaign_id}).one_or_none()
    if row is None or row.calling_off is None:
        return CalledOff()
    page = connection.execute(_NEXT_PAGE, {"of_campaign": campaign_id, "after": row.calling_off}).one_or_none()
    if page is None:
        connection.execute(_CALLED_OFF, {"of_campaign": campaign_id, "new_finished_at": now})
        return CalledOff()
    ids = list(connection.execute(_PENDING, {"of_draft": page.draft_id, "most": _PIECE}).scalars())
    companions.call_off(connection, ids, now, outbox, "its campaign was called off")
    if len(ids) < _PIECE:
        differences: Differences = Counter()
        _look_at(connection, page, now, page.told_at, differences)
        _add(connection, differences)
        connection.execute(_CALLED_OFF_TO, {"of_campaign": campaign_id, "new_calling_off": page.draft_id})
    return CalledOff(tuple(ids), goes_on=True)


def tally(connection: Connection, now: int, limit: int, oldest: int) -> int:
    """Count pages anew whose turn it is; those that were told at `oldest` or before for the last time."""
    pages = connection.execute(_DUE_PAGES, {"now": now, "most": limit}).all()
    differences: Differences = Counter()
    for page in pages:
        _look_at(connection, page, now, oldest, differences)
    _add(connection, differences)
    return len(pages)


def _look_at(connection: Connection, page: Row[Any], now: int, oldest: int, differences: Differences) -> None:
    """Count a page, which the caller holds, and note what is different."""
    before = _NUMBERS.decode(page.counts)
    found = {row.state: int(row.total) for row in connection.execute(_STATES, {"of_draft": page.draft_id})}
    if not found:  # gone by age: what was counted last stays
        counts, tally_at = before, None
    else:
        removed = page.users - sum(found.values())
        counts = {**found, _REMOVED: removed} if removed > 0 else found
        tally_at = _next_look(page.told_at, now, oldest, is_pending=State.PENDING.value in found)
    for state in before.keys() | counts.keys():
        differences[page.campaign_id, state] += counts.get(state, 0) - before.get(state, 0)
    counted = {
        "of_campaign": page.campaign_id,
        "of_draft": page.draft_id,
        "new_counts": msgspec.json.encode(counts),
        "new_tally_at": tally_at,
    }
    connection.execute(_COUNTED, counted)


def _next_look(told_at: int, now: int, oldest: int, *, is_pending: bool) -> int | None:
    """Decide when a page is counted again: the older it is the more rarely, for what happens late is little. What was accepted
    by a provider, and so has ended, is still seen by people later."""
    if told_at <= oldest and not is_pending:
        return None
    pause = max(_SHORTEST_US, (now - told_at) // 2)
    return now + (min(pause, _LONGEST_PENDING_US) if is_pending else pause)


def _add(connection: Connection, differences: Mapping[tuple[str, str], int]) -> None:
    """Add to the sums, in one order for all who do."""
    rows = [
        {"campaign_id": campaign_id, "state": state, "total": number}
        for (campaign_id, state), number in sorted(differences.items())
        if number
    ]
    if not rows:
        return
    add = upsert(connection, COUNTS)
    add = add.on_conflict_do_update(
        index_elements=[COUNTS.c.campaign_id, COUNTS.c.state], set_={"total": COUNTS.c.total + add.excluded.total}
    )
    connection.execute(add, rows)

"""Campaigns on SQL."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, literal_column, select, update

from broker.audit import Act
from broker.campaigns import Campaign, CampaignEvent, CampaignState, Due, Expansion, NewCampaign, due_at_rate, following
from broker.errors import BadInput, NotFound
from broker.notification import Accepted, Lane, State
from broker.store import campaign_pages
from broker.store.accepting import due_of
from broker.store.audiences import count_audience, numbers_of
from broker.store.audit_trail import Trail
from broker.store.bulk import Rows, execute_rows
from broker.store.campaign_pages import CalledOff
from broker.store.campaign_rows import Body, campaign_from, decode_body, encode_body
from broker.store.campaign_tables import CAMPAIGNS, COUNTS, PAGES
from broker.store.database import Database
from broker.store.dialect import Among, TextList
from broker.store.idempotency import Key, take_key
from broker.store.ledger import SqlLedger
from broker.store.moments import from_micros, to_micros
from broker.store.schema import STEPS
from broker.store.status_outbox import StatusOutbox
from broker.store.texts import check_name, is_name
from config.clock import Clock
from config.tracing import linked

__all__ = ["SqlCampaigns"]

_C: Final = CAMPAIGNS.c
_S: Final = STEPS.c
_ID: Final = bindparam("of_campaign", type_=_C.id.type)
_ENDS: Final = (CampaignState.DONE, CampaignState.CANCELLED)
# Above every id.
_NEWEST: Final = "~"

_ONE: Final = select(CAMPAIGNS).where(_C.id == _ID)
_HELD: Final = _ONE.with_for_update(key_share=True)  # as `campaign_pages` holds it
_SOME: Final = select(CAMPAIGNS).where(_C.id < bindparam("before")).order_by(_C.id.desc()).limit(bindparam("most"))
_COUNTS: Final = select(COUNTS).where(Among(COUNTS.c.campaign_id, bindparam("among", type_=TextList())))
_STAND: Final = update(CAMPAIGNS).where(_C.id == _ID).values(state=bindparam("new_state"), due_at=bindparam("new_due_at"))
_SET_RATE: Final = (
    update(CAMPAIGNS).where(_C.id == _ID).values(rate_per_s=bindparam("new_rate_per_s"), due_at=bindparam("new_due_at"))
)
_BEGIN: Final = (
    update(CAMPAIGNS)
    .where(_C.id == _ID)
    .values(state=bindparam("new_state"), begun_at=bindparam("now"), size=bindparam("new_size"))
)
_CANCEL: Final = (
    update(CAMPAIGNS)
    .where(_C.id == _ID)
    .values(state=bindparam("new_state"), due_at=None, finished_at=None, calling_off=bindparam("from_the_first"))
)
_DUE: Final = (
    select(_C.id, _C.lane, _C.state, _C.due_at, _C.rate_per_s)
    .where(_C.lane == bindparam("of_lane"), _C.due_at.is_not(None))
    .order_by(_C.due_at)
    .limit(1)
)
_PENDING: Final = select(COUNTS.c.total).where(COUNTS.c.campaign_id == _ID, COUNTS.c.state == State.PENDING.value)
_TALLY_DUE: Final = select(PAGES.c.draft_id).where(PAGES.c.tally_at <= bindparam("now")).limit(1)
_CANCELLED: Final = select(_C.id).where(_C.calling_off.is_not(None)).order_by(_C.id).limit(1)
# The conditions on provider and lease are written as in the partial indexes.
_DUE_PLANS: Final = select(func.count()).select_from(
    select(_S.due_at)
    .where(_S.lane == bindparam("of_lane"), _S.due_at <= bindparam("now"))
    .where(_S.provider == literal_column("''"), _S.lease.is_(None))
    .limit(bindparam("most"))
    .subquery()
)
_SENDS: Final = select(func.count()).select_from(
    select(_S.provider)
    .where(
        _S.lane == bindparam("of_lane"),
        _S.provider != literal_column("''"),
        Among(_S.provider, bindparam("carriers", type_=TextList())),
    )
    .limit(bindparam("most"))
    .subquery()
)
_ENDED: Final = (
    select(_C.id)
    .where(_C.finished_at <= bindparam("before"))
    .order_by(_C.finished_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_PAGES_OF: Final = (
    select(PAGES.c.draft_id).where(PAGES.c.campaign_id == _ID).order_by(PAGES.c.draft_id).limit(bindparam("most"))
)
_OLD: Final = Rows(PAGES.c.draft_id)
_REMOVE_PAGES: Final = delete(PAGES).where(
    PAGES.c.campaign_id == _ID, PAGES.c.draft_id.in_(select(_OLD[PAGES.c.draft_id]).select_from(_OLD.given))
)
_REMOVE_COUNTS: Final = delete(COUNTS).where(COUNTS.c.campaign_id == _ID)
_REMOVE: Final = delete(CAMPAIGNS).where(_C.id == _ID)


class SqlCampaigns:
    """Implements `broker.campaigns.Campaigns`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        outbox: StatusOutbox,
        ledger: SqlLedger,
        trail: Trail,
        *,
        idempotency_ttl_s: float,
    ) -> None:
        self._database, self._clock, self._outbox, self._ledger = database, clock, outbox, ledger
        self._trail = trail
        self._idempotency_ttl_us = int(idempotency_ttl_s * 1_000_000)

    async def create(self, new: NewCampaign, *, idempotency_key: str = "", fingerprint: bytes = b"") -> str:
        check_name("idempotency_key", idempotency_key)
        for topic in new.audience.topics:
            check_name("topic", topic)
        now, campaign_id = self._now(), str(self._clock.new_id())
        starts_at = to_micros(due_of(new.draft, self._clock.now()))
        key = Key(idempotency_key, fingerprint, now, now - self._idempotency_ttl_us) if idempotency_key else None
        row = {
            "id": campaign_id,
            "name": new.name,
            "state": CampaignState.SCHEDULED.value,
            "lane": int(new.draft.lane),
            "rate_per_s": new.rate_per_s,
            "created_at": now,
            "starts_at": starts_at,
            "due_at": starts_at,
            "place": "",
            "expanded": 0,
            "skipped": 0,
        }
        act = Act("campaign.created", f"campaign:{campaign_id}", details={"name": new.name})
        return await self._trail.write(
            partial(_create, new=new, row=row, key=key),
            lambda made: [act] if made == campaign_id else [],  # a repeat made nothing
        )

    async def status(self, campaign_id: str) -> Campaign:
        if not is_name(campaign_id):
            raise NotFound("campaign")
        return await self._database.read(lambda connection: _read(connection, campaign_id))

    async def find(self, *, state: CampaignState | None = None, before: str = "", limit: int) -> Sequence[Campaign]:
        if not is_name(before):
            return ()
        query = _SOME if state is None else _SOME.where(_C.state == state.value)
        asked = {"before": before or _NEWEST, "most": limit}
        return await self._database.read(lambda connection: _list(connection, query, asked))

    async def pause(self, campaign_id: str) -> CampaignState:
        return await self._move(campaign_id, "paused", lambda _: CampaignEvent.PAUSE)

    async def resume(self, campaign_id: str) -> CampaignState:
        return await self._move(
            campaign_id, "resumed", lambda has_begun: CampaignEvent.RESUME if has_begun else CampaignEvent.RESCHEDULE
        )

    async def cancel(self, campaign_id: str) -> CampaignState:
        if not is_name(campaign_id):
            raise NotFound("campaign")
        return await self._trail.write(
            lambda connection: _cancel(connection, campaign_id), Act("campaign.cancelled", f"campaign:{campaign_id}")
        )

    async def set_rate(self, campaign_id: str, rate_per_s: float) -> Campaign:
        if not is_name(campaign_id):
            raise NotFound("campaign")
        now = self._clock.now()
        act = Act("campaign.rate_set", f"campaign:{campaign_id}", details={"rate_per_s": rate_per_s})
        return await self._trail.write(
            lambda connection: _set_rate(connection, campaign_id, rate_per_s, now),
            lambda campaign: [] if campaign.state in _ENDS else [act],
        )

    async def due(self) -> Sequence[Due]:
        found = await self._database.read(_due)
        return sorted(found, key=lambda one: one.due_at)

    async def cancelled(self) -> str:
        return await self._database.read(lambda connection: connection.execute(_CANCELLED).scalar_one_or_none() or "")

    async def waiting(self, lane: Lane, carriers: Collection[str], *, limit: int) -> int:
        asked = {"of_lane": int(lane), "now": self._now(), "most": limit, "carriers": sorted(carriers)}
        counted = await self._database.read(
            lambda connection: sum(int(connection.execute(query, asked).scalar_one()) for query in (_DUE_PLANS, _SENDS))
        )
        return min(limit, counted)

    async def begin(self, campaign_id: str) -> bool:
        size = await self._database.read(lambda connection: _size(connection, campaign_id))
        now = self._now()
        return size is not None and await self._database.write(lambda connection: _begin(connection, campaign_id, size, now))

    async def expand(self, campaign_id: str, *, limit: int) -> Expansion | None:
        return await self._database.write(
            lambda connection: campaign_pages.expand(connection, campaign_id, limit, self._clock), self._expanded
        )

    async def call_off(self, campaign_id: str) -> bool:
        now = self._now()
        done = await self._database.write(
            lambda connection: campaign_pages.call_off(connection, campaign_id, now, self._outbox), self._called_off
        )
        return done.goes_on

    async def tally(self, *, limit: int, within_s: float) -> int:
        now = self._now()
        # Looked at first: where it is no page's turn, it costs no write.
        if not await self._database.read(lambda connection: connection.execute(_TALLY_DUE, {"now": now}).first()):
            return 0
        oldest = now - int(within_s * 1_000_000)
        return await self._database.write(lambda connection: campaign_pages.tally(connection, now, limit, oldest))

    async def sweep(self, *, before: datetime, limit: int) -> int:
        asked = {"before": to_micros(before)}
        if not await self._database.read(lambda connection: connection.execute(_ENDED, asked).first()):
            return 0
        return await self._database.write(lambda connection: _sweep(connection, asked, limit))

    async def _move(self, campaign_id: str, done: str, event_of: Callable[[bool], CampaignEvent]) -> CampaignState:
        """Let something happen to a campaign; `event_of` is asked with whether it had begun."""
        if not is_name(campaign_id):
            raise NotFound("campaign")
        now = self._now()
        return await self._trail.write(
            lambda connection: _stand(connection, campaign_id, event_of, now),
            Act(f"campaign.{done}", f"campaign:{campaign_id}"),
        )

    def _expanded(self, expansion: Expansion | None) -> None:
        if expansion is not None and expansion.expanded:
            self._ledger.made_due()

    def _called_off(self, done: CalledOff) -> None:
        for notification_id in done.ids:
            self._ledger.was_ended(notification_id)

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _create(connection: Connection, new: NewCampaign, row: Mapping[str, Any], key: Key | None) -> str:
    """Store a campaign, unless the key was seen before; gives the id, which is the first one's then."""
    if key is not None and (first := take_key(connection, key, (Accepted("", row["id"]),))) is not None:
        return first[0].id
    if row["starts_at"] < row["created_at"]:  # only now: a late repeat gets the first one's answer
        raise BadInput("send_at", "must not be over")
    if (latest := new.draft.terms.latest) is not None and to_micros(latest) < row["created_at"]:
        raise BadInput("send_by_habit.latest", "must not be over")
    numbers = numbers_of(connection, new.audience.topics)
    terms = msgspec.structs.replace(new.draft.terms, send_at=None)
    draft = msgspec.structs.replace(new.draft, users=(), terms=terms, trace=linked(new.draft.trace))
    body = Body(draft, tuple(zip(numbers, new.audience.topics, strict=True)))
    connection.execute(insert(CAMPAIGNS), {**row, "body": encode_body(body)})
    return str(row["id"])


def _read(connection: Connection, campaign_id: str) -> Campaign:
    found = _list(connection, _ONE, {"of_campaign": campaign_id})
    if not found:
        raise NotFound("campaign")
    return found[0]


def _list(connection: Connection, query: Select[Any], asked: Mapping[str, Any]) -> list[Campaign]:
    rows = connection.execute(query, asked).all()
    states: dict[str, dict[str, int]] = defaultdict(dict)
    for count in connection.execute(_COUNTS, {"among": [row.id for row in rows]}):
        if count.total:
            states[count.campaign_id][count.state] = count.total
    return [campaign_from(row, states[row.id]) for row in rows]


def _held(connection: Connection, campaign_id: str) -> Row[Any]:
    row = connection.execute(_HELD, {"of_campaign": campaign_id}).one_or_none()
    if row is None:
        raise NotFound("campaign")
    return row


def _stand(connection: Connection, campaign_id: str, event_of: Callable[[bool], CampaignEvent], now: int) -> CampaignState:
    row = _held(connection, campaign_id)
    before = CampaignState(row.state)
    after = following(before, event_of(row.begun_at is not None))
    if after is not before:
        due_at = None if after is CampaignState.PAUSED else max(now, row.starts_at)
        connection.execute(_STAND, {"of_campaign": campaign_id, "new_state": after.value, "new_due_at": due_at})
    return after


def _set_rate(connection: Connection, campaign_id: str, rate_per_s: float, now: datetime) -> Campaign:
    row = _held(connection, campaign_id)
    if CampaignState(row.state) not in _ENDS:
        due_at = row.due_at
        if row.state == CampaignState.RUNNING.value and due_at is not None:
            due_at = to_micros(due_at_rate(from_micros(due_at), now, row.rate_per_s, rate_per_s))
        changed = {"of_campaign": campaign_id, "new_rate_per_s": rate_per_s, "new_due_at": due_at}
        connection.execute(_SET_RATE, changed)
    return _read(connection, campaign_id)


def _cancel(connection: Connection, campaign_id: str) -> CampaignState:
    row = _held(connection, campaign_id)
    before = CampaignState(row.state)
    after = following(before, CampaignEvent.CANCEL)
    is_over = before is CampaignState.DONE and not connection.execute(_PENDING, {"of_campaign": campaign_id}).scalar()
    if after is before or is_over:
        return before
    connection.execute(_CANCEL, {"of_campaign": campaign_id, "new_state": after.value, "from_the_first": ""})
    return after


def _due(connection: Connection) -> list[Due]:
    rows = [row for lane in Lane for row in connection.execute(_DUE, {"of_lane": int(lane)})]
    return [Due(row.id, Lane(row.lane), CampaignState(row.state), from_micros(row.due_at), row.rate_per_s) for row in rows]


def _size(connection: Connection, campaign_id: str) -> int | None:
    row = connection.execute(_ONE, {"of_campaign": campaign_id}).one_or_none()
    return None if row is None else count_audience(connection, decode_body(row.body).numbers)


def _begin(connection: Connection, campaign_id: str, size: int, now: int) -> bool:
    row = connection.execute(_HELD, {"of_campaign": campaign_id}).one_or_none()
    if row is None or row.due_at is None or row.due_at > now:
        return False
    before = CampaignState(row.state)
    after = following(before, CampaignEvent.BEGIN)
    if after is not before:
        begun = {"of_campaign": campaign_id, "new_state": after.value, "now": now, "new_size": size}
        connection.execute(_BEGIN, begun)
    return after is not before


def _sweep(connection: Connection, asked: Mapping[str, Any], limit: int) -> int:
    """Remove some of the oldest campaign's pages, and the campaign with the last of them."""
    campaign_id = connection.execute(_ENDED, asked).scalar_one_or_none()
    if campaign_id is None:
        return 0
    named = {"of_campaign": campaign_id}
    pages = list(connection.execute(_PAGES_OF, {**named, "most": limit}).scalars())
    execute_rows(connection, _REMOVE_PAGES, [(draft_id,) for draft_id in pages], of_campaign=campaign_id)
    if len(pages) == limit:
        return limit
    connection.execute(_REMOVE_COUNTS, named)
    connection.execute(_REMOVE, named)
    return len(pages) + 1

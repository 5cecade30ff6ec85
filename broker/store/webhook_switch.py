"""The status webhook's switch on SQL."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from broker.audit import Act
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.webhook_switch_table import WEBHOOK_SWITCH
from broker.webhook_switch import WebhookState
from config.clock import Clock

__all__ = ["SqlWebhookSwitch"]

_NAME: Final = "status_webhook"
_MAX_CAUSE: Final = 500
_W: Final = WEBHOOK_SWITCH.c
_FORGOTTEN: Final = {"failing_since": None, "failed_at": None, "disabled_at": None, "cause": ""}
_READ: Final = select(WEBHOOK_SWITCH).where(_W.name == _NAME)
_FORGET: Final = update(WEBHOOK_SWITCH).where(_W.name == _NAME, _W.failing_since.is_not(None)).values(_FORGOTTEN)
_NOTE: Final = (
    update(WEBHOOK_SWITCH)
    .where(_W.name == _NAME)
    .values({name: bindparam(f"new_{name}") for name in ("failing_since", "failed_at", "disabled_at", "cause")})
)


class SqlWebhookSwitch:
    """Implements `broker.webhook_switch.WebhookSwitch`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail) -> None:
        self._database, self._clock, self._trail = database, clock, trail

    async def begin(self, fingerprint: str) -> WebhookState:
        def work(connection: Connection) -> WebhookState:
            row = connection.execute(_READ).one_or_none()
            if row is not None and row.fingerprint == fingerprint:
                return _state(row)
            fresh = {"name": _NAME, "fingerprint": fingerprint, **_FORGOTTEN}
            insert = dialect.upsert(connection, WEBHOOK_SWITCH).values(fresh)
            connection.execute(insert.on_conflict_do_update(index_elements=[_W.name], set_=fresh))
            return WebhookState()

        return await self._database.write(work)

    async def state(self) -> WebhookState:
        return _state(await self._database.read(lambda connection: connection.execute(_READ).one_or_none()))

    async def failed(self, cause: str, *, disable_after_s: float, gap_s: float) -> WebhookState:
        now = to_micros(self._clock.now())

        def work(connection: Connection) -> WebhookState:
            row = connection.execute(_READ.with_for_update()).one_or_none()
            if row is None:  # nobody has begun: nothing to switch
                return WebhookState(has_begun=False)
            is_new_row = row.failed_at is None or now - row.failed_at > gap_s * 1_000_000
            since = now if is_new_row else row.failing_since
            disabled_at = row.disabled_at
            if disabled_at is None and disable_after_s and now - since >= disable_after_s * 1_000_000:
                disabled_at = now
            noted = {"failing_since": since, "failed_at": now, "disabled_at": disabled_at}
            told = cause.replace("\0", "")[:_MAX_CAUSE]
            connection.execute(_NOTE, {"new_cause": told, **{f"new_{name}": value for name, value in noted.items()}})
            return WebhookState(from_micros(since), None if disabled_at is None else from_micros(disabled_at), told)

        return await self._database.write(work)

    async def succeeded(self) -> None:
        await self._database.write(lambda connection: connection.execute(_FORGET).rowcount)

    async def enable(self) -> bool:
        def work(connection: Connection) -> bool:
            row = connection.execute(_READ.with_for_update()).one_or_none()
            connection.execute(_FORGET)
            return row is not None and row.disabled_at is not None

        return await self._trail.write(work, lambda was_off: [Act("status_webhook.enabled")] if was_off else [])


def _state(row: Row[Any] | None) -> WebhookState:
    if row is None:
        return WebhookState(has_begun=False)
    since, disabled_at = (None if at is None else from_micros(at) for at in (row.failing_since, row.disabled_at))
    return WebhookState(since, disabled_at, row.cause)

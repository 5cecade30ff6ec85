"""What a claim reads: the steps that are due, and what is needed to do them, a query for each table."""

from typing import Any, Final

import msgspec
from sqlalchemy import Select, and_, bindparam, not_, or_, select

from broker.store.bulk_reading import BulkRead
from broker.store.campaign_tables import TARGETS
from broker.store.dialect import Among, TextList
from broker.store.keys import PLAN
from broker.store.preference_tables import USER_RULES
from broker.store.rows import DEVICE_COLUMNS, DeviceRow, DraftRow, LineRow, PreferenceRow, RulesRow
from broker.store.schema import DEVICES, DRAFTS, ENTRIES, NOTIFICATIONS, PREFERENCES, STEPS

__all__ = [
    "DEVICES_OF",
    "DRAFTS_OF",
    "DUE",
    "DUE_PLANS",
    "DUE_UNPAUSED",
    "LINES_OF",
    "PREFERENCES_OF",
    "RULES_OF",
    "TARGETS_OF",
    "DueRow",
]

_S: Final = STEPS.c


class DueRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A step that is due, with its notification and, of a send, the values of `DEVICE_COLUMNS` of its device while there is
    one: `own_device_id` and what follows."""

    notification_id: str
    device_id: str
    attempt: int
    draft_id: str
    owner: str
    state: str
    experiment: str
    variant: str
    own_device_id: str | None
    user: str | None
    provider: str | None
    token: str | None
    platform: str | None
    registered_at: int | None
    locale: str | None
    timezone: str | None
    app: str | None


class TargetRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A device that a notification is meant for alone."""

    notification_id: str
    device_id: str


# A device that was removed brings none, and neither does one that has moved to another user since: what was meant for one
# person is never sent to the next owner of the phone.
_ROWS: Final = (
    select(
        _S.notification_id,
        _S.device_id,
        _S.attempt,
        NOTIFICATIONS.c.draft_id,
        NOTIFICATIONS.c.user.label("owner"),
        NOTIFICATIONS.c.state,
        NOTIFICATIONS.c.experiment,
        NOTIFICATIONS.c.variant,
        *DEVICE_COLUMNS,
    )
    .join_from(STEPS, NOTIFICATIONS, NOTIFICATIONS.c.id == _S.notification_id)
    .outerjoin(DEVICES, and_(DEVICES.c.id == _S.device_id, DEVICES.c.user == NOTIFICATIONS.c.user))
    .where(_S.due_at <= bindparam("now"))
    .order_by(_S.due_at)
    .with_for_update(of=STEPS, skip_locked=True)
)
_DUE: Final = _ROWS.where(_S.lane == bindparam("lane")).limit(bindparam("quota"))
DUE: Final = BulkRead(DueRow, _DUE)
DUE_PLANS: Final = BulkRead(
    DueRow,
    _ROWS.where(Among(_S.notification_id, bindparam("among", type_=TextList())), _S.device_id == PLAN, _S.lease.is_(None)),
)
DUE_UNPAUSED: Final = BulkRead(
    DueRow,
    _DUE.where(or_(not_(Among(_S.provider, bindparam("paused", type_=TextList()))), _S.expires_at <= bindparam("now"))),
)


def _among(query: Select[Any], column: Any) -> Select[Any]:
    return query.where(Among(column, bindparam("among", type_=TextList())))


DRAFTS_OF: Final = BulkRead(DraftRow, _among(select(DRAFTS), DRAFTS.c.id))
DEVICES_OF: Final = BulkRead(
    DeviceRow, _among(select(*DEVICE_COLUMNS), DEVICES.c.user).order_by(DEVICES.c.registered_at, DEVICES.c.id)
)
PREFERENCES_OF: Final = BulkRead(
    PreferenceRow, _among(select(PREFERENCES), PREFERENCES.c.user).order_by(PREFERENCES.c.category, PREFERENCES.c.route)
)
RULES_OF: Final = BulkRead(RulesRow, _among(select(USER_RULES), USER_RULES.c.user))
TARGETS_OF: Final = BulkRead(TargetRow, _among(select(TARGETS), TARGETS.c.notification_id))
LINES_OF: Final = BulkRead(LineRow, _among(select(ENTRIES), ENTRIES.c.notification_id).order_by(ENTRIES.c.at, ENTRIES.c.number))

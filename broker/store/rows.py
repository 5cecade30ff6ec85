"""Rows into values, values into rows."""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from broker.notification import (
    Content,
    Device,
    Draft,
    Entry,
    Lane,
    Notification,
    Outcome,
    Preference,
    Provider,
    Route,
    State,
    Terms,
    Variant,
)
from broker.store.moments import from_micros, to_micros
from broker.store.schema import DEVICES, ENTRIES

__all__ = [
    "DEVICE_COLUMNS",
    "ENTRY_COLUMNS",
    "Body",
    "DeviceRow",
    "DraftRow",
    "EntryRow",
    "LineRow",
    "PreferenceRow",
    "RulesRow",
    "StoredDraft",
    "decode_draft",
    "device_from",
    "device_of",
    "encode_body",
    "encode_stored_body",
    "entry_from",
    "entry_row",
    "notification_from",
    "preference_from",
]


# The columns of a row of `entries`, in the order of `entry_row`.
ENTRY_COLUMNS: Final = tuple(column for column in ENTRIES.c if column is not ENTRIES.c.number)
DEVICE_COLUMNS: Final = tuple(
    DEVICES.c[name] for name in ("id", "user", "provider", "token", "platform", "registered_at", "locale", "timezone", "app")
)
EntryRow = tuple[str, int, str, str, str, str, str, int, str]


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a draft no query asks for; kept as JSON."""

    content: Content
    routes: tuple[Route, ...]
    ack_wait_s: float
    push_wait_s: float
    correlation_id: str = ""
    variants: tuple[Variant, ...] = ()
    terms: Terms = Terms()
    trace: str = ""


class StoredDraft(msgspec.Struct, frozen=True):
    """What all notifications of a request share."""

    lane: Lane
    created_at: datetime
    expires_at: datetime
    body: Body


class DraftRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of `drafts`."""

    id: str
    lane: int
    created_at: int
    expires_at: int
    body: Any  # JSON, as text or as bytes


class DeviceRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The values of `DEVICE_COLUMNS`."""

    id: str
    user: str
    provider: str
    token: str
    platform: str
    registered_at: int
    locale: str
    timezone: str
    app: str


class PreferenceRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of `preferences`; a truth value as its number."""

    user: str
    category: str
    route: str
    enabled: int
    until: int | None


class RulesRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of `user_rules`."""

    user: str
    body: Any  # JSON, as text or as bytes


class LineRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of `entries` as it is read."""

    number: int
    notification_id: str
    at: int
    route: str
    outcome: str
    provider: str
    address: str
    device_id: str
    attempt: int
    detail: str


# Five times as fast as calling the enumeration, for what is read by the thousand.
_STATES: Final = {state.value: state for state in State}
_PROVIDERS: Final = {provider.value: provider for provider in Provider}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Body)


def encode_body(draft: Draft) -> bytes:
    """Encode what the notifications of a draft share."""
    return encode_stored_body(
        Body(
            draft.content,
            draft.routes,
            draft.ack_wait_s,
            draft.push_wait_s,
            draft.correlation_id,
            draft.variants,
            draft.terms,
            draft.trace,
        )
    )


def encode_stored_body(body: Body) -> bytes:
    """Encode a body as it is."""
    return _ENCODER.encode(body)


def decode_draft(row: Row[Any] | DraftRow) -> StoredDraft:
    """Read a row of `drafts`."""
    return StoredDraft(Lane(row.lane), from_micros(row.created_at), from_micros(row.expires_at), _DECODER.decode(row.body))


def notification_from(
    notification_id: str, user: str, state: str, draft: StoredDraft, experiment: str = "", variant: str = ""
) -> Notification:
    """Put one user's notification together, in the wording of their variant."""
    body = draft.body
    content = body.content
    if variant:
        content = next((one.of(content) for one in body.variants if one.name == variant), content)
    return Notification(
        notification_id,
        user,
        content,
        draft.lane,
        body.routes,
        body.ack_wait_s,
        body.push_wait_s,
        draft.created_at,
        draft.expires_at,
        _STATES[state],
        body.correlation_id,
        experiment,
        variant,
        body.terms,
        body.trace,
    )


def device_from(row: Row[Any] | DeviceRow) -> Device:
    """Read a row of `devices`."""
    return device_of(
        row.id, row.user, row.provider, row.token, row.platform, row.registered_at, row.locale, row.timezone, row.app
    )


def device_of(
    id: str, user: str, provider: str, token: str, platform: str, registered_at: int, locale: str, timezone: str, app: str
) -> Device:
    """Put a device together from the values of `DEVICE_COLUMNS`."""
    return Device(id, user, _PROVIDERS[provider], token, platform, from_micros(registered_at), locale, timezone, app)


def preference_from(row: Row[Any] | PreferenceRow) -> Preference:
    """Read a row of `preferences`."""
    return Preference(row.category, row.route, bool(row.enabled), None if row.until is None else from_micros(row.until))


def entry_row(notification_id: str, entry: Entry) -> EntryRow:
    """Make a row of `entries`. What providers said may hold U+0000, which PostgreSQL cannot keep: it is left out."""
    return (
        notification_id,
        to_micros(entry.at),
        # Plain text: drivers look at each value of another type for how it wants to be written.
        str(entry.route),
        str(entry.outcome),
        str(entry.provider),
        entry.address.replace("\0", ""),
        entry.device_id,
        entry.attempt,
        entry.detail.replace("\0", ""),
    )


def entry_from(row: Row[Any] | LineRow) -> Entry:
    """Read a row of `entries`."""
    return Entry(
        row.route,
        _OUTCOMES[row.outcome],
        from_micros(row.at),
        row.provider,
        row.address,
        row.device_id,
        row.attempt,
        row.detail,
    )

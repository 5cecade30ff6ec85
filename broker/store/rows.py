"""Rows into values, values into rows."""

from collections.abc import Mapping
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
)
from broker.store.moments import from_micros, to_micros

__all__ = [
    "Body",
    "StoredDraft",
    "decode_draft",
    "device_from",
    "encode_body",
    "entry_from",
    "entry_row",
    "notification_from",
    "preference_from",
]


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a draft no query asks for; kept as JSON."""

    content: Content
    routes: tuple[Route, ...]
    ack_wait_s: float
    push_wait_s: float
    correlation_id: str = ""


class StoredDraft(msgspec.Struct, frozen=True):
    """What all notifications of a request share."""

    lane: Lane
    created_at: int
    expires_at: int
    body: Body


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Body)


def encode_body(draft: Draft) -> bytes:
    """Encode what the notifications of a draft share."""
    return _ENCODER.encode(Body(draft.content, draft.routes, draft.ack_wait_s, draft.push_wait_s, draft.correlation_id))


def decode_draft(row: Row[Any]) -> StoredDraft:
    """Read a row of `drafts`."""
    return StoredDraft(Lane(row.lane), row.created_at, row.expires_at, _DECODER.decode(row.body))


def notification_from(notification_id: str, user: str, state: str, draft: StoredDraft) -> Notification:
    """Put one user's notification together."""
    body = draft.body
    return Notification(
        notification_id,
        user,
        body.content,
        draft.lane,
        body.routes,
        body.ack_wait_s,
        body.push_wait_s,
        from_micros(draft.created_at),
        from_micros(draft.expires_at),
        State(state),
        body.correlation_id,
    )


def device_from(row: Row[Any]) -> Device:
    """Read a row of `devices`."""
    return Device(
        row.id,
        row.user,
        Provider(row.provider),
        row.token,
        row.platform,
        from_micros(row.registered_at),
        row.locale,
        row.timezone,
    )


def preference_from(row: Row[Any]) -> Preference:
    """Read a row of `preferences`."""
    return Preference(row.category, row.route, row.enabled)


def entry_row(notification_id: str, entry: Entry) -> Mapping[str, Any]:
    """Make a row of `entries`. What providers said may hold U+0000, which PostgreSQL cannot keep: it is left out."""
    return {
        "notification_id": notification_id,
        "at": to_micros(entry.at),
        "route": entry.route,
        "outcome": entry.outcome.value,
        "provider": entry.provider,
        "address": entry.address.replace("\0", ""),
        "device_id": entry.device_id,
        "attempt": entry.attempt,
        "detail": entry.detail.replace("\0", ""),
    }


def entry_from(row: Row[Any]) -> Entry:
    """Read a row of `entries`."""
    return Entry(
        row.route, Outcome(row.outcome), from_micros(row.at), row.provider, row.address, row.device_id, row.attempt, row.detail
    )

"""Writes status events beside what makes them true. Where none is chosen, nothing is looked at and nothing written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, insert

from broker.notification import Notification, State
from broker.status_events import StatusEvent
from broker.store.changes import Changes
from broker.store.operation_tables import STATUS_EVENTS
from config.clock import Clock

__all__ = ["StatusOutbox"]

_INSERT: Final = insert(STATUS_EVENTS)
_ENCODER: Final = msgspec.json.Encoder()


class StatusOutbox:
    """Knows which events are chosen. Its methods are called within the transaction."""

    def __init__(self, chosen: frozenset[str], clock: Clock) -> None:
        self._chosen, self._clock = chosen, clock

    def recorded(self, connection: Connection, changes: Changes, notifications: Mapping[str, Notification], now: int) -> None:
        """Write what a record of the pipeline comes to, lines of timelines first.

        Args:
            notifications: Those that the record is about, by id.
        """
        if not self._chosen:
            return
        events = [
            self._event(f"delivery.{outcome}", notifications[id_], at, route, provider, address, device_id, attempt, detail)
            for id_, at, route, outcome, provider, address, device_id, attempt, detail in changes.entries
            if route and f"delivery.{outcome}" in self._chosen
        ]
        events += [
            self._event(f"notification.{state}", notifications[id_], now)
            for id_, state in changes.ended.items()
            if f"notification.{state}" in self._chosen
        ]
        _write(connection, events, now)

    def ended(self, connection: Connection, ids: Iterable[str], user: str, state: State, now: int) -> None:
        """Write that somebody ended notifications of a user."""
        kind = f"notification.{state}"
        if kind in self._chosen:
            _write(connection, [StatusEvent(self._id(), kind, id_, user, now / 1_000_000) for id_ in ids], now)

    def _event(
        self,
        kind: str,
        notification: Notification,
        at: int,
        route: str = "",
        provider: str = "",
        address: str = "",
        device_id: str = "",
        attempt: int = 0,
        detail: str = "",
    ) -> StatusEvent:
        return StatusEvent(
            self._id(),
            kind,
            notification.id,
            notification.user,
            at / 1_000_000,
            notification.content.category,
            notification.correlation_id,
            route,
            provider,
            address,
            device_id,
            attempt,
            detail,
            notification.trace.rpartition(" ")[2],  # of a link, what it leads to
        )

    def _id(self) -> str:
        return str(self._clock.new_id())


def _write(connection: Connection, events: Sequence[StatusEvent], now: int) -> None:
    if events:
        rows = [
            {
                "id": event.id,
                "notification_id": event.notification_id,
                "created_at": now,
                "due_at": now,
                "attempt": 0,
                "body": _ENCODER.encode(event),
            }
            for event in events
        ]
        connection.execute(_INSERT, rows)

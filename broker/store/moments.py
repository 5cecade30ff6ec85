"""Moments as the store keeps them: whole microseconds since 1970, the same on every database, and exact."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["first_id_at", "from_micros", "to_micros"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def first_id_at(moment: datetime) -> str:
    """Write the least id (UUID version 7, RFC 9562 §5.7) that is made at a moment or later, by the millisecond."""
    return str(uuid.UUID(int=(to_micros(moment) // 1000) << 80 | 0x7 << 76 | 0b10 << 62))


def to_micros(moment: datetime) -> int:
    """Write an aware moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Read microseconds since 1970 as an aware moment in UTC."""
    return _EPOCH + timedelta(microseconds=micros)

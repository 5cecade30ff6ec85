"""Campaigns as rows, and back."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from broker.campaigns import Audience, Campaign, CampaignState
from broker.notification import Draft, Lane
from broker.store.moments import from_micros

__all__ = ["Body", "campaign_from", "decode_body", "encode_body"]


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a campaign no query asks for; kept as JSON. The draft names no users; topics go by the numbers that their names
    had when the campaign was made."""

    draft: Draft
    topics: tuple[tuple[int, str], ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The topics' numbers."""
        return tuple(number for number, _ in self.topics)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Body)


def encode_body(body: Body) -> bytes:
    """Encode a body."""
    return _ENCODER.encode(body)


def decode_body(text: bytes) -> Body:
    """Read a body."""
    return _DECODER.decode(text)


def campaign_from(row: Row[Any], states: Mapping[str, int]) -> Campaign:
    """Read a row of `campaigns`."""
    body = decode_body(row.body)
    return Campaign(
        id=row.id,
        name=row.name,
        state=CampaignState(row.state),
        audience=Audience(tuple(name for _, name in body.topics)),
        category=body.draft.content.category,
        lane=Lane(row.lane),
        rate_per_s=row.rate_per_s,
        created_at=from_micros(row.created_at),
        starts_at=from_micros(row.starts_at),
        begun_at=None if row.begun_at is None else from_micros(row.begun_at),
        finished_at=None if row.finished_at is None else from_micros(row.finished_at),
        size=row.size,
        expanded=row.expanded,
        skipped=row.skipped,
        states=states,
    )

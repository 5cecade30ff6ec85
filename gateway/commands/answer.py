"""How a command answers, and the small conversions that several commands share."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw

from broker.model import Position, Publication
from config.clock import Clock
from gateway.protocol import disconnects, errors, messages
from gateway.protocol.codec import Codec, UnfitPayload
from gateway.protocol.delta import saving_diff
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.forms import wire_publication
from gateway.protocol.messages import SubscribeRequest, SubscribeResult, raw
from gateway.session.entrance import Asked, Entry

__all__ = ["Answer", "asked_of", "fitting", "require_channel", "subscribe_result", "ttl_of", "wire_publications"]

# Queues the result of the command; to be called once, or not at all where an error is raised.
Answer = Callable[[Any], None]


def ttl_of(expire_at: int, clock: Clock) -> int:
    """Tell how many whole seconds are left of something that expires at a Unix time; 0 for what never does.

    Rounded up: a begun second counts, because SDKs take error 110 for final and a ttl of 0 for none. Refreshing a moment
    late is what the grace after the expiry is for.

    Raises:
        ClientError: 110, when it has expired.
    """
    if expire_at <= 0:
        return 0
    ttl = math.ceil(expire_at - clock.now().timestamp())
    if ttl <= 0:
        raise ClientError(errors.EXPIRED)
    return ttl


def require_channel(channel: str) -> str:
    """Insist on a channel name.

    Raises:
        DisconnectClient: 3501 when it is empty: no SDK sends that.
    """
    if not channel:
        raise DisconnectClient(disconnects.BAD_REQUEST)
    return channel


def asked_of(request: SubscribeRequest) -> Asked:
    """Read what a client wants recovered."""
    position = Position(request.offset, request.epoch) if request.recover else None
    return Asked(position, rejects_unrecovered=bool(request.flag & 2))


def subscribe_result(entry: Entry, ttl: int, codec: Codec) -> SubscribeResult:
    """Put what a client got into its form on the wire.

    Raises:
        DisconnectClient: 3506, as `wire_publications` does.
    """
    grant, recovery = entry.grant, entry.recovery
    missed = recovery.publications if recovery else ()
    if grant.tags_filter is not None and not grant.has_delta:  # with deltas the chain must stay whole
        _, passes = grant.tags_filter
        missed = tuple(publication for publication in missed if passes(publication.tags))
    return SubscribeResult(
        expires=ttl > 0,
        ttl=ttl,
        recoverable=grant.is_recoverable,
        epoch=recovery.position.epoch if recovery else "",
        publications=wire_publications(missed, codec, has_delta=grant.has_delta),
        recovered=recovery.is_recovered if recovery else False,
        offset=recovery.position.offset if recovery else 0,
        positioned=grant.is_positioned,
        data=raw(grant.data),
        was_recovering=entry.was_recovering,
        delta=grant.has_delta,
    )


def fitting(payload: bytes, codec: Codec) -> Raw:
    """Give a payload, empty for none, the client's encoding.

    Raises:
        DisconnectClient: 3506, when it cannot travel in it.
    """
    try:
        return raw(codec.fit(payload) if payload else b"")
    except UnfitPayload:
        raise DisconnectClient(disconnects.INAPPROPRIATE_PROTOCOL) from None


def wire_publications(
    publications: Sequence[Publication], codec: Codec, *, has_delta: bool = False
) -> list[messages.Publication]:
    """Give publications of the past their form on the wire, with deltas as a chain that begins with a whole one.

    Raises:
        DisconnectClient: 3506, when one of them cannot travel in the client's encoding.
    """
    try:
        if has_delta:
            before = (None, *publications)
            return [_link(*pair, codec) for pair in zip(publications, before, strict=False)]
        return [wire_publication(publication, Raw(codec.fit(publication.data))) for publication in publications]
    except UnfitPayload:
        raise DisconnectClient(disconnects.INAPPROPRIATE_PROTOCOL) from None


def _link(publication: Publication, before: Publication | None, codec: Codec) -> messages.Publication:
    """Write one publication of a chain, as a patch of its predecessor where that can be and saves something."""
    if before is not None and (patch := saving_diff(before.data, publication.data)) is not None:
        try:
            return wire_publication(publication, codec.delta_data(publication.data, patch), is_delta=True)
        except UnfitPayload:
            pass  # a patch may cut through a character, and then is no text
    return wire_publication(publication, codec.delta_data(publication.data, None))

"""From what the backend writes about connections and subscriptions to the values that a token gives too."""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from config.clock import Clock
from gateway.auth.capabilities import BadCapability, Capabilities, Right, WrittenCapability, read_allow, read_capabilities
from gateway.auth.tokens import ServerSubscription, SubscriptionOverride
from gateway.proxy.errors import BadAnswer
from gateway.proxy.messages import ConnectSubscriptionBody, SubscriptionBody
from gateway.proxy.payloads import json_of, payload_for, payload_of
from gateway.session.client import Client

__all__ = ["allowed_of", "capabilities_of", "expiry_of", "meta_of", "subscription_of"]

_LIFETIME_MAX_S: Final = 365 * 24 * 3600


def expiry_of(expire_at: float | None, clock: Clock) -> int:
    """Tell when something ends, in Unix seconds; at most a year from now, 0 for never."""
    if not expire_at or expire_at < 0:
        return 0
    return int(min(expire_at, clock.now().timestamp() + _LIFETIME_MAX_S))


def meta_of(meta: Raw) -> bytes:
    """Take a connection's meta, b"" for none.

    Raises:
        BadAnswer: It is no JSON object.
    """
    value = payload_of(meta, None)
    if value and not value.startswith(b"{"):
        raise BadAnswer("meta must be a JSON object")
    return value


def subscription_of(body: SubscriptionBody, client: Client, clock: Clock) -> ServerSubscription:
    """Read what a subscription gets.

    Raises:
        BadAnswer: A payload is no base64 or no JSON.
        DisconnectClient: 3506, when its data cannot travel in the client's encoding.
    """
    flags = {name: flag.value for name, flag in (body.override or {}).items() if flag is not None}
    return ServerSubscription(
        info=json_of(body.info, body.b64info),
        data=payload_for(client, body.data, body.b64data),
        override=SubscriptionOverride(**{name: flags.get(name) for name in SubscriptionOverride.__struct_fields__}),
        expire_at=expiry_of(body.expire_at, clock),
        recovers_newest=isinstance(body, ConnectSubscriptionBody) and bool(body.cache_recover),
    )


def capabilities_of(written: Sequence[WrittenCapability | None] | None) -> Capabilities | None:
    """Take a connection's capabilities, None where there are none.

    Raises:
        BadAnswer: One of them breaks a rule.
    """
    try:
        return read_capabilities(written)
    except BadCapability as exc:
        raise BadAnswer(str(exc)) from None


def allowed_of(written: Sequence[str] | None) -> Right:
    """Take the rights that come with a subscription.

    Raises:
        BadAnswer: A word stands for none.
    """
    try:
        return read_allow(written)
    except BadCapability as exc:
        raise BadAnswer(str(exc)) from None

"""From a channel's options, and what a token overrides of them, to what a client may have there."""

from broker.control import TokenInfo
from config.settings import ChannelOptions
from gateway.auth.capabilities import NO_RIGHTS, Right
from gateway.auth.permissions import Permissions
from gateway.auth.tokens import NO_OVERRIDE, SubscriptionOverride
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import FilterNode, SubscribeRequest
from gateway.session.subscription import Grant, Source, TagsFilter
from gateway.tags_filter import shared_filter, validate

__all__ = ["NO_WORD", "grant", "server_grant"]

_NOTHING_ASKED = SubscribeRequest()
# What policies say where there are none.
NO_WORD = (NO_RIGHTS, NO_RIGHTS)


def grant(
    options: ChannelOptions,
    source: Source,
    *,
    permissions: Permissions,
    user: str,
    request: SubscribeRequest = _NOTHING_ASKED,
    info: bytes = b"",
    data: bytes = b"",
    expire_at: int = 0,
    override: SubscriptionOverride = NO_OVERRIDE,
    token: TokenInfo | None = None,
    allowed: Right = NO_RIGHTS,
    rights: Right = NO_RIGHTS,
    reading: tuple[Right, Right] = NO_WORD,
) -> Grant:
    """Decide what a subscription gets, its right being settled.

    What a client asks for (`positioned`, `recoverable`, `join_leave`) is given where the channel allows it or where
    the client may see as much anyway, as if it were subscribed; else it is passed over in silence.

    Args:
        allowed: Rights that come with the subscription.
        rights: Rights by the connection's capabilities.
        reading: What policies say: rights that they add as long as they are in force, and do not come with the subscription,
            and rights that they withhold, whatever gives them.
    """
    added, withheld = reading
    has_history = options.has_history and Right.HST not in withheld
    has_presence = options.presence and Right.PRS not in withheld
    given = allowed | added
    reads = has_history and (Right.HST in given or permissions.may_read_history(user, True, options))
    sees = has_presence and (Right.PRS in given or permissions.may_see_presence(user, True, options))
    may_read, may_see = reads or (has_history and Right.HST in rights), sees or (has_presence and Right.PRS in rights)
    is_recoverable, is_positioned = position = _position(options, request, override, may_read=may_read)
    emits = _either(override.join_leave, options.join_leave)
    is_told = _either(override.force_push_join_leave, options.force_push_join_leave)
    lent = Right.SUB if source is Source.CAPABILITY else NO_RIGHTS
    if may_read is not reads and position != _position(options, request, override, may_read=reads):
        lent |= Right.HST
    if may_see is not sees and emits and request.join_leave and not is_told:
        lent |= Right.PRS
    return Grant(
        source=source,
        info=info,
        data=data,
        expire_at=expire_at,
        keeps_presence=_either(override.presence, options.presence),
        emits_membership=emits,
        wants_membership=emits and (is_told or (request.join_leave and may_see)),
        is_recoverable=is_recoverable,
        is_positioned=is_positioned,
        recovers_cache=options.force_recovery_mode == "cache",
        recovers_always=options.auto_cache_recover,
        has_delta=is_positioned and _has_delta(request.delta, options),
        tags_filter=_tags_filter(request.tf, options),
        token=token,
        allowed=allowed,
        lent=lent,
    )


def server_grant(
    options: ChannelOptions,
    source: Source,
    *,
    info: bytes = b"",
    data: bytes = b"",
    expire_at: int = 0,
    override: SubscriptionOverride = NO_OVERRIDE,
    recovers_newest: bool = False,
    delta: str = "",
    lent: Right = NO_RIGHTS,
) -> Grant:
    """Decide what a subscription from the server's side gets: the channel's options, nothing asked.

    Args:
        recovers_newest: Give the newest publication at once, as `auto_cache_recover` does for all; it means something only
            where subscriptions recover in cache mode.
    """
    emits = _either(override.join_leave, options.join_leave)
    is_recoverable = _either(override.force_recovery, options.force_recovery)
    is_positioned = is_recoverable or _either(override.force_positioning, options.force_positioning)
    recovers_cache = options.force_recovery_mode == "cache"
    return Grant(
        source=source,
        is_server_side=True,
        info=info,
        data=data,
        expire_at=expire_at,
        keeps_presence=_either(override.presence, options.presence),
        emits_membership=emits,
        wants_membership=emits and _either(override.force_push_join_leave, options.force_push_join_leave),
        is_recoverable=is_recoverable,
        is_positioned=is_positioned,
        recovers_cache=recovers_cache,
        recovers_always=is_recoverable and recovers_cache and (options.auto_cache_recover or recovers_newest),
        has_delta=is_positioned and _has_delta(delta, options),
        lent=lent,
    )


def _position(
    options: ChannelOptions, request: SubscribeRequest, override: SubscriptionOverride, *, may_read: bool
) -> tuple[bool, bool]:
    """Tell whether a subscription is recoverable, and whether it is positioned."""
    is_recoverable = _either(override.force_recovery, options.force_recovery) or (
        request.recoverable and (options.allow_recovery or may_read)
    )
    asks_position = request.positioned and (options.allow_positioning or may_read)
    is_forced = _either(override.force_positioning, options.force_positioning)
    return is_recoverable, is_recoverable or is_forced or asks_position


def _has_delta(asked: str, options: ChannelOptions) -> bool:
    """Whether a subscription gets patches: it asks for a format that the channel allows; else it gets full data."""
    return asked in options.allowed_delta_types


def _tags_filter(node: FilterNode | None, options: ChannelOptions) -> TagsFilter | None:
    """Make a subscription's tags filter, None where it asks for none.

    Raises:
        ClientError: 107, where the channel allows none, or naming the rule that it breaks.
    """
    if node is None:
        return None
    if not options.allow_tags_filter:
        raise ClientError(errors.BAD_REQUEST, "tf is not allowed in this channel")
    if fault := validate(node):
        raise ClientError(errors.BAD_REQUEST, f"tf: {fault}")
    return shared_filter(node)


def _either(override: bool | None, option: bool) -> bool:
    return option if override is None else override

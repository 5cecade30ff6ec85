"""Which methods of the API change something outside of the store, and what the audit is told of it.

What changes the store is written down there, in the same transaction (`broker.store.audit_trail`). These have none: so the
audit is told first, and may refuse (`audit.on_failure`); where the call then fails, it is told that as well.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from broker.audit import Act, Decision, Witness
from gateway.api.method import Method

__all__ = ["CHANGES", "audited"]


def _reaches(request: Any) -> dict[str, str]:
    """Tell which connections of a user are meant, where a call names some."""
    return {name: value for name in ("client", "session") if (value := getattr(request, name, ""))}


def _moments(**given: int) -> dict[str, int]:
    """Keep the moments that a call names: where it names none, 0 would pass for one."""
    return {name: moment for name, moment in given.items() if moment}


# Makes an act of a method's request. One line per method is all it takes to have it recorded.
CHANGES: Final[Mapping[str, Callable[[Any], Act]]] = {
    "subscribe": lambda call: Act("user.subscribed", f"channel:{call.channel}", call.user, details=_reaches(call)),
    "unsubscribe": lambda call: Act("user.unsubscribed", f"channel:{call.channel}", call.user, details=_reaches(call)),
    "disconnect": lambda call: Act("user.disconnected", user=call.user, details=_reaches(call)),
    "refresh": lambda call: Act("user.refreshed", user=call.user, details={**_reaches(call), "expired": call.expired}),
    "shed": lambda call: Act("node.shed", f"node:{call.node or '*'}", details={"share": call.share}),
    "history_remove": lambda call: Act("history.removed", f"channel:{call.channel}"),
    "block_user": lambda call: Act("user.blocked", user=call.user, details=_moments(until=call.expire_at)),
    "unblock_user": lambda call: Act("user.unblocked", user=call.user),
    "revoke_token": lambda call: Act("token.revoked", f"token:{call.uid}", details=_moments(until=call.expire_at)),
    "invalidate_user_tokens": lambda call: Act(
        "user.tokens_invalidated",
        f"channel:{call.channel}" if call.channel else "",
        call.user,
        details=_moments(issued_before=call.issued_before, until=call.expire_at),
    ),
}


def audited(methods: Iterable[Method], witness: Witness, changes: Mapping[str, Callable[[Any], Act]] = CHANGES) -> list[Method]:
    """Have the audit told of those methods that change something outside of the store."""
    return [_audited(method, witness, changes[method.name]) if method.name in changes else method for method in methods]


def _audited(method: Method, witness: Witness, describe: Callable[[Any], Act]) -> Method:
    @functools.wraps(method.handle)
    async def handle(request: Any) -> msgspec.Struct:
        act = describe(request)
        await witness.change(act)
        is_done = False
        try:
            result = await method.handle(request)
            is_done = True
        finally:
            if not is_done:
                witness.record(msgspec.structs.replace(act, decision=Decision.FAILED))
        return result

    return msgspec.structs.replace(method, handle=handle)

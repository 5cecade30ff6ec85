"""What the answer to a call means for the item that asked for it."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from broker.errors import StoreUnavailable, Withheld
from broker.event_source import Again, Dead, Done, Item
from config.clock import Clock
from gateway.api.call import Calls, Malformed
from gateway.api.errors import INTERNAL, UNAVAILABLE, ApiError
from gateway.api.messages import BatchResult, BroadcastResult
from gateway.consumers.request import body_of

__all__ = ["RetryRule", "carry_out", "judge"]

# Error 111 is "too many requests"; both may end otherwise the next time.
_TEMPORARY_CODES: Final = frozenset({INTERNAL.code, 111})


class RetryRule(msgspec.Struct, frozen=True):
    """How long to wait after a failed try, and when to give up. Where the world was away, nothing is given up."""

    base_s: float = 1.0
    cap_s: float = 30.0
    attempts: int = 10

    def after(self, item: Item, reason: str, spread: float) -> Again | Dead:
        """Decide what follows a failed try that counts; `spread` in [0, 1) is the jitter drawn."""
        if item.attempt >= self.attempts:
            return Dead(f"given up after {item.attempt} tries: {reason}")
        ceiling_s = min(self.cap_s, self.base_s * 2.0 ** (item.attempt - 1))
        return Again(ceiling_s * (0.5 + spread / 2))

    def while_away(self, spread: float) -> Again:
        """Decide what follows a try that met something that was away."""
        return Again(self.base_s * (0.5 + spread / 2), counts=False)


async def carry_out(item: Item, calls: Calls, rule: RetryRule, clock: Clock, *, consumer: str) -> Done | Dead | Again:
    """Make the call that an item asks for. Raises nothing of its own."""
    if item.fault:
        return Dead(item.fault)
    if item.attempt > rule.attempts:  # it came back so often without anybody's verdict that it may be what ends processes
        return Dead(f"given up after {item.attempt - 1} tries")
    if item.method not in calls:
        return Dead(f"no such method: {item.method[:64]}")
    try:
        result = await calls.call(item.method, body_of(item, consumer))
    except Malformed as exc:
        return Dead(f"bad request: {exc}")
    except (StoreUnavailable, Withheld):
        return rule.while_away(clock.spread())
    return judge(item, result, rule, spread=clock.spread())


def judge(item: Item, result: msgspec.Struct | ApiError, rule: RetryRule, *, spread: float) -> Done | Dead | Again:
    """Decide by a call's answer. What failed in part is repeated as a whole as long as that may help."""
    faults = list(_faults(result))
    if not faults:
        return Done()
    if any(fault is UNAVAILABLE for fault in faults):
        return rule.while_away(spread)
    reasons = "; ".join(dict.fromkeys(f"{fault.code} {fault.message}" for fault in faults))
    if any(fault.code in _TEMPORARY_CODES for fault in faults):
        return rule.after(item, reasons, spread)
    return Dead(reasons if isinstance(result, ApiError) else f"{len(faults)} of its parts failed: {reasons}")


def _faults(result: Any) -> Iterator[ApiError]:
    match result:
        case ApiError():
            yield result
        case BroadcastResult(responses=responses):
            yield from (response.error for response in responses if response.error is not None)
        case BatchResult(replies=replies):
            for reply in replies:
                error = reply.get("error")
                if error is not None:
                    yield error
                else:
                    yield from (fault for part in reply.values() for fault in _faults(part))

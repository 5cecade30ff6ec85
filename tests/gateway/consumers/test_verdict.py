"""What the answer to a call means for its item."""

import msgspec
import pytest

from broker.errors import BadInput, EngineUnavailable, StoreUnavailable
from broker.event_source import Again, Dead, Done, Item
from gateway.api.errors import INTERNAL, UNAVAILABLE, ApiError
from gateway.api.messages import BatchResult, BroadcastResponse, BroadcastResult, PublishResult
from gateway.consumers.verdict import RetryRule, carry_out, judge

RULE = RetryRule(base_s=1.0, cap_s=8.0, attempts=4)
UNKNOWN = ApiError(102, "unknown channel")
OK = BroadcastResponse(result=PublishResult())


def item(payload: bytes = b'{"channel":"news","data":{}}', method: str = "publish", attempt: int = 1, fault: str = "") -> Item:
    return Item("7", method, payload, "", attempt, "t7", fault)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (UNKNOWN, "102 unknown channel"),
        (ApiError(107, "bad request: data must not be empty"), "107 bad request: data must not be empty"),
        (BroadcastResult([OK, BroadcastResponse(error=UNKNOWN)]), "1 of its parts failed: 102 unknown channel"),
        (BatchResult([{"publish": PublishResult()}, {"error": UNKNOWN}]), "1 of its parts failed: 102 unknown channel"),
        (
            BatchResult([{"broadcast": BroadcastResult([BroadcastResponse(error=UNKNOWN)])}]),
            "1 of its parts failed: 102 unknown channel",
        ),
    ],
)
def test_what_can_never_succeed_is_dead_with_the_reason(result: msgspec.Struct, reason: str) -> None:
    assert judge(item(), result, RULE, spread=0.5) == Dead(reason)


@pytest.mark.parametrize("result", [PublishResult(), BroadcastResult([OK, OK]), BatchResult([{"publish": PublishResult()}])])
def test_what_succeeded_is_done(result: msgspec.Struct) -> None:
    assert judge(item(), result, RULE, spread=0.5) == Done()


@pytest.mark.parametrize(
    "result",
    [
        UNAVAILABLE,
        BroadcastResult([OK, BroadcastResponse(error=UNAVAILABLE), BroadcastResponse(error=UNKNOWN)]),
        BatchResult([{"error": UNAVAILABLE}, {"error": INTERNAL}]),
    ],
)
@pytest.mark.parametrize("attempt", [1, 4])
def test_an_outage_is_waited_out_and_never_counts(result: msgspec.Struct, attempt: int) -> None:
    assert judge(item(attempt=attempt), result, RULE, spread=0.0) == Again(0.5, counts=False)


@pytest.mark.parametrize("result", [INTERNAL, ApiError(111, "too many requests"), BatchResult([{"error": INTERNAL}])])
def test_an_error_that_may_pass_is_tried_again_with_growing_patience_then_given_up(result: msgspec.Struct) -> None:
    ends = [judge(item(attempt=attempt), result, RULE, spread=1.0) for attempt in (1, 2, 3)]
    assert ends == [Again(1.0), Again(2.0), Again(4.0)]
    last = judge(item(attempt=4), result, RULE, spread=1.0)
    assert isinstance(last, Dead)
    assert last.reason.startswith("given up after 4 tries: 1")


def test_the_patience_has_a_cap_and_a_spread() -> None:
    rule = RetryRule(base_s=1.0, cap_s=8.0, attempts=100)
    assert rule.after(item(attempt=50), "", 1.0) == Again(8.0)
    assert rule.after(item(attempt=50), "", 0.0) == Again(4.0)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (item(b"no json"), "bad request: "),
        (item(b"[]"), "bad request: "),
        (item(b'{"channel":7}'), "bad request: "),
        (item(b'{"channel":"\xff"}'), "bad request: "),
        (item(b"[" * 100_000), "bad request: "),
        (item(b'{"channel":""}'), "107 "),
        (item(method="fly"), "no such method: fly"),
        (item(method="x" * 500), f"no such method: {'x' * 64}"),
        (item(fault="has no field payload"), "has no field payload"),
        (item(attempt=5), "given up after 4 tries"),
    ],
    ids=repr,
)
async def test_what_cannot_be_read_is_dead(api, clock, what: Item, reason: str) -> None:
    api.fail("", BadInput("channel", "must not be empty"))
    end = await carry_out(what, api.calls, RULE, clock, consumer="events")
    assert isinstance(end, Dead)
    assert end.reason.startswith(reason)
    assert api.published == []


@pytest.mark.parametrize("error", [EngineUnavailable("away"), StoreUnavailable("away")])
async def test_what_is_away_is_no_fault_of_the_item(api, clock, error: Exception) -> None:
    api.fail("news", error)
    end = await carry_out(item(attempt=4), api.calls, RULE, clock, consumer="events")
    assert isinstance(end, Again)
    assert not end.counts


async def test_a_bug_of_ours_is_tried_again_and_counts(api, clock) -> None:
    api.fail("news", ZeroDivisionError())
    end = await carry_out(item(), api.calls, RULE, clock, consumer="events")
    assert isinstance(end, Again)
    assert end.counts

"""What the pipeline tells of its steps: within the hour in the request's trace, later in traces that are linked to it."""

import pytest

from broker.notification import Provider, Route
from config.tracing import linked
from pushers.outcome import DropMessage, Retry

TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUEST = f"00-{TRACE}-b7ad6b7169203331-01"
HOURS_S = 3 * 3600.0


@pytest.fixture
def written(write_traces):
    return write_traces(0.0)


def spans_of(exporter, name):
    return [span for span in exporter.get_finished_spans() if span.name == name]


def place_of(span):
    """The trace that it is of, or those that it is linked to."""
    if span.parent is not None:
        return f"{span.context.trace_id:032x}"
    return [f"{link.context.trace_id:032x}" for link in span.links]


async def test_a_retry_after_hours_is_linked_to_the_request(rig, written, device):
    tracing, exporter = written
    phone = device(Provider.FCM)
    rig.ledger.devices[phone.id] = phone
    rig.providers[Provider.FCM].script = [Retry("throttled", HOURS_S, is_failure=False)]
    rig.ledger.add(routes=(Route.PUSH,), trace=REQUEST, push_wait_s=0.0)
    await rig.start(tracing=tracing)
    await rig.advance(HOURS_S * 1.2)
    first, second = spans_of(exporter, "delivery")
    assert (place_of(first), place_of(second)) == (TRACE, [TRACE])
    assert f"{second.context.trace_id:032x}" != TRACE
    assert second.links[0].context.span_id == int("b7ad6b7169203331", 16)
    assert [span.attributes["heliograph.outcome"] for span in (first, second)] == ["retry", "accepted"]
    plans = spans_of(exporter, "plan")
    assert place_of(plans[0]) == TRACE
    assert plans[0].attributes["heliograph.decision"] == "send"
    assert place_of(plans[-1]) == [TRACE]


async def test_what_is_made_of_something_else_is_linked_from_the_start(rig, written):
    tracing, exporter = written
    other = REQUEST.replace("0af7", "1bf8")
    rig.ledger.add(routes=(Route.PUSH,), trace=linked(REQUEST, other))
    await rig.start(tracing=tracing)
    (plan,) = spans_of(exporter, "plan")
    assert place_of(plan) == [TRACE, TRACE.replace("0af7", "1bf8")]


async def test_what_was_not_traced_writes_nothing(rig, written, device):
    tracing, exporter = written
    phone = device(Provider.FCM)
    rig.ledger.devices[phone.id] = phone
    notification = rig.ledger.add(routes=(Route.LIVE, Route.PUSH))
    await rig.connect()
    await rig.start(tracing=tracing)
    await rig.advance(10)
    assert ("fcm", "accepted") in rig.outcomes(notification)
    assert exporter.get_finished_spans() == ()


async def test_a_text_that_is_no_trace_harms_nothing(rig, written, device):
    tracing, exporter = written
    phone = device(Provider.FCM)
    rig.ledger.devices[phone.id] = phone
    notification = rig.ledger.add(routes=(Route.PUSH,), trace="not a trace")
    await rig.start(tracing=tracing)
    assert ("fcm", "accepted") in rig.outcomes(notification)
    assert exporter.get_finished_spans() == ()


async def test_a_refusal_is_an_error_and_tells_the_breaker(rig, written, device):
    tracing, exporter = written
    phone = device(Provider.APNS)
    rig.ledger.devices[phone.id] = phone
    rig.providers[Provider.APNS].script = [DropMessage("bad topic")]
    rig.ledger.add(routes=(Route.PUSH,), trace=REQUEST)
    await rig.start(tracing=tracing)
    (delivery,), (call,) = spans_of(exporter, "delivery"), spans_of(exporter, "provider call")
    assert delivery.attributes["error.type"] == "refused"
    assert delivery.attributes["heliograph.breaker_after"] == "closed"
    assert call.attributes["error.type"] == "DropMessage"
    assert "bad topic" not in str(dict(call.attributes)) + str(dict(delivery.attributes))


async def test_what_is_cut_off_ends_its_spans(rig, written, device):
    tracing, exporter = written
    phone = device(Provider.FCM)
    rig.ledger.devices[phone.id] = phone
    rig.providers[Provider.FCM].hang()
    rig.ledger.add(routes=(Route.PUSH,), trace=REQUEST)
    await rig.start(tracing=tracing)
    await rig.kill()
    (delivery,) = spans_of(exporter, "delivery")
    assert delivery.attributes["error.type"] == "CancelledError"

"""What is counted, read back from the registry."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest

from broker.breaker import BreakerState
from broker.ledger import PlanDone, SendDone, StepKind
from broker.notification import Entry, Lane, Outcome, Provider, State
from pushers.metrics import Metrics


def test_attempts_ends_and_latency_are_counted_without_personal_data(step, notification, device, clock):
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    told = notification(lane=Lane.HIGH)
    sent = step(told, StepKind.SEND, device=device(Provider.EMAIL))
    entry = Entry("email", Outcome.ACCEPTED, clock.now(), "email", "a…@example.org", "d", 1)
    metrics.sent(SendDone(sent, entry, clock.now()), 0.2, told.created_at + timedelta(seconds=3))
    metrics.sent(SendDone(sent, None, clock.now()), None, clock.now())
    plan = PlanDone(step(told), (Entry("live", Outcome.OFFLINE, clock.now()),), finish=State.EXHAUSTED)
    metrics.planned(plan)

    def read(name, **labels):
        return registry.get_sample_value(f"heliograph_{name}", labels)

    assert read("deliveries_total", provider="email", outcome="accepted", lane="high") == 1
    assert read("deliveries_total", provider="live", outcome="offline", lane="high") == 1
    assert read("notifications_finished_total", state="exhausted", lane="high") == 1
    assert read("accepted_seconds_sum", provider="email", lane="high") == 3
    assert read("provider_call_seconds_count", provider="email") == 1
    assert b"example.org" not in generate_latest(registry)


def test_gauges_are_read_when_they_are_asked_for():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    state = BreakerState.CLOSED
    metrics.watch(Provider.FCM, lambda: state, lambda: 3)
    assert registry.get_sample_value("heliograph_breaker_state", {"provider": "fcm"}) == 0
    state = BreakerState.OPEN
    assert registry.get_sample_value("heliograph_breaker_state", {"provider": "fcm"}) == 2
    assert registry.get_sample_value("heliograph_deliveries_under_way", {"provider": "fcm"}) == 3


def test_a_registry_can_stand_within_another_and_leave_it():
    inner, outer = CollectorRegistry(), CollectorRegistry(auto_describe=True)
    Metrics(inner).watch(Provider.FCM, lambda: BreakerState.CLOSED, lambda: 0)
    outer.register(inner)
    assert b'heliograph_breaker_state{provider="fcm"} 0.0' in generate_latest(outer)
    outer.unregister(inner)
    assert generate_latest(outer) == b""

"""Providers and their apps side by side, and the routes behind email: each carrier's trouble is its own."""

from datetime import timedelta

import pytest

from broker.notification import DEFAULT_ROUTES, Lane, Outcome, Provider, Route, State
from broker.overrides import InForce
from config.settings import NotificationSettings, ProviderLimits
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropMessage, Retry

PUSH = (Route.PUSH,)
EVERY = tuple(Route)


def kiosk(device, id="kiosk-1"):
    return device(Provider.FCM, id=id, app="kiosk")


# Routes


def test_text_messages_and_webhooks_are_asked_for_by_name():
    assert DEFAULT_ROUTES == (Route.LIVE, Route.PUSH, Route.EMAIL)
    assert {provider.route for provider in Provider} == {Route.PUSH, Route.EMAIL, Route.SMS, Route.WEBHOOK}


@pytest.mark.parametrize(
    ("routes", "order"),
    [
        (EVERY, ["fcm", "email", "sms", "webhook"]),
        ((Route.SMS, Route.PUSH), ["sms", "fcm"]),
        ((Route.WEBHOOK, Route.LIVE, Route.SMS), ["webhook", "sms"]),
        ((Route.EMAIL, Route.SMS), ["email", "sms"]),
    ],
)
async def test_routes_are_used_in_the_order_that_is_asked_for(rig, device, routes, order):
    devices = [device(provider) for provider in (Provider.WEBHOOK, Provider.SMS, Provider.EMAIL, Provider.FCM)]
    rig.ledger.register(*devices)
    sent = rig.ledger.add(routes=routes, push_wait_s=0.0)
    await rig.start()
    for _ in order:
        await rig.advance(60.0)
    told = [(name, outcome) for name, outcome in rig.outcomes(sent) if outcome == Outcome.ACCEPTED]
    assert [name for name, _ in told] == order
    assert rig.state(sent) is State.EXHAUSTED


# Apps


async def test_each_device_is_reached_through_its_app(rig, device):
    rig.add_app("fcm:kiosk")
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    sent = rig.ledger.add(routes=PUSH)
    await rig.start()
    assert rig.calls("fcm") == rig.calls("fcm:kiosk") == [0.0]
    assert rig.state(sent) is State.EXHAUSTED


async def test_an_app_that_is_not_configured_is_told_so_and_the_next_route_has_its_turn(rig, device):
    rig.ledger.register(kiosk(device), device(Provider.EMAIL))
    sent = rig.ledger.add(routes=(Route.PUSH, Route.EMAIL))
    await rig.start()
    assert rig.calls("fcm") == []
    assert rig.outcomes(sent) == [("fcm", Outcome.PAUSED), ("email", Outcome.ACCEPTED)]
    assert rig.ledger.entries[sent.id][0].detail == "fcm:kiosk is not configured"


async def test_a_hanging_app_fills_only_its_own_places(rig, device):  # N-10
    rig.settings = NotificationSettings(concurrency=2)
    rig.add_app("fcm:kiosk").hang()
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    for _ in range(30):
        rig.ledger.add(routes=PUSH)
    await rig.start()
    await rig.advance(2.0)
    assert len(rig.calls("fcm:kiosk")) == 2
    assert len(rig.calls("fcm")) == 30


async def test_a_breaker_opens_for_one_app_alone(rig, device):  # N-10, N-11
    rig.add_app("fcm:kiosk").default = Ambiguous("no answer in time")
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    for _ in range(40):
        rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    for _ in range(40):
        await rig.advance(1.0)
    states = {
        sample.labels["provider"]: sample.value
        for metric in pipeline.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "heliograph_breaker_state"
    }
    assert (states["fcm"], states["fcm:kiosk"]) == (0, 2)
    assert len(rig.calls("fcm")) == 40


async def test_rates_are_each_apps_own(rig, device):
    rig.add_app("fcm:kiosk")
    rig.limits = {"fcm:kiosk": ProviderLimits(rate_per_s=1, burst=1)}
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    for _ in range(3):
        rig.ledger.add(routes=PUSH)
    await rig.start()
    assert rig.calls("fcm") == [0.0] * 3
    assert rig.calls("fcm:kiosk") == [0.0]
    for _ in range(4):
        await rig.advance(1.0)
    assert len(rig.calls("fcm:kiosk")) == 3


# Credentials


async def test_wrong_credentials_pause_one_app_say_so_and_lose_nothing(rig, device):  # N-13
    refused = rig.add_app("fcm:kiosk")
    refused.default = ConfigPause("PERMISSION_DENIED")
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    sent = [rig.ledger.add(routes=PUSH) for _ in range(5)]
    pipeline = await rig.start()
    assert pipeline.concerns() == ["fcm:kiosk is paused: PERMISSION_DENIED"]
    assert len(rig.calls("fcm")) == 5
    assert {rig.state(one) for one in sent} == {State.PENDING}
    calls_before = len(refused.calls)
    refused.default = Accepted()
    pipeline.renewed("fcm:kiosk")
    await rig.quiet()
    await rig.advance(66.1)  # those that complained come back when they said they would
    await rig.advance(2.0)
    assert len(refused.calls) > calls_before
    assert pipeline.concerns() == []
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}


async def test_new_credentials_serve_at_once_what_is_waiting_in_the_store(rig, device):
    refused = rig.add_app("fcm:kiosk")
    refused.default = ConfigPause("PERMISSION_DENIED")
    rig.ledger.register(kiosk(device))
    rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    calls_before = len(refused.calls)
    later = rig.ledger.add(routes=PUSH)
    await rig.advance(5.0)
    assert len(refused.calls) == calls_before, "nobody calls while it is paused"
    refused.default = Accepted()
    pipeline.renewed("fcm:kiosk")
    await rig.advance(1.1)
    assert rig.state(later) is State.EXHAUSTED


async def test_whoever_waits_for_deliveries_waits_for_carriers_that_serve(rig, device):  # N-10
    refused = rig.add_app("fcm:kiosk")
    refused.default = ConfigPause("PERMISSION_DENIED")
    rig.ledger.register(kiosk(device))
    pipeline = await rig.start()
    assert pipeline.serving() == set(rig.providers)
    rig.ledger.add(routes=PUSH)
    await rig.quiet()
    assert pipeline.serving() == set(rig.providers) - {"fcm:kiosk"}
    only = rig.make("w-2", providers=[refused])
    only.obey(InForce(carriers=frozenset({"fcm:kiosk"})))
    assert only.serving() == {"fcm:kiosk"}, "where none serves, what is expanded is bounded by what waits for them"


async def test_an_expired_one_leaves_a_paused_app_without_a_call(rig, device):  # N-8
    refused = rig.add_app("fcm:kiosk")
    refused.default = ConfigPause("PERMISSION_DENIED")
    rig.ledger.register(kiosk(device))
    rig.ledger.add(routes=PUSH)
    await rig.start()
    calls_before = len(refused.calls)
    dying = rig.ledger.add(routes=PUSH, ttl_s=10.0)
    await rig.advance(11.0)
    assert rig.state(dying) is State.EXPIRED
    assert len(refused.calls) == calls_before


async def test_critical_ones_of_one_app_pass_the_backlog_of_another(rig, device):  # R14
    rig.settings = NotificationSettings(concurrency=2)
    rig.add_app("fcm:kiosk").hang()
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    await rig.start()
    for _ in range(50):
        rig.ledger.add(routes=PUSH, lane=Lane.BULK)
    await rig.quiet()
    before = len(rig.calls("fcm"))
    rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await rig.quiet()
    assert len(rig.calls("fcm")) == before + 1


async def test_a_provider_without_a_handle_is_called_once(rig, device):
    rig.providers["sms"].default = Ambiguous("no answer in time", may_repeat=False)
    rig.ledger.register(device(Provider.SMS), device(Provider.WEBHOOK))
    sent = rig.ledger.add(routes=(Route.SMS, Route.WEBHOOK))
    await rig.start()
    await rig.advance(120.0)
    assert rig.calls("sms") == [0.0]
    assert rig.outcomes(sent) == [("sms", Outcome.UNKNOWN), ("webhook", Outcome.ACCEPTED)]


async def test_retry_after_of_one_app_holds_that_app_alone(rig, device):  # R11
    rig.add_app("fcm:kiosk").script = [Retry("429", 30.0, "lane", is_failure=False)]
    rig.ledger.register(device(Provider.FCM), kiosk(device))
    rig.ledger.add(routes=PUSH)
    await rig.start()
    rig.ledger.add(routes=PUSH)
    await rig.advance(29.9)
    assert (len(rig.calls("fcm")), len(rig.calls("fcm:kiosk"))) == (2, 1)
    await rig.advance(10.0)
    assert len(rig.calls("fcm:kiosk")) == 3
    assert min(rig.calls("fcm:kiosk")[1:]) >= 30.0


async def test_a_message_for_tokens_of_another_kind_moves_on(rig, device):
    rig.providers["fcm"].default = DropMessage("the app takes no pushes of type voip")
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    sent = rig.ledger.add(routes=(Route.PUSH, Route.EMAIL), expires_at=rig.clock.now() + timedelta(hours=1))
    await rig.start()
    assert rig.outcomes(sent) == [("fcm", Outcome.REFUSED), ("email", Outcome.ACCEPTED)]

"""What an override may say, what follows from several, and that they end by themselves."""

import asyncio
from datetime import timedelta

import pytest

from broker.errors import BadInput, StoreUnavailable
from broker.notification import Lane
from broker.override_endings import OverrideEndings
from broker.overrides import KINDS, InForce, Kind, Override, Target, check_what
from broker.present_overrides import PresentOverrides
from config.clock import ManualClock, settle

GOOD = [
    ("pause_lane", "bulk", None),
    ("pause_lane", "critical", None),
    ("pause_carrier", "apns", None),
    ("pause_carrier", "sms:uk", None),
    ("only_critical", "", None),
    ("maintenance", "", "back at ten – sorry"),
    ("refuse_connections", "", None),
    ("refuse_connections", "gateway-1:8000", None),
    ("connection_limit", "", 1),
    ("connection_limit", "gateway-1", 100.0),
    ("command_rate", "", 0.1),
    ("carrier_rate", "fcm", 1_000_000),
]
BAD = [
    ("", "", None, "kind"),
    ("pause", "bulk", None, "kind"),
    ("PAUSE_LANE", "bulk", None, "kind"),
    ("pause_lane", "", None, "target"),
    ("pause_lane", "slow", None, "target"),
    ("pause_lane", "BULK", None, "target"),
    ("pause_lane", "bulk", True, "value"),
    ("pause_lane", "bulk", 5, "value"),
    ("pause_carrier", "", None, "target"),
    ("pause_carrier", "pigeon", None, "target"),
    ("pause_carrier", "apns:", None, "target"),
    ("pause_carrier", "apns:a b", None, "target"),
    ("pause_carrier", "apns:" + "x" * 65, None, "target"),
    ("pause_carrier", "live", None, "target"),
    ("only_critical", "bulk", None, "target"),
    ("only_critical", "", "yes", "value"),
    ("maintenance", "", None, "value"),
    ("maintenance", "", "", "value"),
    ("maintenance", "", "   ", "value"),
    ("maintenance", "", "two\nlines", "value"),
    ("maintenance", "", "nul\0", "value"),
    ("maintenance", "", "x" * 501, "value"),
    ("maintenance", "", 7, "value"),
    ("refuse_connections", "x" * 129, None, "target"),
    ("refuse_connections", "a\tb", None, "target"),
    ("connection_limit", "", None, "value"),
    ("connection_limit", "", 0, "value"),
    ("connection_limit", "", 1.5, "value"),
    ("connection_limit", "", True, "value"),
    ("connection_limit", "", "5", "value"),
    ("connection_limit", "", 10_000_001, "value"),
    ("command_rate", "", 0.05, "value"),
    ("command_rate", "", float("nan"), "value"),
    ("command_rate", "", float("inf"), "value"),
    ("carrier_rate", "fcm", 0, "value"),
    ("carrier_rate", "fcm", -1, "value"),
    ("carrier_rate", "", 5, "target"),
]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def make(clock):
    def make(kind, target="", value=None, for_s=60.0):
        now = clock.now()
        return Override(kind, target, value, "a test", now, now + timedelta(seconds=for_s))

    return make


class Kept:
    """Plays the port as far as it is read."""

    def __init__(self):
        self.overrides, self.is_away, self.asked = [], False, 0

    async def all(self):
        if self.is_away:
            raise StoreUnavailable("the store is away")
        return tuple(self.overrides)

    async def end_past(self):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("the store is away")
        return 0


@pytest.mark.parametrize(("kind", "target", "value"), GOOD)
def test_what_fits_is_taken(kind, target, value):
    assert check_what(kind, target, value) == (Kind(kind), value)


def test_every_kind_is_among_them():
    assert {kind for kind, *_ in GOOD} == set(KINDS) == set(Kind)


@pytest.mark.parametrize(("kind", "target", "value", "field"), BAD)
def test_what_does_not_is_refused_with_field_and_rule(kind, target, value, field):
    with pytest.raises(BadInput) as refused:
        check_what(kind, target, value)
    assert refused.value.field == field
    assert refused.value.rule.startswith(("must ", "must not "))


def test_several_add_up(make):
    present = InForce.of(
        [
            make(Kind.PAUSE_LANE, "critical"),
            make(Kind.ONLY_CRITICAL),
            make(Kind.PAUSE_CARRIER, "apns"),
            make(Kind.CARRIER_RATE, "fcm", 5),
            make(Kind.MAINTENANCE, value="back at ten"),
        ]
    )
    assert present.lanes == frozenset(Lane)
    assert (present.is_only_critical, present.maintenance, present.rates) == (True, "back at ten", {"fcm": 5.0})
    assert InForce.of([]) == InForce()


def test_what_is_said_of_a_node_comes_before_what_is_said_of_all(make):
    everywhere, here = make(Kind.CONNECTION_LIMIT, "", 5), make(Kind.CONNECTION_LIMIT, "n-1", 9)
    present = InForce.of([everywhere, here])
    assert present.at_node(Kind.CONNECTION_LIMIT, "uid", "n-1") is here
    assert present.at_node(Kind.CONNECTION_LIMIT, "n-2") is everywhere
    assert InForce.of([here]).at_node(Kind.CONNECTION_LIMIT, "n-2") is None
    assert present.at_node(Kind.COMMAND_RATE, "n-1") is None


@pytest.mark.parametrize(("for_s", "told_s"), [(0.2, 1), (1.0, 1), (12.3, 13), (60, 60), (86400, 60)])
def test_who_is_refused_comes_back_when_it_has_ended_but_looks_again_each_minute(make, clock, for_s, told_s):
    present = InForce.of([make(Kind.ONLY_CRITICAL, for_s=for_s)])
    assert present.retry_after_s(Kind.ONLY_CRITICAL, clock.now()) == told_s


class TestPresent:
    """What a process holds to."""

    @pytest.fixture
    async def scene(self, clock):
        kept = Kept()
        present = PresentOverrides(kept, clock)
        told = []
        present.on_change(lambda now: told.append(sorted(one.kind for one in now.overrides)))
        running = asyncio.create_task(present.run())
        yield kept, present, told
        running.cancel()

    async def test_whoever_is_ruled_is_told_at_once_and_at_each_change(self, scene, make):
        kept, present, told = scene
        assert told == [[]]
        kept.overrides = [make(Kind.ONLY_CRITICAL)]
        await present.load()
        await present.load()
        assert told == [[], ["only_critical"]], "what has not changed is not told"

    async def test_each_ends_by_the_clock(self, scene, make, clock):
        kept, present, told = scene
        kept.overrides = [make(Kind.PAUSE_LANE, "bulk", for_s=90), make(Kind.ONLY_CRITICAL, for_s=200)]
        await present.load()
        await clock.advance(89.9)
        assert told[-1] == ["only_critical", "pause_lane"]
        await clock.advance(0.1)
        assert told[-1] == ["only_critical"]
        await clock.advance(110)
        assert told[-1] == []
        assert present.now == InForce()

    async def test_one_that_comes_later_and_ends_earlier_does_so(self, scene, make, clock):
        kept, present, told = scene
        kept.overrides = [make(Kind.PAUSE_LANE, "bulk", for_s=600)]
        await present.load()
        await clock.advance(10)
        kept.overrides.append(make(Kind.ONLY_CRITICAL, for_s=5))
        await present.load()
        await clock.advance(5)
        assert told[-1] == ["pause_lane"]

    async def test_while_the_store_is_away_they_hold_until_their_end(self, scene, make, clock):  # L-6
        kept, present, told = scene
        kept.overrides = [make(Kind.ONLY_CRITICAL, for_s=30)]
        await present.load()
        kept.is_away = True
        with pytest.raises(StoreUnavailable):
            await present.load()
        await clock.advance(29)
        assert told[-1] == ["only_critical"]
        await clock.advance(1)
        assert told[-1] == []

    async def test_whoever_comes_later_hears_what_holds(self, scene, make):
        kept, present, _ = scene
        kept.overrides = [make(Kind.ONLY_CRITICAL)]
        await present.load()
        late = []
        present.on_change(late.append)
        assert late == [present.now]

    async def test_nothing_sleeps_while_there_is_none(self, scene, clock):
        await settle()
        assert clock._sleepers == []


class TestEndings:
    """When the store is asked to write down what has ended."""

    @pytest.fixture
    async def scene(self, clock):
        kept = Kept()
        present = PresentOverrides(kept, clock)
        endings = OverrideEndings(kept, present, clock)
        running = [asyncio.create_task(one.run()) for one in (present, endings)]
        await settle()
        yield kept, present
        for one in running:
            one.cancel()

    async def test_it_is_asked_at_the_start_and_at_each_end(self, scene, make, clock):
        kept, present = scene
        assert kept.asked == 1, "something may have ended while nobody was there"
        kept.overrides = [make(Kind.ONLY_CRITICAL, for_s=30)]
        await present.load()
        await clock.advance(29)
        asked = kept.asked
        await clock.advance(1)
        assert kept.asked == asked + 1
        await clock.advance(3600)
        assert kept.asked == asked + 1

    async def test_it_is_asked_of_what_had_ended_when_it_was_read(self, scene):
        kept, present = scene
        await present.load()
        await settle()
        assert kept.asked == 2

    async def test_while_it_is_away_it_is_asked_again(self, scene, make, clock):
        kept, present = scene
        kept.overrides = [make(Kind.ONLY_CRITICAL, for_s=30)]
        await present.load()
        await settle()
        kept.is_away = True
        await clock.advance(30)
        asked = kept.asked
        for _ in range(3):
            await clock.advance(7.5)
        assert kept.asked >= asked + 3
        kept.is_away = False
        await clock.advance(7.5)
        asked = kept.asked
        await clock.advance(3600)
        assert kept.asked == asked
        assert clock._sleepers == []


def test_the_page_for_operators_lists_every_kind(pytestconfig):
    page = (pytestconfig.rootpath / "docs/operations.md").read_text(encoding="utf-8")
    for kind, rule in KINDS.items():
        target = {Target.NOTHING: "none", Target.LANE: "a lane", Target.CARRIER: "a carrier", Target.NODE: "a node, or none"}
        value = "none" if rule.value is None else str(rule.value)
        assert f"| `{kind}` | {target[rule.target]} | {value} |" in page

"""Which call meets which fault."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.simulators.faults import (
    Call,
    CloseConnection,
    Delay,
    FaultSchedule,
    GoAway,
    LimitStreams,
    ResetStream,
    Respond,
    Rule,
    Silence,
    SplitBody,
    decide,
    withholds_answer,
)


def hits(rule: Rule, calls: int) -> list[int]:
    """Number the calls, from 1, that meet the rule."""
    schedule = FaultSchedule()
    schedule.set([rule])
    return [number for number in range(1, calls + 1) if schedule.next(Call("fcm", "alice")) is not None]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(Silence()), [1, 2, 3, 4, 5, 6]),
        (Rule(Silence(), nth=3), [3]),
        (Rule(Silence(), every=2), [2, 4, 6]),
        (Rule(Silence(), first=2), [1, 2]),
        (Rule(Silence(), every=2, first=4), [2, 4]),
        (Rule(Silence(), provider="fcm", address="lic"), [1, 2, 3, 4, 5, 6]),
        (Rule(Silence(), provider="apns"), []),
        (Rule(Silence(), address="bob"), []),
    ],
)
def test_conditions_choose_calls(rule: Rule, expected: list[int]) -> None:
    assert hits(rule, 6) == expected


def test_calls_that_do_not_match_are_not_counted() -> None:
    schedule = FaultSchedule()
    schedule.set([Rule(Silence(), address="bob", nth=2)])
    addresses = ["bob", "alice", "alice", "bob", "bob"]
    assert [schedule.next(Call("apns", address)) is not None for address in addresses] == [False, False, False, True, False]


def test_the_first_rule_that_fires_wins_and_the_others_count_on() -> None:
    schedule = FaultSchedule()
    schedule.set([Rule(Silence(), nth=1), Rule(ResetStream(), nth=2)])
    fired = [schedule.next(Call("fcm", "a")) for _ in range(3)]
    assert [rule and rule.action for rule in fired] == [Silence(), ResetStream(), None]


def test_added_rules_leave_counts_and_set_ones_begin_anew() -> None:
    schedule = FaultSchedule()
    schedule.set([Rule(Silence(), nth=2)])
    assert schedule.next(Call("fcm", "a")) is None
    schedule.add(Rule(ResetStream(), nth=1))
    fired = schedule.next(Call("fcm", "a"))
    assert fired is not None and fired.action == Silence()
    schedule.set(schedule.rules)
    fired = schedule.next(Call("fcm", "a"))
    assert fired is not None and fired.action == ResetStream()
    schedule.clear()
    assert schedule.is_empty
    assert schedule.next(Call("fcm", "a")) is None


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Rule,
            action=st.just(Silence()),
            provider=st.sampled_from(["", "fcm", "apns"]),
            every=st.integers(0, 3),
            nth=st.integers(0, 3),
            first=st.integers(0, 3),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(["fcm", "apns"]), max_size=12),
)
def test_counts_are_matches_whatever_fires(rules: list[Rule], providers: list[str]) -> None:
    counts: tuple[int, ...] = (0,) * len(rules)
    for provider in providers:
        fired, counts = decide(rules, counts, Call(provider, "x"))
        assert fired is None or fired.matches(Call(provider, "x"))
    assert counts == tuple(sum(rule.provider in ("", provider) for provider in providers) for rule in rules)


@pytest.mark.parametrize(
    "action",
    [
        Respond(503, "Shutdown", headers={"retry-after": "2"}),
        Respond(500, body=""),
        Delay(0.5),
        Silence(),
        ResetStream(7),
        GoAway(includes_call=True, debug='{"reason":"Shutdown"}'),
        CloseConnection(after_headers=True),
        SplitBody(3),
        LimitStreams(1),
    ],
)
def test_rules_travel_as_json(action: object) -> None:
    rule = Rule(action, provider="apns", every=3, taken=True)  # type: ignore[arg-type]
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


@pytest.mark.parametrize(
    "text",
    [
        b'{"action":{"do":"explode"}}',
        b'{"action":{"do":"silence"},"when":"now"}',
        b'{"action":{"do":"respond"}}',
        b'{"action":{"do":"delay","seconds":"soon"}}',
    ],
)
def test_unknown_words_are_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Rule)


def test_which_actions_withhold_the_answer() -> None:
    assert [withholds_answer(action) for action in (Silence(), ResetStream(), GoAway(), CloseConnection())] == [True] * 4
    answering = (GoAway(includes_call=True), CloseConnection(after_headers=True), Delay(1), SplitBody(), LimitStreams(1))
    assert not any(withholds_answer(action) for action in answering)

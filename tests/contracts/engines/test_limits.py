"""The port Limits, sentence by sentence."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.limits import Claim, Rate

TEN_PER_S = Rate(per_s=10.0, burst=3)


async def test_a_burst_passes_at_once_and_no_more(engine):
    waits = [await engine.limits.acquire("k", TEN_PER_S) for _ in range(4)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3] == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("per_s", [0.001, 1.0, 1000.0, 100_000.0])
async def test_the_wait_told_follows_from_the_rate(engine, pass_time, per_s):
    rate = Rate(per_s, burst=1)
    assert await engine.limits.acquire("k", rate) == 0.0
    assert await engine.limits.acquire("k", rate) == pytest.approx(1 / per_s, rel=0.01)


async def test_what_was_refused_was_not_spent(engine, pass_time):
    for _ in range(3):
        await engine.limits.acquire("k", TEN_PER_S)
    for _ in range(20):
        assert await engine.limits.acquire("k", TEN_PER_S) == pytest.approx(0.1, abs=0.02)
    await pass_time(0.1)
    assert await engine.limits.acquire("k", TEN_PER_S) == 0.0


async def test_after_the_wait_told_it_passes(engine, pass_time):
    rate = Rate(per_s=3.0, burst=1)
    for _ in range(200):
        assert await engine.limits.acquire("k", rate) == 0.0
        wait_s = await engine.limits.acquire("k", rate)
        assert wait_s > 0
        await pass_time(wait_s)


async def test_on_average_the_rate_holds(engine, pass_time):
    spent = 0
    for _ in range(1000):
        spent += await engine.limits.acquire("k", TEN_PER_S) == 0.0
        await pass_time(0.01)
    assert 100 <= spent <= 103  # ten seconds at ten per second, and the burst


async def test_a_rest_restores_the_burst_and_no_more(engine, pass_time):
    for _ in range(3):
        await engine.limits.acquire("k", TEN_PER_S)
    await pass_time(3600)
    waits = [await engine.limits.acquire("k", TEN_PER_S) for _ in range(4)]
    assert [wait_s > 0 for wait_s in waits] == [False, False, False, True]


async def test_a_cost_is_spent_whole_or_not_at_all(engine):
    waits = [(await engine.limits.spend("k", TEN_PER_S, cost=cost)).wait_s for cost in (2, 2, 1)]
    assert waits == [0.0, pytest.approx(0.1, abs=0.02), 0.0]


async def test_keys_have_their_own_allowance(engine):
    for key in ("a", "b"):
        assert [await engine.limits.acquire(key, Rate(1.0, 1)) > 0 for _ in range(2)] == [False, True]


async def test_what_is_left_is_told(engine, pass_time):
    spent = [await engine.limits.spend("k", TEN_PER_S) for _ in range(3)]
    assert [(one.wait_s, one.remaining) for one in spent] == [(0.0, 2), (0.0, 1), (0.0, 0)]
    assert spent[2].whole_in_s == pytest.approx(0.3, abs=0.02)
    refused = await engine.limits.spend("k", TEN_PER_S)
    assert refused.wait_s == pytest.approx(0.1, abs=0.02)
    assert (refused.remaining, refused.whole_in_s) == (0, pytest.approx(0.3, abs=0.02))
    await pass_time(0.2)
    assert (await engine.limits.spend("k", TEN_PER_S, cost=3)).remaining == 2  # refused: nothing of it is gone
    assert (await engine.limits.spend("k", TEN_PER_S)).remaining == 1


async def test_a_cost_above_the_burst_never_can_be_spent(engine):
    assert (await engine.limits.spend("k", TEN_PER_S, cost=4)).wait_s == math.inf
    assert (await engine.limits.spend("k", TEN_PER_S, cost=3)).wait_s == 0.0


# Several allowances as one decision (N-20)


async def test_all_are_spent_or_none(engine, pass_time):
    wide, narrow = Claim("wide", Rate(1.0, 5)), Claim("narrow", Rate(0.5, 2))
    for _ in range(2):
        assert await engine.limits.acquire_all("g", [wide, narrow]) == [0.0, 0.0]
    for _ in range(10):
        assert await engine.limits.acquire_all("g", [wide, narrow]) == pytest.approx([0.0, 2.0], rel=0.01)
    assert [await engine.limits.acquire_all("g", [wide]) for _ in range(3)] == [[0.0]] * 3, "refusals have cost nothing"
    assert await engine.limits.acquire_all("g", [wide, narrow]) == pytest.approx([1.0, 2.0], rel=0.01)
    await pass_time(2.0)
    assert await engine.limits.acquire_all("g", [wide, narrow]) == [0.0, 0.0]


async def test_a_key_of_another_group_is_another(engine):
    once = [Claim("k", Rate(1.0, 1))]
    for group in ("a", "b", ""):
        assert await engine.limits.acquire_all(group, once) == [0.0]
        assert (await engine.limits.acquire_all(group, once))[0] > 0
    assert await engine.limits.acquire("k", Rate(1.0, 1)) == 0.0


async def test_at_the_longest_of_the_waits_told_all_are_granted(engine, pass_time):
    claims = [Claim("second", Rate(1.0, 1)), Claim("minute", Rate(0.05, 2))]
    granted = 0
    for _ in range(20):
        waits = await engine.limits.acquire_all("g", claims)
        granted += not any(waits)
        await pass_time(max(waits))
    assert granted >= 10, "whoever waited as told was granted"


_KEYS = {"a": Rate(1.0, 1), "b": Rate(0.5, 3), "c": Rate(4.0, 2)}


async def test_whatever_is_asked_it_agrees_with_the_sum_of_what_was_granted(engine, engine_case, pass_time):
    """The model keeps a level per key, which drains by the rate; a decision adds to all its levels or to none."""
    steps = st.lists(
        st.tuples(st.lists(st.sampled_from(sorted(_KEYS)), min_size=1, unique=True), st.sampled_from([0.0, 0.25, 1.0, 10.0])),
        max_size=30,
    )
    examples: list[list[tuple[list[str], float]]] = []

    @settings(max_examples=engine_case.examples, deadline=None, database=None)
    @given(steps)
    def collect(drawn):
        examples.append(drawn)

    collect()  # drawn first, since hypothesis calls functions and the engine lives in this test's loop
    for number, example in enumerate(examples):
        levels = dict.fromkeys(_KEYS, 0.0)
        for keys, pause_s in example:
            waits = await engine.limits.acquire_all(f"g{number}", [Claim(key, _KEYS[key]) for key in keys])
            expected = [max(0.0, (levels[key] + 1 - _KEYS[key].burst) / _KEYS[key].per_s) for key in keys]
            assert waits == pytest.approx(expected, abs=0.002)
            if not any(expected):
                levels |= {key: levels[key] + 1 for key in keys}
            await pass_time(pause_s)
            levels = {key: max(0.0, level - pause_s * _KEYS[key].per_s) for key, level in levels.items()}

"""`limits.calls_per_key`: the rate of keys that have none of their own."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.engines.memory.limits import MemoryLimits
from broker.errors import EngineUnavailable
from broker.limits import Rate
from config.clock import ManualClock
from gateway.api.call import Calls
from gateway.api.endpoint import ApiEndpoint
from gateway.api.key_rate import KeyRate


def caller(made, limits):
    pace = KeyRate(limits, made.clock)
    endpoint = ApiEndpoint(made.settings.http_api, Calls({}), pace=pace, key_rate=Rate(0.5, 2))
    return httpx.AsyncClient(transport=httpx.ASGITransport(endpoint), base_url="http://node")


async def post(http, key, times):
    return [await http.post("/api/batch", content=b'{"commands":[]}', headers={"X-API-Key": key}) for _ in range(times)]


async def test_each_key_of_the_settings_has_it_for_itself(world):
    made = world(http_api={"keys": ["one-key-of-the-tests", "two-key-of-the-tests"]})
    async with caller(made, made.engine.limits) as http:
        answers = await post(http, "one-key-of-the-tests", 3)
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
        assert (answers[2].headers["retry-after"], answers[2].headers["ratelimit-limit"]) == ("2", "2")
        assert answers[2].json() == {"error": {"code": 111, "message": "too many requests"}}
        assert (await post(http, "two-key-of-the-tests", 1))[0].status_code == 200
        made.clock.move(2.0)
        assert (await post(http, "one-key-of-the-tests", 1))[0].status_code == 200


async def test_without_keys_nobody_is_counted(world):
    made = world(http_api={"insecure": True})
    async with caller(made, made.engine.limits) as http:
        assert {answer.status_code for answer in await post(http, "any", 9)} == {200}


class Outage:
    """Limits of an engine that goes away and comes back; counts what it was asked."""

    def __init__(self, limits):
        self._limits, self.is_away, self.asked = limits, False, 0

    async def spend(self, key, rate, *, cost=1):
        self.asked += 1
        if self.is_away:
            raise EngineUnavailable("away")
        return await self._limits.spend(key, rate, cost=cost)


async def test_while_the_engine_is_away_a_node_counts_alone(world):
    key = "one-key-of-the-tests"
    made = world(http_api={"keys": [key]})
    limits = Outage(made.engine.limits)
    async with caller(made, limits) as http:
        assert (await post(http, key, 1))[0].headers["ratelimit-remaining"] == "1"
        limits.is_away = True
        answers = await post(http, key, 3)  # no fresh burst: it goes on from what it was told
        assert [answer.status_code for answer in answers] == [200, 429, 429]
        assert (answers[1].headers["retry-after"], answers[0].headers["ratelimit-remaining"]) == ("2", "0")
        assert limits.asked == 2  # nobody else waits for what does not answer
        made.clock.move(4.0)
        assert [answer.status_code for answer in await post(http, key, 3)] == [200, 200, 429]
        limits.is_away = False
        made.clock.move(1.0)
        assert (await post(http, key, 1))[0].status_code == 200
        assert limits.asked == 4


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), max_size=40))
async def test_alone_it_grants_what_an_engine_would(per_s, burst, asked):
    clock, rate = ManualClock(), Rate(per_s, burst)
    shared, alone = MemoryLimits(clock), Outage(None)
    alone.is_away = True
    pace = KeyRate(alone, clock)
    for pause_s, cost in asked:
        clock.move(pause_s)
        expected, got = await shared.spend("a", rate, cost=cost), await pace.spend("a", rate, cost)
        assert got.remaining == expected.remaining
        assert got.wait_s == pytest.approx(expected.wait_s)
        assert got.whole_in_s == pytest.approx(expected.whole_in_s)
    assert pace.alone == len(asked)

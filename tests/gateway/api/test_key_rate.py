"""`limits.calls_per_key`: the rate of keys that have none of their own."""

import httpx
import pytest

from broker.errors import EngineUnavailable
from broker.limits import Rate
from gateway.api.call import Calls
from gateway.api.endpoint import ApiEndpoint


def caller(made, limits):
    endpoint = ApiEndpoint(made.settings.http_api, Calls({}), limits=limits, key_rate=Rate(0.5, 2))
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


@pytest.mark.parametrize("key", ["one-key-of-the-tests"])
async def test_a_limit_that_cannot_be_asked_keeps_nobody_out(world, key):
    class Away:
        async def spend(self, *_args, **_options):
            raise EngineUnavailable("away")

    made = world(http_api={"keys": [key]})
    async with caller(made, Away()) as http:
        assert {answer.status_code for answer in await post(http, key, 9)} == {200}

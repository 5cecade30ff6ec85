"""`batch`: several calls in one, answered in their order whatever becomes of each."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHANNELS = {
    "without_namespace": {"allow_subscribe_for_client": True},
    "namespaces": [{"name": "kept", "history_size": 5, "history_ttl": "60s"}],
}
UNKNOWN = {"error": {"code": 104, "message": "not found"}}


async def batch(api, *commands, **options):
    response = await api.post("batch", {"commands": list(commands), **options})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"replies"}
    return answer["replies"]


@pytest.mark.parametrize("parallel", [False, True])
async def test_replies_in_order_without_a_wrapper(world, api, parallel):
    replies = await batch(
        api(world(channel=CHANNELS)),
        {"publish": {"channel": "kept:a", "data": 1}},
        {"presence": {"channel": "a"}},
        {"nothing": {}},
        {"publish": {"channel": "kept:a", "data": 2}},
        {"history": {"channel": "kept:a", "limit": 1}},
        {"publish": {"channel": 5}},
        {"info": {}},
        parallel=parallel,
    )
    epoch = replies[0]["publish"]["epoch"]
    assert replies[0] == {"publish": {"offset": 1, "epoch": epoch}}
    assert replies[1] == {"error": {"code": 108, "message": "not available"}}
    assert replies[2] == UNKNOWN
    assert replies[3] == {"publish": {"offset": 2, "epoch": epoch}}
    assert replies[4]["history"]["publications"] == [{"data": 1, "offset": 1}]
    assert replies[5] == {"error": {"code": 107, "message": "bad request: channel: must be text"}}
    assert len(replies[6]["info"]["nodes"]) == 1


async def test_a_batch_of_nothing(world, api):
    assert await batch(api(world())) == []
    assert (await api(world()).post("batch", {})).json() == {"replies": []}


@pytest.mark.parametrize(
    ("command", "code"),
    [({}, 104), ({"nothing": {}}, 104), ({"batch": {"commands": []}}, 104), (None, 107), ({"publish": None}, 107)],
)
async def test_commands_that_name_nothing(world, api, command, code):
    publish = {"publish": {"channel": "a", "data": 1}}
    replies = await batch(api(world()), publish, command, publish)
    assert [reply.get("error", {}).get("code") for reply in replies] == [None, code, None]


@pytest.mark.parametrize("commands", [5, {"publish": {}}, [5], ["publish"]])
async def test_a_batch_that_is_none_is_400(world, api, commands):
    assert (await api(world()).post("batch", {"commands": commands})).status_code == 400


async def test_transport_mode_leaves_a_batch_alone(world, api):
    body = {"commands": [{"nothing": {}}]}
    response = await api(world()).post("batch", body, {"X-Centrifugo-Error-Mode": "transport"})
    assert (response.status_code, response.json()) == (200, {"replies": [UNKNOWN]})


METHODS = ["publish", "broadcast", "subscribe", "disconnect", "history", "channels", "info", "batch"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
fields = st.sampled_from(
    ["channel", "channels", "data", "b64data", "user", "limit", "since", "commands", "disconnect", "pattern"]
)


@given(st.sampled_from(METHODS), st.dictionaries(fields, values, max_size=4) | values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_any_request_is_answered_by_a_result_an_error_or_400(world, api, method, request_):
    import asyncio

    async def run():
        response = await api(world(channel=CHANNELS)).post(method, request_)
        if response.status_code == 400:
            assert response.text.startswith("bad request: ")
        else:
            assert response.status_code == 200
            assert response.json().keys() <= {"result", "error", "replies"}
            assert response.json().get("error", {}).get("code") != 100

    asyncio.run(run())

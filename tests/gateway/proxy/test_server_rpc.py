"""The API's method `rpc` through the application's backend: called by a server, on nobody's behalf."""

import pytest


@pytest.fixture
def opened(proxied, api):
    """The API of a world whose methods the backend answers."""

    def make(*events, **options):
        world = proxied(*(events or ("rpc",)), **options)
        return api(world, rpc=world.node.call_rpc)

    return make


async def test_the_backend_is_asked_and_its_answer_handed_on(opened, backend):
    backend.answer("rpc", {"result": {"data": {"sum": 3}}})
    assert await opened().result("rpc", method="add", params=[1, 2]) == {"data": {"sum": 3}}
    [body] = backend.bodies("rpc")
    assert body == {
        "client": "",
        "transport": "api",
        "protocol": "json",
        "encoding": "json",
        "user": "",
        "method": "add",
        "data": [1, 2],
    }


async def test_without_parameters_and_without_an_answer(opened, backend):
    assert await opened().result("rpc", method="nothing") == {}
    assert "data" not in backend.bodies("rpc")[0]


async def test_headers_are_those_of_the_settings(opened, backend):
    proxy = {"static_headers": {"X-Key": "k"}, "http_headers": ["x-api-key"], "emulated_headers": ["x-tenant"]}
    await opened(proxy=proxy).result("rpc", method="add")
    headers = backend.asked[0].headers
    assert headers["x-key"] == "k"
    assert "x-api-key" not in headers, "the key of the API is none of the backend's business"


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ({"error": {"code": 1000, "message": "not today"}}, 200, (1000, "not today")),
        ({"error": {"code": 104, "message": "method not found"}}, 200, (104, "not found")),
        ({"disconnect": {"code": 4000, "reason": "go"}}, 200, (100, "internal server error")),
        ({"result": {"b64data": "bm8ganNvbg=="}}, 200, (100, "internal server error")),
        (b"", 500, (100, "internal server error")),
    ],
)
async def test_how_it_fails(opened, backend, answer, status, error):
    backend.answer("rpc", answer, status=status)
    assert await opened().error("rpc", method="add") == error


async def test_namespaces_count_here_too(opened):
    api = opened(rpc={"namespaces": [{"name": "closed", "proxy_enabled": False}]})
    assert await api.error("rpc", method="nowhere:x") == (104, "not found")
    assert await api.error("rpc", method="closed:x") == (108, "not available")


async def test_named_proxies_count_here_too(opened, backend):
    proxies = [{"name": "second", "endpoint": f"{backend.url}/second"}]
    api = opened(proxies=proxies, rpc={"namespaces": [{"name": "billing", "proxy_name": "second"}]})
    await api.result("rpc", method="billing:pay")
    assert [seen.event for seen in backend.asked] == ["second"]


async def test_what_is_built_in_belongs_to_users(world, api, backend):
    """They are found neither here nor at the backend, which no client's call of these names would reach."""
    endpoint = {"enabled": True, "endpoint": f"{backend.url}/rpc"}

    async def acknowledge(_user, _data):
        raise AssertionError("nobody is connected")

    built_in = {"notification.ack": acknowledge}
    world = world(rpc={"proxy": endpoint, "ping": {"enabled": True}}, rpc_methods=built_in)
    opened = api(world, rpc=world.node.call_rpc)
    assert await opened.error("rpc", method="notification.ack", params={"id": "x"}) == (104, "not found")
    assert await opened.result("rpc", method="ping") == {}
    assert backend.asked == []
    await world.node.proxies.close()


async def test_without_a_proxy_each_is_unknown(world, api):
    world = world()
    opened = api(world, rpc=world.node.call_rpc)
    assert await opened.error("rpc", method="ping") == (104, "not found")
    assert await opened.error("rpc", method="a:b") == (104, "not found")


async def test_in_a_batch(opened, backend):
    backend.answer("rpc", {"result": {"data": 1}})
    answer = (await opened().post("batch", {"commands": [{"rpc": {"method": "a"}}, {"rpc": {"method": "no:b"}}]})).json()
    assert answer["replies"] == [{"rpc": {"data": 1}}, {"error": {"code": 104, "message": "not found"}}]

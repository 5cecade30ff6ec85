"""Named proxies: each namespace asks its own, and a name that leads nowhere never passes for one that agrees."""

import pytest

from config.clock import ManualClock
from config.errors import SettingsError
from config.settings import Settings
from gateway.proxy.proxies import Proxies

DENIED = {"error": {"code": 103, "message": "permission denied"}}


@pytest.fixture
def named(proxied, backend):
    """A world with the namespace `other` beside `asked`, whose events go to a proxy called `second`."""

    def make(*events, second=None, **sections):
        options = {}
        for event in ("subscribe", "publish", "sub_refresh"):
            options |= {f"{event}_proxy_enabled": True, f"{event}_proxy_name": "second"}
        proxies = [{"name": "second", "endpoint": f"{backend.url}/second", "timeout": "10s", **(second or {})}]
        return proxied(*events, proxies=proxies, namespaces=[{"name": "other", **options}], **sections)

    return make


COMMANDS = {
    "subscribe": lambda namespace: {"subscribe": {"channel": f"{namespace}:a"}},
    "publish": lambda namespace: {"publish": {"channel": f"{namespace}:a", "data": 1}},
}


@pytest.mark.parametrize("event", COMMANDS)
async def test_each_namespace_asks_its_own(named, backend, ask, event):
    world = named(event)
    backend.answer("second", DENIED)
    client = world.connected()
    command = COMMANDS[event]
    assert (await ask(world, client, **command("asked")))[0] == {"id": 7, event: {}}
    assert (await ask(world, client, **command("other")))[0]["error"]["code"] == 103
    assert [seen.event for seen in backend.asked] == [event, "second"]
    assert backend.bodies("second")[0]["channel"] == "other:a"


@pytest.mark.parametrize("event", COMMANDS)
async def test_the_default_one_need_not_be(named, backend, ask, event):
    world = named()
    assert (await ask(world, world.connected(), **COMMANDS[event]("other")))[0] == {"id": 7, event: {}}
    assert len(backend.bodies("second")) == 1


async def test_subscriptions_are_renewed_by_it(named, backend):
    world = named("sub_refresh")
    client = world.connected()
    token = world.token(channel="other:a", exp=world.now() + 60)
    assert client.send({"id": 2, "subscribe": {"channel": "other:a", "token": token}})[0]["subscribe"] == {}
    backend.answer("second", {"result": {"expired": True}})
    world.node._pings = None
    world.pass_time(61)
    await world.node.tasks.drain(20)
    assert client.read()[0]["push"]["unsubscribe"]["code"] == 2501
    assert [seen.event for seen in backend.asked] == ["second"]


async def test_methods_go_to_the_proxy_of_their_namespace(proxied, backend, ask):
    proxies = [{"name": "second", "endpoint": f"{backend.url}/second"}]
    world = proxied("rpc", proxies=proxies, rpc={"namespaces": [{"name": "billing", "proxy_name": "second"}, {"name": "ab"}]})
    client = world.connected()
    for method in ("billing:pay", "ab:x", "plain"):
        assert (await ask(world, client, rpc={"method": method}))[0] == {"id": 7, "rpc": {}}
    assert [(seen.event, seen.body["method"]) for seen in backend.asked] == [
        ("second", "billing:pay"),
        ("rpc", "ab:x"),
        ("rpc", "plain"),
    ]


async def test_with_named_ones_alone_other_methods_are_off(proxied, backend, ask):
    proxies = [{"name": "second", "endpoint": f"{backend.url}/second"}]
    world = proxied(proxies=proxies, rpc={"namespaces": [{"name": "billing", "proxy_name": "second"}]})
    client = world.connected()
    codes = {}
    for method in ("billing:pay", "plain", "nowhere:x"):
        [reply] = await ask(world, client, rpc={"method": method})
        codes[method] = reply.get("error", {}).get("code")
    assert codes == {"billing:pay": None, "plain": 108, "nowhere:x": 104}


async def test_headers_are_each_proxys_own(named, backend, ask):
    second = {"static_headers": {"X-Key": "second"}, "emulated_headers": ["x-tenant"], "http_headers": ["x-trace"]}
    world = named("subscribe", second=second)
    client = world.client({"x-trace": "t"})
    client.connect(token=world.token(), headers={"X-Tenant": "a"})
    for namespace in ("asked", "other"):
        await ask(world, client, **COMMANDS["subscribe"](namespace))
    default, second = (seen.headers for seen in backend.asked)
    assert [second.get(name) for name in ("x-key", "x-tenant", "x-trace")] == ["second", "a", "t"]
    assert not {"x-key", "x-tenant", "x-trace"} & set(default)


async def test_one_that_fails_leaves_the_others_alone(named, backend, ask):
    world = named("subscribe")
    client = world.connected()
    backend.answer("second", b"", status=503)
    for _ in range(25):
        await ask(world, client, **COMMANDS["subscribe"]("other"))
    assert len(backend.bodies("second")) == 20, "its breaker is open"
    assert (await ask(world, client, **COMMANDS["publish"]("other")))[0]["error"]["code"] == 100
    assert len(backend.bodies("second")) == 21, "each event has its own"
    assert (await ask(world, client, **COMMANDS["subscribe"]("asked")))[0] == {"id": 7, "subscribe": {}}


@pytest.mark.parametrize(
    "sections",
    [
        {"channel": {"without_namespace": {"subscribe_proxy_enabled": True}}},
        {"channel": {"namespaces": [{"name": "ab", "publish_proxy_name": "nobody"}]}},
        {"rpc": {"without_namespace": {"proxy_name": "nobody"}}},
    ],
)
def test_what_leads_nowhere_forbids_the_start(sections):
    with pytest.raises(SettingsError, match=r"without_namespace|namespaces"):
        Proxies(Settings.model_validate(sections), ManualClock())

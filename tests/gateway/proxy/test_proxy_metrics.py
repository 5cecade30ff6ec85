"""What proxies count: every question once, by how it ended, with its time, and nothing of whoever asked."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import NodeCollector
from gateway.proxy.statistics import CallOutcome, CallStatistics
from gateway.tallies import CallTally
from gateway.timings import BOUNDS_S

RPC = {"rpc": {"method": "billing-of-alice", "data": {"secret": "word"}}}


def metrics(world):
    registry = CollectorRegistry()
    registry.register(NodeCollector(world.node, CallTally()))
    text = generate_latest(registry).decode()
    return {
        name: float(value)
        for line in text.splitlines()
        if not line.startswith("#")
        for name, _, value in [line.rpartition(" ")]
        if name.startswith("heliograph_proxy")
    }


def calls(world, outcome, event="rpc", proxy="default"):
    return metrics(world)[f'heliograph_proxy_calls_total{{event="{event}",outcome="{outcome}",proxy="{proxy}"}}']


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [
        ({"result": {}}, 200, "result"),
        ({}, 200, "result"),
        ({"error": {"code": 1000}}, 200, "error"),
        ({"disconnect": {"code": 4000}, "error": {"code": 1000}}, 200, "disconnect"),
        (b"no json", 200, "failed"),
        (b"", 500, "failed"),
        (b"", 404, "error"),
        (b"", 410, "disconnect"),
    ],
)
async def test_every_question_counts_once(proxied, backend, ask, answer, status, outcome):
    transforms = [{"status_code": 404, "to_error": {"code": 404}}, {"status_code": 410, "to_disconnect": {"code": 4000}}]
    world = proxied("rpc", proxy={"status_to_code_transforms": transforms})
    backend.answer("rpc", answer, status=status)
    await ask(world, world.connected(), **RPC)
    assert {name: calls(world, name) for name in CallOutcome} == {name: float(name == outcome) for name in CallOutcome}
    told = metrics(world)
    labels = 'event="rpc",proxy="default"'
    assert told[f"heliograph_proxy_call_seconds_count{{{labels}}}"] == 1
    assert told['heliograph_proxy_call_seconds_bucket{event="rpc",le="+Inf",proxy="default"}'] == 1


async def test_an_open_breaker_is_seen(proxied, backend, ask):
    world = proxied("rpc")
    backend.answer("rpc", b"", status=503)
    client = world.connected()
    for _ in range(23):
        await ask(world, client, **RPC)
    assert (calls(world, "failed"), calls(world, "skipped")) == (20, 3)
    told = metrics(world)
    assert told['heliograph_proxy_call_seconds_count{event="rpc",proxy="default"}'] == 20

    def states(told):
        names = {"closed", "open", "half_open"}
        return {name for name in names if told[f'heliograph_proxy_breaker{{event="rpc",proxy="default",state="{name}"}}']}

    assert states(told) == {"open"}
    world.clock.move(6)
    assert states(metrics(world)) == {"half_open"}


async def test_each_proxy_and_event_has_its_own(proxied, backend, ask):
    proxies = [{"name": "second", "endpoint": f"{backend.url}/second"}]
    world = proxied("connect", "rpc", proxies=proxies, rpc={"namespaces": [{"name": "ab", "proxy_name": "second"}]})
    await ask(world, world.connected(), rpc={"method": "ab:x"})
    assert (calls(world, "result", proxy="second"), calls(world, "result")) == (1, 0)
    assert calls(world, "result", event="connect") == 0


async def test_nothing_is_told_of_who_asks(proxied, backend, ask):
    world = proxied("rpc", "connect")
    await ask(world, world.connected("alice"), **RPC)
    assert not any(word in name for name in metrics(world) for word in ("alice", "billing", "word"))


async def test_without_proxies_there_is_nothing_to_tell(world):
    assert metrics(world()) == {}


def test_where_a_time_belongs():
    statistics = CallStatistics()
    for took_s in (0.0011, 0.005, 0.0051, 0.3, 60.0):
        statistics.count(CallOutcome.RESULT, took_s)
    statistics.count(CallOutcome.SKIPPED, 0.001)
    counted = dict(zip((*BOUNDS_S, None), statistics.timings.buckets, strict=True))
    assert {bound: count for bound, count in counted.items() if count} == {0.0025: 1, 0.005: 1, 0.01: 1, 0.5: 1, None: 1}
    assert statistics.timings.seconds == pytest.approx(60.3112)

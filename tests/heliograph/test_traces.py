"""The two traces whole, in one process: from a publish to the sockets, and from a notify to the ack."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from websockets.asyncio.client import ClientConnection, connect

from broker.click_links import ClickLinks
from broker.engines.memory.engine import MemoryEngine
from broker.notification import Device, Notification, Provider
from broker.open_links import OpenLinks
from broker.present_overrides import PresentOverrides
from broker.store.store import open_store
from broker.tracing import TracedEngine
from config.clock import SystemClock
from config.settings import Settings
from config.tracing_sdk import SdkTracing, sending_processor
from config.tracing_settings import TracingSettings
from heliograph.gateway import GatewayPart
from heliograph.ground import Ground
from pushers.campaigns import CampaignDuties
from pushers.outcome import Accepted, Retry, SendOutcome
from pushers.pipeline import Pipeline

SECRET = "a secret that is longer than thirty-two bytes"
SETTINGS: Mapping[str, object] = {
    "client": {"token": {"hmac_secret_key": SECRET}},
    "http_api": {"keys": ["k"]},
    "channel": {
        "without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True},
        "namespaces": [{"name": "kept", "history_size": 10, "history_ttl": "60s", "allow_subscribe_for_client": True}],
    },
    "notifications": {"retry_base": "10ms", "retry_cap": "20ms"},
}
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-1] + "0"
# Ends a test that would hang.
GUARD_S = 30


class Phones:
    """A provider that is busy at first; plays the port `pushers.provider.Provider`."""

    name = "fcm"

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        self.calls += 1
        return Retry("busy") if self.calls == 1 else Accepted()

    async def close(self) -> None:
        """Nothing is open."""


class Written(InMemorySpanExporter):
    """Keeps spans, and says when there is a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.written.set()
        return super().export(spans)


class Running:
    """A gateway and a pipeline in this process, and the spans that they wrote."""

    def __init__(self, url: str, exporter: Written, ground: Ground) -> None:
        self.url, self.exporter, self.ground = url, exporter, ground
        self.http = httpx.AsyncClient(base_url=url, headers={"X-API-Key": "k"})

    async def call(self, method: str, traceparent: str = CALLER, **body: object) -> dict:
        headers = {"traceparent": traceparent, "tracestate": "vendor=1"} if traceparent else {}
        answer = await self.http.post(f"/api/{method}", json=body, headers=headers)
        return dict(answer.json()["result"])

    async def client(self, traceparent: str = "", *channels: str) -> ClientConnection:
        headers = {"X-Tenant": "blue", **({"traceparent": traceparent} if traceparent else {})}
        client = await connect(f"{self.url.replace('http', 'ws')}/connection/websocket", additional_headers=headers)
        await client.send(json.dumps({"id": 1, "connect": {"token": jwt.encode({"sub": "42"}, SECRET, "HS256")}}))
        await client.recv()
        for number, channel in enumerate(channels, 2):
            await client.send(json.dumps({"id": number, "subscribe": {"channel": channel}}))
            await client.recv()
        return client

    async def spans(self, **numbers: int) -> None:
        """Wait until so many spans of each name are written."""
        async with asyncio.timeout(GUARD_S):
            while any(len(self.named(name)) < number for name, number in numbers.items()):
                self.exporter.written.clear()
                await self.exporter.written.wait()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name.replace(" ", "_") == name]


@pytest.fixture
async def run(store_file) -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as resources:

        async def run(ratio: float = 0.0, collector: str = "", **sections: object) -> Running:
            settings = Settings.model_validate({**SETTINGS, **sections})
            clock, exporter = SystemClock(), Written()
            options = TracingSettings.model_validate(
                {"enabled": True, "sample_ratio": ratio, "timeout": "200ms", **({"endpoint": collector} if collector else {})}
            )
            processor = sending_processor(options) if collector else SimpleSpanProcessor(exporter)
            tracing = SdkTracing(options, processor, instance="one", version="1")
            resources.push_async_callback(tracing.close)
            store = await open_store(f"sqlite:///{store_file}", clock=clock)
            engine = TracedEngine(MemoryEngine(clock))
            overrides = PresentOverrides(store.overrides, clock)
            ground = Ground(settings, clock, engine, store, "p", resources, overrides, tracing=tracing)
            listener = socket.create_server(("127.0.0.1", 0))
            gateway = GatewayPart(ground, listener, ())
            pipeline = Pipeline(
                ledger=store.ledger,
                pubsub=engine.pubsub,
                user_presence=engine.users,
                limits=engine.limits,
                rules=gateway.node.rules,
                providers=[Phones()],
                provider_limits={},
                settings=settings.notifications,
                clock=clock,
                worker_id="w",
                tracing=tracing,
            )
            await engine.start()
            await gateway.open()
            tasks = [asyncio.create_task(gateway.run()), asyncio.create_task(pipeline.run())]
            await gateway.started.wait()

            async def stop() -> None:
                await pipeline.stop()
                tasks[0].cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*tasks)
                await engine.close()
                await store.close()

            resources.push_async_callback(stop)
            running = Running(f"http://127.0.0.1:{listener.getsockname()[1]}", exporter, ground)
            resources.push_async_callback(running.http.aclose)
            return running

        yield run


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    return "" if span.parent is None else f"{span.parent.span_id:016x}"


@pytest.mark.parametrize("channel", ["news", "kept:news"])
async def test_a_publish_is_one_trace_from_the_caller_to_the_sockets(run, channel):
    running = await run()
    clients = [await running.client("", channel) for _ in range(3)]
    await running.call("publish", channel=channel, data={"text": "hello"})
    for client in clients:
        assert "hello" in str(await client.recv())
    await running.spans(fanout=1, publish=1, **{"POST_/api/publish": 1})
    (call,), (publish,), (fanout,) = map(running.named, ("POST_/api/publish", "publish", "fanout"))
    assert {trace_of(span) for span in (call, publish, fanout)} == {TRACE}
    assert parent_of(call) == "b7ad6b7169203331"
    assert (parent_of(publish), parent_of(fanout)) == (id_of(call), id_of(publish))
    assert call.context.trace_state.to_header() == "vendor=1"
    assert call.attributes["http.response.status_code"] == 200
    assert publish.attributes["heliograph.namespace"] == channel.rpartition(":")[0]
    told = fanout.attributes
    assert told["heliograph.subscribers"] == 3
    assert told["messaging.message.body.size"] == len('{"text":"hello"}')
    assert (told["heliograph.turn.frames"], told["heliograph.turn.messages"]) == (3, 3)
    for client in clients:
        await client.close()


async def test_publications_of_a_batch_and_a_broadcast_are_below_their_call(run):
    running = await run()
    await running.call("broadcast", channels=["a", "b"], data={})
    headers = {"traceparent": CALLER}
    await running.http.post("/api/batch", json={"commands": [{"publish": {"channel": "c", "data": {}}}] * 3}, headers=headers)
    await running.spans(publish=5, **{"POST_/api/batch": 1})
    (broadcast,), (batch,) = running.named("POST_/api/broadcast"), running.named("POST_/api/batch")
    parents = sorted(parent_of(span) for span in running.named("publish"))
    assert parents == sorted([id_of(broadcast)] * 2 + [id_of(batch)] * 3)


async def test_a_client_connects_within_a_trace_and_its_commands_are_linked_to_that(run):
    running = await run()
    client = await running.client(CALLER, "news")
    await client.send(json.dumps({"id": 9, "publish": {"channel": "news", "data": {"a": 1}}}))
    await running.spans(command_connect=1, command_subscribe=1, command_publish=1, publish=1, fanout=1)
    ((connecting,), (subscribing,), (command,)) = map(
        running.named, ("command_connect", "command_subscribe", "command_publish")
    )
    assert (trace_of(connecting), parent_of(connecting)) == (TRACE, "b7ad6b7169203331")
    for later in (subscribing, command):
        assert trace_of(later) != TRACE
        assert [link.context.span_id for link in later.links] == [connecting.context.span_id]
    (publish,), (fanout,) = running.named("publish"), running.named("fanout")
    assert (parent_of(publish), parent_of(fanout)) == (id_of(command), id_of(publish))
    await client.close()


async def test_a_notification_is_one_trace_from_the_request_to_the_ack(run):
    running = await run()
    store = running.ground.store
    await store.devices.register(Device("phone", "42", Provider.FCM, "token-of-the-phone", "android", datetime.now(UTC)))
    client = await running.client()
    told = await running.call("notify", user="42", title="hello", ack_wait_s=0.05, push_wait_s=60)
    notification_id = told["notifications"][0]["id"]
    await running.spans(delivery=2, plan=2)
    await client.send(json.dumps({"id": 7, "rpc": {"method": "notification.ack", "data": {"id": notification_id}}}))
    await running.spans(ack=1)
    await client.close()

    (call,), (ack,) = running.named("POST_/api/notify"), running.named("ack")
    plans, deliveries, calls = map(running.named, ("plan", "delivery", "provider_call"))
    for step in (*plans, *deliveries, ack):
        assert (trace_of(step), parent_of(step)) == (TRACE, id_of(call)), step.name
        assert step.attributes["heliograph.notification"] == notification_id
    assert [parent_of(one) for one in calls] == [id_of(one) for one in deliveries]
    (live,), (publish,), (fanout,) = map(running.named, ("live", "publish", "fanout"))
    assert parent_of(live) in {id_of(plan) for plan in plans}
    assert (parent_of(publish), parent_of(fanout)) == (id_of(live), id_of(publish))
    first, second = deliveries
    assert [one.attributes["heliograph.outcome"] for one in deliveries] == ["retry", "accepted"]
    assert [one.attributes["heliograph.attempt"] for one in deliveries] == [1, 2]
    assert [one.status.status_code for one in deliveries] == [StatusCode.ERROR, StatusCode.UNSET]
    assert first.attributes["heliograph.provider"] == "fcm"
    assert first.attributes["heliograph.route"] == "push"
    assert first.attributes["heliograph.breaker"] == "closed"
    assert "heliograph.retry_at" in first.attributes
    assert second.start_time >= first.end_time
    assert ack.attributes["heliograph.state"] == "acknowledged"


async def test_each_way_to_acknowledge_is_a_span_of_what_it_acknowledged(run):
    links = {"public_url": "https://x.test", "secret": SECRET}
    running = await run(
        notifications={"clicks": {**links, "enabled": True}, "opens": {**links, "enabled": True, "counts_as_seen": True}}
    )
    sent = []
    for number in range(6):
        told = await running.call("notify", user="42", title=f"{number}", routes=["push"])
        sent.append(told["notifications"][0]["id"])
    settings = running.ground.settings.notifications
    click = ClickLinks.of(settings.clicks).address(sent[2], "https://y.test/")
    picture = OpenLinks.of(settings.opens).address(sent[3])
    other = f"00-{'e' * 32}-{'f' * 16}-01"
    for _ in range(2):  # what was acknowledged before is not again
        await running.call("inbox_mark", other, user="42", ids=sent[:2], **{"as": "read"})
    await running.http.get(urlsplit(click).path)
    await running.http.get(urlsplit(picture).path, headers={"user-agent": "Thunderbird"})
    await running.spans(ack=4)
    await running.call("inbox_mark", other, user="42", all=True, **{"as": "seen"})
    await running.spans(ack=6)
    acks, calls = running.named("ack"), [id_of(call) for call in running.named("POST_/api/notify")]
    marks = ["read", "read", "clicked", "opened", "seen", "seen"]
    assert [ack.attributes["heliograph.mark"] for ack in acks] == marks
    by_notification = {ack.attributes["heliograph.notification"]: ack for ack in acks}
    assert [parent_of(by_notification[id]) for id in sent] == calls
    asking = {id_of(call): call for call in running.named("POST_/api/inbox_mark")}
    for ack in (acks[0], acks[1], acks[4], acks[5]):
        (link,) = ack.links
        call = asking[f"{link.context.span_id:016x}"]
        assert call.start_time <= ack.start_time <= ack.end_time <= call.end_time


async def test_notifications_of_a_campaign_are_linked_to_its_request(run):
    running = await run()
    await running.call("topic_create", "", topic="tides")
    for user in ("ann", "ben", "cem"):
        await running.call("topic_subscribe", "", topic="tides", user=user)
    body = {"audience": {"topic": "tides"}, "notification": {"title": "Tide", "routes": ["push"], "push_wait_s": 0}}
    await running.call("campaign_create", **body)
    campaigns = CampaignDuties(
        running.ground.store.campaigns,
        running.ground.store.topics,
        running.ground.settings.notifications.campaigns,
        running.ground.clock,
        carriers=lambda: (),
    )
    while await campaigns.advance() == 0.0:
        pass
    await running.spans(plan=3)
    (call,), plans = running.named("POST_/api/campaign_create"), running.named("plan")
    assert len({trace_of(plan) for plan in plans} - {TRACE}) == 3, "each is a trace of its own"
    assert {id_of(call)} == {f"{link.context.span_id:016x}" for plan in plans for link in plan.links}
    (first, *_), told = plans, await running.call("inbox_list", "", user="ann")
    assert first.links[0].context.trace_id == int(TRACE, 16)
    await running.call("inbox_mark", "", user="ann", ids=[told["items"][0]["id"]], **{"as": "seen"})
    await running.spans(ack=1)
    (ack,) = running.named("ack")
    assert f"{ack.links[0].context.span_id:016x}" == id_of(call)


async def test_a_collector_that_is_away_keeps_nothing_from_anybody(run):
    running = await run(1.0, "http://127.0.0.1:9/v1/traces")
    client = await running.client(CALLER, "news")
    for number in range(50):
        await running.call("publish", channel="news", data={"number": number})
    pushed: list[int] = []
    async with asyncio.timeout(GUARD_S):
        while len(pushed) < 50:
            lines = map(json.loads, str(await client.recv()).split("\n"))
            pushed += [line["push"]["pub"]["data"]["number"] for line in lines if "push" in line]
    assert pushed == list(range(50))
    told = await running.call("notify", user="42", title="hello", routes=["live"], ack_wait_s=0)
    assert told["notifications"][0]["id"] in str(await client.recv())
    await client.close()


async def test_spans_hold_no_personal_data(run):
    running = await run(1.0)
    await running.ground.store.devices.register(
        Device("phone", "ann-of-42", Provider.FCM, "token-of-the-phone", "android", datetime.now(UTC))
    )
    client = await running.client(CALLER, "room-of-ann")
    await running.call("publish", channel="room-of-ann", data={"secret": "content"})
    await running.call("notify", user="ann-of-42", title="content", push_wait_s=0)
    await running.spans(delivery=2, plan=2)
    shown = " ".join(f"{span.name} {dict(span.attributes)} {span.events}" for span in running.exporter.get_finished_spans())
    for kept in ("ann", "'42'", "token-of", "content", "127.0.0.1"):
        assert kept not in shown
    await client.close()


@pytest.fixture
def backend() -> Iterator[tuple[str, list[Message]]]:
    """An application that is asked about RPCs: its address, and the headers that it got."""
    asked: list[Message] = []

    class Backend(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"result": {"data": {}}}')

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


async def test_the_backend_is_asked_within_the_trace(run, backend):
    endpoint, asked = backend
    running = await run(rpc={"proxy": {"enabled": True, "endpoint": endpoint, "http_headers": ["X-Tenant"]}})
    client = await running.client(CALLER)
    await client.send(json.dumps({"id": 5, "rpc": {"method": "anything", "data": {}}}))
    assert "rpc" in json.loads(await client.recv())
    await running.spans(backend_call=1, command_rpc=1)
    (call,), (command,) = running.named("backend_call"), running.named("command_rpc")
    assert parent_of(call) == id_of(command)
    assert asked[0]["traceparent"] == f"00-{trace_of(call)}-{id_of(call)}-01"
    assert asked[0]["x-tenant"] == "blue"
    await client.close()


@pytest.mark.parametrize(
    ("ratio", "traceparent", "is_written"),
    [
        (0.0, CALLER, True),
        (1.0, UNSAMPLED, False),
        (0.0, "", False),
        (1.0, "", True),
        (1.0, "00-nonsense-01", True),
        (0.0, "00-nonsense-01", False),
    ],
)
async def test_the_caller_decides_and_else_the_ratio(run, ratio, traceparent, is_written):
    running = await run(ratio)
    client = await running.client("", "news")
    running.exporter.clear()
    await running.call("publish", traceparent, channel="news", data={})
    await client.recv()
    await running.call("notify", traceparent, user="42", title="hello", routes=["live"], ack_wait_s=0)
    await client.recv()
    await client.close()
    names = {span.name for span in running.exporter.get_finished_spans()}
    if is_written:
        await running.spans(plan=1)
        assert {"POST /api/publish", "publish", "fanout", "POST /api/notify"} <= names
    else:
        assert names == set()

"""The transport against a real HTTP/2 server that can be told to misbehave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from config.clock import ManualClock
from pushers.haste import Haste
from pushers.providers import errors
from pushers.providers.curl_call import MAX_BODY_BYTES
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse

REFUSED_STREAM, CANCEL = 7, 8


@pytest.fixture
async def transport(ca_file: str) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(ca_file=ca_file, host_connections=1)
    yield transport
    await transport.close()
    assert transport.statistics().sockets == 0


def post(server: Any, path: str = "/", timeout_s: float = 5, **headers: str) -> HttpRequest:
    return HttpRequest(server.url + path, {"content-type": "application/json", **headers}, b'{"a":1}', timeout_s)


async def outcome(transport: HttpTransport, request: HttpRequest) -> HttpResponse | errors.TransportError:
    try:
        return await transport.request(request)
    except errors.TransportError as exc:
        return exc


async def burst(transport: HttpTransport, server: Any, *paths: str, timeout_s: float = 5) -> list[Any]:
    return await asyncio.gather(*(outcome(transport, post(server, path, timeout_s)) for path in paths))


def statuses(outcomes: list[Any]) -> list[Any]:
    return [item.status if isinstance(item, HttpResponse) else type(item) for item in outcomes]


async def test_request_arrives_whole_and_the_answer_too(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reply(201, b"made", {"location": "/m/1", "x-empty": ""})
    response = await transport.request(post(server, "/3/device/a", apns_topic="io.example", empty=""))
    seen = server.exchanges[0]
    assert (response.status, response.body, response.header("Location")) == (201, b"made", "/m/1")
    assert response.header("x-empty") == response.header("absent") == ""
    assert seen.headers[":method"] == "POST"
    assert seen.headers["apns_topic"] == "io.example"
    assert seen.headers["empty"] == ""
    assert (seen.path, seen.body) == ("/3/device/a", b'{"a":1}')


async def test_calls_share_one_connection_and_handles(server: Any, transport: HttpTransport) -> None:
    for _ in range(3):
        assert statuses(await burst(transport, server, *["/a"] * 8)) == [200] * 8
    assert len(server.connections) == 1
    assert transport.statistics().under_way == 0
    assert transport.statistics().idle_handles == 8


async def test_a_handle_keeps_nothing_of_its_last_call(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reply(400, b"bad", {"x-reason": "one"})
    await transport.request(post(server, "/1", secret="s"))
    server.answer = lambda exchange: exchange.reply(200)
    response = await transport.request(post(server, "/2"))
    assert (response.status, response.body, response.header("x-reason")) == (200, b"", "")
    assert "secret" not in server.exchanges[1].headers


async def test_reset_stream_fails_that_call_alone_as_unknown(server: Any, transport: HttpTransport) -> None:
    held: list[Any] = []

    def answer(exchange: Any) -> None:
        held.append(exchange)
        if len(held) == 21:
            for each in held:
                each.reset(CANCEL) if each.path == "/bad" else each.reply(200)

    server.answer = answer
    outcomes = await burst(transport, server, "/bad", *["/good"] * 20)
    assert statuses(outcomes) == [errors.Ambiguous, *[200] * 20]
    assert len(server.exchanges) == 21


async def test_refused_stream_is_sent_again(server: Any, transport: HttpTransport) -> None:
    assert statuses(await burst(transport, server, "/first")) == [200]
    server.answer = lambda exchange: exchange.reset(REFUSED_STREAM) if len(server.exchanges) == 2 else exchange.reply(200)
    assert statuses(await burst(transport, server, "/a")) == [200]
    assert [(exchange.path, exchange.body) for exchange in server.exchanges[1:]] == [("/a", b'{"a":1}')] * 2


async def test_stream_refused_for_ever_ends(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reset(REFUSED_STREAM)
    assert statuses(await burst(transport, server, "/a")) == [errors.Ambiguous]
    assert len(server.exchanges) == 6


async def test_goaway_sends_again_only_what_lay_above_the_last_stream(server: Any, transport: HttpTransport) -> None:
    assert statuses(await burst(transport, server, "/first")) == [200]
    held: list[Any] = []

    def answer(exchange: Any) -> None:
        if exchange.connection is not server.connections[0]:
            exchange.reply(200)
            return
        held.append(exchange)
        if len(held) == 10:
            held[0].reply(200)
            connection = exchange.connection
            connection.h2.close_connection(last_stream_id=held[0].stream_id)
            connection.flush()
            connection.transport.close()

    server.answer = answer
    assert statuses(await burst(transport, server, *(f"/{n}" for n in range(10)))) == [200] * 10
    seen = Counter(exchange.path for exchange in server.exchanges)
    assert seen.pop(held[0].path) == seen.pop("/first") == 1
    assert set(seen.values()) == {2}


@pytest.mark.parametrize("end", ["abort", "close"])
async def test_connection_lost_in_use_is_not_repeated_behind_our_back(server: Any, transport: HttpTransport, end: str) -> None:
    assert statuses(await burst(transport, server, "/first")) == [200]
    held: list[Any] = []

    def answer(exchange: Any) -> None:
        held.append(exchange)
        if len(held) == 5:
            getattr(exchange.connection.transport, end)()

    server.answer = answer
    assert statuses(await burst(transport, server, *["/lost"] * 5)) == [errors.Ambiguous] * 5
    assert [exchange.path for exchange in server.exchanges] == ["/first", *["/lost"] * 5]


async def test_goaway_with_20_in_flight_doubles_nothing(server: Any, transport: HttpTransport) -> None:
    held: list[Any] = []

    def answer(exchange: Any) -> None:
        if len(server.connections) > 1:
            exchange.reply(200)
            return
        held.append(exchange)
        if len(held) == 20:
            for each in held:
                each.reply(200)
            exchange.connection.h2.close_connection(last_stream_id=exchange.stream_id)
            exchange.connection.flush()
            exchange.connection.transport.close()

    server.answer = answer
    assert statuses(await burst(transport, server, *(f"/{n}" for n in range(20)))) == [200] * 20
    assert statuses(await burst(transport, server, "/after")) == [200]
    assert len(server.connections) == 2
    assert len({exchange.path for exchange in server.exchanges}) == len(server.exchanges) == 21


async def test_silence_ends_as_unknown_and_the_stream_is_reset(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: None if exchange.path == "/silent" else exchange.reply(200)
    silent = asyncio.ensure_future(outcome(transport, post(server, "/silent", timeout_s=0.3)))
    await server.until(lambda s: s.exchanges)
    assert statuses(await burst(transport, server, "/other")) == [200]
    assert statuses([await silent]) == [errors.Ambiguous]
    await server.until(lambda s: s.resets == ["/silent"])
    assert statuses(await burst(transport, server, "/later")) == [200]
    assert len(server.connections) == 1


async def test_dropped_connection_ends_every_call_once_as_unknown(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.connection.transport.abort() if len(server.exchanges) == 10 else None
    outcomes = await burst(transport, server, *(f"/{n}" for n in range(10)))
    assert statuses(outcomes) == [errors.Ambiguous] * 10
    server.answer = lambda exchange: exchange.reply(200)
    assert statuses(await burst(transport, server, "/again")) == [200]


async def test_connection_refused(transport: HttpTransport, unused_port: int) -> None:
    request = HttpRequest(f"https://127.0.0.1:{unused_port}/", {}, b"", 5)
    with pytest.raises(errors.ConnectFailed):
        await transport.request(request)


async def test_unknown_host(transport: HttpTransport) -> None:
    with pytest.raises(errors.ConnectFailed):
        await transport.request(HttpRequest("https://nowhere.invalid/", {}, b"", 5))


async def test_untrusted_certificate(server: Any) -> None:
    transport = HttpTransport()
    with pytest.raises(errors.ConnectFailed, match="certificate"):
        await transport.request(post(server))
    await transport.close()
    assert not server.exchanges


async def test_certificate_of_another_name(server: Any, transport: HttpTransport) -> None:
    pinned = (f"push.example:{server.port}:127.0.0.1",)
    with pytest.raises(errors.ConnectFailed):
        await transport.request(HttpRequest(f"https://push.example:{server.port}/", {}, b"", 5, pinned))
    assert not server.exchanges


async def test_pinned_address_is_where_it_goes(server: Any, transport: HttpTransport) -> None:
    pinned = (f"localhost:{server.port}:127.0.0.1",)
    response = await transport.request(HttpRequest(f"https://localhost:{server.port}/", {}, b"", 5, pinned))
    assert response.status == 200
    assert server.exchanges[0].headers[":authority"] == f"localhost:{server.port}"


async def test_connect_to_stands_for_every_host(server: Any, ca_file: str) -> None:
    transport = HttpTransport(ca_file=ca_file, connect_to=f"127.0.0.1:{server.port}")
    for host in ("a.example", "b.example"):
        assert (await transport.request(HttpRequest(f"https://{host}/x", {}, b"", 5))).status == 200
    assert [exchange.headers[":authority"] for exchange in server.exchanges] == ["a.example", "b.example"]
    await transport.close()


async def test_plain_http_is_never_spoken(server: Any, transport: HttpTransport) -> None:
    with pytest.raises(errors.NotSent):
        await transport.request(HttpRequest(f"http://127.0.0.1:{server.port}/", {}, b"", 5))


async def test_redirect_is_an_answer_like_others(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reply(302, b"", {"location": server.url + "/elsewhere"})
    assert statuses(await burst(transport, server, "/a")) == [302]
    assert len(server.exchanges) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"x" * 10_000])
async def test_error_statuses_come_whole(server: Any, transport: HttpTransport, body: bytes) -> None:
    server.answer = lambda exchange: exchange.reply(500, body)
    response = await transport.request(post(server))
    assert (response.status, response.body) == (500, body)


async def test_long_body_is_cut(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reply(503, b"x" * 200_000)
    response = await transport.request(post(server))
    assert (response.status, response.body) == (503, b"x" * MAX_BODY_BYTES)
    server.answer = lambda exchange: exchange.reply(200)
    assert statuses(await burst(transport, server, "/later")) == [200]


async def test_cancelling_one_call_harms_no_other(server: Any, transport: HttpTransport) -> None:
    held: list[Any] = []
    server.answer = held.append
    calls = [asyncio.ensure_future(outcome(transport, post(server, f"/{n}"))) for n in range(5)]
    await server.until(lambda s: len(s.exchanges) == 5)
    calls[2].cancel()
    await server.until(lambda s: s.resets == ["/2"])
    for exchange in held:
        if exchange.path != "/2":
            exchange.reply(200)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [item.status if isinstance(item, HttpResponse) else type(item) for item in ended] == [
        200,
        200,
        asyncio.CancelledError,
        200,
        200,
    ]
    assert transport.statistics().under_way == 0


async def test_cancelled_before_it_starts(server: Any, transport: HttpTransport) -> None:
    call = asyncio.ensure_future(transport.request(post(server)))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert transport.statistics().under_way == 0
    assert statuses(await burst(transport, server, "/later")) == [200]
    assert [exchange.path for exchange in server.exchanges] == ["/later"]


async def test_stream_limit_of_one_is_obeyed(server: Any, transport: HttpTransport) -> None:
    server.stream_limit = 1
    assert statuses(await burst(transport, server, "/first")) == [200]
    held: list[Any] = []
    server.answer = held.append
    calls = asyncio.ensure_future(burst(transport, server, *(f"/{n}" for n in range(20))))
    for answered in range(20):
        await server.until(lambda s, answered=answered: len(held) > answered)
        held[answered].reply(200)
    assert statuses(await calls) == [200] * 20
    assert server.most_open == 1
    assert len(server.connections) == 1


async def test_one_call_tries_a_new_connection_before_the_others(server: Any, ca_file: str) -> None:
    open_at_arrival: list[int] = []
    held: list[Any] = []

    def answer(exchange: Any) -> None:
        open_at_arrival.append(exchange.connection.h2.open_inbound_streams)
        held.append(exchange)
        if len(server.exchanges) in (1, 20):
            while held:
                held.pop().reply(200)

    server.answer = answer
    transport = HttpTransport(ca_file=ca_file, host_connections=1, starts_single=True)
    assert statuses(await burst(transport, server, *["/a"] * 20)) == [200] * 20
    assert open_at_arrival[0] == 1
    assert max(open_at_arrival) > 10
    await transport.close()


async def test_waiting_for_a_stream_ends_as_not_sent(server: Any, transport: HttpTransport) -> None:
    server.stream_limit = 1
    assert statuses(await burst(transport, server, "/first")) == [200]
    server.answer = lambda exchange: None
    first = asyncio.ensure_future(outcome(transport, post(server, "/held", timeout_s=5)))
    await server.until(lambda s: len(s.exchanges) == 2)
    assert statuses(await burst(transport, server, "/waits", timeout_s=0.2)) == [errors.NotSent]
    assert [exchange.path for exchange in server.exchanges] == ["/first", "/held"]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_more_calls_than_the_bound_are_refused(server: Any, ca_file: str) -> None:
    transport = HttpTransport(ca_file=ca_file, max_calls=2)
    outcomes = await burst(transport, server, "/1", "/2", "/3")
    assert statuses(outcomes) == [200, 200, errors.NotSent]
    await transport.close()


async def test_closing_cuts_off_calls_under_way(server: Any, ca_file: str) -> None:
    transport = HttpTransport(ca_file=ca_file)
    server.answer = lambda exchange: None
    sent = asyncio.ensure_future(outcome(transport, post(server)))
    await server.until(lambda s: s.exchanges)
    await transport.close()
    await transport.close()
    assert statuses([await sent]) == [errors.Ambiguous]
    assert statuses(await burst(transport, server, "/late")) == [errors.NotSent]
    await server.until(lambda s: s.lost == 1)
    assert repr(transport) == "<HttpTransport under_way=0 idle=0 sockets=0>"


async def test_header_with_a_line_break_is_a_bug_of_ours(server: Any, transport: HttpTransport) -> None:
    with pytest.raises(ValueError, match="x-topic"):
        await transport.request(HttpRequest(server.url, {"x-topic": "a\r\nx-evil: 1"}, b"", 5))
    assert transport.statistics().under_way == 0


@pytest.fixture
def haste() -> Haste:
    return Haste(ManualClock())


@pytest.fixture
async def hasty(ca_file: str, haste: Haste) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(ca_file=ca_file, haste=haste)
    yield transport
    await transport.close()


async def answered_at_rest(server: Any, transport: HttpTransport, haste: Haste, count: int) -> list["asyncio.Future[Any]"]:
    """Make calls that are answered while others rest, so that their ends wait."""
    haste.begin()
    sent = [asyncio.ensure_future(outcome(transport, post(server, f"/{number}"))) for number in range(count)]
    await server.until(lambda s: len(s.exchanges) == count)
    # The answers come in the order of the requests, on the same connections: what was sent last is read last.
    await asyncio.sleep(0.1)
    assert not any(one.done() for one in sent)
    return sent


async def test_ends_wait_for_the_end_of_a_rest(server: Any, hasty: HttpTransport, haste: Haste) -> None:
    sent = await answered_at_rest(server, hasty, haste, 5)
    haste.end()
    assert statuses(await asyncio.gather(*sent)) == [200] * 5
    assert hasty.statistics().under_way == 0


async def test_in_haste_few_calls_end_in_a_turn(server: Any, hasty: HttpTransport, haste: Haste) -> None:
    sent = await answered_at_rest(server, hasty, haste, 30)
    haste.end()
    left = []
    while hasty.statistics().under_way:
        left.append(hasty.statistics().under_way)
        await asyncio.sleep(0)
    assert left[0] >= 22
    assert all(before - after <= 8 for before, after in pairwise([30, *left, 0]))
    assert statuses(await asyncio.gather(*sent)) == [200] * 30


async def test_a_call_that_is_given_up_at_rest_harms_no_other(server: Any, hasty: HttpTransport, haste: Haste) -> None:
    sent = await answered_at_rest(server, hasty, haste, 3)
    sent[1].cancel()
    await asyncio.wait({sent[1]})
    haste.end()
    assert statuses([await sent[0], await sent[2]]) == [200, 200]
    assert statuses(await burst(hasty, server, "/more")) == [200]


async def test_closing_at_rest_forgets_no_answer(
    server: Any, hasty: HttpTransport, haste: Haste, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushers.providers.http._ENDS", 2)
    sent = await answered_at_rest(server, hasty, haste, 3)
    await hasty.close()
    haste.end()
    assert statuses(await asyncio.gather(*sent)) == [200] * 3


@pytest.fixture
def on_uvloop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


def test_uvloop_drives_it_as_well(on_uvloop: asyncio.Runner, unused_port: int) -> None:
    async def talk() -> HttpResponse | errors.TransportError:
        transport = HttpTransport()
        ended = await outcome(transport, HttpRequest(f"https://127.0.0.1:{unused_port}/", {}, b"", 5))
        await transport.close()
        return ended

    assert isinstance(on_uvloop.run(talk()), errors.ConnectFailed)


@pytest.mark.slow
async def test_10_000_error_bodies_without_a_stall(server: Any, transport: HttpTransport) -> None:
    server.answer = lambda exchange: exchange.reply(410, b'{"reason":"Unregistered","timestamp":1767225600000}')
    for _ in range(100):
        assert statuses(await burst(transport, server, *["/a"] * 100, timeout_s=30)) == [410] * 100

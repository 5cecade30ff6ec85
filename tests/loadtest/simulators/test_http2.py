"""The HTTP/2 core seen frame by frame: limits, windows, and every fault it can commit."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hyperframe.frame import DataFrame, PingFrame, RstStreamFrame

from loadtest.simulators.faults import (
    Action,
    CloseConnection,
    Delay,
    GoAway,
    LimitStreams,
    ResetStream,
    Respond,
    Rule,
    Silence,
    SplitBody,
)
from loadtest.simulators.suite import Simulators

Connect = Callable[..., Awaitable[Any]]

ALICE = "/3/device/" + "a" * 64
GONE = "/3/device/dead" + "0" * 60
PAYLOAD = b'{"aps":{"alert":{"title":"T","body":"B"}},"hg_id":"n1"}'


async def authorised(sims: Simulators, connect: Connect, headers: dict[str, str]) -> Any:
    """Open a connection to APNs that has its thousand streams, and leave the outbox as it was."""
    peer = await connect(sims.providers["apns"])
    await peer.result(peer.send(GONE, headers, PAYLOAD))
    await peer.until(lambda: peer.stream_limits == [1, 1000])
    return peer


async def test_a_push_gets_its_answer(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await connect(sims.providers["apns"])
    result = await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))
    assert (result.status, result.body, result.is_ended) == (200, b"", True)
    assert [item.address for item in sims.outbox.items()] == ["a" * 64]


async def test_one_stream_until_authorised_then_a_thousand(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await connect(sims.providers["apns"])
    await peer.until(lambda: bool(peer.stream_limits))
    assert peer.stream_limits == [1]
    waiting = peer.open(ALICE, list(apns_headers.items()))
    refused = peer.send(ALICE, apns_headers, PAYLOAD)
    assert (await peer.result(refused)).reset_code == 7  # REFUSED_STREAM
    peer.send_body(waiting, PAYLOAD, is_complete=True)
    assert (await peer.result(waiting)).status == 200
    assert peer.stream_limits == [1, 1000]
    streams = [peer.send(ALICE, apns_headers, PAYLOAD) for _ in range(50)]
    assert [(await peer.result(stream)).status for stream in streams] == [200] * 50


async def test_a_refusal_for_want_of_authorisation_keeps_the_one_stream(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await connect(sims.providers["apns"])
    result = await peer.result(peer.send(ALICE, {**apns_headers, "authorization": "bearer nonsense"}, PAYLOAD))
    assert json.loads(result.body) == {"reason": "InvalidProviderToken"}
    assert peer.stream_limits == [1]


async def test_repeated_headers_are_noticed(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await connect(sims.providers["apns"])
    stream = peer.open(ALICE, [*apns_headers.items(), ("apns-topic", "other")])
    peer.send_body(stream, PAYLOAD, is_complete=True)
    assert json.loads((await peer.result(stream)).body) == {"reason": "DuplicateHeaders"}


async def test_a_body_without_end_is_cut_and_answered(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    stream = peer.open(ALICE, list(apns_headers.items()))
    peer.send_body(stream, b"x" * 48_000, is_complete=False)
    result = await peer.result(stream)
    assert (result.status, json.loads(result.body)) == (413, {"reason": "PayloadTooLarge"})
    after = await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))
    assert after.status == 200


async def test_the_receive_window_never_closes(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    """600 bodies of 4 KB are beyond any initial window, and beyond the mebibyte at which it is topped up."""
    peer = await authorised(sims, connect, apns_headers)
    body = b'{"aps":{"alert":"' + b"x" * 4000 + b'"}}'
    for _ in range(12):
        streams = [peer.send(ALICE, apns_headers, body) for _ in range(50)]
        assert [(await peer.result(stream)).status for stream in streams] == [200] * 50
    assert len(sims.outbox) == 600


async def test_answers_wait_for_the_callers_window(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    """A caller that gives nothing back gets 65,535 bytes of bodies; the rest comes when it does."""
    peer = await authorised(sims, connect, apns_headers)
    sims.faults.set([Rule(Respond(500, body="x" * 40_000))])
    first, second = peer.send(ALICE, apns_headers, PAYLOAD), peer.send(ALICE, apns_headers, PAYLOAD)
    await peer.result(first)
    await peer.until(lambda: sum(len(outcome.body) for outcome in peer.outcomes.values()) == 65_535)
    assert not peer.outcomes[second].is_ended
    peer.grant_window(40_000)
    assert len((await peer.result(second)).body) == 40_000


async def test_a_caller_that_does_not_read_gets_everything_once_it_does(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    """Eight megabytes of answers wait; meanwhile no more questions are read, and afterwards they are."""
    peer = await authorised(sims, connect, apns_headers)
    sims.faults.set([Rule(Respond(500, body="x" * 40_000), first=200)])
    peer.grant_window(16_000_000)
    streams = [peer.send(ALICE, apns_headers, PAYLOAD) for _ in range(200)]
    async with asyncio.timeout(10):
        while sims.statistics()["apns"].faults < 100:  # noqa: ASYNC110 (counters announce nothing)
            await asyncio.sleep(0)
    assert [len((await peer.result(stream)).body) for stream in streams] == [40_000] * 200
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).status == 200


async def test_a_stream_reset_by_the_caller_harms_nobody(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await authorised(sims, connect, apns_headers)
    stream = peer.open(ALICE, list(apns_headers.items()))
    peer.write(RstStreamFrame(stream, error_code=8).serialize())
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).status == 200
    assert len(sims.outbox) == 1


async def test_a_broken_peer_is_told_and_left(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    peer.write(DataFrame(99, b"x").serialize())  # on a stream that nobody has opened
    await peer.until(lambda: peer.is_closed)
    assert peer.goaways[0].error_code == 1  # PROTOCOL_ERROR
    other = await connect(sims.providers["apns"])
    assert (await other.result(other.send(ALICE, apns_headers, PAYLOAD))).status == 200


async def test_without_h2_there_is_no_apns(sims: Simulators) -> None:
    context = ssl.create_default_context(cafile=sims.providers["apns"]["ca_file"])
    port = int(sims.providers["apns"]["url"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    writer.transport.abort()
    assert answer == b""


# -- faults


async def misbehaving(sims: Simulators, peer: Any, headers: dict[str, str], action: Action, **rule: Any) -> Any:
    """Send one push that meets `action`."""
    sims.faults.set([Rule(action, provider="apns", address="a" * 64, first=1, **rule)])
    return await peer.result(peer.send(ALICE, headers, PAYLOAD))


@pytest.mark.parametrize(
    ("action", "status", "headers", "body"),
    [
        (
            Respond(429, "TooManyRequests", headers={"Retry-After": "7"}),
            429,
            {"retry-after": "7"},
            b'{"reason": "TooManyRequests"}',
        ),
        (Respond(500, body=""), 500, {}, b""),
        (
            Respond(503, body="<html>Sorry</html>", headers={"content-type": "text/html"}),
            503,
            {"content-type": "text/html"},
            b"<html>Sorry</html>",
        ),
    ],
)
async def test_respond(
    sims: Simulators,
    connect: Connect,
    apns_headers: dict[str, str],
    action: Respond,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    peer = await authorised(sims, connect, apns_headers)
    result = await misbehaving(sims, peer, apns_headers, action)
    assert (result.status, result.body) == (status, body)
    assert headers.items() <= result.headers.items()
    assert len(sims.outbox) == 0
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).status == 200


async def test_reset_stream(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    assert (await misbehaving(sims, peer, apns_headers, ResetStream(7))).reset_code == 7
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).status == 200
    assert len(sims.outbox) == 1


async def test_what_was_taken_is_recorded_whatever_follows(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await authorised(sims, connect, apns_headers)
    assert (await misbehaving(sims, peer, apns_headers, ResetStream(8), taken=True)).reset_code == 8
    assert (await misbehaving(sims, peer, apns_headers, Respond(500, "InternalServerError"), taken=True)).status == 500
    assert len(sims.outbox) == 2


async def test_silence_and_the_others_go_on(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    sims.faults.set([Rule(Silence(), first=1)])
    silent = peer.send(ALICE, apns_headers, PAYLOAD)
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).status == 200
    ping = PingFrame(0, opaque_data=b"12345678")
    peer.write(ping.serialize())
    await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))
    assert not peer.outcomes[silent].is_settled


@pytest.mark.parametrize("includes_call", [True, False])
async def test_goaway(sims: Simulators, connect: Connect, apns_headers: dict[str, str], includes_call: bool) -> None:
    """What lies at or below the last stream id is answered, what lies above never is, then the connection ends."""
    peer = await authorised(sims, connect, apns_headers)
    below = peer.open("/3/device/" + "b" * 64, list(apns_headers.items()))
    fault = GoAway(includes_call=includes_call, debug='{"reason":"Shutdown"}')
    sims.faults.set([Rule(fault, address="a" * 64)])
    hit = peer.send(ALICE, apns_headers, PAYLOAD)
    above = peer.send("/3/device/" + "c" * 64, apns_headers, PAYLOAD)
    await peer.until(lambda: bool(peer.goaways))
    assert (peer.goaways[0].last_stream_id, peer.goaways[0].error_code) == (hit if includes_call else hit - 2, 0)
    assert peer.goaways[0].additional_data == b'{"reason":"Shutdown"}'
    peer.send_body(below, PAYLOAD, is_complete=True)
    await peer.until(lambda: peer.is_closed)
    statuses = {stream: peer.outcomes[stream].status for stream in (below, hit, above)}
    assert statuses == {below: 200, hit: 200 if includes_call else 0, above: 0}
    assert [item.address[0] for item in sims.outbox.items()] == (["a", "b"] if includes_call else ["b"])


async def test_goaway_on_the_first_call_ends_the_connection_at_once(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await connect(sims.providers["apns"])
    sims.faults.set([Rule(GoAway(code=11))])
    peer.send(ALICE, apns_headers, PAYLOAD)
    await peer.until(lambda: peer.is_closed)
    assert (peer.goaways[0].last_stream_id, peer.goaways[0].error_code) == (0, 11)


async def test_close(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    result = await misbehaving(sims, peer, apns_headers, CloseConnection())
    assert (peer.is_closed, result.status, len(sims.outbox)) == (True, 0, 0)


async def test_close_after_headers(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    result = await misbehaving(sims, peer, apns_headers, CloseConnection(after_headers=True))
    assert (peer.is_closed, result.status, result.is_ended, len(sims.outbox)) == (True, 200, False, 1)


async def test_split_body(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    sims.faults.set([Rule(SplitBody(5))])
    result = await peer.result(peer.send("/3/device/bad0" + "0" * 60, apns_headers, PAYLOAD))
    assert result.body == b'{"reason": "PayloadEmpty"}'
    assert [len(piece) for piece in result.pieces] == [5, 5, 5, 5, 5, 1]


async def test_limit_streams(sims: Simulators, connect: Connect, apns_headers: dict[str, str]) -> None:
    peer = await authorised(sims, connect, apns_headers)
    assert (await misbehaving(sims, peer, apns_headers, LimitStreams(1))).status == 200
    await peer.until(lambda: peer.stream_limits == [1, 1000, 1])
    peer.open(ALICE, list(apns_headers.items()))
    assert (await peer.result(peer.send(ALICE, apns_headers, PAYLOAD))).reset_code == 7


async def test_delay_answers_later_and_records_at_once(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await authorised(sims, connect, apns_headers)
    sims.faults.set([Rule(Delay(0.02), first=1)])
    late = peer.send(ALICE, apns_headers, PAYLOAD)
    soon = peer.send(ALICE, apns_headers, PAYLOAD)
    await peer.result(soon)
    assert not peer.outcomes[late].is_settled
    assert len(sims.outbox) == 2
    assert (await peer.result(late)).status == 200


async def test_a_delayed_answer_ends_with_the_simulators(
    sims: Simulators, connect: Connect, apns_headers: dict[str, str]
) -> None:
    peer = await connect(sims.providers["apns"])
    sims.faults.set([Rule(Delay(3600))])
    peer.send(ALICE, apns_headers, PAYLOAD)
    async with asyncio.timeout(10):
        await sims.outbox.until(lambda items: len(items) == 1)
        await sims.__aexit__(None, None, None)
    await peer.until(lambda: peer.is_closed)

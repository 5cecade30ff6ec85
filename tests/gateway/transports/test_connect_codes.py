"""Failed connects of one-way transports: the two tables of the settings, and what holds without them."""

import asyncio
import json
from urllib.parse import quote

import pytest

from config.connect_codes import ConnectDisconnectSettings
from gateway.protocol.errors import Error
from gateway.session.unanswered import Unanswered

BOTH = ("uni_sse", "uni_http_stream")
ORIGIN = "https://app.example"


def http_table(*rows, **sections):
    """Settings with a table of (code, status, body) for both one-way HTTP transports."""
    transforms = [{"code": code, "to": {"status_code": status, "body": body}} for code, status, body in rows]
    table = {"enabled": True, "transforms": transforms}
    return {**{name: {"enabled": True, "connect_code_to_http_response": table} for name in BOTH}, **sections}


async def posted(gateway, path, request, **headers):
    return await gateway.ask("POST", f"/connection/{path}", json.dumps(request).encode(), **headers)


async def body_of(peer):
    return await peer.reader.readexactly(int(peer.headers["content-length"]))


@pytest.mark.parametrize(
    ("code", "disconnect"),
    [(103, 3507), (109, 3005), (110, 3005), (111, 3013), (100, 3004), (102, 3004), (4242, 3004)],
)
def test_what_holds_without_a_table(code, disconnect):
    error = Error(code, "why")
    told = Unanswered(ConnectDisconnectSettings()).disconnect_for(error)
    assert (told.code, told.error) == (disconnect, error)


def test_the_table_goes_first_and_leaves_the_others():
    row = {"code": 109, "to": {"code": 4109, "reason": "come back with a new token"}}
    table = Unanswered(ConnectDisconnectSettings(enabled=True, transforms=[row]))
    assert table.disconnect_for(Error(109, "token expired")).code == 4109
    assert table.disconnect_for(Error(110, "expired")).code == 3005
    off = Unanswered(ConnectDisconnectSettings(transforms=[row]))
    assert off.disconnect_for(Error(109, "token expired")).code == 3005


def test_the_disconnects_of_the_settings_on_every_one_way_transport(run, serving):
    row = {"code": 109, "to": {"code": 4109, "reason": "token is old"}}
    told = b'{"disconnect":{"code":4109,"reason":"token is old"}}'

    async def main():
        table = {"enabled": True, "transforms": [row]}
        sections = {name: {"enabled": True} for name in (*BOTH, "uni_websocket")}
        async with serving(**sections, client={"connect_code_to_unidirectional_disconnect": table}) as gateway:
            old = {"token": gateway.world.token(exp=1)}
            assert await (await posted(gateway, "uni_http_stream", old)).rest() == told + b"\n"
            assert await (await posted(gateway, "uni_sse", old)).rest() == b"\r\ndata: " + told + b"\n\n"
            peer = await gateway.open(path="/connection/uni_websocket?cf_connect=" + quote(json.dumps(old)))
            assert bytes((await peer.next()).data) == told
            assert await peer.closed() == (4109, "token is old")
            forged = await posted(gateway, "uni_http_stream", {"token": "x"})
            assert b'"code":3500' in await forged.rest()

    run(main())


def test_the_statuses_of_the_settings(run, serving):
    async def main():
        sections = http_table((109, 401, "log in again"), (3500, 403, ""), (102, 404, ""), client={"allowed_origins": [ORIGIN]})
        async with serving(**sections) as gateway:
            for path in BOTH:
                old = await posted(gateway, path, {"token": gateway.world.token(exp=1)}, Origin=ORIGIN)
                assert (old.status, await body_of(old)) == (401, b"log in again")
                assert old.headers["access-control-allow-origin"] == ORIGIN
                assert old.headers["content-type"] == "text/plain; charset=utf-8"
                forged = await posted(gateway, path, {"token": "x"})
                assert (forged.status, await body_of(forged)) == (403, b"invalid token")
                nowhere = await posted(gateway, path, {"token": gateway.world.token(channels=["nowhere:a"])})
                assert (nowhere.status, await body_of(nowhere)) == (404, b"unknown channel")
                nobody = await posted(gateway, path, {})
                assert (nobody.status, await body_of(nobody)) == (500, b"Internal Server Error")
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3005: 2, 3500: 2, 3004: 2, 3501: 2}

    run(main())


def test_a_connection_that_answers_a_status_serves_the_next_request(run, serving):
    """It is an answer like any other, and the one without a body (204 stops an EventSource from coming back) too."""

    async def main():
        async with serving(**http_table((109, 204, "never seen"))) as gateway:
            body = json.dumps({"token": gateway.world.token(exp=1)}).encode()
            peer = await gateway.ask("POST", "/connection/uni_sse", body)
            assert peer.status == 204
            assert "content-length" not in peer.headers
            await peer.ask("POST", "/connection/uni_sse", json.dumps({"token": gateway.world.token()}).encode(), {})
            assert peer.status == 200
            assert b'{"connect":{' in await peer.until(b"\n\n")

    run(main())


def test_with_a_table_a_stream_begins_as_ever(run, serving):
    async def main():
        async with serving(**http_table(), client={"allow_anonymous_connect_without_token": True}) as gateway:
            stream = await posted(gateway, "uni_http_stream", {})
            assert stream.status == 200
            assert stream.headers["x-accel-buffering"] == "no"
            assert (await stream.until(b"}\n")).startswith(b'{"connect":{')
            events = await gateway.ask("GET", "/connection/uni_sse")
            assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert (await events.until(b"\n\n")).startswith(b'\r\ndata: {"connect":{')

    run(main())


class WaitingUsers:
    """Lets a connect wait for ever."""

    async def connected(self, _user, _client):
        await asyncio.get_running_loop().create_future()

    async def disconnected(self, _user, _client):
        pass


def test_a_connect_that_never_ends_is_answered_when_it_is_stale(run, serving):
    async def main():
        async with serving(**http_table((3502, 408, ""))) as gateway:
            gateway.node._arrival._users = WaitingUsers()
            body = json.dumps({"token": gateway.world.token()}).encode()
            asking = asyncio.ensure_future(gateway.ask("POST", "/connection/uni_sse", body))
            await gateway.until(lambda: gateway.node.statistics().transports == 1)
            gateway.world.clock.move(11)
            peer = await asking
            assert (peer.status, await body_of(peer)) == (408, b"stale")
            await gateway.node.tasks.drain(0)

    run(main())


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("client.connect_code_to_unidirectional_disconnect", [{"code": 109, "to": {"code": 2000, "reason": "x y"}}]),
        ("client.connect_code_to_unidirectional_disconnect", [{"code": 109, "to": {"code": 4000, "reason": ""}}]),
        ("client.connect_code_to_unidirectional_disconnect", [{"code": 109, "to": {"code": 4000, "reason": "17"}}]),
        ("client.connect_code_to_unidirectional_disconnect", [{"code": 109, "to": {"code": 4000, "reason": "a b"}}] * 2),
        ("uni_sse.connect_code_to_http_response", [{"code": 109, "to": {"status_code": 101}}]),
        ("uni_sse.connect_code_to_http_response", [{"code": 109, "to": {"status_code": 401}}] * 2),
        ("sse.connect_code_to_http_response", []),
    ],
)
def test_tables_that_say_nothing_clear_are_refused(world, path, table):
    section, name = path.split(".")
    with pytest.raises(ValueError, match=name):
        world(**{section: {name: {"enabled": True, "transforms": table}}})

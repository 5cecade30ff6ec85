"""Limits of the door from the wire: handshakes, streams, emulation, calls, commands; and addresses told by proxies."""

import json

import pytest

TRANSPORTS = ("sse", "http_stream", "uni_sse", "uni_http_stream", "uni_websocket")
ON = {name: {"enabled": True} for name in TRANSPORTS}
TWICE = {"per_s": 0.5, "burst": 2}


def limits(**rates):
    return {"limits": rates}


def test_without_limits_there_is_no_door(run, serving):
    async def main():
        async with serving() as gateway:
            assert gateway.node.door is None
            for _ in range(60):
                await gateway.open()

    run(main())


@pytest.mark.parametrize("path", ["/connection/websocket", "/connection/uni_websocket"])
def test_websockets_from_an_address_are_answered_429(run, serving, path):
    async def main():
        async with serving(**ON, **limits(handshakes_per_address=TWICE)) as gateway:
            for _ in range(2):
                await gateway.open(path=path)
            _, response = await gateway.knock(path=path)
            assert (response.status_code, response.headers["Retry-After"]) == (429, "2")
            gateway.world.clock.move(2.0)
            await gateway.open(path=path)
            (rate,) = gateway.node.door.rates
            assert (rate.refused, len(rate)) == (1, 1)

    run(main())


@pytest.mark.parametrize("name", ["sse", "http_stream", "uni_sse", "uni_http_stream"])
def test_streams_from_an_address_are_answered_429(run, serving, name):
    async def main():
        async with serving(**ON, **limits(handshakes_per_address=TWICE), client={"allowed_origins": ["http://a"]}) as gateway:
            for _ in range(2):
                assert (await gateway.ask("POST", f"/connection/{name}", b"{}")).status != 429
            peer = await gateway.ask("POST", f"/connection/{name}", b"{}", Origin="http://a")
            assert peer.status == 429
            told = {header: peer.headers[header] for header in peer.headers if header.startswith(("ratelimit", "retry"))}
            assert told == {"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "4", "retry-after": "2"}
            assert peer.headers["access-control-allow-origin"] == "http://a"

    run(main())


def test_emulated_frames_from_an_address_are_answered_429(run, serving):
    async def main():
        async with serving(**ON, **limits(emulation_per_address=TWICE)) as gateway:
            _, result = await gateway.emulated()
            statuses = [await gateway.emulate(result, {"id": n, "rpc": {"method": "x"}}) for n in (2, 3, 4)]
            assert statuses == [204, 204, 429]

    run(main())


def test_calls_from_an_address_are_told_what_is_left_and_then_answered_429(run, serving):
    async def main():
        async with serving(**limits(calls_per_address=TWICE)) as gateway:
            answers = [await gateway.ask("POST", "/api/nothing", b"{}") for _ in range(3)]
            assert [answer.status for answer in answers] == [404, 404, 429]
            assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
            assert answers[2].headers["retry-after"] == "2"
            body = await answers[2].reader.readexactly(int(answers[2].headers["content-length"]))
            assert json.loads(body) == {"error": {"code": 111, "message": "too many requests"}}
            assert (await gateway.ask("OPTIONS", "/api/nothing")).status != 429  # asks for nothing
            assert (await gateway.ask("GET", "/connection/websocket")).status == 426  # is another limit's

    run(main())


def test_exempt_networks_are_never_limited(run, serving):
    async def main():
        async with serving(**limits(handshakes_per_address=TWICE, exempt=["127.0.0.0/8"])) as gateway:
            for _ in range(5):
                await gateway.open()

    run(main())


def test_addresses_that_a_trusted_proxy_tells_are_counted(run, serving):
    async def main():
        http = {"trusted_proxies": ["127.0.0.1"]}
        async with serving(**ON, http=http, **limits(handshakes_per_address=TWICE)) as gateway:
            for number in (1, 2, 3):  # of one network of IPv6
                _, response = await gateway.knock(headers={"X-Forwarded-For": f"1.1.1.1, 2001:db8::{number}"})
            assert response.status_code == 429
            peer = await gateway.ask("POST", "/connection/sse", b"{}", X_Forwarded_For="2001:db8::4")
            assert peer.status == 429
            _, response = await gateway.knock(headers={"X-Forwarded-For": "2001:db8:0:1::1"})
            assert response.status_code == 101
            assert {transport.address for transport in gateway.node.transports} == {
                "2001:db8::1",
                "2001:db8::2",
                "2001:db8:0:1::1",
            }

    run(main())


def test_headers_of_a_peer_that_nobody_trusts_change_nothing(run, serving):
    async def main():
        async with serving(**ON, **limits(handshakes_per_address=TWICE)) as gateway:
            for number in (1, 2, 3):
                _, response = await gateway.knock(
                    headers={"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": "for=1.1.1.1"}
                )
            assert response.status_code == 429
            assert {transport.address for transport in gateway.node.transports} == {"127.0.0.1"}

    run(main())


def test_the_api_and_streams_see_the_same_address_as_websockets(run, serving):
    async def main():
        async with serving(
            **ON, http={"trusted_proxies": ["127.0.0.1"]}, client={"token": {"hmac_secret_key": "x" * 32}}
        ) as gateway:
            peer = await gateway.ask("POST", "/connection/uni_sse", b"{}", X_Forwarded_For="203.0.113.5")
            assert peer.status == 200
            _, response = await gateway.knock(headers={"X-Forwarded-For": "203.0.113.5"})
            assert response.status_code == 101
            assert {transport.address for transport in gateway.node.transports} == {"203.0.113.5"}

    run(main())


async def test_a_user_who_connects_too_often_is_told_so(world):
    made = world(**limits(handshakes_per_user=TWICE))
    for _ in range(2):
        made.connected("42")
    refused = made.client()
    assert refused.send({"id": 1, "connect": {"token": made.token("42")}}) == [
        {"id": 1, "error": {"code": 111, "message": "too many requests", "temporary": True}}
    ]
    made.connected("43")


async def test_commands_of_a_user_count_over_all_connections(world):
    made = world(**limits(commands_per_user={"per_s": 10, "burst": 6}))
    one, other, stranger = made.connected("42"), made.connected("42"), made.connected("43")
    answers = [client.send({"id": number, "rpc": {"method": "x"}}) for number in (2, 3, 4) for client in (one, other)]
    codes = [answer[0]["error"]["code"] for answer in answers]
    assert codes.count(111) == 0
    assert one.send({"id": 9, "rpc": {"method": "x"}})[0]["error"]["code"] == 111
    assert stranger.send({"id": 2, "rpc": {"method": "x"}})[0]["error"]["code"] != 111
    for number in range(10, 60):
        other.send({"id": number, "rpc": {"method": "x"}})
    assert other.closed == (3013, "too many requests")
    assert one.closed is None

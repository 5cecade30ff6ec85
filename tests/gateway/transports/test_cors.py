"""What a browser is told before a page may read an answer."""

import pytest

from gateway.transports.cors import cors_headers, preflight_headers

ALLOWED = ["https://app.example"]
ORIGIN = b"https://app.example"
ON = {"http_stream": {"enabled": True}, "sse": {"enabled": True}}


def test_an_allowed_origin_is_echoed():
    assert dict(cors_headers({b"origin": ORIGIN}, ALLOWED)) == {
        b"access-control-allow-origin": ORIGIN,
        b"access-control-allow-credentials": b"true",
        b"vary": b"Origin",
    }


def test_with_every_origin_allowed_it_is_still_echoed():
    assert dict(cors_headers({b"origin": b"https://any.example"}, ["*"]))[b"access-control-allow-origin"] == (
        b"https://any.example"
    )


@pytest.mark.parametrize("headers", [{}, {b"origin": b""}, {b"origin": b"https://elsewhere.example"}, {b"origin": b"null"}])
def test_others_are_told_nothing(headers):
    assert cors_headers(headers, ALLOWED) == []
    assert preflight_headers(headers, ALLOWED) == []


def test_with_no_origins_allowed_no_page_may_read():
    assert cors_headers({b"origin": ORIGIN}, []) == []


def test_a_preflight_tells_methods_headers_and_how_long():
    asked = {b"origin": ORIGIN, b"access-control-request-headers": b"content-type,x-more"}
    answer = dict(preflight_headers(asked, ALLOWED))
    assert answer[b"access-control-allow-headers"] == b"content-type,x-more"
    assert answer[b"access-control-allow-methods"] == b"POST, OPTIONS"
    assert answer[b"access-control-max-age"] == b"300"


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation"])
def test_a_preflight_is_204(run, serving, path):
    async def main():
        async with serving(**ON, client={"allowed_origins": ALLOWED}) as gateway:
            peer = await gateway.ask("OPTIONS", path, Origin=ORIGIN.decode(), Access_Control_Request_Headers="x")
            assert peer.status == 204
            assert peer.headers["access-control-allow-origin"] == ORIGIN.decode()
            assert "content-length" not in peer.headers
            other = await gateway.ask("OPTIONS", path, Origin="https://elsewhere.example")
            assert other.status == 204
            assert "access-control-allow-origin" not in other.headers

    run(main())


def test_streams_refusals_and_posts_carry_them_too(run, serving):
    async def main():
        async with serving(**ON, client={"allowed_origins": ALLOWED}) as gateway:
            _, result = await gateway.emulated(Origin=ORIGIN.decode())
            requests = [
                ("POST", "/connection/http_stream", b"{}"),
                ("GET", "/connection/sse", b""),
                ("PUT", "/connection/sse", b""),
                ("POST", "/emulation", b"garbage"),
                ("POST", "/emulation", f'{{"node":"{result["node"]}","session":"x","data":"{{}}"}}'.encode()),
            ]
            statuses = []
            for method, path, body in requests:
                peer = await gateway.ask(method, path, body, Origin=ORIGIN.decode())
                assert peer.headers["access-control-allow-origin"] == ORIGIN.decode(), path
                statuses.append(peer.status)
            assert statuses == [200, 400, 405, 400, 204]

    run(main())


def test_a_foreign_origin_is_served_but_not_told(run, serving):
    """On HTTP the check refuses nothing: the browser keeps the answer from the page."""

    async def main():
        async with serving(**ON, client={"allowed_origins": ALLOWED}) as gateway:
            peer, _ = await gateway.emulated(Origin="https://elsewhere.example")
            assert "access-control-allow-origin" not in peer.headers

    run(main())

"""503 with Retry-After before anything is upgraded, on every path of connections."""

import asyncio
import contextlib

import pytest

TRANSPORTS = ("sse", "http_stream", "uni_sse", "uni_http_stream", "uni_websocket")
ON = {name: {"enabled": True} for name in TRANSPORTS}
HTTP_PATHS = ("/connection/sse", "/connection/http_stream", "/connection/uni_sse", "/connection/uni_http_stream")
SOCKET_PATHS = ("/connection/websocket", "/connection/uni_websocket")


def refuse_by_rate(gateway):
    for _ in range(2):
        gateway.node.admission.ask()
    return "rate", "1"


def refuse_by_lag(gateway):
    gateway.node.lag.note(60, 600)
    return "lag", "5"


@pytest.mark.parametrize("refuse", [refuse_by_rate, refuse_by_lag])
def test_every_path_answers_503(run, serving, refuse):
    async def main():
        async with serving(**ON, client={"connection_rate_limit": 1}) as gateway:
            reason, retry_after = refuse(gateway)
            before = gateway.node.admission.denied_by_reason[reason]
            for path in SOCKET_PATHS:
                _, response = await gateway.knock(path=path)
                assert (response.status_code, response.headers["Retry-After"]) == (503, retry_after)
            for path in HTTP_PATHS:
                peer = await gateway.ask("POST", path, b"{}")
                assert (peer.status, peer.headers["retry-after"]) == (503, retry_after)
            asked = len(SOCKET_PATHS) + len(HTTP_PATHS)
            assert gateway.node.admission.denied_by_reason[reason] == before + asked
            assert gateway.node.statistics().transports == 0

    run(main())


def test_what_is_refused_for_another_reason_spends_nothing_of_the_rate(run, serving):
    async def main():
        async with serving(**ON, client={"connection_rate_limit": 1}) as gateway:
            for path, headers, status in (
                ("/connection/nothing", {}, 404),
                ("/connection/websocket", {"Origin": "http://elsewhere.example"}, 403),
                ("/connection/uni_websocket?cf_connect=nonsense", {}, 400),
            ):
                _, response = await gateway.knock(path=path, headers=headers)
                assert (response.status_code, response.headers.get("Retry-After")) == (status, None)
            await gateway.open()

    run(main())


def test_streams_are_refused_while_draining(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            gateway.node.is_draining = True
            for path in HTTP_PATHS:
                peer = await gateway.ask("POST", path, b"{}")
                assert (peer.status, peer.headers["retry-after"]) == (503, "1")
            assert gateway.node.admission.denied_by_reason["draining"] == len(HTTP_PATHS)

    run(main())


@pytest.mark.parametrize("path", SOCKET_PATHS)
def test_sockets_are_refused_while_draining_where_a_balancer_asks_for_it(run, serving, path):
    async def main():
        async with serving(**ON, node={"shutdown_refuse": True}) as gateway:
            await gateway.connected()
            gateway.node.is_draining = True
            _, response = await gateway.knock(path=path)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert gateway.node.admission.denied_by_reason["draining"] == 1

    run(main())


@contextlib.asynccontextmanager
async def begun(gateway, count):
    """Streams that were asked for, but for the end of their bodies; gives functions that say it and read the status."""
    async with contextlib.AsyncExitStack() as stack:
        finishes = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)
            writer.write(
                b"POST /connection/http_stream HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 21\r\n\r\n"
            )
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # the body is asked for

            async def finish(reader=reader, writer=writer):
                writer.write(b'{"id":1,"connect":{}}')
                return int((await reader.readuntil(b"\r\n\r\n")).split()[1])

            finishes.append(finish)
        yield finishes


def test_streams_that_are_still_asked_for_do_not_pass_the_limit_together(run, serving):
    async def main():
        async with serving(**ON, client={"connection_limit": 1, "insecure": True}) as gateway, begun(gateway, 3) as finishes:
            assert [await finish() for finish in finishes] == [200, 503, 503]

    run(main())


def test_a_stream_whose_body_comes_during_a_drain_is_refused(run, serving):
    async def main():
        async with serving(**ON) as gateway, begun(gateway, 1) as [finish]:
            gateway.node.is_draining = True
            assert await finish() == 503

    run(main())

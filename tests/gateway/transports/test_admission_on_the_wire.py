"""503 with Retry-After before anything is upgraded, on every path of connections."""

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

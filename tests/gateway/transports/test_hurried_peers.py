"""Peers that send faster than `client.command_rate`, seen from the wire."""

import asyncio
import json

LIMITED = {
    "client": {"command_rate": {"per_s": 10, "burst": 4}},
    "http_stream": {"enabled": True},
}
TOO_MANY = {"code": 111, "message": "too many requests", "temporary": True}


def ask(number):
    return {"id": number, "unsubscribe": {"channel": "a"}}


def test_a_websocket_gets_111_and_may_go_on_when_time_has_passed(run, serving):
    async def main():
        async with serving(**LIMITED) as gateway:
            peer = await gateway.connected()
            for number in range(2, 7):
                peer.command(**ask(number))
            got = []
            while len(got) < 5:
                frame = await peer.next()
                got += map(json.loads, bytes(frame.data).splitlines())
            assert got[:3] == [{"id": number, "unsubscribe": {}} for number in (2, 3, 4)]
            assert got[3:] == [{"id": number, "error": TOO_MANY} for number in (5, 6)]
            gateway.world.clock.move(1)
            peer.command(**ask(7))
            assert await peer.message() == {"id": 7, "unsubscribe": {}}

    run(main())


def test_a_websocket_that_goes_on_is_3013(run, serving):
    async def main():
        async with serving(**LIMITED) as gateway:
            peer, bystander = await gateway.connected("1"), await gateway.connected("2")
            for number in range(2, 100):
                peer.command(**ask(number))
            assert await peer.closed() == (3013, "too many requests")
            bystander.command(**ask(2))
            assert await bystander.message() == {"id": 2, "unsubscribe": {}}

    run(main())


def test_what_comes_through_emulation_counts_alike(run, serving):
    async def main():
        async with serving(**LIMITED) as gateway:
            peer, result = await gateway.emulated()
            for number in range(2, 6):
                assert await gateway.emulate(result, ask(number)) == 204
            got = [json.loads(line) for line in (await peer.until(b"true}}\n")).splitlines()]
            assert got[-1] == {"id": 5, "error": TOO_MANY}
            assert [message["id"] for message in got] == [2, 3, 4, 5]
            assert await gateway.emulate(result, *map(ask, range(6, 60))) == 204
            *_, last = map(json.loads, (await peer.rest()).splitlines())
            assert last == {"push": {"disconnect": {"code": 3013, "reason": "too many requests"}}}
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3013: 1}
            await asyncio.sleep(0)

    run(main())


def test_what_waits_of_a_peer_that_posts_is_bounded(run, serving):
    """It cannot be stopped from sending as a WebSocket can; a rate is not needed for that."""
    waiting = []

    async def wait(_user, _data):
        waiting.append(asyncio.get_running_loop().create_future())
        return await waiting[-1]

    async def main():
        async with serving(http_stream={"enabled": True}, rpc_methods={"wait": wait}) as gateway:
            peer, result = await gateway.emulated()
            bystander = await gateway.connected("2")
            assert await gateway.emulate(result, {"id": 2, "rpc": {"method": "wait"}}) == 204
            (session,) = gateway.node.emulated.values()
            posts = 0
            while session.client.is_open:
                posts += 1
                assert posts < 40
                assert await gateway.emulate(result, *map(ask, range(3, 1003))) == 204
            assert posts > 15
            assert not session._backlog
            assert b'"code":3013,"reason":"too many requests"' in await peer.rest()
            waiting[0].set_result(b"1")
            bystander.command(**ask(2))
            assert await bystander.message() == {"id": 2, "unsubscribe": {}}

    run(main())


def test_what_has_been_worked_off_does_not_count(run, serving):
    waiting = []

    async def wait(_user, _data):
        waiting.append(asyncio.get_running_loop().create_future())
        return await waiting[-1]

    async def main():
        async with serving(http_stream={"enabled": True}, rpc_methods={"wait": wait}) as gateway:
            peer, result = await gateway.emulated()
            sent = 0
            for turn in range(12):
                first = 1000 * turn + 2
                assert await gateway.emulate(result, {"id": first, "rpc": {"method": "wait"}}) == 204
                for number in range(first + 1, first + 601, 100):
                    commands = [{"id": number + more, "unsubscribe": {"channel": "a" * 570}} for more in range(100)]
                    assert await gateway.emulate(result, *commands) == 204
                    sent += sum(len(json.dumps(command)) for command in commands)
                waiting[turn].set_result(b"1")
                await peer.until(b'{"id":%d,"unsubscribe":{}}\n' % (first + 600))
            assert sent > 4 * 1024 * 1024
            assert gateway.node.statistics().transports == 1

    run(main())

"""`client.channel_position_max_time_lag`, seen from the wire."""

from broker.model import Publication

KEPT = {"history_size": 10, "history_ttl": "300s", "force_recovery": True, "allow_subscribe_for_client": True}


def test_a_subscriber_of_a_stream_comes_back_for_what_was_late(run, serving):
    async def main():
        async with serving(client={"channel_position_max_time_lag": "2s"}, channel={"without_namespace": KEPT}) as gateway:
            peer = await gateway.connected()
            peer.command(id=2, subscribe={"channel": "a"})
            epoch = (await peer.message())["subscribe"]["epoch"]
            now_ms = int(gateway.world.clock.now().timestamp() * 1000)
            for offset, time_ms in ((1, now_ms - 1000), (2, now_ms - 3000)):
                gateway.node.deliver("a", Publication(b"%d" % offset, offset, epoch, time_ms=time_ms))
            assert (await peer.message())["push"]["pub"]["data"] == 1
            told = {"channel": "a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
            assert await peer.message() == {"push": told}
            peer.command(id=3, subscribe={"channel": "a"})
            assert (await peer.message())["subscribe"]["positioned"] is True

    run(main())

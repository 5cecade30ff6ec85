"""What a peer may cost before it has said anything of use."""

from websockets.frames import Opcode


def test_empty_continuations_are_not_kept(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.open()
            token = gateway.world.token()
            peer.frame(Opcode.TEXT, b'{"id":1,"connect":', fin=False)
            for _ in range(1000):
                peer.frame(Opcode.CONT, b"", fin=False)
            peer.frame(Opcode.CONT, b'{"token":"%b"' % token.encode(), fin=False)
            await peer.writer.drain()
            (connection,) = gateway.node.transports
            await gateway.until(lambda: len(connection._fragments) > 1)
            assert len(connection._fragments) == 2
            peer.frame(Opcode.CONT, b"}}")
            assert "connect" in await peer.message()

    run(main())

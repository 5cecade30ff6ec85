"""What a method of the server answers, seen from the wire, where it is no JSON."""

from websockets.frames import Opcode

PROTOBUF = {"subprotocols": ["centrifuge-protobuf"]}


async def answer(_user, data):
    return {b"1": b"\x00\xff", b"2": b'{"a":\r\n1}'}.get(data, b"")


def test_bytes_end_a_json_client(run, serving):
    async def main():
        async with serving(rpc_methods={"answer": answer}) as gateway:
            peer = await gateway.connected()
            peer.command(id=2, rpc={"method": "answer", "data": 2})
            frame = await peer.next()
            assert bytes(frame.data) == b'{"id":2,"rpc":{"data":{"a":\r1}}}'
            peer.command(id=3, rpc={"method": "answer", "data": 3})
            assert await peer.message() == {"id": 3, "rpc": {}}
            peer.command(id=4, rpc={"method": "answer", "data": 1})
            assert await peer.closed() == (3506, "inappropriate protocol")

    run(main())


def test_bytes_reach_a_protobuf_client(run, serving):
    async def main():
        async with serving(rpc_methods={"answer": answer}, client={"insecure": True}) as gateway:
            peer = await gateway.open(**PROTOBUF)
            peer.frame(Opcode.BINARY, b"\x04\x08\x01\x22\x00")  # connect
            await peer.next()
            call = b"\x0a\x01" + b"1" + b"\x12\x06answer"
            peer.frame(Opcode.BINARY, bytes([len(call) + 4]) + b"\x08\x02\x6a" + bytes([len(call)]) + call)
            reply = bytes((await peer.next()).data)
            assert reply.endswith(b"\x0a\x02\x00\xff")

    run(main())

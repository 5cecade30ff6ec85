"""Compare our Protobuf codec with one over the `protobuf` package (upb), and with our JSON codec, all in one run.

    taskset -c 1 .venv/bin/python scripts/bench_codecs.py

The codecs take turns, so that a disturbance of the machine falls on all; the best round of each counts. The upb codec is the
one that we would have: what it reads is made into our Structs, what it writes is made from them. Its message classes are
those that come with centrifuge-python.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from centrifuge.protocol import client_pb2
from msgspec import Raw

from broker.model import Publication
from gateway.protocol.fields import FIELDS, Kind
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.messages import (
    Command,
    ConnectRequest,
    ConnectResult,
    Empty,
    PublishRequest,
    Reply,
    SubscribeRequest,
    SubscribeResult,
    raw,
)
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.protocol.protobuf_reader import held_type
from gateway.protocol.protobuf_writer import delimited, writer_of
from gateway.protocol.wire import read_varint

ROUNDS, REPEATS = 60, 1000

CHANNEL, PAYLOAD = "news:sport", b'{"id":"4711","text":"' + b"x" * 80 + b'","at":1712345678}'
PUBLISH = Command(id=7, publish=PublishRequest(CHANNEL, Raw(PAYLOAD)))
CONNECT = Command(id=1, connect=ConnectRequest(token="e" * 180, name="js", version="5.7.1"))
SUBSCRIBE = Command(id=2, subscribe=SubscribeRequest(CHANNEL, flag=1))
PUBLISHED = Reply(id=7, publish=Empty())
SUBSCRIBED = SubscribeResult(recoverable=True, epoch="kmXs", offset=4711, positioned=True)
SUBS = {f"news:channel-{number}": SUBSCRIBED for number in range(4)}
CONNECTED = Reply(id=1, connect=ConnectResult("c" * 36, "0.1.0", expires=True, ttl=3600, subs=SUBS, ping=25, pong=True))
PUBLICATION = Publication(PAYLOAD, offset=4711)

Work = Callable[[], object]


class UpbCodec(ProtobufCodec):
    """The same over the `protobuf` package."""

    def __init__(self) -> None:
        self._to_command = to_struct(Command)

    def decode(self, frame: bytes) -> Iterator[Command]:
        at = 0
        while at < len(frame):
            size, at = read_varint(frame, at)
            yield self._to_command(client_pb2.Command.FromString(frame[at : at + size]))
            at += size

    def encode_reply(self, reply: Reply) -> bytes:
        message = client_pb2.Reply()
        fill(message, reply)
        return delimited(message.SerializeToString())

    def encode_message(self, channel: str, publication: Publication) -> bytes:
        message = client_pb2.Reply()
        push = message.push
        push.channel = channel
        pub = push.pub
        pub.data = publication.data
        pub.offset = publication.offset
        return delimited(message.SerializeToString())


def to_struct(struct: Any) -> Callable[[Any], Any]:
    """Make what turns a upb message into a Struct; only what the commands below need."""
    special: dict[str, Callable[[Any], Any]] = {}
    for field in msgspec.structs.fields(struct):
        kind = FIELDS[struct.__name__][field.name][1]
        if kind is Kind.BYTES:
            special[field.name] = raw
        elif kind is Kind.MESSAGE and field.name != "tf":
            special[field.name] = to_struct(held_type(field.type))

    def convert(message: Any) -> Any:
        values = {field.name: value for field, value in message.ListFields()}
        for name in values.keys() & special.keys():
            values[name] = special[name](values[name])
        return struct(**values)

    return convert


def fill(message: Any, struct: Any) -> None:
    """Turn a Struct into a upb message; only what the replies above need."""
    message.SetInParent()
    for name, value in zip(struct.__struct_fields__, msgspec.structs.astuple(struct), strict=True):
        if not value or (isinstance(value, Raw) and not bytes(value)):
            continue
        if isinstance(value, msgspec.Struct):
            fill(getattr(message, name), value)
        elif isinstance(value, dict):
            for key, item in value.items():
                fill(getattr(message, name)[key], item)
        else:
            setattr(message, name, value)


def works(codec: Any, write: Callable[[Command], bytes]) -> dict[str, Work]:
    """Tell what is measured, for one codec; `write` is the client's side of it."""
    publish, entrance = write(PUBLISH), codec.join((write(CONNECT), write(SUBSCRIBE)))
    return {
        "read a publish": lambda: list(codec.decode(publish)),
        "read connect + subscribe": lambda: list(codec.decode(entrance)),
        "write a publish reply": partial(codec.encode_reply, PUBLISHED),
        "write a connect reply, 4 subs": partial(codec.encode_reply, CONNECTED),
        "write a publication": partial(codec.encode_message, CHANNEL, PUBLICATION),
    }


def once_ns(work: Work) -> float:
    """Measure one round; tells nanoseconds per call."""
    begun = time.perf_counter_ns()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter_ns() - begun) / REPEATS


def main() -> None:
    """Print a table for docs/performance.md."""
    write_command = writer_of(Command)

    def write_protobuf(command: Command) -> bytes:
        return delimited(write_command(command))

    ours = works(ProtobufCodec(), write_protobuf)
    others = {"upb": works(UpbCodec(), write_protobuf), "JSON": works(JsonCodec(), msgspec.json.encode)}
    print("| | ours, µs | upb, µs | JSON, µs | ours : upb | ours : JSON |\n|---|---|---|---|---|---|")
    for case, work in ours.items():
        turns = [work, *(other[case] for other in others.values())]
        best = [min(rounds) for rounds in zip(*([once_ns(turn) for turn in turns] for _ in range(ROUNDS)), strict=True)]
        figures = [f"{ns / 1000:.2f}" for ns in best] + [f"{best[0] / ns:.2f}" for ns in best[1:]]
        print(f"| {case} |", " | ".join(figures), "|")


if __name__ == "__main__":
    main()

"""Frames of the Protobuf encoding: several messages in one, what newer clients send, and what no client sends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from broker import model
from gateway.protocol import messages
from gateway.protocol.codec import Codec, CodecError
from gateway.protocol.messages import Command, Empty, FilterNode, Push, Reply, StreamPosition
from gateway.protocol.protobuf_codec import ProtobufCodec, read_emulation_request
from gateway.protocol.protobuf_writer import delimited, writer_of

CODEC: Codec = ProtobufCodec()
SDK = Path(__file__).parents[2] / "sdk"
NODE = Path(sys.executable).with_name("node")

# One field of each wire type, with numbers that no message has: varint, fixed64, delimited, group (with a group), fixed32.
UNKNOWN = {
    "varint": b"\xa0\x06\x96\x01",
    "fixed64": b"\xa1\x06" + b"\xff" * 8,
    "delimited": b"\xa2\x06\x03abc",
    "long delimited": b"\xa2\x06\xac\x02" + b"\xff" * 300,
    "group": b"\xa3\x06\x08\x01\xab\x06\x12\x01a\xac\x06\x15abcd\xa4\x06",
    "fixed32": b"\xa5\x06abcd",
    "greatest number": b"\xf8\xff\xff\xff\x0f\x01",
}


def command_bytes(**fields):
    """Write a command with the message classes of centrifuge-python."""
    command = client_pb2.Command(**fields)
    return command.SerializeToString()


def read(body):
    (command,) = CODEC.decode(delimited(body))
    return command


PUBLISH = command_bytes(id=7, publish={"channel": "news", "data": b"\x00\xff"})
CONNECT = command_bytes(id=1, connect={"token": "t", "subs": {"a": {"offset": 9}}, "headers": {"k": "v"}})
HISTORY = command_bytes(id=300, history={"channel": "news", "limit": -1, "since": {"offset": 2**64 - 1, "epoch": "e"}})
SUBSCRIBE = command_bytes(
    id=2, subscribe={"channel": "é", "flag": -1, "tf": {"op": "or", "nodes": [{"key": "k", "vals": ["a", ""]}, {}]}}
)
VALID = (PUBLISH, CONNECT, HISTORY, SUBSCRIBE)


def test_several_commands_in_one_frame():
    publish, pong, history = CODEC.decode(delimited(PUBLISH) + b"\x00" + delimited(HISTORY))
    assert publish == Command(id=7, publish=messages.PublishRequest("news", Raw(b"\x00\xff")))
    assert pong == Command()
    assert history.id == 300
    assert history.history == messages.HistoryRequest("news", limit=-1, since=StreamPosition(2**64 - 1, "e"))


def test_a_filter_holds_filters():
    subscribe = read(SUBSCRIBE).subscribe
    assert subscribe.flag == -1
    assert subscribe.tf == FilterNode(op="or", nodes=[FilterNode(key="k", vals=["a", ""]), FilterNode()])


def test_an_empty_frame_holds_no_command():
    with pytest.raises(CodecError):
        list(CODEC.decode(b""))


@pytest.mark.parametrize("fault", [b"\x05", b"\x80", b"\x02\x08\x80", b"\xff" * 11, b"\x01\x00"])
def test_commands_before_a_fault_are_handed_out(fault):
    commands = CODEC.decode(delimited(PUBLISH) + fault)
    assert next(commands).id == 7
    with pytest.raises(CodecError):
        next(commands)


def test_an_empty_payload_counts_as_absent():
    publish = read(b"\x3a\x02\x12\x00").publish
    assert publish is not None
    assert publish.data is messages.NO_DATA


def test_an_empty_request_is_there():
    assert read(b"\x08\x01\x42\x00") == Command(id=1, presence=messages.PresenceRequest())


def test_repeated_messages_are_merged_and_the_last_of_other_values_counts():
    parts = (
        {"connect": {"token": "a", "name": "js", "subs": {"x": {"offset": 1}, "y": {"offset": 2}}}},
        {"id": 3, "connect": {"token": "b", "subs": {"x": {"epoch": "e"}}, "headers": {"k": "v"}}},
        {"id": 4},
    )
    body = b"".join(command_bytes(**part) for part in parts)
    merged = client_pb2.Command.FromString(body)
    assert read(body) == read(merged.SerializeToString())
    assert read(body).id == 4
    assert read(body).connect.subs["x"] == messages.SubscribeRequest(epoch="e")


def test_a_map_entry_may_lack_its_key_or_value():
    body = b"\x22" + delimited(b"\x1a\x00" + b"\x1a\x03\x0a\x01a" + b"\x32\x00")
    assert read(body).connect == messages.ConnectRequest(
        subs={"": messages.SubscribeRequest(), "a": messages.SubscribeRequest()}, headers={"": ""}
    )


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_fields_are_passed_over_on_every_level(unknown):
    entry = delimited(b"\x0a\x01x" + unknown + b"\x12" + delimited(unknown + b"\x38\x05"))
    body = unknown + b"\x08\x01" + b"\x22" + delimited(unknown + b"\x0a\x01t" + b"\x1a" + entry + unknown) + unknown
    assert read(body) == Command(
        id=1, connect=messages.ConnectRequest(token="t", subs={"x": messages.SubscribeRequest(offset=5)})
    )


@pytest.mark.parametrize("body", [command_bytes(id=1, ping={}), b"\x08\x01\x10\x05\x1a\x01x"])
def test_fields_without_a_meaning_are_unknown(body):
    assert read(body) == Command(id=1)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2**32 - 1),  # 64 bits for 32
        (b"\x08\x85\x80\x00", 5),  # more bytes than needed
        (b"\x08\x85" + b"\x80" * 8 + b"\x00", 5),
    ],
)
def test_ids_of_any_width(written, expected):
    assert read(written).id == expected == client_pb2.Command.FromString(written).id


@pytest.mark.parametrize(
    "body",
    [
        b"\x0d\x01\x00\x00\x00",  # id as fixed32
        b"\x0a\x01a",  # id as bytes
        b"\x20\x01",  # connect as varint
        b"\x3a\x02\x08\x01",  # publish.channel as varint
        b"\x00\x01",  # field 0
        b"\x02\x01a",
        b"\x0e\x01",  # wire types 6 and 7
        b"\xa7\x06\x01",
        b"\xa4\x06",  # a group's end alone
        b"\xa3\x06\xac\x06",  # … and of another number
        b"\xa3\x06",  # a group without end
        b"\xa3\x06" * 101 + b"\xa4\x06" * 101,
        b"\x3a\x03\x0a\x01\xff",  # no UTF-8
        b"\x3a\x05\x0a\x03\xed\xa0\x80",  # a surrogate
        b"\x08" + b"\xff" * 10 + b"\x01",  # too long a varint, as value, tag, length and unknown
        b"\x08" + b"\x80" * 10 + b"\x00",
        b"\x08" + b"\xff" * 9 + b"\x02",  # 65 bits
        b"\x80" * 10 + b"\x01",
        b"\x3a" + b"\x80" * 10 + b"\x01",
        b"\xa0\x06" + b"\xff" * 10 + b"\x01",
        b"\x80\x80\x80\x80\x10\x01",  # a tag of more than 32 bits
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length beyond everything
        b"\xa2\x06\x05abcd",
        b"\xa1\x06abcd",
    ],
)
def test_what_no_client_sends_is_refused(body):
    with pytest.raises(CodecError):
        read(body)


def test_a_length_may_not_reach_out_of_its_message():
    # The channel's length covers the field after the request.
    with pytest.raises(CodecError):
        read(b"\x3a\x02\x0a\x04" + b"\x08\x01\x08\x01")


@pytest.mark.parametrize("body", VALID)
def test_a_frame_cut_anywhere_is_refused(body):
    frame = delimited(body)
    for size in range(len(frame)):
        with pytest.raises(CodecError):
            list(CODEC.decode(frame[:size]))


def test_endless_nesting_is_refused():
    body = b""
    for _ in range(3000):
        body = b"\x32" + delimited(body)
    with pytest.raises(CodecError):
        read(b"\x2a" + delimited(b"\x6a" + delimited(body)))


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"\x00")
def test_any_bytes_are_commands_or_refused(frame):
    try:
        commands = list(CODEC.decode(frame))
    except CodecError:
        return
    assert commands
    assert all(isinstance(command, Command) for command in commands)


@st.composite
def mutants(draw):
    """Break a valid command in a few places."""
    body = bytearray(draw(st.sampled_from(VALID)) + draw(st.sampled_from((b"", *VALID, *UNKNOWN.values()))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(("replace", "insert", "delete", "cut"))):
            case "replace":
                body[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                body[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del body[at : at + draw(st.integers(1, 3))]
            case "cut":
                del body[at:]
    return bytes(body)


def served_command():
    """Make the class of commands without the fields that we take no notice of: what is in those is not looked at."""
    file = descriptor_pb2.FileDescriptorProto()
    client_pb2.DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        for field in list(message.field):
            if (message.name, field.name) in {("Command", "ping"), ("ConnectRequest", "flag")}:
                message.field.remove(field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(client_pb2.Command.DESCRIPTOR.full_name))


SERVED = served_command()


def content(command):
    """Write what a command holds, but for maps: upb drops an entry that has an unknown field."""
    command.DiscardUnknownFields()
    if command.HasField("connect"):
        command.connect.ClearField("subs")
        command.connect.ClearField("headers")
    return command.SerializeToString(deterministic=True)


@settings(deadline=None)
@given(mutants())
def test_broken_commands_are_read_as_others_read_them(body):
    try:
        expected = SERVED.FromString(body)
    except DecodeError:
        expected = None
    try:
        command = read(body)
    except CodecError as exc:
        # Others take a field of a wrong wire type for an unknown one, and cut a varint to 64 bits.
        assert expected is None or "wrong wire type" in str(exc) or "64 bits" in str(exc)
    else:
        assert expected is not None
        assert content(SERVED.FromString(writer_of(Command)(command))) == content(expected)


@pytest.mark.parametrize("body", [b"\x0a\x05a", b"\x08\x01", b"\x0a\x01\xff"])
def test_emulation_requests_that_are_none(body):
    with pytest.raises(CodecError):
        read_emulation_request(body)


def test_encoded_messages_are_joined_into_a_frame():
    replies = [CODEC.encode_reply(Reply(id=number, publish=Empty())) for number in (1, 300)]
    assert CODEC.join(replies) == b"\x04\x08\x01\x42\x00" + b"\x05\x08\xac\x02\x42\x00"
    assert CODEC.join([CODEC.ping]) == b"\x00"


@pytest.mark.parametrize("size", [2, 100, 127, 128, 129, 2047, 2048, 2049, 16383, 16384, 2097152])
def test_messages_of_any_length(size):
    command = (b"\x08\x81\x00" if size % 2 else b"\x08\x01") + b"\x08\x01" * ((size - 2) // 2)
    assert len(command) == size
    assert read(command) == Command(id=1)
    payload = bytes(size)
    assert read(command_bytes(publish={"data": payload})).publish.data == Raw(payload)
    reply = client_pb2.Reply(push={"channel": "news", "pub": {"data": payload, "offset": size}})
    expected = delimited(reply.SerializeToString())
    assert CODEC.encode_message("news", model.Publication(payload, offset=size)) == expected
    assert CODEC.encode_push(Push(channel="news", pub=messages.Publication(Raw(payload), offset=size))) == expected


def test_an_empty_result_is_written():
    for name in ("unsubscribe", "publish"):
        body = CODEC.encode_reply(Reply(id=1, **{name: Empty()}))[1:]
        assert client_pb2.Reply.FromString(body).HasField(name)


def test_any_payload_is_fit():
    payload = b"\xff\n\x00"
    assert CODEC.fit(payload) is payload
    assert payload in CODEC.encode_message("news", model.Publication(payload, offset=2))
    assert CODEC.delta_data(payload, None) == Raw(payload)
    assert CODEC.delta_data(payload, b"patch") == Raw(b"patch")


def test_an_empty_payload_is_left_out():
    push = client_pb2.Reply.FromString(CODEC.encode_push(Push(message=messages.Message(Raw(b""))))[1:]).push
    assert push.HasField("message")
    assert push.message.data == b""
    assert CODEC.encode_push(Push(message=messages.Message(Raw(b"")))) == b"\x04\x22\x02\x42\x00"
    assert CODEC.encode_message("n", model.Publication(b"")) == b"\x07\x22\x05\x12\x01n\x22\x00"


SCRIPT = """
const { Centrifuge } = require('centrifuge/build/protobuf');
const codec = new Centrifuge('ws://unused', { websocket: class {} })._codec;
const frame = require('fs').readFileSync(0);
process.stdout.write(JSON.stringify({
  replies: codec.decodeReplies(frame),
  commands: Buffer.from(codec.encodeCommands([
    { id: 1, connect: { token: 't', subs: { a: { recover: true, offset: 9007199254740991, epoch: 'e' } } } },
    { id: 2, subscribe: { channel: 'news', flag: 1, tf: { key: 'k', cmp: 'in', vals: ['a', 'b'] } } },
    {},
    { id: 3, history: { channel: 'news', limit: -1, reverse: true } },
  ])).toString('hex'),
}));
"""


@pytest.mark.sdk
def test_the_javascript_client_reads_and_writes_the_same():
    subscribed = messages.SubscribeResult(recoverable=True, epoch="e", offset=2**53 - 1, positioned=True)
    info = messages.ClientInfo("42", "c", chan_info=Raw(b"i"))
    frame = CODEC.join(
        [
            CODEC.ping,
            CODEC.encode_reply(
                Reply(id=1, connect=messages.ConnectResult("c", "v", ping=25, pong=True, subs={"a": subscribed}))
            ),
            CODEC.encode_reply(Reply(id=2, publish=Empty())),
            CODEC.encode_reply(Reply(id=3, presence=messages.PresenceResult({"c": info}))),
            CODEC.encode_message("news", model.Publication(b"hi", offset=300, tags={"k": "v"})),
        ]
    )
    command = [str(NODE), "-e", SCRIPT]
    answer = json.loads(subprocess.run(command, cwd=SDK, input=frame, capture_output=True, check=True, timeout=60).stdout)
    ping, connect, publish, presence, push = answer["replies"]
    assert ping == {}
    assert connect["connect"]["client"] == "c"
    sub = connect["connect"]["subs"]["a"]
    assert (sub["recoverable"], sub["positioned"], sub["epoch"]) == (True, True, "e")
    assert sub["offset"]["high"] * 2**32 + sub["offset"]["low"] % 2**32 == 2**53 - 1
    assert publish == {"id": 2, "publish": {}}
    assert presence["presence"]["presence"]["c"]["chan_info"] == {"0": ord("i")}
    assert push["push"]["channel"] == "news"
    assert (push["push"]["pub"]["offset"]["low"], push["push"]["pub"]["tags"]) == (300, {"k": "v"})
    first, second, pong, third = CODEC.decode(bytes.fromhex(answer["commands"]))
    assert first.connect.subs == {"a": messages.SubscribeRequest(recover=True, offset=2**53 - 1, epoch="e")}
    assert second.subscribe == messages.SubscribeRequest("news", flag=1, tf=FilterNode(key="k", cmp="in", vals=["a", "b"]))
    assert pong == Command()
    assert third == Command(id=3, history=messages.HistoryRequest("news", limit=-1, reverse=True))

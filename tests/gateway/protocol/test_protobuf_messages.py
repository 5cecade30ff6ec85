"""The Protobuf codec against the `protobuf` package, for every message, with the protocol's field tables written down anew.

In SCHEMA a field is `number name kind`; `*kind` is a list, `%kind` a map with string keys, `-` before it a field that we take
no notice of and never send. A capital letter begins the name of a message.
"""

import json
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from broker import model
from gateway.protocol import messages
from gateway.protocol.fields import FIELDS, Kind
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.messages import Push, Reply
from gateway.protocol.protobuf_codec import ProtobufCodec, read_emulation_request

SCHEMA = {
    "Command": """1 id u32, 4 connect ConnectRequest, 5 subscribe SubscribeRequest, 6 unsubscribe UnsubscribeRequest,
        7 publish PublishRequest, 8 presence PresenceRequest, 9 presence_stats PresenceRequest, 10 history HistoryRequest,
        -11 ping Empty, 12 send SendRequest, 13 rpc RpcRequest, 14 refresh RefreshRequest, 15 sub_refresh SubRefreshRequest""",
    "Reply": """1 id u32, 2 error Error, 4 push Push, 5 connect ConnectResult, 6 subscribe SubscribeResult, 7 unsubscribe Empty,
        8 publish Empty, 9 presence PresenceResult, 10 presence_stats PresenceStatsResult, 11 history HistoryResult,
        -12 ping Empty, 13 rpc RpcResult, 14 refresh RefreshResult, 15 sub_refresh SubRefreshResult""",
    "Error": "1 code u32, 2 message str, 3 temporary bool",
    "EmulationRequest": "1 node str, 2 session str, 3 data bytes",
    "Push": """-1 id i64, 2 channel str, 4 pub Publication, 5 join Membership, 6 leave Membership,
        7 unsubscribe UnsubscribePush, 8 message Message, 9 subscribe SubscribePush, 10 connect ConnectResult,
        11 disconnect DisconnectPush, 12 refresh RefreshPush""",
    "Membership": "1 info ClientInfo",
    "UnsubscribePush": "2 code u32, 3 reason str",
    "Message": "1 data bytes",
    "SubscribePush": "1 recoverable bool, 4 epoch str, 5 offset u64, 6 positioned bool, 7 data bytes",
    "DisconnectPush": "1 code u32, 2 reason str, -3 reconnect bool",
    "RefreshPush": "1 expires bool, 2 ttl u32",
    "ConnectRequest": """1 token str, 2 data bytes, 3 subs %SubscribeRequest, 4 name str, 5 version str, 6 headers %str,
        -7 flag i64, -8 dict str, -9 profile str""",
    "ConnectResult": """1 client str, 2 version str, 3 expires bool, 4 ttl u32, 5 data bytes, 6 subs %SubscribeResult,
        7 ping u32, 8 pong bool, 9 session str, 10 node str, 11 time i64, -12 flag i64, -13 dict str""",
    "RefreshRequest": "1 token str",
    "RefreshResult": "1 client str, -2 version str, 3 expires bool, 4 ttl u32",
    "SubscribeRequest": """1 channel str, 2 token str, 3 recover bool, 6 epoch str, 7 offset u64, 8 data bytes,
        9 positioned bool, 10 recoverable bool, 11 join_leave bool, 12 delta str, 13 tf FilterNode, 14 flag i64, 15 type i32,
        -16 phase i32, -17 cursor str, -18 limit i32, -19 asc bool""",
    "FilterNode": "1 op str, 2 key str, 3 cmp str, 4 val str, 5 vals *str, 6 nodes *FilterNode",
    "SubscribeResult": """1 expires bool, 2 ttl u32, 3 recoverable bool, 6 epoch str, 7 publications *Publication,
        8 recovered bool, 9 offset u64, 10 positioned bool, 11 data bytes, 12 was_recovering bool, 13 delta bool""",
    "UnsubscribeRequest": "1 channel str",
    "SubRefreshRequest": "1 channel str, 2 token str, -3 type i32, -4 track *str, -5 untrack *str",
    "SubRefreshResult": "1 expires bool, 2 ttl u32",
    "PublishRequest": "1 channel str, 2 data bytes, 3 type i32, -4 key str, -5 removed bool",
    "PresenceRequest": "1 channel str",
    "PresenceResult": "1 presence %ClientInfo",
    "PresenceStatsResult": "1 num_clients u32, 2 num_users u32",
    "HistoryRequest": "1 channel str, 7 limit i32, 8 since StreamPosition, 9 reverse bool",
    "HistoryResult": "1 publications *Publication, 2 epoch str, 3 offset u64",
    "StreamPosition": "1 offset u64, 2 epoch str",
    "RpcRequest": "1 data bytes, 2 method str",
    "RpcResult": "1 data bytes",
    "SendRequest": "1 data bytes",
    "ClientInfo": "1 user str, 2 client str, 3 conn_info bytes, 4 chan_info bytes",
    "Publication": """4 data bytes, 5 info ClientInfo, 6 offset u64, 7 tags %str, 8 delta bool, -9 time i64, -10 channel str,
        -11 key str, -12 removed bool, -13 score s64, 14 epoch str, -15 prev_data bytes, -16 version u64""",
    "Empty": "",
}
# Fields that JSON always has, because their Structs have no default for them.
ALWAYS = {
    "ClientInfo": {"user", "client"},
    "ConnectResult": {"client", "version"},
    "DisconnectPush": {"code", "reason"},
    "Error": {"code", "message"},
    "HistoryResult": {"publications", "epoch", "offset"},
    "Membership": {"info"},
    "Message": {"data"},
    "PresenceResult": {"presence"},
    "PresenceStatsResult": {"num_clients", "num_users"},
    "Publication": {"data"},
    "UnsubscribePush": {"code", "reason"},
}
OF_KIND = {"bool": 8, "str": 9, "bytes": 12, "u32": 13, "u64": 4, "i32": 5, "i64": 3, "s64": 18}
RANGES = {"u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1), "i32": (-(2**31), 2**31 - 1), "i64": (-(2**63), 2**63 - 1)}
RANGES["s64"] = RANGES["i64"]
PROTOBUF, JSON = ProtobufCodec(), JsonCodec()


class Field(msgspec.Struct):
    number: int
    name: str
    kind: str
    form: str
    is_ours: bool


def parse(text: str) -> list[Field]:
    """Read a line of SCHEMA."""
    fields = []
    for row in filter(None, map(str.strip, text.split(","))):
        number, name, kind = row.split()
        form = kind[0] if kind[0] in "*%" else ""
        fields.append(Field(abs(int(number)), name, kind.removeprefix(form), form, not number.startswith("-")))
    return fields


TABLES = {name: parse(text) for name, text in SCHEMA.items()}


def describe(item: Any, kind: str) -> None:
    if kind in OF_KIND:
        item.type = OF_KIND[kind]
    else:
        item.type, item.type_name = 11, f".oracle.{kind}"


def oracle_classes() -> dict[str, Any]:
    """Make the message classes of the `protobuf` package."""
    file = descriptor_pb2.FileDescriptorProto(name="oracle.proto", package="oracle", syntax="proto3")
    for name, fields in TABLES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            item = message.field.add(name=field.name, number=field.number, label=3 if field.form else 1)
            if field.form == "%":
                entry = message.nested_type.add(name=field.name.title().replace("_", "") + "Entry")
                entry.options.map_entry = True
                describe(entry.field.add(name="key", number=1, label=1), "str")
                describe(entry.field.add(name="value", number=2, label=1), field.kind)
                describe(item, f"{name}.{entry.name}")
            else:
                describe(item, field.kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"oracle.{name}")) for name in SCHEMA}


ORACLE = oracle_classes()

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("añ€🙂", max_size=80)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
).map(lambda value: Raw(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()))


@st.composite
def documents(draw: Any, name: str, *, only_ours: bool, depth: int = 0) -> dict[str, Any]:
    """Make the content of a message, as JSON has it."""
    document = {}
    for field in TABLES[name]:
        is_needed = field.name in ALWAYS.get(name, ())
        if only_ours and not field.is_ours:
            continue
        if is_needed or (draw(st.integers(0, 3 + depth)) == 0 and depth < 7):
            document[field.name] = draw(values(field, only_ours=only_ours, depth=depth + 1))
    return document


def values(field: Field, *, only_ours: bool, depth: int) -> Any:
    if field.kind in RANGES:
        lowest, highest = RANGES[field.kind]
        one = st.integers(max(lowest, -200), 300) | st.integers(lowest, highest) | st.sampled_from([lowest, highest])
    elif field.kind == "bool":
        one = st.booleans()
    elif field.kind == "str":
        one = texts
    elif field.kind == "bytes":
        one = payloads
    else:
        one = documents(field.kind, only_ours=only_ours, depth=depth)
    if field.form == "*":
        return st.lists(one, max_size=3)
    return st.dictionaries(texts, one, max_size=3) if field.form == "%" else one


def fill(message: Any, document: dict[str, Any]) -> Any:
    """Give a message of the `protobuf` package a content."""
    message.SetInParent()
    for name, value in document.items():
        match value:
            case Raw():
                setattr(message, name, bytes(value))
            case list():
                for item in value:
                    if isinstance(item, str):
                        getattr(message, name).append(item)
                    else:
                        fill(getattr(message, name).add(), item)
            case dict() if message.DESCRIPTOR.fields_by_name[name].is_repeated:
                for key, item in value.items():
                    if isinstance(item, str):
                        getattr(message, name)[key] = item
                    else:
                        fill(getattr(message, name)[key], item)
            case dict():
                fill(getattr(message, name), value)
            case _:
                setattr(message, name, value)
    return message


def varint(value: int) -> bytes:
    written = b""
    while value > 127:
        written += bytes([value % 128 + 128])
        value //= 128
    return written + bytes([value])


def framed(*bodies: bytes) -> bytes:
    return b"".join(varint(len(body)) + body for body in bodies)


def unframed(data: bytes) -> bytes:
    """Take the length off the only message of a frame."""
    size = next(size for size in range(1, 6) if data[size - 1] < 128)
    body = data[size:]
    assert data == framed(body)
    return body


def read_reply(data: bytes) -> Any:
    return ORACLE["Reply"].FromString(unframed(data))


def as_struct(document: dict[str, Any], struct: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(document), type=struct)


@settings(deadline=None)
@given(st.lists(documents("Command", only_ours=False), min_size=1, max_size=3))
def test_commands_are_read_as_json_is(contents):
    frame = framed(*(fill(ORACLE["Command"](), content).SerializeToString() for content in contents))
    expected = list(JSON.decode(b"\n".join(map(msgspec.json.encode, contents))))
    assert list(PROTOBUF.decode(frame)) == expected


@settings(deadline=None)
@given(documents("Reply", only_ours=True))
def test_replies_are_written_for_the_oracle(content):
    assert read_reply(PROTOBUF.encode_reply(as_struct(content, Reply))) == fill(ORACLE["Reply"](), content)


@settings(deadline=None)
@given(documents("Push", only_ours=True))
def test_pushes_are_written_for_the_oracle(content):
    assert read_reply(PROTOBUF.encode_push(as_struct(content, Push))) == fill(ORACLE["Reply"](), {"push": content})


@settings(deadline=None)
@given(documents("EmulationRequest", only_ours=True))
def test_emulation_requests_are_read(content):
    body = fill(ORACLE["EmulationRequest"](), content).SerializeToString()
    assert read_emulation_request(body) == as_struct(content, messages.EmulationRequest)


infos = st.builds(model.ClientInfo, texts, texts, st.binary(max_size=9), st.binary(max_size=9))
publications = st.builds(
    model.Publication,
    data=st.binary(max_size=40) | st.binary(min_size=100, max_size=20000),
    offset=st.integers(0, 3) | st.integers(0, 2**64 - 1),
    epoch=texts,
    info=st.none() | infos,
    tags=st.dictionaries(texts, texts, max_size=2),
)


def info_document(info: model.ClientInfo) -> dict[str, Any]:
    return {
        "user": info.user,
        "client": info.client,
        "conn_info": Raw(info.conn_info),
        "chan_info": Raw(info.chan_info),
    }


def publication_document(publication: model.Publication) -> dict[str, Any]:
    document = {"data": Raw(publication.data), "offset": publication.offset, "tags": publication.tags}
    if publication.info is not None:
        document["info"] = info_document(publication.info)
    if publication.offset == 1:
        document["epoch"] = publication.epoch
    return {name: dict(value) if name == "tags" else value for name, value in document.items()}


@settings(deadline=None)
@given(texts, publications)
@example("news", model.Publication(b"first", offset=1, epoch="e"))
def test_delivered_publications_are_written_for_the_oracle(channel, publication):
    expected = {"push": {"channel": channel, "pub": publication_document(publication)}}
    assert read_reply(PROTOBUF.encode_message(channel, publication)) == fill(ORACLE["Reply"](), expected)


@settings(deadline=None)
@given(texts, st.sampled_from([(model.Join, "join"), (model.Leave, "leave")]), infos)
def test_joins_and_leaves_are_written_for_the_oracle(channel, kind, info):
    event, name = kind
    expected = {"push": {"channel": channel, name: {"info": info_document(info)}}}
    assert read_reply(PROTOBUF.encode_message(channel, event(info))) == fill(ORACLE["Reply"](), expected)


@settings(deadline=None)
@given(texts, publications, st.none() | st.binary(max_size=20))
def test_deltas_are_written_for_the_oracle(channel, publication, patch):
    pub = publication_document(publication)
    if patch is not None:
        pub |= {"data": Raw(patch), "delta": True}
    expected = {"push": {"channel": channel, "pub": pub}}
    assert read_reply(PROTOBUF.encode_delta(channel, publication, patch)) == fill(ORACLE["Reply"](), expected)


@pytest.mark.parametrize("name", SCHEMA)
def test_the_table_of_numbers_is_that_of_the_protocol(name):
    forms = {"": Kind.MESSAGE, "*": Kind.LIST, "%": Kind.MAP}
    kinds = {
        "bool": Kind.BOOL,
        "str": Kind.STR,
        "bytes": Kind.BYTES,
        "u32": Kind.U32,
        "u64": Kind.U64,
        "i32": Kind.I32,
        "i64": Kind.I64,
    }
    known = {
        field.name: (field.number, forms[field.form] if field.form else kinds.get(field.kind, Kind.MESSAGE))
        for field in TABLES[name]
    }
    assert FIELDS[name].items() <= known.items()
    assert {field.name for field in TABLES[name] if field.is_ours} <= FIELDS[name].keys()


@pytest.mark.parametrize("name", sorted(SCHEMA.keys() - {"Error"}))
def test_every_field_of_ours_is_held_against_the_oracle(name):
    ours = {field.name for field in TABLES[name] if field.is_ours}
    assert ours == set(getattr(messages, name).__struct_fields__)

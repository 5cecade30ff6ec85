"""Clients that judge all that they get: an SDK's view of its connections, held against what was really published."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from centrifuge.fossil import apply_delta
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.protobuf_codec import ProtobufCodec
from gateway.transports.frames import WebSocketWire

WIRES = {"json": WebSocketWire(JsonCodec()), "protobuf": WebSocketWire(ProtobufCodec())}
FILTER = {"key": "kind", "cmp": "eq", "val": "goal"}


class Line:
    """One connection, as its peer's end of the network sees it; plays the port `Transport`."""

    def __init__(self, world: Any, encoding: str) -> None:
        self.world, self.encoding = world, encoding
        self.wire, self.headers, self.address = WIRES[encoding], {}, "192.0.2.7"
        self.written = bytearray()
        self.closed: Any = None
        self.is_down = False
        with world.running():
            self.session = world.node.open_session(self)

    def write(self, frame: bytes) -> None:
        if self.closed or self.is_down:
            self.world.complaints.append("written after the end")
        self.written += frame

    def close(self, disconnect: Any) -> None:
        self.closed = disconnect
        self.world.loop.call_soon(self.hang_up, disconnect.code)

    def abort(self) -> None:
        self.hang_up()

    def pause_reading(self) -> None:
        """Nothing is read ahead."""

    def resume_reading(self) -> None:
        """Nothing was paused."""

    def hang_up(self, code: int = 3000) -> None:
        """The network connection is gone."""
        if not self.is_down:
            self.is_down = True
            self.world.node.close_session(self.session, code)

    def send(self, *commands: dict[str, Any]) -> None:
        """Send commands in one frame."""
        frame = b"\n".join(map(encode_json, commands)) if self.encoding == "json" else b"".join(map(encode_protobuf, commands))
        with self.world.running():
            self.session.receive(frame)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Take what was written since, decoded; `data` is bytes in Protobuf, and what JSON has it to be in JSON."""
        data, self.written = bytes(self.written), bytearray()
        for payload in payloads(data):
            yield from map(json.loads, payload.split(b"\n")) if self.encoding == "json" else decode_protobuf(payload)


def encode_json(command: dict[str, Any]) -> bytes:
    return json.dumps(command, ensure_ascii=False).encode()


def encode_protobuf(command: dict[str, Any]) -> bytes:
    if "publish" in command:
        data = base64.b64encode(json.dumps(command["publish"]["data"], ensure_ascii=False).encode()).decode()
        command = {**command, "publish": {**command["publish"], "data": data}}
    body = ParseDict(command, client_pb2.Command()).SerializeToString()
    return bytes([*_varint(len(body))]) + body


def _varint(value: int) -> Iterator[int]:
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def decode_protobuf(payload: bytes) -> Iterator[dict[str, Any]]:
    while payload:
        size = shift = at = 0
        while True:
            byte, at = payload[at], at + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        reply = client_pb2.Reply.FromString(payload[at : at + size])
        yield _plain(MessageToDict(reply, preserving_proto_field_name=True))
        payload = payload[at + size :]


def _plain(value: Any, name: str = "") -> Any:
    """Undo what Protobuf's JSON form does to bytes and to 64-bit numbers."""
    if isinstance(value, dict):
        return {key: _plain(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry, name) for entry in value]
    if name == "offset":
        return int(value)
    return base64.b64decode(value) if name == "data" else value


def payloads(data: bytes) -> Iterator[bytes]:
    """Cut what was written into the payloads of its WebSocket frames."""
    while data:
        size, at = data[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        yield data[at : at + size]
        data = data[at + size :]


@dataclass(frozen=True)
class Wish:
    """What a client asks for when it subscribes; `back` is what it asks back with: the position it holds, none, the beginning
    of whatever there is, or a position that is lost."""

    mode: str = ""
    has_delta: bool = False
    has_filter: bool = False
    insists: bool = False
    ttl_s: int = 0
    back: str = "held"


@dataclass
class Place:
    """A client's subscription as the client knows it."""

    wish: Wish
    is_server_side: bool
    is_positioned: bool
    has_delta: bool
    epoch: str
    offset: int
    expire_at: int = 0
    base: bytes | None = None
    newest: int = -1
    newest_unkept: int = -1
    owed: list[int] = field(default_factory=list)
    got: set[int] = field(default_factory=set)

    def wants(self, entry):
        return not self.wish.has_filter or self.has_delta or entry.kind == "goal"


@dataclass
class Asked:
    """A command without its reply yet, and what was the case when it was sent."""

    kind: str
    channel: str = ""
    wish: Wish = Wish()
    position: tuple[int, str] | None = None
    expire_at: int = 0
    top: tuple[str, int] = ("", 0)
    expected: bool | None = None
    subs: dict = field(default_factory=dict)


class Client:
    """A user's SDK over all its connections: asks, remembers positions, and judges every message that it reads."""

    def __init__(self, world, line_class, user, encoding, server):
        self.world, self.line_class = world, line_class
        self.user, self.encoding, self.server = user, encoding, frozenset(server)
        self.held = {}  # position by channel, over all connections
        self.wishes = {}  # channels that it means to be in
        self.server_side = set(server)
        self.line = None
        self.allowed = set()  # what the backend has ordered: only then it may happen

    # What it does.

    def connect(self, ttl_s, *, has_delta):
        """Connect and subscribe to all that it wishes, in one frame."""
        self.line, self.is_connected, self.expire_at = self.line_class(self.world, self.encoding), False, 0
        self.asked, self.places, self.id = {}, {}, 0
        expire_at = self.world.now() + ttl_s if ttl_s else 0
        asked = Asked("connect", wish=Wish(has_delta=has_delta), expire_at=expire_at)
        for channel in sorted(self.server_side):
            request = {"delta": "fossil"} if has_delta else {}
            held = self.held.get(channel)
            if held is not None:
                request |= {"recover": True, "offset": held[0], "epoch": held[1]}
            asked.subs[channel] = (request, self.entering("connect", channel, asked.wish, held, 0))
        token = self.token(ttl_s, channels=sorted(self.server))
        request = {"token": token, "subs": {channel: request for channel, (request, _) in asked.subs.items()}}
        self.line.send(self.command(asked, request), *map(self.subscribing, self.wishes))

    def command(self, asked, request):
        self.id += 1
        self.asked[self.id] = asked
        return {"id": self.id, asked.kind: request}

    def ask(self, kind, channel, *, expire_at=0, **request):
        self.line.send(self.command(Asked(kind, channel, expire_at=expire_at), {"channel": channel, **request}))

    def refresh(self, ttl_s):
        asked = Asked("refresh", expire_at=self.world.now() + ttl_s if ttl_s else 0)
        self.line.send(self.command(asked, {"token": self.token(ttl_s, channels=sorted(self.server))}))

    def subscribe(self, channel, wish):
        self.wishes[channel] = wish
        self.line.send(self.subscribing(channel))

    def subscribing(self, channel):
        wish = self.wishes[channel]
        held = self.held.get(channel)
        lost = (held[0] if held else 3, "_")
        position = {"held": held, "none": None, "whole": (0, ""), "lost": lost}[wish.back]
        self.wishes[channel] = replace(wish, back="held")
        request = {"channel": channel}
        if wish.mode:
            request[wish.mode] = True
        if position is not None:
            request |= {"recover": True, "offset": position[0], "epoch": position[1]}
        if wish.has_delta:
            request["delta"] = "fossil"
        if wish.has_filter:
            request["tf"] = FILTER
        if wish.insists:
            request["flag"] = 2
        expire_at = self.world.now() + wish.ttl_s if wish.ttl_s else 0
        if expire_at:
            request["token"] = self.token(wish.ttl_s, channel=channel)
        return self.command(self.entering("subscribe", channel, wish, position, expire_at), request)

    def entering(self, kind, channel, wish, position, expire_at):
        asked = Asked(kind, channel, wish, position, expire_at, self.world.top(channel))
        if self.world.is_quiet:
            asked.expected = self.world.is_recoverable(channel, wish.mode == "recoverable", position)
        return asked

    def token(self, ttl_s, **claims):
        return self.world.token(self.user, **claims, **({"exp": self.world.now() + ttl_s} if ttl_s else {}))

    # What it reads.

    def read(self):
        """Take whatever came; after the last words of a connection it has none."""
        if self.line is None:
            return
        for message in self.line.messages():
            assert message, "nobody pings here"
            if "push" in message:
                self.take_push(message["push"])
            else:
                assert message["id"] in self.asked, "a reply to nothing"
                asked = self.asked.pop(message["id"])
                if "error" in message:
                    self.take_error(asked, message["error"]["code"])
                else:
                    self.take_reply(asked, message[asked.kind])
        if self.line.closed is not None:
            self.judge_end(self.line.closed.code)
            self.line = None

    def take_push(self, push):
        channel = push.pop("channel")
        ((name, body),) = push.items()
        assert self.is_connected, f"{name} before the connect reply"
        match name:
            case "pub":
                assert channel in self.places, f"a publication in {channel} outside of its subscription"
                self.take_publication(channel, self.places[channel], body)
            case "unsubscribe":
                self.take_unsubscribe(channel, body["code"])
            case "subscribe":
                assert ("subscribe", channel) in self.allowed
                self.enter(channel, body, Asked("push"), is_server_side=True)
            case _:
                raise AssertionError(push)

    def take_reply(self, asked, result):
        match asked.kind:
            case "connect":
                self.is_connected, self.expire_at = True, asked.expire_at
                assert result.get("subs", {}).keys() == asked.subs.keys()
                for channel, (_, entering) in asked.subs.items():
                    self.enter(channel, result["subs"][channel], entering, is_server_side=True)
            case "subscribe":
                self.enter(asked.channel, result, asked, is_server_side=False)
            case "unsubscribe":
                self.places.pop(asked.channel, None)
            case "refresh":
                self.expire_at = asked.expire_at
            case "sub_refresh":
                assert asked.channel in self.places
                self.places[asked.channel].expire_at = asked.expire_at

    def take_error(self, asked, code):
        if asked.kind == "subscribe":
            self.wishes.pop(asked.channel, None)
        match code:
            case 105:
                assert asked.kind == "subscribe"
                assert asked.channel in self.places or ("subscribe", asked.channel) in self.allowed
            case 109 | 110:
                assert 0 < asked.expire_at <= self.world.now()
            case 103:
                assert asked.kind == "sub_refresh"
                assert asked.channel not in self.places
            case 112:
                assert asked.wish.insists
                assert asked.expected is not True
                assert asked.position is not None or asked.channel.startswith("cache")
                self.held.pop(asked.channel, None)
            case _:
                raise AssertionError((asked, code))

    def take_unsubscribe(self, channel, code):
        assert channel in self.places, "closed, and it was not open"
        place = self.places.pop(channel)
        now = self.world.now()
        match code:
            case 2000:
                assert ("unsubscribe", channel) in self.allowed
                self.wishes.pop(channel, None)
                self.server_side = {*self.server}
                return
            case 2500:
                assert place.is_positioned
                assert not place.is_server_side
                assert self.is_broken(channel, place), "history would have filled the gap"
            case 2501:
                refreshed = [asked for asked in self.asked.values() if (asked.kind, asked.channel) == ("sub_refresh", channel)]
                is_refused = any(asked.expire_at <= now for asked in refreshed)
                assert is_refused or 0 < place.expire_at <= now - self.world.grace_s
            case _:
                raise AssertionError(code)
        if channel in self.wishes and not any(asked.channel == channel for asked in self.asked.values()):
            self.line.send(self.subscribing(channel))  # as SDKs do of themselves

    def judge_end(self, code):
        now = self.world.now()
        waiting = {asked.kind for asked in self.asked.values()}
        match code:
            case 3502:
                assert not self.is_connected
            case 3005:
                refreshed = [asked for asked in self.asked.values() if asked.kind == "refresh"]
                is_refused = any(0 < asked.expire_at <= now for asked in refreshed)
                assert is_refused or 0 < self.expire_at <= now - self.world.grace_s
            case 3010:
                server_side = [entry for entry in self.places.items() if entry[1].is_server_side and entry[1].is_positioned]
                is_broken = any(self.is_broken(channel, place) for channel, place in server_side)
                is_entering = waiting & {"connect", "subscribe"} or any(word == "subscribe" for word, _ in self.allowed)
                # Nobody who enters is sent away unless something was late or lost.
                assert is_broken or (is_entering and not self.world.engine.was_orderly)
            case 3006:
                assert any(
                    0 < place.expire_at <= now - self.world.grace_s for place in self.places.values() if place.is_server_side
                )
            case 3503:
                assert ("disconnect", "") in self.allowed
            case _:
                raise AssertionError(code)

    def judge_expiries(self):
        last = self.world.now() - self.world.grace_s - 2  # the wheel may be a tick late, and time passes by the second
        if self.line is not None and self.is_connected:
            assert self.expire_at == 0 or self.expire_at > last
            assert all(place.expire_at == 0 or place.expire_at > last for place in self.places.values())

    def judge_calm(self):
        """Nothing is on its way any more; then it has everything."""
        if self.line is None:
            return
        assert self.asked == {}
        for channel, place in self.places.items():
            truth = self.world.truths[channel]
            lost = truth.lost & truth.unkept.keys() if place.is_positioned else truth.lost
            assert {*place.owed} - lost <= place.got, channel
            if place.is_positioned:
                life = truth.lives[-1]
                assert life.epoch == place.epoch, channel
                assert not any(map(place.wants, life.entries[place.offset :])), channel

    def is_broken(self, channel, place):
        """Whether history has lost something that comes after a place."""
        life = self.world.truths[channel].lives[-1]
        return life.epoch != place.epoch or life.gone > place.offset or self.world.clock.monotonic() >= life.forget_at

    def enter(self, channel, result, asked, *, is_server_side):
        """Take the word that opens a channel."""
        assert channel not in self.places
        namespace, wish = channel.partition(":")[0], asked.wish
        mode = wish.mode if namespace == "stream" and not is_server_side else ""
        is_recoverable = namespace in ("forced", "cache") or mode == "recoverable"
        is_positioned = is_recoverable or mode == "positioned"
        has_delta = is_positioned and wish.has_delta and namespace in ("stream", "forced")
        assert result.get("recoverable", False) == is_recoverable
        assert result.get("positioned", False) == ("epoch" in result) == is_positioned
        assert result.get("delta", False) == has_delta
        epoch, offset = result.get("epoch", ""), result.get("offset", 0)
        expire_at = 0 if is_server_side else asked.expire_at
        place = Place(wish, is_server_side, is_positioned, has_delta, epoch, offset, expire_at)
        self.places[channel] = place
        if is_server_side:
            self.server_side.add(channel)
        publications = result.get("publications", [])
        if asked.expected is not None:
            assert result.get("recovered", False) == asked.expected
        if result.get("recovered"):
            self.recover(channel, place, asked, publications)
        else:
            assert publications == []
        if is_positioned:
            truth = self.world.truths[channel]
            life = truth.life(epoch)
            assert life is truth.lives[-1] or epoch == asked.top[0]
            assert place.offset <= life.top
            self.held[channel] = (place.offset, epoch)
            if asked.top[0] == epoch:
                # Whatever was there when it asked is behind it now.
                assert not any(map(place.wants, life.entries[place.offset : asked.top[1]]))

    def recover(self, channel, place, asked, publications):
        assert place.is_positioned
        assert len(publications) <= self.world.recovery_limit
        if channel.startswith("cache"):
            newest = self.world.truths[channel].life(place.epoch).entries[place.offset - 1]
            if not publications:
                assert asked.position == (place.offset, place.epoch) or not place.wants(newest)
                return
            assert len(publications) == 1
            place.offset -= 1  # the newest one leads to where it stands
        else:
            assert asked.position is not None
            assert asked.position[0] == place.offset
            assert asked.position[1] in ("", place.epoch)
        for publication in publications:
            self.take_publication(channel, place, publication)

    def take_publication(self, channel, place, publication):
        truth = self.world.truths[channel]
        data = self.unpatched(place, publication)
        number, offset = json.loads(data)["n"], publication.get("offset", 0)
        assert number not in place.got, f"{number} twice"
        place.got.add(number)
        if offset and place.is_positioned:
            entries = truth.life(place.epoch).entries
            assert place.offset < offset <= len(entries)
            assert not any(map(place.wants, entries[place.offset : offset - 1]))
            entry, place.offset = entries[offset - 1], offset
            self.held[channel] = (offset, place.epoch)
        elif offset:
            assert number in truth.kept
            entry = truth.kept[number]
            assert entry.order > place.newest, "out of order"
            place.newest = entry.order
        else:
            assert number in truth.unkept, "it was in a stream"
            entry = truth.unkept[number]
            assert entry.order > place.newest_unkept, "out of order"
            place.newest_unkept = entry.order
        assert (entry.number, entry.data, entry.kind) == (number, data, publication.get("tags", {}).get("kind", ""))
        assert place.wants(entry)

    def unpatched(self, place, publication):
        """Give the bytes that a publication stands for, as an SDK finds them."""
        data = publication["data"]
        if not place.has_delta:
            assert "delta" not in publication
            return data if self.encoding == "protobuf" else json.dumps(data, ensure_ascii=False).encode()
        got = data.encode() if self.encoding == "json" else data
        if publication.get("delta"):
            assert place.base is not None, "a patch, and nothing to apply it to"
            got = bytes(apply_delta(place.base, got))
        place.base = got
        return got


@pytest.fixture
def parts(world_parts: SimpleNamespace) -> SimpleNamespace:
    """What a machine is made of."""
    return SimpleNamespace(**vars(world_parts), Line=Line, Client=Client, Wish=Wish)

"""API methods about connections and nodes: `subscribe`, `unsubscribe`, `disconnect`, `refresh`, `connections`, `info` and
`shed`."""

import base64
import binascii
import math
from typing import Final

from msgspec import Raw

from broker.channels import ChannelRules
from broker.control import ConnectionInfo, Control, Disconnect, Refresh, Selector, Shed, Subscribe, TokenInfo, Unsubscribe
from broker.errors import NotFound
from gateway.api.errors import NOT_AVAILABLE, ApiError, ApiFailure, bad_request
from gateway.api.messages import (
    ChannelContext,
    Connection,
    ConnectionsRequest,
    ConnectionsResult,
    ConnectionState,
    ConnectionToken,
    DisconnectRequest,
    EmptyRequest,
    EmptyResult,
    InfoResult,
    RefreshRequest,
    ShedNode,
    ShedRequest,
    ShedResult,
    SubscribeRequest,
    UnsubscribeRequest,
)
from gateway.api.method import Method
from gateway.protocol import disconnects
from gateway.protocol.json_codec import is_json
from gateway.protocol.messages import raw

__all__ = ["connection_methods"]

_UNKNOWN_LATENCY: Final = -1
_OVERRIDES = frozenset({"presence", "join_leave", "force_push_join_leave", "force_positioning", "force_recovery"})


class _Connections:
    def __init__(self, rules: ChannelRules, control: Control) -> None:
        self._rules, self._control = rules, control

    async def subscribe(self, request: SubscribeRequest) -> EmptyResult:
        """Subscribe a user's connections to a channel; no permission is asked, and who is in already stays so."""
        self._check(request.channel)
        since = request.recover_since
        command = Subscribe(
            who=Selector(request.user, request.client, request.session),
            channel=request.channel,
            info=_json(request.info, request.b64info, "b64info"),
            data=_json(request.data, request.b64data, "b64data"),
            expire_at=request.expire_at,
            since_offset=since.offset if since else 0,
            since_epoch=since.epoch if since else "",
            override={name: flag.value for name, flag in request.override.items() if name in _OVERRIDES},
        )
        await self._control.send(command)
        return EmptyResult()

    async def unsubscribe(self, request: UnsubscribeRequest) -> EmptyResult:
        """Take a user's connections out of a channel, whoever subscribed them."""
        self._check(request.channel)
        await self._control.send(Unsubscribe(Selector(request.user, request.client, request.session), request.channel))
        return EmptyResult()

    async def disconnect(self, request: DisconnectRequest) -> EmptyResult:
        """Close a user's connections."""
        default, asked = disconnects.FORCE_DISCONNECT, request.disconnect
        code = asked.code if asked and asked.code else default.code
        reason = asked.reason if asked and asked.reason else default.reason
        if not 3000 <= code <= 4999:
            raise bad_request("disconnect.code must be from 3000 to 4999")
        # An SDK takes a close reason that is JSON for an object, and believes what it finds there.
        if len(reason.encode()) > 123 or not reason.isprintable() or is_json(reason.encode()):
            raise bad_request("disconnect.reason must be at most 123 bytes of printable text that is not JSON")
        who = Selector(request.user, request.client, request.session)
        await self._control.send(Disconnect(who, code, reason, tuple(request.whitelist)))
        return EmptyResult()

    async def refresh(self, request: RefreshRequest) -> EmptyResult:
        """Give a user's connections a new expiry, or end them as expired."""
        who = Selector(request.user, request.client, request.session)
        await self._control.send(Refresh(who, request.expired, request.expire_at, _json(request.info)))
        return EmptyResult()

    async def info(self, _request: EmptyRequest) -> InfoResult:
        """List the nodes of the fleet."""
        return InfoResult(list(await self._control.nodes()))

    async def shed(self, request: ShedRequest) -> ShedResult:
        """Send a share of the clients of a node, or of every node, away over some seconds; chosen by chance.

        They get 3011 (force reconnect), upon which SDKs connect anew, to wherever the load balancer sends them.
        """
        meant = [node for node in await self._control.nodes() if request.node in ("", node.uid, node.name)]
        if not meant:
            raise NotFound("node")
        await self._control.send(Shed(request.node, request.share, request.spread_s))
        return ShedResult([ShedNode(node.uid, node.name, math.ceil(request.share * node.num_clients)) for node in meant])

    async def connections(self, request: ConnectionsRequest) -> ConnectionsResult:
        """List a user's connections on every node."""
        if not request.user and not request.expression:
            raise bad_request("user must not be empty")
        if request.expression:
            raise ApiFailure(ApiError(NOT_AVAILABLE.code, f"{NOT_AVAILABLE.message}: expression is not supported"))
        found = await self._control.connections(request.user)
        return ConnectionsResult({client: _connection(connection) for client, connection in found.items()})

    def _check(self, channel: str) -> None:
        if not channel:
            raise bad_request("channel must not be empty")
        self._rules.options(channel)


def _connection(info: ConnectionInfo) -> Connection:
    channels = {channel: ChannelContext(entry.source) for channel, entry in info.subscriptions.items()}
    tokens = {channel: _token(entry.token) for channel, entry in info.subscriptions.items() if entry.token is not None}
    return Connection(
        transport=info.transport,
        protocol=info.protocol,
        connected_at_ms=info.connected_at_ms,
        ping_pong_latency_ms=_UNKNOWN_LATENCY,
        user=info.user,
        app_name=info.app_name,
        app_version=info.app_version,
        state=ConnectionState(channels, _token(info.token) if info.token else None, tokens, raw(info.meta)),
    )


def _token(info: TokenInfo) -> ConnectionToken:
    return ConnectionToken(info.uid, int(info.issued_at))


def _json(value: Raw, base64_value: str = "", field: str = "") -> bytes:
    """Take what travels inside other messages: JSON on one line; its base64 form wins."""
    data = bytes(value)
    if base64_value:
        try:
            data = base64.b64decode(base64_value, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if not is_json(data):
            raise bad_request(f"{field} must be base64 of JSON")
    return data.replace(b"\n", b"")


def connection_methods(rules: ChannelRules, control: Control) -> list[Method]:
    """Make the methods of this group."""
    group = _Connections(rules, control)
    return [
        Method("subscribe", SubscribeRequest, group.subscribe, group="Connections"),
        Method("unsubscribe", UnsubscribeRequest, group.unsubscribe, group="Connections"),
        Method("disconnect", DisconnectRequest, group.disconnect, group="Connections"),
        Method("refresh", RefreshRequest, group.refresh, group="Connections"),
        Method("connections", ConnectionsRequest, group.connections, group="Connections"),
        Method("info", EmptyRequest, group.info, group="Connections"),
        Method("shed", ShedRequest, group.shed, is_strict=True, group="Connections"),
    ]

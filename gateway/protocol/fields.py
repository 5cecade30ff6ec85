"""The numbers of every field in the Protobuf encoding, by message and name, as the protocol's tables give them.

A message stands under the name of its Struct in `gateway.protocol.messages`. A field is here whether or not its Struct has
it yet; one that only the Struct has does not compile. The kind is what a varint means; `MAP` has strings for keys, and what
`MESSAGE`, `MAP` and `LIST` hold is told by the Struct's annotation.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["FIELDS", "Kind"]


class Kind(Enum):
    """How a field's value is written."""

    BOOL = "bool"
    U32 = "uint32"
    U64 = "uint64"
    I32 = "int32"
    I64 = "int64"
    STR = "string"
    BYTES = "bytes"
    MESSAGE = "message"
    MAP = "map"
    LIST = "repeated"


BOOL, U32, U64, I32, I64 = Kind.BOOL, Kind.U32, Kind.U64, Kind.I32, Kind.I64
STR, BYTES, MESSAGE, MAP, LIST = Kind.STR, Kind.BYTES, Kind.MESSAGE, Kind.MAP, Kind.LIST

FIELDS: Final[Mapping[str, Mapping[str, tuple[int, Kind]]]] = {
    # Envelopes.
    "Command": {
        "id": (1, U32),
        "connect": (4, MESSAGE),
        "subscribe": (5, MESSAGE),
        "unsubscribe": (6, MESSAGE),
        "publish": (7, MESSAGE),
        "presence": (8, MESSAGE),
        "presence_stats": (9, MESSAGE),
        "history": (10, MESSAGE),
        "ping": (11, MESSAGE),
        "send": (12, MESSAGE),
        "rpc": (13, MESSAGE),
        "refresh": (14, MESSAGE),
        "sub_refresh": (15, MESSAGE),
    },
    "Reply": {
        "id": (1, U32),
        "error": (2, MESSAGE),
        "push": (4, MESSAGE),
        "connect": (5, MESSAGE),
        "subscribe": (6, MESSAGE),
        "unsubscribe": (7, MESSAGE),
        "publish": (8, MESSAGE),
        "presence": (9, MESSAGE),
        "presence_stats": (10, MESSAGE),
        "history": (11, MESSAGE),
        "ping": (12, MESSAGE),
        "rpc": (13, MESSAGE),
        "refresh": (14, MESSAGE),
        "sub_refresh": (15, MESSAGE),
    },
    "Error": {"code": (1, U32), "message": (2, STR), "temporary": (3, BOOL)},
    "EmulationRequest": {"node": (1, STR), "session": (2, STR), "data": (3, BYTES)},
    "Empty": {},
    # Pushes.
    "Push": {
        "id": (1, I64),
        "channel": (2, STR),
        "pub": (4, MESSAGE),
        "join": (5, MESSAGE),
        "leave": (6, MESSAGE),
        "unsubscribe": (7, MESSAGE),
        "message": (8, MESSAGE),
        "subscribe": (9, MESSAGE),
        "connect": (10, MESSAGE),
        "disconnect": (11, MESSAGE),
        "refresh": (12, MESSAGE),
    },
    "Publication": {
        "data": (4, BYTES),
        "info": (5, MESSAGE),
        "offset": (6, U64),
        "tags": (7, MAP),
        "delta": (8, BOOL),
        "time": (9, I64),
        "channel": (10, STR),
        "key": (11, STR),
        "removed": (12, BOOL),
        "epoch": (14, STR),
        "prev_data": (15, BYTES),
        "version": (16, U64),
    },
    "ClientInfo": {"user": (1, STR), "client": (2, STR), "conn_info": (3, BYTES), "chan_info": (4, BYTES)},
    "Membership": {"info": (1, MESSAGE)},
    "UnsubscribePush": {"code": (2, U32), "reason": (3, STR)},
    "Message": {"data": (1, BYTES)},
    "SubscribePush": {
        "recoverable": (1, BOOL),
        "epoch": (4, STR),
        "offset": (5, U64),
        "positioned": (6, BOOL),
        "data": (7, BYTES),
    },
    "DisconnectPush": {"code": (1, U32), "reason": (2, STR), "reconnect": (3, BOOL)},
    "RefreshPush": {"expires": (1, BOOL), "ttl": (2, U32)},
    # The connect family.
    "ConnectRequest": {
        "token": (1, STR),
        "data": (2, BYTES),
        "subs": (3, MAP),
        "name": (4, STR),
        "version": (5, STR),
        "headers": (6, MAP),
        "flag": (7, I64),
        "dict": (8, STR),
        "profile": (9, STR),
    },
    "ConnectResult": {
        "client": (1, STR),
        "version": (2, STR),
        "expires": (3, BOOL),
        "ttl": (4, U32),
        "data": (5, BYTES),
        "subs": (6, MAP),
        "ping": (7, U32),
        "pong": (8, BOOL),
        "session": (9, STR),
        "node": (10, STR),
        "time": (11, I64),
    },
    "RefreshRequest": {"token": (1, STR)},
    "RefreshResult": {"client": (1, STR), "version": (2, STR), "expires": (3, BOOL), "ttl": (4, U32)},
    # The subscribe family.
    "SubscribeRequest": {
        "channel": (1, STR),
        "token": (2, STR),
        "recover": (3, BOOL),
        "epoch": (6, STR),
        "offset": (7, U64),
        "data": (8, BYTES),
        "positioned": (9, BOOL),
        "recoverable": (10, BOOL),
        "join_leave": (11, BOOL),
        "delta": (12, STR),
        "tf": (13, MESSAGE),
        "flag": (14, I64),
        "type": (15, I32),
    },
    "FilterNode": {
        "op": (1, STR),
        "key": (2, STR),
        "cmp": (3, STR),
        "val": (4, STR),
        "vals": (5, LIST),
        "nodes": (6, LIST),
    },
    "SubscribeResult": {
        "expires": (1, BOOL),
        "ttl": (2, U32),
        "recoverable": (3, BOOL),
        "epoch": (6, STR),
        "publications": (7, LIST),
        "recovered": (8, BOOL),
        "offset": (9, U64),
        "positioned": (10, BOOL),
        "data": (11, BYTES),
        "was_recovering": (12, BOOL),
        "delta": (13, BOOL),
    },
    "UnsubscribeRequest": {"channel": (1, STR)},
    "SubRefreshRequest": {"channel": (1, STR), "token": (2, STR), "type": (3, I32)},
    "SubRefreshResult": {"expires": (1, BOOL), "ttl": (2, U32)},
    # The others.
    "PublishRequest": {"channel": (1, STR), "data": (2, BYTES), "type": (3, I32), "key": (4, STR), "removed": (5, BOOL)},
    "PresenceRequest": {"channel": (1, STR)},
    "PresenceResult": {"presence": (1, MAP)},
    "PresenceStatsResult": {"num_clients": (1, U32), "num_users": (2, U32)},
    "HistoryRequest": {"channel": (1, STR), "limit": (7, I32), "since": (8, MESSAGE), "reverse": (9, BOOL)},
    "StreamPosition": {"offset": (1, U64), "epoch": (2, STR)},
    "HistoryResult": {"publications": (1, LIST), "epoch": (2, STR), "offset": (3, U64)},
    "RpcRequest": {"data": (1, BYTES), "method": (2, STR)},
    "RpcResult": {"data": (1, BYTES)},
    "SendRequest": {"data": (1, BYTES)},
}

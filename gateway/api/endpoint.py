"""The HTTP side of the API: key, method, body, status. Plain ASGI, because every publish passes here.

Order of refusals: unknown method 404, not POST 405, key 401, body too large 413, body unreadable 400. A call that was
understood answers 200 also when it fails, unless transport error mode asks for statuses.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from broker.audit import Act, Decision, NoAudit, Witness
from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import StoreUnavailable, Withheld
from broker.limits import Rate
from config.logs import get_logger, mask_token
from config.settings import HttpApiSettings
from gateway.api.call import Calls, Malformed, count_commands
from gateway.api.errors import TOO_MANY_REQUESTS, ApiError, status_of
from gateway.api.key_rate import KeyRate
from gateway.api.keys import UNBOUND, KeyBook, Permit
from gateway.api.messages import BatchResult
from gateway.api.rate_headers import rate_headers

__all__ = ["PREFIX", "ApiEndpoint"]

PREFIX: Final = "/api/"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = get_logger()
_encode = msgspec.json.encode
_CORRELATION: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT: Final = re.compile(rb"[^-]*-([0-9a-f]{32})-[^-]*-[^-]*")  # W3C Trace Context §3.2, as far as its id
_JSON: Final = (b"content-type", b"application/json")
# What browsers must know of answers that no browser is meant to see; pages have more (`gateway.web_headers`).
_SECURED: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_NOBODY: Final = Actor(ActorKind.UNKNOWN)
_ANYBODY: Final = Permit(_NOBODY, is_unbound=True)
# What is refused before a method is called, and stands for nothing else.
_REFUSALS: Final = frozenset({401, 405, 413, 429})
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class _Success(msgspec.Struct):
    result: Any


class _Failure(msgspec.Struct):
    error: ApiError


class _TooLarge(Exception):
    pass


class ApiEndpoint:
    """An ASGI application for everything below `/api/`."""

    def __init__(
        self,
        settings: HttpApiSettings,
        calls: Calls,
        witness: Witness | None = None,
        *,
        keys: KeyBook | None = None,
        pace: KeyRate | None = None,
        key_rate: Rate | None = None,
    ) -> None:
        """Make it; `key_rate` is that of keys without one of their own. Rates need a `pace`, which counts."""
        self._settings, self._calls, self._witness = settings, calls, witness or NoAudit()
        # Those of the settings may do everything.
        texts = [key.get_secret_value() for key in settings.keys]
        self._permits = {key.encode(): _unbound(key) for key in texts}
        self._keys, self._pace, self._key_rate = keys, pace, key_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        correlation_id = _correlation_id(headers)
        address = (scope.get("client") or ("",))[0]
        permit = self._permit(headers, scope.get("query_string", b""))
        bind_caller(Caller(_NOBODY if permit is None else permit.actor, address, "api", correlation_id))
        name = scope["path"][len(PREFIX) :]
        status, body, extra = await self._answer(name, permit, scope["method"], headers, receive)
        if status in _REFUSALS:
            self._calls.tally.refuse(status)
        length, request_id = (b"content-length", b"%d" % len(body)), (b"x-request-id", correlation_id.encode())
        sent = [extra[0], length, request_id, *_SECURED, *extra[1:]]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, name: str, permit: Permit | None, verb: str, headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """Tell status, body and headers, the content type first."""
        if name not in self._calls:
            return 404, b"no such method\n", [_TEXT]
        if verb != "POST":
            return 405, b"use POST\n", [_TEXT, (b"allow", b"POST")]
        if permit is None:
            self._witness.record(Act("api.call", f"api:{name}", decision=Decision.DENIED, rule="http_api.keys"))
            return 401, b"", [_TEXT]
        told: list[tuple[bytes, bytes]] = []
        try:
            body = await self._read(headers, receive)
            rate = permit.rate or (self._key_rate if permit.key_id else None)
            if rate is not None and not await self._is_in_pace(permit, rate, name, body, told):
                return 429, _encode(_Failure(TOO_MANY_REQUESTS)), [_JSON, *told]
            result = await self._calls.call(name, body, UNBOUND if permit.is_unbound else permit)
        except _TooLarge:
            limit = self._settings.body_size_limit
            return 413, f"body must be at most {limit} bytes\n".encode(), [_TEXT, (b"connection", b"close")]
        except Malformed as exc:
            return 400, f"bad request: {exc}\n".encode(), [_TEXT, *told]
        except StoreUnavailable as exc:
            _log.warning("api.store_unavailable", method=name)
            retry_after = b"%d" % max(1, round(exc.retry_after_s))
            return 503, b"the store does not answer, try again later\n", [_TEXT, (b"retry-after", retry_after)]
        except Withheld as exc:
            retry_after = b"%d" % max(1, round(exc.retry_after_s))
            return 503, f"{exc}\n".encode(), [_TEXT, (b"retry-after", retry_after)]
        if isinstance(result, BatchResult):
            return 200, _encode(result), [_JSON, *told]  # the replies stand at the top, without `result` around them
        if not isinstance(result, ApiError):
            return 200, _encode(_Success(result)), [_JSON, *told]
        if self._settings.error_mode == "transport" or headers.get(b"x-centrifugo-error-mode") == b"transport":
            return status_of(result), _encode(result), [_JSON, *told]
        return 200, _encode(_Failure(result)), [_JSON, *told]

    async def _is_in_pace(self, permit: Permit, rate: Rate, name: str, body: bytes, told: list[tuple[bytes, bytes]]) -> bool:
        """Count a request against its key's rate, a batch by its calls; `told` gets the headers that say what is left.

        Raises:
            Malformed: A batch holds more calls than may ever come at once.
        """
        assert self._pace is not None, "keys that have rates come with what counts them"
        cost = 1 if name != "batch" else count_commands(body)
        if cost > rate.burst:
            raise Malformed(f"commands: must be at most {rate.burst} for this key, which may make so many calls at once")
        allowance = await self._pace.spend(permit.key_id, rate, cost)
        told += rate_headers(rate, allowance)
        return allowance.wait_s <= 0

    def may_ask(self, scope: Scope, method: str) -> bool:
        """Whether a request that is no call comes with a key that may make one."""
        permit = self._permit(dict(scope["headers"]), scope.get("query_string", b""))
        return permit is not None and self._calls.may_call(permit, method)

    def _permit(self, headers: dict[bytes, bytes], query: bytes) -> Permit | None:
        """Tell what the key opens; the first place that has one counts, the query comes last."""
        if self._settings.insecure:
            return _ANYBODY
        key = headers.get(b"x-api-key")
        if key is None:
            scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
            key = value.strip() if scheme.lower() == b"apikey" else b""
        permit = self._find(key)
        if permit is not None or b"api_key=" not in query:
            return permit
        return self._find(parse_qs(query).get(b"api_key", [b""])[0])

    def _find(self, key: bytes) -> Permit | None:
        """Compare a key in constant time with those of the settings, then with those of the store."""
        found = None
        for known, permit in self._permits.items():
            if hmac.compare_digest(known, key):
                found = permit
        if found is None and self._keys is not None and key.isascii():
            found = self._keys.find(key.decode("ascii"))
        return found if key else None

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._settings.body_size_limit
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise _TooLarge
        parts: list[bytes] = []
        size = 0
        is_last = False
        while not is_last:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Malformed("the body ended early")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _TooLarge
            parts.append(part)
            is_last = not message.get("more_body")
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _unbound(key: str) -> Permit:
    # Nodes tell each other of its rate by what it is known by nowhere else.
    key_id = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Permit(Actor(ActorKind.API_KEY, mask_token(key)), key_id=key_id, is_unbound=True)


def _correlation_id(headers: dict[bytes, bytes]) -> str:
    """Take the caller's id if it is printable and short, else make one; a trace's id counts too."""
    given = headers.get(b"x-request-id")
    if given is not None and _CORRELATION.fullmatch(given):
        return given.decode()
    trace = headers.get(b"traceparent")
    if trace is not None and (traced := _TRACEPARENT.fullmatch(trace)):
        return traced[1].decode()
    return next(_REQUEST_IDS)


def _drawn() -> Iterator[str]:
    """Give 16 random hexadecimal digits at a time, drawn many at once: one system call a request would show."""
    while True:
        digits = secrets.token_hex(4096)
        for begin in range(0, len(digits), 16):
            yield digits[begin : begin + 16]


_REQUEST_IDS: Final = _drawn()

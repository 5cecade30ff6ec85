"""One endpoint of the backend: asked about one kind of event, left alone while it fails.

A breaker stands before it, so that a backend that is down costs its clients no time and itself no load: while it is open,
every question fails at once, as it would have failed a second later.
"""

import asyncio
import math
from typing import Any, Final, Generic, TypeVar

import msgspec

from broker.breaker import Breaker, BreakerRules, BreakerState
from broker.last_look import NO_LOOK
from config.clock import Clock
from config.errors import SettingsError
from config.logs import get_logger
from config.proxy_settings import EndpointSettings
from config.tracing import Kind, below, carried
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import NO_DATA
from gateway.proxy.errors import BackendFailed, NotAsked
from gateway.proxy.headers import HeaderRules
from gateway.proxy.http_client import HttpAnswer, HttpClient, traced_call
from gateway.proxy.messages import Response, decoder_of, encode_call
from gateway.proxy.payloads import Outbound, pack
from gateway.proxy.statistics import CallOutcome, CallStatistics
from gateway.proxy.verdict import check_status, read_response
from gateway.session.client import Client

__all__ = ["Backend"]

_log = get_logger()

R = TypeVar("R")

# Slowness is what the timeout is for. A short rest: clients that wait for an answer come back within seconds.
_RULES: Final = BreakerRules(slow_s=math.inf, open_s=5.0, open_cap_s=5.0)


class Backend(Generic[R]):
    """Asks; `R` is what an answer's result is."""

    def __init__(self, event: str, name: str, path: str, settings: EndpointSettings, result: type[R], clock: Clock) -> None:
        """Make it; nothing is connected yet.

        Args:
            event: What it is asked about.
            name: What the proxy is called in the settings, or `default`.
            path: Where the settings stand, which also names the endpoint in the log.
        Raises:
            SettingsError: The certificates to trust cannot be read.
        """
        self.event, self.name, self.statistics = event, name, CallStatistics()
        self._path, self._clock = path, clock
        self._transforms = settings.status_to_code_transforms
        self._headers = HeaderRules(settings)
        self._tells_meta, self.is_binary = settings.include_connection_meta, settings.binary_encoding
        self._decoder = decoder_of(result)
        self._breaker = Breaker(_RULES)
        self._is_failing = False
        self.last = NO_LOOK
        """What came of the last question that was asked."""
        try:
            self._http = HttpClient(settings)
        except OSError as exc:
            raise SettingsError([f"{path}.ca_file: cannot be read: {exc.strerror or exc}"]) from None

    def connection(self, client: Client) -> dict[str, Any]:
        """Name the fields that every request has."""
        return {
            "client": client.id,
            "transport": client.wire.transport_name,
            "protocol": client.wire.codec.name,
            "encoding": "binary" if self.is_binary else "json",
        }

    def identity(self, client: Client) -> dict[str, Any]:
        """Name the fields that every request about somebody known has."""
        meta = msgspec.Raw(client.meta) if self._tells_meta and client.meta else NO_DATA
        return {**self.connection(client), "user": client.user, "meta": meta}

    def nobody(self) -> dict[str, Any]:
        """Name the same fields for a request that comes from no connection, but from the server API."""
        encoding = "binary" if self.is_binary else "json"
        return {"client": "", "transport": "api", "protocol": "json", "encoding": encoding, "user": ""}

    def pack(self, data: msgspec.Raw) -> Outbound:
        """Put a client's payload into the form of this endpoint; see `payloads.pack`."""
        return pack(bytes(data), is_binary=self.is_binary)

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands."""
        return self._breaker.state(self._clock.monotonic())

    async def ask(self, client: Client | None, call: msgspec.Struct) -> Response[R]:
        """Ask about an event of a client, None for the server API's own.

        The client may be gone when the answer comes: whoever asked has to look.

        Raises:
            ClientError, DisconnectClient: The status of the answer stands for it.
            BackendFailed: There is no answer to go by.
        """
        # The first turn of a command has no task yet, and timeouts need one.
        await asyncio.sleep(0)
        began = self._clock.monotonic()
        try:
            answer = await self._guarded(client, encode_call(call))
            check_status(answer, self._transforms)
            response = read_response(answer.body, self._decoder)
        except (BackendFailed, ClientError, DisconnectClient) as exc:
            self._count(_outcome_of_exception(exc), began)
            if isinstance(exc, BackendFailed):
                self._tell(exc)
            raise
        self._count(_outcome_of(response), began)
        self._is_failing = False
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _count(self, outcome: CallOutcome, began: float) -> None:
        self.statistics.count(outcome, self._clock.monotonic() - began)

    async def _guarded(self, client: Client | None, body: bytes) -> HttpAnswer:
        clock, breaker = self._clock, self._breaker
        began = clock.monotonic()
        permit = breaker.begin(began)
        if permit is None:
            raise NotAsked("not asked: it failed too often just now")
        http, emulated = (client.transport.headers, client.emulated_headers) if client else ({}, {})
        headers = self._headers.build(http, emulated)
        span = below("backend call", Kind.CLIENT, {"heliograph.event": self.event, "heliograph.proxy": self.name})
        try:
            answer = await traced_call(span, self._http.post(body, {**headers, **carried(span)} if span else headers))
        except BackendFailed as exc:
            self._end(permit, began, str(exc))
            raise
        except BaseException:  # cancelled: that says nothing of the backend
            breaker.abandon(permit)
            raise
        # A refusal is an answer; only what speaks of its health counts against it.
        self._end(permit, began, f"answered {answer.status}" if answer.status >= 500 else "")
        return answer

    def _end(self, permit: int, began: float, error: str) -> None:
        now, before = self._clock.monotonic(), self._breaker.state(self._clock.monotonic())
        self.last = self.last.then(error, now - began, self._clock.now())
        self._breaker.end(permit, failed=bool(error), took_s=now - began, now=now, spread=self._clock.spread())
        state = self._breaker.state(now)
        if state is not before:
            tell = _log.warning if state is BreakerState.OPEN else _log.info
            tell("breaker.moved", proxy=self._path, state=state, open_s=round(self._breaker.blocked_s(now), 1))

    def _tell(self, exc: BackendFailed) -> None:
        """Log the first failure of a row; the breaker tells the rest."""
        if not self._is_failing:
            _log.warning("proxy.failed", proxy=self._path, reason=str(exc))
        self._is_failing = True


def _outcome_of_exception(exc: BackendFailed | ClientError | DisconnectClient) -> CallOutcome:
    match exc:
        case NotAsked():
            return CallOutcome.SKIPPED
        case BackendFailed():
            return CallOutcome.FAILED
        case ClientError():
            return CallOutcome.ERROR
        case DisconnectClient():
            return CallOutcome.DISCONNECT


def _outcome_of(response: Response[R]) -> CallOutcome:
    """Tell what an answer says, judged in the order in which its members count."""
    if response.disconnect is not None:
        return CallOutcome.DISCONNECT
    return CallOutcome.RESULT if response.error is None else CallOutcome.ERROR

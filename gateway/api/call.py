"""From the bytes of a request to the bytes of an answer, without HTTP: what a single call and a batch share."""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from broker.errors import StoreUnavailable, Withheld
from config.clock import Clock, SystemClock
from config.logs import get_logger
from gateway.api.errors import (
    BAD_REQUEST,
    INTERNAL,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAVAILABLE,
    ApiError,
    ApiFailure,
    api_error_of,
    bad_request,
)
from gateway.api.keys import UNBOUND, Permit
from gateway.api.messages import BatchRequest, BatchResult
from gateway.api.method import Method, Methods
from gateway.api.overlap import Overlap
from gateway.api.pace import Pace
from gateway.tallies import CallTally

__all__ = ["Calls", "Malformed", "count_commands", "explain"]

_log = get_logger()
_AT_ONCE: Final = 1024
_Command = dict[str, Raw] | None

# Whether a key may make a call; nobody is asked about those who are unbound.
Allows = Callable[[Permit, str, Any], bool]


class Malformed(Exception):
    """The body is no JSON, or a field has a wrong type where Centrifugo answers HTTP 400."""


class Calls:
    """Runs methods.

    Args:
        allows: Decides about those who may not do everything; without it they may do nothing.
    """

    def __init__(self, methods: Methods, clock: Clock | None = None, allows: Allows | None = None) -> None:
        batch = Method("batch", BatchRequest, self._batch, group="Batch")
        self._allows = allows or _allows_nothing
        self._methods = {**methods, batch.name: batch}
        self.tally = CallTally()
        self._clock = clock or SystemClock()
        self._tallies = {name: self.tally.of(name) for name in self._methods}
        self._decoders = {name: msgspec.json.Decoder(method.request) for name, method in self._methods.items()}

    @property
    def methods(self) -> Methods:
        """Every method that can be called, `batch` included."""
        return self._methods

    def __contains__(self, name: str) -> bool:
        return name in self._methods

    async def call(self, name: str, body: bytes, permit: Permit = UNBOUND) -> msgspec.Struct | ApiError:
        """Run one method.

        Args:
            permit: What the caller may do.
        Returns:
            Its result, or the error that stands for what went wrong.
        Raises:
            Malformed: The body cannot be read.
            StoreUnavailable: Nothing is known to be stored; HTTP answers 503 with Retry-After.
            Withheld: An operator has it refused; the same.
        """
        method, tally = self._methods[name], self._tallies[name]
        try:
            request = self._read(method, body)
        except (Malformed, ApiFailure) as exc:
            tally.count(BAD_REQUEST.code, 0.0)
            if isinstance(exc, Malformed):
                raise
            return exc.error
        if permit is not UNBOUND and name != "batch" and not self._allows(permit, name, request):
            tally.count(PERMISSION_DENIED.code, 0.0)
            return PERMISSION_DENIED
        began_at, code = self._clock.monotonic(), INTERNAL.code
        try:
            result = await (self._run(method, request) if permit is UNBOUND else self._run_bound(method, request, permit))
            code = result.code if type(result) is ApiError else 0
            return result
        finally:
            tally.count(code, self._clock.monotonic() - began_at)

    def _read(self, method: Method, body: bytes) -> Any:
        """Decode a body.

        Raises:
            Malformed: It cannot be read.
            ApiFailure: A field breaks a rule, where the method answers that itself.
        """
        try:
            # msgspec leaves the UTF-8 of payloads alone; a client that got other bytes would have to fail its connection.
            if not body.isascii():
                body.decode()
            return self._decoders[method.name].decode(body)
        except msgspec.ValidationError as exc:
            if method.is_strict:
                raise bad_request(explain(exc)) from None
            raise Malformed(explain(exc)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Malformed(str(exc)) from None

    def may_call(self, permit: Permit, name: str) -> bool:
        """Whether somebody may call a method that needs no channel."""
        return permit.is_unbound or self._allows(permit, name, None)

    async def _run(self, method: Method, request: Any) -> msgspec.Struct | ApiError:
        try:
            return await method.handle(request)
        except (StoreUnavailable, Withheld):
            raise
        except Exception as exc:  # the edge of a call
            error = api_error_of(exc)
            if error is INTERNAL:
                _log.exception("api.failed", method=method.name)
            return error

    async def _run_bound(self, method: Method, request: Any, permit: Permit) -> msgspec.Struct | ApiError:
        """Run a method for somebody who may not do everything; of a batch each call is decided about."""
        if isinstance(request, BatchRequest):
            return await self._batch(request, permit)
        return await self._run(method, request)

    async def _batch(self, request: BatchRequest, permit: Permit = UNBOUND) -> BatchResult:
        """Make several calls at once; each has its own reply, and one that fails does not keep the others from theirs."""
        if request.parallel:
            parts = _parts(request.commands)
            return BatchResult([reply for part in parts for reply in await self._replies(part, permit)])
        pace = Pace()
        async with Overlap[dict[str, Any]]() as calls:
            for command in request.commands:
                may_overlap = self._may_overlap(command)
                if not may_overlap:
                    await calls.settle()
                calls.begin(self._reply(command, permit))
                if not may_overlap:
                    await calls.settle()
                if pace.counts(_size_of(command)):
                    await calls.settle()
                    await asyncio.sleep(0)
        return BatchResult(calls.results)

    async def _replies(self, commands: Sequence[_Command], permit: Permit) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self._reply(command, permit) for command in commands))

    def _may_overlap(self, command: _Command) -> bool:
        method = self._methods.get(next(iter(command), "")) if command else None
        return method is not None and method.may_overlap

    async def _reply(self, command: _Command, permit: Permit) -> dict[str, Any]:
        if command is None:
            return {"error": BAD_REQUEST}
        name = next(iter(command), "")
        if name not in self._methods or name == "batch":
            return {"error": NOT_FOUND}
        body = bytes(command[name])
        if body == b"null":
            return {"error": BAD_REQUEST}
        try:
            result = await self.call(name, body, permit)
        except Malformed as exc:
            return {"error": bad_request(str(exc)).error}
        except (StoreUnavailable, Withheld):
            return {"error": UNAVAILABLE}
        return {"error": result} if isinstance(result, ApiError) else {name: result}


def count_commands(body: bytes) -> int:
    """Tell how many calls a batch holds, 1 where that cannot be read: then it will be refused."""
    try:
        return max(1, len(_batches.decode(body).commands))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 1


_batches: Final = msgspec.json.Decoder(BatchRequest)


def _allows_nothing(_permit: Permit, _method: str, _request: Any) -> bool:
    return False


def _size_of(command: _Command) -> int:
    return sum(len(bytes(body)) for body in command.values()) if command else 0


def _parts(commands: Sequence[_Command]) -> Iterator[Sequence[_Command]]:
    """Cut a batch into what is done at once."""
    begin, pace = 0, Pace(_AT_ONCE)
    for end, command in enumerate(commands, 1):
        if pace.counts(_size_of(command)):
            yield commands[begin:end]
            begin = end
    yield commands[begin:]


_WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_EXPECTED: Final = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?")
_BOUND: Final = re.compile(r"Expected `(int|float)` (>=|<=|>|<) (\S+)")
_RELATIONS: Final = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_NAMED: Final = re.compile(r"Object (contains unknown|missing required) field `([^`]+)`")


def explain(exc: msgspec.ValidationError, whole: str = "body") -> str:
    """Put msgspec's words into ours: the field first (or the name of the whole), then the rule."""
    rule, _, path = str(exc).partition(" - at `")
    where = path.rstrip("`").removeprefix("$").removeprefix(".")
    if named := _NAMED.match(rule):
        field = f"{where}.{named[2]}" if where else named[2]
        return f"{field}: unknown field" if "unknown" in named[1] else f"{field}: must be given"
    if expected := _EXPECTED.match(rule):
        if bound := _BOUND.match(rule):
            limit = f"{_WORDS[bound[1]]} that is {_RELATIONS[bound[2]]} {bound[3]}"
            return f"{where or whole}: must be {limit}"
        kinds = " or ".join(_WORDS.get(kind.strip(), kind.strip()) for kind in expected[1].split("|"))
        rule = f"must be {kinds}"
    return f"{where or whole}: {rule}"

"""The front of a simulated HTTP provider: the fault schedule stands before its checks, the counters behind them."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import msgspec

from loadtest.simulators.exchange import Answer, ProviderName, Reply, Request
from loadtest.simulators.faults import Action, Call, FaultSchedule, Respond, withholds_answer

__all__ = ["Handling", "Service", "Statistics", "Tally"]


class Service(Protocol):
    """A provider that behaves: strict about what it is sent, and never late."""

    @property
    def name(self) -> ProviderName:
        """Which provider this is."""

    def address_of(self, request: Request) -> str:
        """Tell whom the request is for, unchecked; empty where it is for nobody (a token endpoint, nonsense)."""

    def take(self, request: Request) -> Reply:
        """Check the request, record what is accepted, and answer."""

    def error(self, status: int, reason: str) -> Reply:
        """Word an error the way this provider does."""


class Statistics(msgspec.Struct, frozen=True):
    """Counts since the start or the last reset. `replies` is keyed by status and the provider's own reason."""

    calls: int
    faults: int
    replies: Mapping[str, int]


class Tally:
    """Counts the calls of one provider."""

    def __init__(self) -> None:
        self._calls = 0
        self._faults = 0
        self._replies: Counter[tuple[int, str]] = Counter()

    def reply(self, status: int, reason: str) -> None:
        """Count a call that was answered as the provider answers."""
        self._calls += 1
        self._replies[status, reason] += 1

    def fault(self) -> None:
        """Count a call that met a fault."""
        self._calls += 1
        self._faults += 1

    def clear(self) -> None:
        self._calls = self._faults = 0
        self._replies.clear()

    def statistics(self) -> Statistics:
        replies = {f"{status} {reason}".rstrip(): count for (status, reason), count in sorted(self._replies.items())}
        return Statistics(calls=self._calls, faults=self._faults, replies=replies)


class Handling:
    """Answers requests for a service: as the service does, or as a fault rule says."""

    def __init__(self, service: Service, faults: FaultSchedule) -> None:
        self._service = service
        self._faults = faults
        self.tally = Tally()

    def __call__(self, request: Request) -> Answer:
        rule = None
        if not self._faults.is_empty:
            rule = self._faults.next(Call(self._service.name, self._service.address_of(request)))
        if rule is None:
            reply = self._service.take(request)
            self.tally.reply(reply.status, reply.reason)
            return Answer(reply)
        self.tally.fault()
        return self._misbehave(request, rule.action, taken=rule.taken)

    def _misbehave(self, request: Request, action: Action, *, taken: bool) -> Answer:
        if isinstance(action, Respond):
            if taken:
                self._service.take(request)
            return Answer(self._word(action))
        if not taken and withholds_answer(action):
            return Answer(Reply(200), action)
        return Answer(self._service.take(request), action)

    def _word(self, action: Respond) -> Reply:
        worded = self._service.error(action.status, action.reason)
        headers = {**dict(worded.headers), **{name.lower().encode(): value.encode() for name, value in action.headers.items()}}
        body = worded.body if action.body is None else action.body.encode()
        return Reply(action.status, tuple(headers.items()), body, action.reason)

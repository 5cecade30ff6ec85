"""How notifications leave the pipeline, seen from outside: their status while it runs, the outbox for exact moments."""

import asyncio
from datetime import datetime

import msgspec

from loadtest.http_client import HttpConnection, HttpFailed

__all__ = ["Arrival", "PipelineWatch"]

_PERIOD_S = 0.25
_UNSETTLED_PER_ROUND = 5
_TERMINAL = frozenset({"acknowledged", "exhausted", "failed", "expired", "cancelled"})


class Arrival(msgspec.Struct, frozen=True):
    """A notification at a provider; `at` in Unix seconds, with milliseconds."""

    notification_id: str
    at: float


class _Outbox(msgspec.Struct, frozen=True):
    items: list[Arrival]


class _Step(msgspec.Struct, frozen=True):
    outcome: str = ""
    route: str = ""
    time: float | str | None = None


class _Status(msgspec.Struct, frozen=True):
    id: str
    state: str
    steps: list[_Step] = []


class _Result(msgspec.Struct, frozen=True):
    notification: _Status


class _Answer(msgspec.Struct, frozen=True):
    result: _Result | None = None


_outbox: msgspec.json.Decoder[_Outbox] = msgspec.json.Decoder(_Outbox)
_answer: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


class PipelineWatch:
    """Follows a sample of notifications by `notification_status`, and reads `/dev/outbox` where there is one.

    The outbox keeps a bounded number of items (at least 20,000), so it is read whenever many more were accepted.
    """

    def __init__(self, connection: HttpConnection) -> None:
        self.arrivals: dict[str, Arrival] = {}
        self.repeated = 0
        self.outbox_reads = 0
        self.has_outbox = True
        self.states: dict[str, str] = {}
        self.asked: dict[str, None] = {}
        self._open: dict[str, None] = {}
        self._connection = connection

    def follow(self, notification_id: str) -> None:
        """Put a notification into the sample."""
        self.asked[notification_id] = None
        self._open[notification_id] = None

    @property
    def is_settled(self) -> bool:
        """Whether every notification of the sample has reached its end."""
        return not self._open

    @property
    def settled_share(self) -> float:
        """The part of the sample that has reached its end."""
        return len(self.states) / len(self.asked) if self.asked else 0.0

    async def run(self) -> None:
        """Ask again and again, oldest first, until cancelled.

        They leave the pipeline about in order, so a few that have not left yet end a round.
        """
        while True:
            await asyncio.sleep(_PERIOD_S)
            unsettled = 0
            for notification_id in list(self._open):
                try:
                    unsettled += not await self._has_settled(notification_id)
                except HttpFailed:
                    break  # asked again in the next period; a server that is gone shows elsewhere
                if unsettled > _UNSETTLED_PER_ROUND:
                    break

    async def _has_settled(self, notification_id: str) -> bool:
        """Ask for one; an answer that cannot be read counts as not yet."""
        body = msgspec.json.encode({"id": notification_id})
        _, answer = await self._connection.post("/api/notification_status", body)
        try:
            result = _answer.decode(answer).result
        except msgspec.DecodeError:
            return False
        if result is None or result.notification.state not in _TERMINAL:
            return False
        self._open.pop(notification_id, None)
        self.states[notification_id] = result.notification.state
        at = _accepted_at(result.notification.steps)
        if not self.has_outbox and at is not None:
            self.arrivals[notification_id] = Arrival(notification_id, at)
        return True

    async def read_outbox(self, wanted: set[str]) -> None:
        """Take the arrivals of `wanted` from the outbox; without one (404) the sample's steps must do."""
        if not self.has_outbox:
            return
        try:
            status, answer = await self._connection.get("/dev/outbox")
        except HttpFailed:
            return
        if status != 200:
            self.has_outbox = False
            return
        self.outbox_reads += 1
        seen: set[str] = set()
        repeated = 0
        for item in _outbox.decode(answer).items:
            if item.notification_id in seen and item.notification_id in wanted:
                repeated += 1
            seen.add(item.notification_id)
            if item.notification_id in wanted:
                self.arrivals.setdefault(item.notification_id, item)
        self.repeated = max(self.repeated, repeated)


def _accepted_at(steps: list[_Step]) -> float | None:
    """When the last step was taken, in Unix seconds."""
    times = [step.time for step in steps if step.time is not None]
    if not times:
        return None
    last = times[-1]
    return datetime.fromisoformat(last).timestamp() if isinstance(last, str) else float(last)

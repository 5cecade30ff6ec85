"""API methods about addresses that are left alone: `suppression_add`, `_list`, `_remove`, and `feedback` of providers."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from broker.errors import BadInput, NotFound
from broker.suppression import SUPPRESSIBLE, Feedback, Suppressed, Suppression, SuppressionReason, check_suppressed
from config.clock import Clock
from gateway.api.method import Method
from gateway.notify.messages import Done

__all__ = [
    "FeedbackRequest",
    "SuppressionAddRequest",
    "SuppressionListRequest",
    "SuppressionRemoveRequest",
    "suppression_methods",
]

_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_TOLD: Final = (SuppressionReason.BOUNCE, SuppressionReason.COMPLAINT, SuppressionReason.UNSUBSCRIBE)
_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
_Provider = Annotated[str, Meta(description="`email` or `sms`.")]
_Address = Annotated[str, Meta(description="A mail address, or a number such as `+15005550006`.")]


class SuppressionAddRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for an address to be left alone."""

    provider: _Provider
    address: _Address
    reason: Annotated[str, Meta(description="`bounce`, `complaint`, `unsubscribe` or `manual`.")] = "manual"


class SuppressionRemoveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for an address to be used again."""

    provider: _Provider
    address: _Address


class SuppressionListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for the list, page by page."""

    provider: Annotated[str, Meta(description="Only addresses of `email` or of `sms`.")] = ""
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="Most addresses on a page, up to 1000; 0 means 100.")] = 0


class SuppressionItem(msgspec.Struct):
    """An address that is left alone, in full, since `time` in Unix seconds."""

    provider: str
    address: str
    reason: str
    time: float
    detail: str


class SuppressionListResult(msgspec.Struct):
    """A page of the list; `next_cursor` is empty on the last one."""

    items: list[SuppressionItem]
    next_cursor: str


class FeedbackItem(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that a provider says: `type` is `bounce` (for good), `complaint` or `unsubscribe`."""

    type: str
    address: str
    notification_id: str = ""
    at: float = 0.0


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a provider says of addresses after it took messages for them."""

    provider: _Provider
    events: Annotated[list[FeedbackItem], Meta(description="Up to 1000; `at` in Unix seconds, now if left out.")]


def suppression_methods(suppression: Suppression, clock: Clock) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(suppression, clock)
    return [
        Method("suppression_add", SuppressionAddRequest, desk.add, is_strict=True, group="Suppression"),
        Method("suppression_list", SuppressionListRequest, desk.list, is_strict=True, group="Suppression"),
        Method("suppression_remove", SuppressionRemoveRequest, desk.remove, is_strict=True, group="Suppression"),
        Method("feedback", FeedbackRequest, desk.feedback, is_strict=True, group="Suppression"),
    ]


class _Desk:
    def __init__(self, suppression: Suppression, clock: Clock) -> None:
        self._suppression, self._clock = suppression, clock

    async def add(self, request: SuppressionAddRequest) -> Done:
        """Leave an address alone from now on; again is no error."""
        provider, address = check_suppressed(request.provider, request.address, "address")
        if request.reason not in tuple(SuppressionReason):
            raise BadInput("reason", f"must be one of {', '.join(SuppressionReason)}")
        one = Suppressed(provider, address, SuppressionReason(request.reason), self._clock.now())
        await self._suppression.add([Feedback(one)])
        return Done()

    async def list(self, request: SuppressionListRequest) -> SuppressionListResult:
        """List the addresses that are left alone."""
        if request.provider and request.provider not in SUPPRESSIBLE:
            raise BadInput("provider", f"must be one of {', '.join(SUPPRESSIBLE)}")
        if not 0 <= request.limit <= _MAX_PAGE:
            raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
        size = request.limit or _PAGE
        found = await self._suppression.find(request.provider, after=request.cursor, limit=size + 1)
        items = [
            SuppressionItem(one.provider, one.address, one.reason, round(one.at.timestamp(), 3), one.detail)
            for one in found[:size]
        ]
        return SuppressionListResult(items, f"{items[-1].provider} {items[-1].address}" if len(found) > size else "")

    async def remove(self, request: SuppressionRemoveRequest) -> Done:
        """Use an address again."""
        provider, address = check_suppressed(request.provider, request.address, "address")
        if not await self._suppression.remove(provider, address):
            raise NotFound("address")
        return Done()

    async def feedback(self, request: FeedbackRequest) -> Done:
        """Take what a provider says of addresses: they are left alone, and the timelines of their notifications say why."""
        if not 1 <= len(request.events) <= _MAX_PAGE:
            raise BadInput("events", f"must hold 1 to {_MAX_PAGE}")
        await self._suppression.add([self._read(request.provider, event, index) for index, event in enumerate(request.events)])
        return Done()

    def _read(self, provider: str, event: FeedbackItem, index: int) -> Feedback:
        kind, address = check_suppressed(provider, event.address, f"events[{index}].address")
        if event.type not in _TOLD:
            raise BadInput(f"events[{index}].type", f"must be one of {', '.join(_TOLD)}")
        if not 0 <= event.at <= _LAST_MOMENT:
            raise BadInput(f"events[{index}].at", "must be a moment in Unix seconds")
        at = datetime.fromtimestamp(event.at, UTC) if event.at else self._clock.now()
        return Feedback(Suppressed(kind, address, SuppressionReason(event.type), at), event.notification_id)

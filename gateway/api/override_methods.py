"""API methods about what operators say otherwise for a while: `override_set`, `override_list`, `override_remove`.

What is said holds on this node when the answer comes, and in every other process within a second. It ends at its moment by
itself: without one it is not taken.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from broker.errors import BadInput, NotFound
from broker.overrides import REASON_MAX, Kind, Override, OverrideDraft, Overrides, Value, check_what
from broker.rules import Subject
from config.clock import Clock
from config.durations import format_duration
from gateway.api.method import Method
from gateway.rule_news import RuleNews

__all__ = ["OverrideItem", "override_item", "override_methods"]

_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
_KINDS: Final = ", ".join(f"`{kind}`" for kind in Kind)


class OverrideSetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Something that is to be otherwise for a while; it takes the place of what was said of the same kind and target."""

    kind: Annotated[str, Meta(description=f"One of {_KINDS}.")]
    target: Annotated[str, Meta(description="A lane, carrier or node, by the kind; empty for everything.")] = ""
    value: Annotated[Value, Meta(description="A text or a number, where the kind has one.")] = None
    expires_in_s: Annotated[float | None, Meta(description="It ends after so many seconds; or else `expires_at`.")] = None
    expires_at: Annotated[float | None, Meta(description="It ends at this moment, in Unix seconds.")] = None
    reason: Annotated[str, Meta(description="Why, for whoever wonders and for the audit.")] = ""


class OverrideRemoveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names an override."""

    kind: Annotated[str, Meta(description=f"One of {_KINDS}.")]
    target: Annotated[str, Meta(description="As it was set.")] = ""


class OverrideListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for what has been said and has not ended."""


class OverrideItem(msgspec.Struct, omit_defaults=True):
    """An override; moments in Unix seconds."""

    kind: str
    reason: str
    set_at: float
    expires_at: float
    target: str = ""
    value: Value = None
    set_by: str = ""


class OverrideListResult(msgspec.Struct):
    """Overrides, by kind and target."""

    items: list[OverrideItem]


class OverrideRemoved(msgspec.Struct):
    """Nothing more to tell."""


class _Overrides:
    def __init__(self, kept: Overrides, news: RuleNews, clock: Clock, longest_s: float) -> None:
        self._kept, self._news, self._clock, self._longest_s = kept, news, clock, longest_s

    async def set(self, request: OverrideSetRequest) -> OverrideItem:
        """Say that something is otherwise for a while: a lane paused, say, or only critical notifications taken.

        An override that says the opposite does not exist: `override_remove` takes one back before its end.
        """
        kind, value = check_what(request.kind, request.target, request.value)
        if not (0 < len(request.reason) <= REASON_MAX and request.reason.isprintable() and not request.reason.isspace()):
            raise BadInput("reason", f"must be 1 to {REASON_MAX} characters on one line")
        expires_at = self._end_of(request)
        made, version = await self._kept.set(OverrideDraft(kind, request.target, value, request.reason, expires_at))
        await self._news.tell(Subject.OVERRIDES, version)
        return override_item(made)

    async def list(self, _request: OverrideListRequest) -> OverrideListResult:
        """List what is otherwise now, why, by whom and until when."""
        return OverrideListResult([override_item(one) for one in await self._kept.all()])

    async def remove(self, request: OverrideRemoveRequest) -> OverrideRemoved:
        """Take an override back before its end."""
        if request.kind not in tuple(Kind):
            raise NotFound("override")
        version = await self._kept.remove(Kind(request.kind), request.target)
        await self._news.tell(Subject.OVERRIDES, version)
        return OverrideRemoved()

    def _end_of(self, request: OverrideSetRequest) -> datetime:
        if request.expires_in_s is not None and request.expires_at is not None:
            raise BadInput("expires_at", "must not be given beside expires_in_s")
        longest = f"at most {format_duration(self._longest_s)} ahead"
        now = self._clock.now()
        if request.expires_in_s is not None:
            if not (math.isfinite(request.expires_in_s) and 0 < request.expires_in_s <= self._longest_s):
                raise BadInput("expires_in_s", f"must be above 0 and {longest}")
            return now + timedelta(seconds=request.expires_in_s)
        if request.expires_at is None:
            raise BadInput("expires_in_s", f"must be given, or expires_at: an override ends by itself, {longest}")
        if not 0 < request.expires_at <= _LAST_MOMENT:
            raise BadInput("expires_at", "must be a moment in Unix seconds")
        end = datetime.fromtimestamp(request.expires_at, UTC)
        if not now < end <= now + timedelta(seconds=self._longest_s):
            raise BadInput("expires_at", f"must lie ahead, {longest}")
        return end


def override_item(override: Override) -> OverrideItem:
    """Write an override for whoever asks."""
    return OverrideItem(
        kind=override.kind.value,
        target=override.target,
        value=override.value,
        reason=override.reason,
        set_at=round(override.set_at.timestamp(), 3),
        expires_at=round(override.expires_at.timestamp(), 3),
        set_by=override.set_by,
    )


def override_methods(kept: Overrides, news: RuleNews, clock: Clock, *, longest_s: float) -> list[Method]:
    """Make the methods of this group."""
    group = _Overrides(kept, news, clock, longest_s)
    return [
        Method("override_set", OverrideSetRequest, group.set, is_strict=True, group="Overrides"),
        Method("override_list", OverrideListRequest, group.list, is_strict=True, group="Overrides"),
        Method("override_remove", OverrideRemoveRequest, group.remove, is_strict=True, group="Overrides"),
    ]

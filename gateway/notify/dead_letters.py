"""API methods about what could not be delivered: `dead_letter_list`, `dead_letter_replay`."""

import math
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from broker.dead_letters import MAX_REPLAYED, DeadLetter, DeadLetterFilter, DeadLetters
from broker.errors import BadInput
from broker.notification import Outcome, Provider, State
from config.logs import get_logger
from gateway.api.method import Method

__all__ = ["DeadLetterListRequest", "DeadLetterReplayRequest", "dead_letter_methods"]

_log = get_logger()

_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_LONGEST_EXTENSION_S: Final = 30 * 86400.0
_REASONS: Final = (Outcome.REFUSED, Outcome.GAVE_UP, Outcome.UNKNOWN, Outcome.PAUSED, State.FAILED)


class DeadLetterListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for letters, the newest first, page by page; those that were replayed only if asked for."""

    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="Most letters on a page, up to 1000; 0 means 100.")] = 0
    provider: Annotated[str, Meta(description="Only those of a provider, such as `apns`.")] = ""
    reason: Annotated[str, Meta(description="Only `refused`, `gave_up`, `unknown`, `paused` or `failed` ones.")] = ""
    since: Annotated[float, Meta(description="Only those since a moment, in Unix seconds.")] = 0.0
    include_replayed: Annotated[bool, Meta(description="Also those that were replayed.")] = False


class DeadLetterItem(msgspec.Struct, omit_defaults=True):
    """A delivery without success, or with the reason `failed` a whole notification; times in Unix seconds."""

    id: str
    notification_id: str
    user: str
    time: float
    reason: str
    detail: str
    route: str = ""
    provider: str = ""
    address: str = ""
    device_id: str = ""
    replayed_at: float = 0.0


class DeadLetterListResult(msgspec.Struct):
    """A page of letters; `next_cursor` is empty on the last one."""

    items: list[DeadLetterItem]
    next_cursor: str


class DeadLetterReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for letters to be tried anew."""

    ids: Annotated[list[str], Meta(description="Ids of letters, up to 1000.")]
    extend_ttl_s: Annotated[float, Meta(description="Let what has expired live for so many seconds from now.")] = 0.0
    dry_run: Annotated[bool, Meta(description="Change nothing, only tell what would come of it.")] = False


class ReplayItem(msgspec.Struct):
    """What came of a letter: `replayed`, `already`, `expired`, `ended`, `device_gone` or `not_found`."""

    id: str
    result: str


class DeadLetterReplayResult(msgspec.Struct):
    """One item per letter, in the order asked."""

    items: list[ReplayItem]


def dead_letter_methods(letters: DeadLetters) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(letters)
    return [
        Method("dead_letter_list", DeadLetterListRequest, desk.list, is_strict=True, group="Dead letters"),
        Method("dead_letter_replay", DeadLetterReplayRequest, desk.replay, is_strict=True, group="Dead letters"),
    ]


class _Desk:
    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def list(self, request: DeadLetterListRequest) -> DeadLetterListResult:
        """List what could not be delivered, with the reason."""
        wanted, size = _wanted(request), _page_size(request.limit)
        found = await self._letters.find(wanted, before=request.cursor, limit=size + 1)
        next_cursor = found[size - 1].id if len(found) > size else ""
        return DeadLetterListResult([_item(letter) for letter in found[:size]], next_cursor)

    async def replay(self, request: DeadLetterReplayRequest) -> DeadLetterReplayResult:
        """Try anew what could not be delivered: a delivery at its device, a failed notification from its first route.

        A repeat changes nothing. What was seen or called off meanwhile, and what has expired, stays as it is.
        """
        if not 1 <= len(request.ids) <= MAX_REPLAYED:
            raise BadInput("ids", f"must hold 1 to {MAX_REPLAYED} ids")
        if not (math.isfinite(request.extend_ttl_s) and 0 <= request.extend_ttl_s <= _LONGEST_EXTENSION_S):
            raise BadInput("extend_ttl_s", f"must be from 0 to {_LONGEST_EXTENSION_S:.0f} seconds")
        replayed = await self._letters.replay(request.ids, extend_ttl_s=request.extend_ttl_s, dry_run=request.dry_run)
        if not request.dry_run:
            _log.info("dead_letters.replayed", asked=len(replayed), begun=sum(one.result == "replayed" for one in replayed))
        return DeadLetterReplayResult([ReplayItem(one.id, one.result) for one in replayed])


def _wanted(request: DeadLetterListRequest) -> DeadLetterFilter:
    if request.provider and request.provider not in tuple(Provider):
        raise BadInput("provider", f"must be one of {', '.join(Provider)}")
    if request.reason and request.reason not in _REASONS:
        raise BadInput("reason", f"must be one of {', '.join(_REASONS)}")
    if not 0 <= request.since <= _LAST_MOMENT:
        raise BadInput("since", "must be a moment in Unix seconds")
    since = datetime.fromtimestamp(request.since, UTC) if request.since else None
    return DeadLetterFilter(request.provider, request.reason, since, request.include_replayed)


_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


def _page_size(limit: int) -> int:
    if not 0 <= limit <= _MAX_PAGE:
        raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
    return limit or _PAGE


def _item(letter: DeadLetter) -> DeadLetterItem:
    return DeadLetterItem(
        id=letter.id,
        notification_id=letter.notification_id,
        user=letter.user,
        time=round(letter.at.timestamp(), 3),
        reason=letter.reason,
        detail=letter.detail,
        route=letter.route,
        provider=letter.provider,
        address=letter.address,
        device_id=letter.device_id,
        replayed_at=0.0 if letter.replayed_at is None else round(letter.replayed_at.timestamp(), 3),
    )

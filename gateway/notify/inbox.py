"""The inbox of a user, for their backend and for their own pages: listed, counted, marked."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from broker.confirmations import Mark, Place
from broker.errors import BadInput
from broker.inbox import COUNT_CAP, MAX_MARKED, MAX_PAGE, Inbox, InboxCounts, Shelf
from broker.inbox_news import InboxChanged, nobody_asks
from broker.notification import Notification
from gateway.api.method import Method
from gateway.commands.rpc import RpcMethod
from gateway.notify.rpc import user_method
from gateway.notify.wording import Wording

__all__ = [
    "InboxCountsRequest",
    "InboxCountsResult",
    "InboxListRequest",
    "InboxListResult",
    "InboxMarkRequest",
    "InboxService",
    "inbox_methods",
    "inbox_rpc_methods",
]

_GROUP: Final = "Inbox"
_PAGE: Final = 20
_MARKS: Final[Mapping[str, Mark]] = {mark.value: mark for mark in (Mark.SEEN, Mark.READ, Mark.UNREAD, Mark.ARCHIVED)}
_SHELVES: Final[Mapping[str, Shelf]] = {shelf.value: shelf for shelf in Shelf}

Watch = Callable[[str], Awaitable[None]]

_User = Annotated[str, Meta(description="Id of the user.", extra={"is_required": True})]
_Count = Annotated[int, Meta(description=f"At most {COUNT_CAP}, which means that many or more.")]


class InboxListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for a page of an inbox."""

    user: _User = ""
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description=f"Most items of a page, up to {MAX_PAGE}; 0 means {_PAGE}.")] = 0
    filter: Annotated[str, Meta(description="`unseen`, `unread` or `archived`; all that is not archived if left out.")] = ""
    category: Annotated[str, Meta(description="Only of this one. A page may then be short, or empty, and more follow.")] = ""


class InboxItem(msgspec.Struct):
    """A notification as its user gets it; `created_at` in Unix seconds. What is empty is left out."""

    id: str
    priority: str
    created_at: float
    seen: bool
    read: bool
    archived: bool
    title: str | UnsetType = UNSET
    body: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    category: str | UnsetType = UNSET
    link: str | UnsetType = UNSET
    image: str | UnsetType = UNSET


class InboxListResult(msgspec.Struct, omit_defaults=True):
    """Items, newest first. `next_cursor` is there where more follow."""

    items: list[InboxItem]
    next_cursor: str = ""


class InboxCountsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks how many lie in an inbox."""

    user: _User = ""


class InboxCountsResult(msgspec.Struct):
    """How many lie there, archived ones left aside; what is unseen is unread too."""

    unseen: _Count
    unread: _Count


class InboxMarkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Marks those of `ids` that are in the inbox, or `all`; exactly one of them is given."""

    mark: Annotated[str, Meta(description="`seen`, `read`, `unread` or `archived`.")] = msgspec.field(name="as")
    user: _User = ""
    ids: Annotated[list[str] | UnsetType, Meta(description=f"Ids of notifications, up to {MAX_MARKED}.")] = UNSET
    all: Annotated[bool, Meta(description="Everything that is not archived.")] = False


class InboxService:
    """The methods."""

    def __init__(self, inbox: Inbox, changed: InboxChanged = nobody_asks, wording: Wording | None = None) -> None:
        self._inbox, self._changed, self._wording = inbox, changed, wording

    async def page(self, request: InboxListRequest) -> InboxListResult:
        """List notifications, newest first; they stay until they are removed by age, whatever became of their delivery."""
        _require_user(request.user)
        shelf = _SHELVES.get(request.filter)
        if shelf is None:
            raise BadInput("filter", "must be unseen, unread or archived, or left out")
        if not 0 <= request.limit <= MAX_PAGE:
            raise BadInput("limit", f"must be from 0 to {MAX_PAGE}")
        page = await self._inbox.page(
            request.user, shelf, category=request.category, cursor=request.cursor, limit=request.limit or _PAGE
        )
        notifications = [entry.notification for entry in page.entries]
        if self._wording is not None:
            notifications = await self._wording.worded(request.user, notifications)
        items = [_item(entry.place, told) for entry, told in zip(page.entries, notifications, strict=True)]
        return InboxListResult(items, page.next_cursor)

    async def counts(self, request: InboxCountsRequest) -> InboxCountsResult:
        """Count what is unseen and unread; clients that ask for it over RPC are told by themselves when it changes."""
        _require_user(request.user)
        return await self._counted(request.user)

    async def mark(self, request: InboxMarkRequest) -> InboxCountsResult:
        """Mark some or all, and answer how many are unseen and unread now. Seen, read or archived is acknowledged as well."""
        _require_user(request.user)
        mark = _MARKS.get(request.mark)
        if mark is None:
            raise BadInput("as", f"must be one of {', '.join(_MARKS)}")
        if (request.ids is UNSET) == (not request.all):
            raise BadInput("ids", "exactly one of ids and all must be given")
        if isinstance(request.ids, UnsetType):
            await self._inbox.mark_all(request.user, mark)
        elif len(request.ids) > MAX_MARKED:
            raise BadInput("ids", f"must not name more than {MAX_MARKED}")
        else:
            await self._inbox.mark(request.user, request.ids, mark)
        self._changed((request.user,))
        return await self._counted(request.user)

    async def _counted(self, user: str) -> InboxCountsResult:
        counts: InboxCounts
        (counts,) = await self._inbox.counts([user])
        return InboxCountsResult(counts.unseen, counts.unread)


def inbox_methods(service: InboxService) -> list[Method]:
    """Make the methods of the API."""
    return [
        Method("inbox_list", InboxListRequest, service.page, is_strict=True, group=_GROUP),
        Method("inbox_counts", InboxCountsRequest, service.counts, is_strict=True, group=_GROUP),
        Method("inbox_mark", InboxMarkRequest, service.mark, is_strict=True, group=_GROUP),
    ]


def inbox_rpc_methods(service: InboxService, watch: Watch) -> Mapping[str, RpcMethod]:
    """Make those of the connected user; `watch` is told of whoever asks for an inbox, to be told of its changes."""

    def watching(method: RpcMethod) -> RpcMethod:
        async def call(user: str, data: bytes) -> bytes:
            if user:
                await watch(user)  # first, so that no change falls between the answer and the news
            return await method(user, data)

        return call

    return {
        "inbox.list": watching(user_method(InboxListRequest, service.page)),
        "inbox.counts": watching(user_method(InboxCountsRequest, service.counts)),
        "inbox.mark": user_method(InboxMarkRequest, service.mark),
    }


def _require_user(user: str) -> None:
    if not user:
        raise BadInput("user", "must not be empty")


def _item(place: Place, notification: Notification) -> InboxItem:
    content = notification.content
    return InboxItem(
        id=notification.id,
        priority=notification.lane.name.lower(),
        created_at=round(notification.created_at.timestamp(), 3),
        seen=place is not Place.UNSEEN,
        read=place in (Place.READ, Place.ARCHIVED),
        archived=place is Place.ARCHIVED,
        title=content.title or UNSET,
        body=content.body or UNSET,
        data=content.data if bytes(content.data) else UNSET,
        category=content.category or UNSET,
        link=content.link or UNSET,
        image=content.image or UNSET,
    )

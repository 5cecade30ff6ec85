"""Requests and results of the methods of topics. Over RPC they are those of the API without `user`: it is the connected one."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

__all__ = [
    "SubscriberItem",
    "TopicItem",
    "TopicListRequest",
    "TopicListResult",
    "TopicMembersRequest",
    "TopicMembersResult",
    "TopicRequest",
    "TopicSubscribeRequest",
    "TopicUnsubscribeRequest",
]

_Topic = Annotated[str, Meta(description="Name of the topic, such as `news:sport`.")]
_Cursor = Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")]
_Limit = Annotated[int, Meta(description="Most items on a page, up to 1000; 0 means 100.")]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    pass


class TopicRequest(_Request):
    """Names a topic."""

    topic: _Topic


class TopicSubscribeRequest(_Request):
    """Exactly one of `user` and `users`; `device` only with `user`."""

    topic: _Topic
    user: Annotated[str, Meta(description="Who is subscribed.")] = ""
    users: Annotated[list[str] | UnsetType, Meta(description="Up to 1000 who are subscribed.")] = UNSET
    device: Annotated[str, Meta(description="Id of a device: it alone is told, not the user by other ways.")] = ""


class TopicUnsubscribeRequest(_Request):
    """Exactly one of `user` and `users`; `device` only with `user`."""

    topic: _Topic
    user: Annotated[str, Meta(description="Whose subscription ends, and that of their devices.")] = ""
    users: Annotated[list[str] | UnsetType, Meta(description="Up to 1000 whose subscription ends.")] = UNSET
    device: Annotated[str, Meta(description="Id of a device: its subscription alone ends.")] = ""


class TopicListRequest(_Request):
    """Asks for topics by name, page by page."""

    user: Annotated[str, Meta(description="Only those that a user is in, with all or some devices.")] = ""
    cursor: _Cursor = ""
    limit: _Limit = 0


class TopicItem(msgspec.Struct):
    """A topic; `created_at` in Unix seconds."""

    topic: str
    created_at: float


class TopicListResult(msgspec.Struct):
    """A page of topics; `next_cursor` is empty on the last one."""

    items: list[TopicItem]
    next_cursor: str


class TopicMembersRequest(_Request):
    """Asks who is subscribed, page by page."""

    topic: _Topic
    cursor: _Cursor = ""
    limit: _Limit = 0


class SubscriberItem(msgspec.Struct, omit_defaults=True):
    """A subscription, of a user or of a device of theirs; `subscribed_at` in Unix seconds."""

    user: str
    subscribed_at: float
    device: str = ""


class TopicMembersResult(msgspec.Struct):
    """A page of subscriptions, in the order of users' ids; `next_cursor` is empty on the last one."""

    items: list[SubscriberItem]
    next_cursor: str

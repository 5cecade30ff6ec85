"""Topics over the API, and over RPC for the connected user where the settings let clients subscribe."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UnsetType

from broker.errors import BadInput
from broker.topics import MAX_SUBSCRIBED, Subscriber, Topic, Topics, check_topic
from config.settings import NotificationSettings
from gateway.api.method import Method
from gateway.auth.patterns import Wildcard
from gateway.commands.rpc import RpcMethod
from gateway.notify.device_filter import page_size
from gateway.notify.messages import Done
from gateway.notify.rpc import user_method
from gateway.notify.topic_messages import (
    SubscriberItem,
    TopicItem,
    TopicListRequest,
    TopicListResult,
    TopicMembersRequest,
    TopicMembersResult,
    TopicRequest,
    TopicSubscribeRequest,
    TopicUnsubscribeRequest,
)
from gateway.protocol import errors
from gateway.protocol.errors import ClientError

__all__ = ["TopicService", "topic_methods", "topic_rpc_methods"]

_GROUP: Final = "Topics"
_USER_LIMIT: Final = 255


class TopicService:
    """Holds requests to the rules, and carries them out."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def create(self, request: TopicRequest) -> Done:
        """Let a topic exist before anybody is subscribed; one that exists stays as it is."""
        check_topic(request.topic)
        await self._topics.create(request.topic)
        return Done()

    async def subscribe(self, request: TopicSubscribeRequest) -> Done:
        """Subscribe users, or one device; the topic exists by this. A repeat changes nothing."""
        await self._topics.subscribe(request.topic, _users(request), device_id=request.device)
        return Done()

    async def subscribe_own(self, request: TopicSubscribeRequest) -> Done:
        """Subscribe to a topic that exists."""
        await self._topics.subscribe(request.topic, _users(request), device_id=request.device, creates=False)
        return Done()

    async def unsubscribe(self, request: TopicUnsubscribeRequest) -> Done:
        """End subscriptions; who has none is passed over."""
        await self._topics.unsubscribe(request.topic, _users(request), device_id=request.device)
        return Done()

    async def list(self, request: TopicListRequest) -> TopicListResult:
        """List topics, all or those of a user."""
        size = page_size(request.limit)
        # One more than the page holds tells whether another one follows.
        found: Sequence[Topic] = await self._topics.find(user=request.user, after=request.cursor, limit=size + 1)
        items = [TopicItem(topic.name, topic.created_at.timestamp()) for topic in found[:size]]
        return TopicListResult(items, found[size - 1].name if len(found) > size else "")

    async def members(self, request: TopicMembersRequest) -> TopicMembersResult:
        """List who is subscribed."""
        check_topic(request.topic)
        size, after = page_size(request.limit), _place(request.cursor)
        found: Sequence[Subscriber] = await self._topics.subscribers(request.topic, after=after, limit=size + 1)
        items = [SubscriberItem(one.user, one.subscribed_at.timestamp(), one.device_id) for one in found[:size]]
        return TopicMembersResult(items, _cursor(found[size - 1]) if len(found) > size else "")

    async def remove(self, request: TopicRequest) -> Done:
        """End a topic and all its subscriptions; campaigns that are telling it end where they are."""
        check_topic(request.topic)
        await self._topics.remove(request.topic)
        return Done()


def topic_methods(service: TopicService) -> list[Method]:
    """Make the methods of the API."""
    return [
        Method("topic_create", TopicRequest, service.create, is_strict=True, group=_GROUP),
        Method("topic_subscribe", TopicSubscribeRequest, service.subscribe, is_strict=True, group=_GROUP),
        Method("topic_unsubscribe", TopicUnsubscribeRequest, service.unsubscribe, is_strict=True, group=_GROUP),
        Method("topic_list", TopicListRequest, service.list, is_strict=True, group=_GROUP),
        Method("topic_members", TopicMembersRequest, service.members, is_strict=True, group=_GROUP),
        Method("topic_remove", TopicRequest, service.remove, is_strict=True, group=_GROUP),
    ]


def topic_rpc_methods(service: TopicService, settings: NotificationSettings) -> Mapping[str, RpcMethod]:
    """Make those of the connected user: they see what they are in, and change it where the topic fits a pattern of the
    settings. Topics are the backend's to create."""
    patterns = [Wildcard(pattern) for pattern in settings.topics.client_patterns]

    def check(request: TopicSubscribeRequest | TopicUnsubscribeRequest) -> None:
        if not isinstance(request.users, UnsetType):
            raise BadInput("users", "must not be given: it is the connected user")
        if not any(pattern.matches(request.topic) for pattern in patterns):
            raise ClientError(errors.PERMISSION_DENIED, "clients may not subscribe to this topic")

    async def subscribe(request: TopicSubscribeRequest) -> Done:
        check(request)
        return await service.subscribe_own(request)

    async def unsubscribe(request: TopicUnsubscribeRequest) -> Done:
        check(request)
        return await service.unsubscribe(request)

    return {
        "topic.subscribe": user_method(TopicSubscribeRequest, subscribe),
        "topic.unsubscribe": user_method(TopicUnsubscribeRequest, unsubscribe),
        "topic.list": user_method(TopicListRequest, service.list),
    }


def _users(request: TopicSubscribeRequest | TopicUnsubscribeRequest) -> Sequence[str]:
    check_topic(request.topic)
    if isinstance(request.users, UnsetType) != bool(request.user):
        raise BadInput("user", "exactly one of user and users must be given")
    if isinstance(request.users, UnsetType):
        _check_user("user", request.user)
        return (request.user,)
    if request.device:
        raise BadInput("device", "must only be given with user")
    if not 1 <= len(request.users) <= MAX_SUBSCRIBED:
        raise BadInput("users", f"must hold 1 to {MAX_SUBSCRIBED} users")
    for index, user in enumerate(request.users):
        _check_user(f"users[{index}]", user)
    return request.users


def _check_user(field: str, user: str) -> None:
    if not 0 < len(user) <= _USER_LIMIT:
        raise BadInput(field, f"must be 1 to {_USER_LIMIT} characters")


def _cursor(subscriber: Subscriber) -> str:
    return f"{subscriber.device_id}:{subscriber.user}"  # ids of devices hold no colon


def _place(cursor: str) -> tuple[str, str]:
    device_id, _, user = cursor.partition(":")
    return user, device_id

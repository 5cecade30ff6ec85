"""The live route: a publication on the user's personal channel, which reaches every connection of theirs unasked.

The notification's id is the idempotency key, so that a step that is taken over after a crash publishes nothing a second time.
"""

import msgspec

from broker.channels import ChannelRules, publish_options
from broker.model import Publication
from broker.notification import Notification
from broker.pubsub import PubSub
from config.settings import ChannelOptions

__all__ = ["LiveRoute", "encode"]


class _Told(msgspec.Struct, omit_defaults=True):
    """What a client gets to see; absent fields are left out."""

    id: str
    title: str = ""
    body: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    category: str = ""
    priority: str = ""
    link: str = ""
    image: str = ""


class _Message(msgspec.Struct):
    notification: _Told


_encoder = msgspec.json.Encoder()


def encode(notification: Notification) -> bytes:
    """Write a notification as clients get it: JSON in one line."""
    content = notification.content
    told = _Told(
        id=notification.id,
        title=content.title,
        body=content.body,
        data=content.data if bytes(content.data) else msgspec.UNSET,
        category=content.category,
        priority=notification.lane.name.lower(),
        link=content.link,
        image=content.image,
    )
    text = _encoder.encode(_Message(told))
    if b"\n" in text or b"\r" in text:
        # Only `data` can hold them, and there only between tokens: within a string JSON does not allow them.
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text


class LiveRoute:
    """Publishes notifications to whoever is connected."""

    def __init__(self, pubsub: PubSub, rules: ChannelRules) -> None:
        self._pubsub, self._rules = pubsub, rules

    def is_open(self, user: str) -> bool:
        """Whether the user has a personal channel at all; without one they count as offline."""
        return self._channel(user) is not None

    async def publish(self, notification: Notification) -> None:
        """Publish to all connections of the notification's user.

        Raises:
            EngineUnavailable: Whether it was published is unknown; a repeat is safe.
        """
        channel = self._channel(notification.user)
        assert channel is not None, "the route is not open"
        name, options = channel
        how = publish_options(options, idempotency_key=notification.id)
        await self._pubsub.publish(name, Publication(encode(notification)), how)

    def _channel(self, user: str) -> tuple[str, ChannelOptions] | None:
        return self._rules.personal_options(user)

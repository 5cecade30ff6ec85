"""Port: topics, and who is subscribed to them. A campaign tells the subscribers of a topic, without anybody listing them.

A topic exists from its creation or its first subscription until it is removed, also while nobody is subscribed; so a name
that was misspelt is told apart from a topic that is empty. A user is subscribed as a whole, or with single devices: then a
campaign goes to these alone. Who is subscribed as a whole is so whatever devices are subscribed beside.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from broker.errors import BadInput

__all__ = ["MAX_SUBSCRIBED", "MAX_TOPIC_CHARS", "Subscriber", "Topic", "Topics", "check_topic"]

# Users that one call subscribes.
MAX_SUBSCRIBED: Final = 1000
MAX_TOPIC_CHARS: Final = 255


class Topic(msgspec.Struct, frozen=True):
    """A topic that exists."""

    name: str
    created_at: datetime


class Subscriber(msgspec.Struct, frozen=True):
    """A user's place in a topic; with a `device_id` only that device is subscribed."""

    user: str
    device_id: str
    subscribed_at: datetime


class Topics(Protocol):
    """The registry. Every method is one transaction; repeating one changes nothing.

    All raise `StoreUnavailable` when the store does not answer; then whether anything was changed is unknown.
    """

    async def create(self, topic: str) -> None:
        """Let a topic exist; one that exists stays as it is."""

    async def subscribe(self, topic: str, users: Sequence[str], *, device_id: str = "", creates: bool = True) -> None:
        """Subscribe users, or the device of a single one.

        Args:
            users: At most `MAX_SUBSCRIBED`.
            creates: Let the topic exist by this.
        Raises:
            BadInput: Naming `device`, which is none of the user's.
            NotFound: The topic does not exist, and is not to be created.
        """

    async def unsubscribe(self, topic: str, users: Sequence[str], *, device_id: str = "") -> None:
        """End whatever is subscribed of users, or of a single one's the device alone. Who is not subscribed is no error.

        Raises:
            NotFound: The topic does not exist.
        """

    async def find(self, *, user: str = "", after: str = "", limit: int) -> Sequence[Topic]:
        """List topics by name, at most `limit`, beginning behind the name `after`; with a `user` those they are in."""

    async def subscribers(self, topic: str, *, after: tuple[str, str] = ("", ""), limit: int) -> Sequence[Subscriber]:
        """List subscribers by user and device, at most `limit`, beginning behind the pair of user and device `after`.

        Raises:
            NotFound: The topic does not exist.
        """

    async def remove(self, topic: str) -> None:
        """End a topic and all its subscriptions. One that is created by the same name later begins empty.

        Raises:
            NotFound: The topic does not exist.
        """

    async def sweep(self, *, limit: int) -> int:
        """Clear at most `limit` subscriptions of removed topics away; tells how many there were."""


def check_topic(topic: str, field: str = "topic") -> None:
    """Hold a topic's name against the rules.

    Raises:
        BadInput: Naming the field and the rule.
    """
    if not (0 < len(topic) <= MAX_TOPIC_CHARS and topic.isprintable()):
        raise BadInput(field, f"must be 1 to {MAX_TOPIC_CHARS} printable characters")

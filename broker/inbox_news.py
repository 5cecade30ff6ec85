"""Tells connected users how many notifications lie unseen and unread in their inbox, whenever that may have changed.

Whoever changes an inbox names its user here, in the turn of the loop that brought the change, and thinks no more of it. What
was named within a short while is told at once: who of them is connected is asked first, so that nobody counts for users who are
away. The publication is kept in no stream: it says how things stand, so the next one replaces it, and whoever connects asks.
Nothing is promised; a lost one is made good by the next change.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from broker.bell import Bell
from broker.channels import ChannelRules, publish_options
from broker.errors import EngineUnavailable, StoreUnavailable
from broker.inbox import Inbox, InboxCounts
from broker.model import Publication
from broker.outage import Outage
from broker.presence import UserPresence
from broker.pubsub import PubSub
from config.clock import Clock
from config.logs import get_logger

__all__ = ["InboxChanged", "InboxNews", "nobody_asks"]

_log = get_logger()

# Long enough that a burst for one user is one publication, and that a notification comes before its count as a rule; too short
# for a person to mind.
_WINDOW_S: Final = 0.25
_AT_ONCE: Final = 500
# Past it the news of those who come last are dropped: so many changes within a window are a campaign, not somebody's click.
_MOST: Final = 20_000


# Told of users whose inbox may count differently now; synchronous, called in the loop's thread.
InboxChanged = Callable[[Iterable[str]], None]


def nobody_asks(_users: Iterable[str]) -> None:
    """Stand in where no news are told."""


class _Message(msgspec.Struct):
    inbox: InboxCounts


class InboxNews:
    """The component; `changed` is its door."""

    def __init__(self, inbox: Inbox, users: UserPresence, pubsub: PubSub, rules: ChannelRules, clock: Clock) -> None:
        self._inbox, self._users, self._pubsub, self._rules, self._clock = inbox, users, pubsub, rules, clock
        self._changed: dict[str, None] = {}
        self._bell = Bell(clock)
        self._outage = Outage("inbox news", clock)

    def changed(self, users: Iterable[str]) -> None:
        """Have users told how their inbox counts now, if they are connected."""
        for user in users:
            if len(self._changed) >= _MOST:
                break
            self._changed[user] = None
        self._bell.ring()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._bell.wait()
            await self._clock.sleep(_WINDOW_S)
            while self._changed:
                users = list(self._changed)[:_AT_ONCE]
                for user in users:
                    del self._changed[user]
                try:
                    await self._tell(users)
                except (EngineUnavailable, StoreUnavailable) as exc:
                    await self._clock.sleep(self._outage.failed(exc))
                except Exception:  # the edge of a round: news must not end by an error of ours
                    _log.exception("inbox_news.broke", users=len(users))
                else:
                    self._outage.ended()

    async def _tell(self, users: Sequence[str]) -> None:
        reachable = frozenset(user for user in users if self._rules.personal_options(user) is not None)
        online = sorted(await self._users.online(reachable)) if reachable else []
        if online:
            counts = await self._inbox.counts(online)
            await asyncio.gather(*(self._publish(user, one) for user, one in zip(online, counts, strict=True)))

    async def _publish(self, user: str, counts: InboxCounts) -> None:
        channel = self._rules.personal_options(user)
        assert channel is not None, "only users with a personal channel are told"
        name, options = channel
        message = Publication(msgspec.json.encode(_Message(counts)))
        await self._pubsub.publish(name, message, publish_options(options, skip_history=True))

"""Tells connected users how many notifications lie unseen and unread in their inbox, whenever that may have changed.

Only those who have asked for their inbox since they came are told: clients that know nothing of inboxes take every
publication on their personal channel for a notification. Who has asked is noted where presence is, so that every node of a
fleet knows.

Whoever changes an inbox names its user here, in the turn of the loop that brought the change, and thinks no more of it: who
is asked for a change, and the pipeline, once something arrives that was put off or escalated. What was named within a short
while is told at once: who of them is connected is asked first, so that nobody counts for users who are away. The publication
is kept in no stream: it says how things stand, so the next one replaces it, and whoever connects asks. Nothing is promised; a
lost one is made good by the next change.
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
_SWEEP_S: Final = 60.0
# As which client of its user a watcher is noted; the note is the node's, as every presence is.
_HERE: Final = "inbox"
# Past it the news of those who come last are dropped: so many changes within a window are a campaign, not somebody's click.
_MOST: Final = 20_000


# Told of users whose inbox may count differently now; synchronous, called in the loop's thread.
InboxChanged = Callable[[Iterable[str]], None]


def nobody_asks(_users: Iterable[str]) -> None:
    """Stand in where no news are told."""


def _watcher(user: str) -> str:
    """Name who asks for a user's inbox among the users of presence; no user's id holds the control character."""
    return f"{user}\x00inbox"


class _Message(msgspec.Struct):
    inbox: InboxCounts


class InboxNews:
    """The component; `changed` and `watch` are its doors. `is_here` tells whether a user holds a connection to this node."""

    def __init__(
        self,
        inbox: Inbox,
        users: UserPresence,
        pubsub: PubSub,
        rules: ChannelRules,
        clock: Clock,
        *,
        is_here: Callable[[str], bool],
    ) -> None:
        self._inbox, self._users, self._pubsub, self._rules, self._clock = inbox, users, pubsub, rules, clock
        self._is_here = is_here
        self._changed: dict[str, None] = {}
        self._watching: set[str] = set()
        self._swept_at = clock.monotonic()
        self._bell = Bell(clock)
        self._outage = Outage("inbox news", clock)

    def changed(self, users: Iterable[str]) -> None:
        """Have users told how their inbox counts now, if they are connected."""
        for user in users:
            if len(self._changed) >= _MOST:
                break
            self._changed[user] = None
        self._bell.ring()

    async def watch(self, user: str) -> None:
        """Tell a user of this node from now on, until none of their connections is here any more."""
        if user in self._watching:
            return
        self._watching.add(user)
        try:
            await self._users.connected(_watcher(user), _HERE)
        except EngineUnavailable:
            self._watching.discard(user)  # whoever asks again is noted then
        self._bell.ring()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._bell.wait()
            await self._clock.sleep(_WINDOW_S)
            await self._sweep()
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

    async def _sweep(self) -> None:
        """Forget at times who has gone; whoever asked has rung the bell, so that nobody stays for ever."""
        if self._clock.monotonic() - self._swept_at < _SWEEP_S:
            return
        self._swept_at = self._clock.monotonic()
        for user in [user for user in self._watching if not self._is_here(user)]:
            try:
                await self._users.disconnected(_watcher(user), _HERE)
            except EngineUnavailable:
                return
            self._watching.discard(user)

    async def _tell(self, users: Sequence[str]) -> None:
        reachable = frozenset(user for user in users if self._rules.personal_options(user) is not None)
        watchers = {_watcher(user): user for user in reachable}
        online = sorted(watchers[name] for name in await self._users.online(frozenset(watchers))) if watchers else []
        if online:
            counts = await self._inbox.counts(online)
            await asyncio.gather(*(self._publish(user, one) for user, one in zip(online, counts, strict=True)))

    async def _publish(self, user: str, counts: InboxCounts) -> None:
        channel = self._rules.personal_options(user)
        assert channel is not None, "only users with a personal channel are told"
        name, options = channel
        message = Publication(msgspec.json.encode(_Message(counts)))
        await self._pubsub.publish(name, message, publish_options(options, skip_history=True))

"""News of inboxes: a gateway tells of what it was asked for, a pusher of what arrives at last."""

from collections.abc import Callable

from broker.channels import ChannelRules
from broker.inbox_news import InboxNews
from heliograph.ground import Ground

__all__ = ["make_inbox_news"]


def make_inbox_news(ground: Ground, is_here: Callable[[str], bool]) -> InboxNews:
    """Make the component; `is_here` tells whether a user holds a connection to this process."""
    settings, engine = ground.settings, ground.engine
    rules = ChannelRules(settings.channel, settings.client.subscribe_to_user_personal_channel)
    return InboxNews(ground.store.inbox, engine.users, engine.pubsub, rules, ground.clock, is_here=is_here)

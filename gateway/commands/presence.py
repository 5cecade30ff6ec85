"""The commands `presence` and `presence_stats`: who is in a channel, or how many."""

from broker.channels import ChannelRules
from broker.presence import Presence
from gateway.auth.access import Access
from gateway.commands.answer import Answer, require_channel
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.forms import wire_info
from gateway.protocol.messages import PresenceRequest, PresenceResult, PresenceStatsResult
from gateway.session.client import Client

__all__ = ["AskPresence", "AskPresenceStats"]


class _PresenceCommand:
    def __init__(self, rules: ChannelRules, access: Access, presence: Presence) -> None:
        self._rules, self._access, self._presence = rules, access, presence

    def _check(self, client: Client, request: PresenceRequest) -> str:
        channel = require_channel(request.channel)
        options = self._rules.options(channel)
        if not options.presence:
            raise ClientError(errors.NOT_AVAILABLE)
        self._access.require(self._access.presence(client, channel, options), client, "presence", channel)
        return channel


class AskPresence(_PresenceCommand):
    """List who is there."""

    async def __call__(self, client: Client, request: PresenceRequest, answer: Answer) -> None:
        members = await self._presence.members(self._check(client, request))
        answer(PresenceResult({entry: wire_info(info) for entry, info in members.items()}))


class AskPresenceStats(_PresenceCommand):
    """Count who is there."""

    async def __call__(self, client: Client, request: PresenceRequest, answer: Answer) -> None:
        stats = await self._presence.stats(self._check(client, request))
        answer(PresenceStatsResult(stats.clients, stats.users))

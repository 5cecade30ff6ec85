"""The command `history`: a part of a channel's stream, at most the node's limit, and always its top."""

from broker.channels import ChannelRules, history_meta_ttl_s
from broker.history import History
from broker.model import Position
from gateway.auth.access import Access
from gateway.commands.answer import Answer, require_channel, wire_publications
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import HistoryRequest, HistoryResult
from gateway.session.client import Client

__all__ = ["AskHistory"]


class AskHistory:
    """Read a stream."""

    def __init__(self, rules: ChannelRules, access: Access, history: History, *, limit: int) -> None:
        self._rules, self._access, self._history, self._limit = rules, access, history, limit

    async def __call__(self, client: Client, request: HistoryRequest, answer: Answer) -> None:
        channel = require_channel(request.channel)
        options = self._rules.options(channel)
        if not options.has_history:
            raise ClientError(errors.NOT_AVAILABLE)
        self._access.require(self._access.history(client, channel, options), client, "history", channel)
        since = Position(request.since.offset, request.since.epoch) if request.since is not None else None
        if since is not None and request.reverse and since.offset == 0:
            raise ClientError(errors.BAD_REQUEST, "since.offset must be above 0 in reverse")
        limit = self._limit if request.limit < 0 else min(request.limit, self._limit)
        kept_s = history_meta_ttl_s(options)
        read = await self._history.read(channel, since=since, limit=limit, reverse=request.reverse, meta_ttl_s=kept_s)
        answer(HistoryResult(wire_publications(read.publications, client.wire.codec), read.top.epoch, read.top.offset))

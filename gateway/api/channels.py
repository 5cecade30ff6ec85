"""API methods about channels: `presence`, `presence_stats`, `history`, `history_remove`, `channels`."""

import base64
import re
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Raw

from broker.channels import ChannelRules, history_meta_ttl_s
from broker.control import Control
from broker.history import ALL, History
from broker.model import Position, Publication
from broker.presence import Presence
from config.settings import ChannelOptions
from gateway.api.errors import NOT_AVAILABLE, ApiFailure, bad_request
from gateway.api.messages import (
    ChannelInfo,
    ChannelRequest,
    ChannelsRequest,
    ChannelsResult,
    EmptyResult,
    HistoryApiResult,
    HistoryPublication,
    HistoryRequest,
    PresenceApiResult,
    PresenceStatsApiResult,
)
from gateway.api.method import Method
from gateway.protocol.forms import wire_info
from gateway.protocol.json_codec import is_json
from gateway.protocol.messages import NO_DATA

__all__ = ["channel_methods"]

_PATTERN_LENGTH: Final = 1024
_PATTERN_ALTERNATIVES: Final = 1000


class _Channels:
    def __init__(self, rules: ChannelRules, history: History, presence: Presence, control: Control) -> None:
        self._rules, self._history, self._presence, self._control = rules, history, presence, control

    async def presence(self, request: ChannelRequest) -> PresenceApiResult:
        """Tell which clients are subscribed to a channel."""
        self._with_presence(request.channel)
        members = await self._presence.members(request.channel)
        return PresenceApiResult({client: wire_info(info) for client, info in members.items()})

    async def presence_stats(self, request: ChannelRequest) -> PresenceStatsApiResult:
        """Count the clients and users that are subscribed to a channel."""
        self._with_presence(request.channel)
        stats = await self._presence.stats(request.channel)
        return PresenceStatsApiResult(stats.clients, stats.users)

    async def history(self, request: HistoryRequest) -> HistoryApiResult:
        """Read the publications that a channel keeps, and the top of its stream."""
        self._with_history(request.channel)
        since = Position(request.since.offset, request.since.epoch) if request.since is not None else None
        if since is not None and request.reverse and since.offset == 0:
            raise bad_request("since.offset must be above 0 in reverse")
        limit = ALL if request.limit < 0 else request.limit
        read = await self._history.read(
            request.channel,
            since=since,
            limit=limit,
            reverse=request.reverse,
            meta_ttl_s=history_meta_ttl_s(self._rules.options(request.channel)),
        )
        publications = [_past(publication) for publication in read.publications]
        return HistoryApiResult(publications, read.top.offset, read.top.epoch)

    async def history_remove(self, request: ChannelRequest) -> EmptyResult:
        """Forget the publications that a channel keeps."""
        self._with_history(request.channel)
        await self._history.remove(request.channel)
        return EmptyResult()

    async def channels(self, request: ChannelsRequest) -> ChannelsResult:
        """List the channels that have subscribers now."""
        globs = _alternatives(request.pattern)
        found = await self._control.channels()
        return ChannelsResult(
            {
                channel: ChannelInfo(clients)
                for channel, clients in found.items()
                if not request.pattern or any(fnmatchcase(channel, glob) for glob in globs)
            }
        )

    def _with_presence(self, channel: str) -> None:
        if not self._options(channel).presence:
            raise ApiFailure(NOT_AVAILABLE)

    def _with_history(self, channel: str) -> None:
        if not self._options(channel).has_history:
            raise ApiFailure(NOT_AVAILABLE)

    def _options(self, channel: str) -> ChannelOptions:
        if not channel:
            raise bad_request("channel must not be empty")
        return self._rules.options(channel)


def _past(publication: Publication) -> HistoryPublication:
    is_text = is_json(publication.data)
    return HistoryPublication(
        data=Raw(publication.data) if is_text else NO_DATA,
        b64data="" if is_text else base64.b64encode(publication.data).decode(),
        info=wire_info(publication.info) if publication.info is not None else None,
        offset=publication.offset,
        tags=dict(publication.tags),
    )


def _alternatives(pattern: str) -> list[str]:
    """Expand `{a,b}` of a glob, which the standard library's does not know; one level, as the API documents."""
    if len(pattern) > _PATTERN_LENGTH:
        raise bad_request(f"pattern must be at most {_PATTERN_LENGTH} characters")
    globs = [""]
    for index, part in enumerate(re.split(r"\{([^{}]*)\}", pattern)):
        choices = part.split(",") if index % 2 else [part]
        globs = [before + choice for before in globs for choice in choices]
        if len(globs) > _PATTERN_ALTERNATIVES:
            raise bad_request(f"pattern must not stand for more than {_PATTERN_ALTERNATIVES} alternatives")
    return globs


def channel_methods(rules: ChannelRules, history: History, presence: Presence, control: Control) -> list[Method]:
    """Make the methods of this group."""
    group = _Channels(rules, history, presence, control)
    return [
        Method("presence", ChannelRequest, group.presence, group="Channels"),
        Method("presence_stats", ChannelRequest, group.presence_stats, group="Channels"),
        Method("history", HistoryRequest, group.history, group="Channels"),
        Method("history_remove", ChannelRequest, group.history_remove, group="Channels"),
        Method("channels", ChannelsRequest, group.channels, group="Channels"),
    ]

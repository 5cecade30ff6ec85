"""API methods about who is let in: `block_user`, `unblock_user`, `revoke_token`, `invalidate_user_tokens`.

Each first tells the port Revocation, so that nobody comes in any more, then the nodes, so that those who are in go.
"""

import math
from collections.abc import Awaitable

from broker.control import Command, Control, Disconnect, Distrust, Selector
from broker.revocation import Revocation
from config.clock import Clock
from gateway.api.errors import bad_request
from gateway.api.messages import (
    BlockUserRequest,
    EmptyResult,
    InvalidateUserTokensRequest,
    RevokeTokenRequest,
    UnblockUserRequest,
)
from gateway.api.method import Method
from gateway.protocol import disconnects

__all__ = ["trust_methods"]


class _Trust:
    def __init__(self, revocation: Revocation, control: Control, clock: Clock) -> None:
        self._revocation, self._control, self._clock = revocation, control, clock

    async def block_user(self, request: BlockUserRequest) -> EmptyResult:
        """Keep a user out: connections are closed with 3507, and connecting is answered with it."""
        _require(request.user, "user")
        until, reason = _until(request.expire_at), disconnects.PERMISSION_DENIED
        leaving = Disconnect(Selector(request.user), reason.code, reason.reason)
        await self._say(self._revocation.block_user(request.user, until=until), until, leaving)
        return EmptyResult()

    async def unblock_user(self, request: UnblockUserRequest) -> EmptyResult:
        """Let a user in again; one who was not blocked is no error."""
        _require(request.user, "user")
        await self._revocation.unblock_user(request.user)
        return EmptyResult()

    async def revoke_token(self, request: RevokeTokenRequest) -> EmptyResult:
        """Take one token out of use.

        A connection that it opened is closed with 3014, a subscription that it gave ends with 2502, and using it again is
        answered with 109, so that SDKs fetch a fresh one.
        """
        _require(request.uid, "uid")
        until = _until(request.expire_at)
        await self._say(self._revocation.revoke_token(request.uid, until=until), until, Distrust(token_id=request.uid))
        return EmptyResult()

    async def invalidate_user_tokens(self, request: InvalidateUserTokensRequest) -> EmptyResult:
        """Take a user's older tokens out of use, with the same effects as `revoke_token`."""
        _require(request.user, "user")
        issued_before = float(request.issued_before or math.ceil(self._now()))
        until = _until(request.expire_at)
        word = self._revocation.revoke_user_tokens(
            request.user, issued_before=issued_before, until=until, channel=request.channel
        )
        await self._say(word, until, Distrust(user=request.user, issued_before=issued_before, channel=request.channel))
        return EmptyResult()

    async def _say(self, word: Awaitable[None], until: float, command: Command) -> None:
        """Tell the nodes also where a word could not be kept: the engine may have taken it, and it will be said again."""
        try:
            await word
        finally:
            if until > self._now():
                await self._control.send(command)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _require(value: str, field: str) -> None:
    if not value:
        raise bad_request(f"{field} must not be empty")


def _until(expire_at: int) -> float:
    return float(expire_at) if expire_at else math.inf


def trust_methods(revocation: Revocation, control: Control, clock: Clock) -> list[Method]:
    """Make the methods of this group."""
    group = _Trust(revocation, control, clock)
    return [
        Method("block_user", BlockUserRequest, group.block_user, group="Trust"),
        Method("unblock_user", UnblockUserRequest, group.unblock_user, group="Trust"),
        Method("revoke_token", RevokeTokenRequest, group.revoke_token, group="Trust"),
        Method("invalidate_user_tokens", InvalidateUserTokensRequest, group.invalidate_user_tokens, group="Trust"),
    ]

"""The API method `user_erase`: what is kept of one person goes."""

from typing import Annotated

import msgspec
from msgspec import Meta

from broker.erasure import Erasure
from broker.errors import BadInput
from config.logs import get_logger
from gateway.api.method import Method

__all__ = ["UserEraseRequest", "erasure_methods"]

_log = get_logger()


class UserEraseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names the person."""

    user: Annotated[str, Meta(description="Id of the user.")]


class UserEraseResult(msgspec.Struct):
    """How many rows went, by what they were, such as `devices`, `notifications`, `entries`; only what there was."""

    removed: dict[str, int]


def erasure_methods(erasure: Erasure) -> list[Method]:
    """Make the methods of this group."""
    return [Method("user_erase", UserEraseRequest, _Desk(erasure).erase, is_strict=True, group="Users")]


class _Desk:
    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    async def erase(self, request: UserEraseRequest) -> UserEraseResult:
        """Remove a user's devices, preferences, notifications and all that belongs to them; what is pending ends.

        So do escalations to others that are pending; one that has ended is a notification of whoever it went to.
        Histories of channels and connections are not touched: see `history_remove` and `disconnect`.
        """
        if not request.user:
            raise BadInput("user", "must not be empty")
        removed = dict(await self._erasure.erase(request.user))
        _log.warning("user.erased", **removed)  # the trace that it was done; it must not name the person
        return UserEraseResult(removed)

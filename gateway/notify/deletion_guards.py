"""API methods about guards that keep devices: `deletion_guard_list`, `deletion_guard_open`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from broker.deletion_guards import DeletionGuards
from broker.errors import BadInput
from config.logs import get_logger
from gateway.api.method import Method

__all__ = ["DeletionGuardListRequest", "DeletionGuardOpenRequest", "deletion_guard_methods"]

_log = get_logger()


class DeletionGuardListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks where devices are being kept."""


class DeletionGuardItem(msgspec.Struct):
    """A guard that is closed: of a provider or one of its apps, in one process; `closed_at` in Unix seconds."""

    provider: str
    worker: str
    closed_at: float
    kept: int


class DeletionGuardListResult(msgspec.Struct):
    """The guards that are closed."""

    items: list[DeletionGuardItem]


class DeletionGuardOpenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Says that a provider's answers are true."""

    provider: Annotated[str, Meta(description="As `deletion_guard_list` tells it, such as `apns` or `apns:kiosk`.")]


class DeletionGuardOpenResult(msgspec.Struct):
    """How many guards will open, within some seconds."""

    num_guards: int


def deletion_guard_methods(guards: DeletionGuards) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(guards)
    return [
        Method("deletion_guard_list", DeletionGuardListRequest, desk.list, is_strict=True, group="Devices"),
        Method("deletion_guard_open", DeletionGuardOpenRequest, desk.open, is_strict=True, group="Devices"),
    ]


class _Desk:
    def __init__(self, guards: DeletionGuards) -> None:
        self._guards = guards

    async def list(self, _request: DeletionGuardListRequest) -> DeletionGuardListResult:
        """List where devices are kept because a provider calls too many of them gone."""
        closed = await self._guards.closed()
        return DeletionGuardListResult(
            [DeletionGuardItem(one.carrier, one.worker, round(one.closed_at.timestamp(), 3), one.kept) for one in closed]
        )

    async def open(self, request: DeletionGuardOpenRequest) -> DeletionGuardOpenResult:
        """Believe a provider again: devices that it calls gone are removed, however many, for one window at least."""
        if not request.provider:
            raise BadInput("provider", "must not be empty")
        count = await self._guards.trust(request.provider)
        _log.warning("deletion_guard.trusted", provider=request.provider, guards=count)
        return DeletionGuardOpenResult(count)

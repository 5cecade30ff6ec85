"""What a user did with a notification: seen, read, dismissed, clicked. Any of it is an ack, and says more than one."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from broker.confirmations import Mark
from broker.errors import BadInput
from broker.inbox_news import InboxChanged, nobody_asks
from broker.ledger import Notifications
from gateway.api.method import Method
from gateway.commands.rpc import RpcMethod
from gateway.notify.messages import Done
from gateway.notify.rpc import user_method

__all__ = ["ConfirmationService", "MarkRequest", "confirmation_methods", "confirmation_rpc_methods"]

_GROUP: Final = "Notifications"


class MarkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Says what the user did with a notification."""

    id: Annotated[str, Meta(description="Id of the notification, as `notify` gave it.")]
    user: Annotated[str, Meta(description="Id of the user.", extra={"is_required": True})] = ""


class ConfirmationService:
    """One method per mark; each may be repeated, and only the first moment counts."""

    def __init__(self, ledger: Notifications, changed: InboxChanged = nobody_asks) -> None:
        self._ledger, self._changed = ledger, changed

    async def seen(self, request: MarkRequest) -> Done:
        """Record that the user saw it; every later step is off."""
        return await self._leave(request, Mark.SEEN)

    async def read(self, request: MarkRequest) -> Done:
        """Record that the user read it; every later step is off."""
        return await self._leave(request, Mark.READ)

    async def dismissed(self, request: MarkRequest) -> Done:
        """Record that the user swept it away; every later step is off."""
        return await self._leave(request, Mark.DISMISSED)

    async def clicked(self, request: MarkRequest) -> Done:
        """Record that the user opened it or its link; every later step is off."""
        return await self._leave(request, Mark.CLICKED)

    async def _leave(self, request: MarkRequest, mark: Mark) -> Done:
        if not request.user:
            raise BadInput("user", "must not be empty")
        await self._ledger.acknowledge(request.id, request.user, mark)
        self._changed((request.user,))
        return Done()


def confirmation_methods(service: ConfirmationService) -> list[Method]:
    """Make the methods of the API."""
    return [
        Method("notification_seen", MarkRequest, service.seen, is_strict=True, group=_GROUP),
        Method("notification_read", MarkRequest, service.read, is_strict=True, group=_GROUP),
        Method("notification_dismissed", MarkRequest, service.dismissed, is_strict=True, group=_GROUP),
        Method("notification_clicked", MarkRequest, service.clicked, is_strict=True, group=_GROUP),
    ]


def confirmation_rpc_methods(service: ConfirmationService) -> Mapping[str, RpcMethod]:
    """Make those of the connected user."""
    return {
        "notification.seen": user_method(MarkRequest, service.seen),
        "notification.read": user_method(MarkRequest, service.read),
        "notification.dismissed": user_method(MarkRequest, service.dismissed),
        "notification.clicked": user_method(MarkRequest, service.clicked),
    }

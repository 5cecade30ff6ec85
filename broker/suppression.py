"""Port: addresses that are left alone, because they bounced for good, or whoever has them complained."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from broker.device_tokens import check_token
from broker.errors import BadInput
from broker.notification import Provider

__all__ = ["SUPPRESSIBLE", "Feedback", "Suppressed", "Suppression", "SuppressionReason", "check_suppressed"]

# Whose addresses outlive a device: the others' tokens are removed when they are dead.
SUPPRESSIBLE: Final = (Provider.EMAIL, Provider.SMS)


class SuppressionReason(StrEnum):
    """Why an address is left alone."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


class Suppressed(msgspec.Struct, frozen=True):
    """An address that is left alone. Mail addresses are compared without regard to case."""

    provider: Provider
    address: str
    reason: SuppressionReason
    at: datetime
    detail: str = ""


class Feedback(msgspec.Struct, frozen=True):
    """What a provider says of an address later on, perhaps of a certain notification."""

    suppressed: Suppressed
    notification_id: str = ""


class Suppression(Protocol):
    """The list. All methods raise `StoreUnavailable`."""

    async def add(self, feedback: Sequence[Feedback]) -> None:
        """Put addresses on the list, all or none; what is on it already keeps its first reason.

        Where a notification is named that is known, its timeline gets a line, also if it has ended.
        """

    async def remove(self, provider: Provider, address: str) -> bool:
        """Take an address off; False when it was not on the list."""

    async def find(self, provider: str = "", *, after: str = "", limit: int) -> Sequence[Suppressed]:
        """List by provider and address, at most `limit`, beginning behind `after`, which is `<provider> <address>`."""


def check_suppressed(provider: str, address: str, field: str) -> tuple[Provider, str]:
    """Hold an address against the rules of its provider; gives it as it is compared.

    Raises:
        BadInput: Naming the field and the rule.
    """
    if provider not in SUPPRESSIBLE:
        raise BadInput("provider", f"must be one of {', '.join(SUPPRESSIBLE)}")
    kind = Provider(provider)
    try:
        return kind, check_token(kind, address).lower()
    except BadInput as exc:
        raise BadInput(field, str(exc).partition(": ")[2] or "is no address") from None

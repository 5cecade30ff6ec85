"""From a request to notify to a draft whose templates are pinned; the same for users that are named and for audiences."""

import hashlib
from typing import Final

import msgspec

from broker.errors import BadInput
from broker.notification import Draft
from config.correlation import CORRELATION_ID
from config.settings import NotificationSettings
from config.tracing import stored
from gateway.notify.draft import draft_of
from gateway.notify.messages import NotifyRequest
from gateway.notify.wording import Wording, names_templates

__all__ = ["Drafting", "fingerprint_of"]

_ENCODER: Final = msgspec.json.Encoder()


class Drafting:
    """Makes drafts; without `wording` requests that name templates are refused."""

    def __init__(self, settings: NotificationSettings, wording: Wording | None = None) -> None:
        self._settings, self._wording = settings, wording

    async def draft(self, request: NotifyRequest, *, for_audience: bool = False) -> Draft:
        """Check a request, fill in the defaults, and pin what it names.

        Args:
            for_audience: It is told to whoever belongs to an audience, and so names no users.
        Raises:
            BadInput: Naming the field and the rule.
            StoreUnavailable: Nothing is known.
        """
        draft = draft_of(request, self._settings, CORRELATION_ID.get(), for_audience=for_audience)
        if trace := stored():
            draft = msgspec.structs.replace(draft, trace=trace)
        if names_templates(request):
            if self._wording is None:
                raise BadInput("template", "templates are not available here")
            draft = await self._wording.pin(request, draft)
        return draft


def fingerprint_of(request: msgspec.Struct) -> bytes:
    """Tell requests with one idempotency key apart."""
    return hashlib.sha256(_ENCODER.encode(request)).digest()

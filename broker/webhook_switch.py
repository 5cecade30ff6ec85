"""Port: whether the status webhook is still tried, or was switched off because it failed for too long (N-28).

What is noted here is shared by all processes and outlives them: a webhook that is off stays off over restarts, until it is
switched on by an operator or gets other settings.
"""

from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["WebhookState", "WebhookSwitch"]


class WebhookState(msgspec.Struct, frozen=True):
    """How the webhook stands.

    Attributes:
        failing_since: When the first of its failures in a row was; None while it works.
        disabled_at: When it was switched off; None while it is on.
        cause: What the last failure was.
        has_begun: False where no process has ever begun with settings of one: then there is none.
    """

    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    cause: str = ""
    has_begun: bool = True


class WebhookSwitch(Protocol):
    """The switch. All methods raise `StoreUnavailable`."""

    async def begin(self, fingerprint: str) -> WebhookState:
        """Begin with settings, told by a digest of them: what was noted under other ones is forgotten."""

    async def state(self) -> WebhookState:
        """Look."""

    async def failed(self, cause: str, *, disable_after_s: float, gap_s: float) -> WebhookState:
        """Note a failure, and switch it off where failures in a row have lasted for long enough.

        Args:
            disable_after_s: For so long; 0 never switches it off.
            gap_s: A failure that comes so long after the one before begins a new row: nothing was tried in between, so
                nothing is known of that time.
        """

    async def succeeded(self) -> None:
        """Note that it works: what failed before is forgotten, and it is on."""

    async def enable(self) -> bool:
        """Switch it on, as if it had never failed; tells whether it was off."""

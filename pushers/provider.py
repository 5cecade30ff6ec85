"""Port: a provider, or one app of it, takes one notification to one address."""

from datetime import datetime
from typing import Protocol

from broker.notification import Device, Notification
from pushers.outcome import SendOutcome

__all__ = ["Provider"]


class Provider(Protocol):
    """A way out. It never sleeps on a retry and never repeats by itself: time belongs to the pipeline."""

    @property
    def name(self) -> str:
        """Which carrier this is: a provider's name, or that of one of its apps as "apns:kiosk"."""

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        """Try once. Bounded by the provider's timeout; raises nothing but `CancelledError`.

        The request carries the notification's id as its handle, so that a repeat replaces instead of doubling where the
        provider can do that. `now` gives the remaining time to live.
        """

    async def close(self) -> None:
        """Close all connections; calls under way are cut off."""

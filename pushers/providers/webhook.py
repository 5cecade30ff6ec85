"""Webhooks: a notification posted to an address, signed. The address is the operator's, or one that a device names.

What a device names is a URL from outside: `egress` says whether it may be called. So is the one that a notification brings with
it, which is called also where all others go to the operator's address; without an allow-list it may be any public host.
"""

from datetime import datetime

from broker.notification import URL_DEVICE, Device, Notification
from broker.notification import Provider as ProviderName
from config.egress import Forbidden, Pins, Unresolved, check_endpoint
from config.provider_settings import WebhookSettings
from pushers.outcome import DropMessage, Retry, SendOutcome
from pushers.payloads.webhook import compose_hook
from pushers.providers import errors
from pushers.providers.failures import outcome_of
from pushers.providers.http import HttpTransport
from pushers.providers.signed_hook import build_signed, classify_hook

__all__ = ["WebhookProvider"]


class WebhookProvider:
    """Posts to the one address of the settings, or to what devices name within the allow-list."""

    def __init__(self, settings: WebhookSettings, secrets: tuple[str, ...], transport: HttpTransport, pins: Pins) -> None:
        self._settings, self._secrets, self._transport, self._pins = settings, secrets, transport, pins

    @property
    def name(self) -> ProviderName:
        return ProviderName.WEBHOOK

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        settings = self._settings
        own_url = settings.url if device.id != URL_DEVICE else ""
        body = compose_hook(notification, device)
        try:
            request = build_signed(
                own_url or device.token,
                body,
                secrets=self._secrets,
                now=now,
                timeout_s=settings.timeout,
                pinned=() if own_url else await self._guard(device.token),
            )
            response = await self._transport.request(request)
        except Forbidden as exc:
            return DropMessage(str(exc))
        except Unresolved as exc:
            return Retry(str(exc), scope="device", is_failure=False)
        except errors.TransportError as exc:
            return outcome_of(exc)
        return classify_hook(response, now=now, size_bytes=len(body), is_ours=bool(own_url))

    async def close(self) -> None:
        await self._pins.close()
        await self._transport.close()

    async def _guard(self, url: str) -> tuple[str, ...]:
        """Look whether a device's address may be called, and pin where it leads."""
        endpoint = check_endpoint(url, self._settings.allowed_hosts or ("*",))
        return () if self._settings.connect_to else await self._pins.pin(endpoint.host)

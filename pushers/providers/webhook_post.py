"""Posts to a status webhook over the one HTTP transport, within the egress rules."""

from config.clock import Clock
from config.egress import Forbidden, Pins, Unresolved
from pushers.providers import errors
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest
from pushers.providers.retry_after import parse_retry_after
from pushers.providers.webhook_target import WebhookTarget
from pushers.status_webhooks import Answer

__all__ = ["WebhookPost"]


class WebhookPost:
    """Implements `pushers.status_webhooks.Post` for one target."""

    def __init__(self, target: WebhookTarget, transport: HttpTransport, clock: Clock, *, timeout_s: float) -> None:
        self._target, self._transport, self._clock, self._timeout_s = target, transport, clock, timeout_s
        self._pins = Pins(clock)

    async def __call__(self, headers: dict[str, str], body: bytes) -> Answer:
        try:
            pinned = await self._target.pinned(self._pins)
            reply = await self._transport.request(HttpRequest(self._target.url, headers, body, self._timeout_s, pinned))
        except (Forbidden, Unresolved, errors.TransportError) as exc:
            return Answer(0, str(exc))
        return Answer(reply.status, "", parse_retry_after(reply.header("retry-after"), self._clock.now()))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()
        await self._pins.close()

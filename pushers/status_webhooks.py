"""The duty of telling the application what became of its notifications: signed requests, repeated until they are taken.

A request carries several events, each of another notification, and no two requests are under way at once; so events of one
notification arrive in order. Where a receiver refuses a request for what is in it (4xx), its events are sent one by one, so
that one which the receiver cannot read holds back no other's. While requests fail, the pauses between them grow; where nothing
was taken for days, the webhook is switched off for all processes, and events are given up as they grow too old.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from broker.status_events import PendingEvent, StatusEvents
from broker.webhook_switch import WebhookState, WebhookSwitch
from config.clock import Clock
from config.logs import get_logger
from config.operation_settings import StatusWebhookSettings
from pushers.duties import Duty
from pushers.retry import clamp_after_s

__all__ = ["Answer", "Post", "StatusWebhooks", "sign"]

_log = get_logger()

_IDLE_S: Final = 1.0
_BASE_S: Final = 5.0
_CAP_S: Final = 3600.0
_LONGEST_PAUSE_S: Final = 60.0
# How often the switch is looked at, which other processes and operators move as well.
_LOOK_S: Final = 5.0
_GIVEN_UP_AT_ONCE: Final = 500


class Answer(msgspec.Struct, frozen=True):
    """What a receiver said: a status (0 for none, with the cause), and when it wants to be asked again."""

    status: int
    cause: str = ""
    after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_about_content(self) -> bool:
        """Whether it refuses what is in the request, rather than being unable now."""
        return 400 <= self.status < 500 and self.status not in (401, 403, 404, 408, 410, 425, 429)


class Post(Protocol):
    """Makes a request; never raises but when cancelled."""

    async def __call__(self, headers: dict[str, str], body: bytes) -> Answer: ...


def sign(secrets: Sequence[str], timestamp: int, body: bytes) -> str:
    """Write the signatures of a request: `v1=` and the HMAC-SHA256 of `<timestamp>.<body>` in hex, one for each secret."""
    signed = b"%d.%b" % (timestamp, body)
    return ",".join(f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets)


class StatusWebhooks:
    """Claims events, posts them, and writes down what came of them.

    Args:
        switch: Whether that is to be done at all.
        count: Told how many events ended as `delivered`, `retried` or `given_up`.
    """

    def __init__(
        self,
        events: StatusEvents,
        switch: WebhookSwitch,
        post: Post,
        settings: StatusWebhookSettings,
        clock: Clock,
        *,
        count: Callable[[str, int], None] = lambda _outcome, _number: None,
    ) -> None:
        self._events, self._switch, self._post, self._settings = events, switch, post, settings
        self._clock, self._count = clock, count
        self._secrets = [secret.get_secret_value() for secret in settings.secrets if secret.get_secret_value()]
        self._failures = 0
        self._state = WebhookState()
        self._look_at = -math.inf

    @property
    def is_disabled(self) -> bool:
        """Whether it was switched off, as far as this process knows."""
        return self._state.disabled_at is not None

    @property
    def concern(self) -> str:
        """What an operator should know of; empty for nothing."""
        if self._state.disabled_at is None:
            return ""
        at = f"{self._state.disabled_at:%Y-%m-%dT%H:%M:%SZ}"
        return f"the status webhook is off since {at}, after {self._state.cause}: status_webhook_enable switches it on"

    def duty(self) -> Duty:
        """Make the duty."""
        return Duty("status_webhooks", self.work)

    async def work(self) -> float:
        """Deliver what is due, once; tells in how many seconds to look again."""
        await self._look()
        if self.is_disabled:
            return await self._give_up_old()
        # Long enough for a request with all, and one for each of them after a refusal.
        lease_s = self._settings.timeout * (self._settings.batch_size + 2)
        claimed = await self._events.claim(
            limit=self._settings.batch_size, lease_until=self._clock.now() + timedelta(seconds=lease_s)
        )
        if not claimed:
            return _IDLE_S
        answer = await self._send(claimed)
        if not answer.is_about_content or len(claimed) == 1:
            await self._settle(claimed, answer)
            await self._note(answer, is_any_taken=answer.is_taken)
            return self._pause_s(answer)
        is_any_taken = False
        for index, event in enumerate(claimed):
            answer = await self._send([event])
            is_any_taken |= answer.is_taken
            if not (answer.is_taken or answer.is_about_content):  # it went away meanwhile
                await self._settle(claimed[index:], answer)
                break
            await self._settle([event], answer)
        await self._note(answer, is_any_taken=is_any_taken)
        return self._pause_s(answer)

    async def _look(self) -> None:
        """Learn how the switch stands, now and then."""
        if (now := self._clock.monotonic()) < self._look_at:
            return
        is_first = self._look_at == -math.inf
        self._state = await (self._switch.begin(self._fingerprint()) if is_first else self._switch.state())
        self._look_at = now + _LOOK_S

    async def _note(self, answer: Answer, *, is_any_taken: bool) -> None:
        """Tell the switch how a round went; it is not touched while all goes well."""
        if is_any_taken:
            if self._state.failing_since is not None:
                await self._switch.succeeded()
                self._state = WebhookState()
            return
        settings = self._settings
        cause = answer.cause or f"status {answer.status}"
        self._state = await self._switch.failed(cause, disable_after_s=settings.disable_after, gap_s=settings.give_up_after)
        if self.is_disabled:
            _log.error("status_webhook.disabled", cause=cause)

    async def _give_up_old(self) -> float:
        """While it is off, let go of what would not be told any more if it were on."""
        due_before = self._clock.now() - timedelta(seconds=self._settings.give_up_after)
        count = await self._events.give_up(due_before=due_before, limit=_GIVEN_UP_AT_ONCE)
        self._count("given_up", count)
        return _IDLE_S if count >= _GIVEN_UP_AT_ONCE else _LOOK_S

    def _fingerprint(self) -> str:
        """Digest the settings, so that others are known from these without being told them."""
        settings = self._settings
        told = [settings.url, settings.ca_file, *settings.private_hosts, *self._secrets]
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()

    async def _send(self, events: Sequence[PendingEvent]) -> Answer:
        body = b'{"events":[%b]}' % b",".join(event.body for event in events)
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "content-type": "application/json",
            "heliograph-timestamp": str(timestamp),
            "heliograph-signature": sign(self._secrets, timestamp, body),
        }
        return await self._post(headers, body)

    async def _settle(self, events: Sequence[PendingEvent], answer: Answer) -> None:
        if answer.is_taken:
            await self._events.settle(delivered=events)
            self._count("delivered", len(events))
            return
        now = self._clock.now()
        too_old = now - timedelta(seconds=self._settings.give_up_after)
        given_up = [event for event in events if event.created_at <= too_old]
        retried = [(event, self._next_at(event, answer, now)) for event in events if event.created_at > too_old]
        _log.warning(
            "status_webhook.failed",
            status=answer.status,
            cause=answer.cause,
            retried=len(retried),
            given_up=len(given_up),
        )
        await self._events.settle(retried=retried, given_up=given_up)
        self._count("retried", len(retried))
        self._count("given_up", len(given_up))

    def _next_at(self, event: PendingEvent, answer: Answer, now: datetime) -> datetime:
        wait_s = min(_CAP_S, _BASE_S * 2.0 ** min(event.attempt - 1, 20)) * (0.5 + self._clock.spread() / 2)
        if answer.after_s is not None:
            wait_s = clamp_after_s(answer.after_s)
        return now + timedelta(seconds=wait_s)

    def _pause_s(self, answer: Answer) -> float:
        """Go on at once where it goes well; while it does not, look more and more rarely."""
        if answer.is_taken or answer.is_about_content:
            self._failures = 0
            return 0.0
        self._failures += 1
        return min(_LONGEST_PAUSE_S, _IDLE_S * 2.0 ** min(self._failures - 1, 10))

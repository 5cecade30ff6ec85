"""Email: one mail to one mailbox, handed to a relay by SMTP (RFC 5321; enhanced status codes of RFC 3463)."""

import asyncio
import re
from datetime import datetime
from typing import Final

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.settings import EmailSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.dkim import DkimSigner
from pushers.payloads.email import compose_email
from pushers.providers import errors
from pushers.providers.failures import outcome_of
from pushers.providers.smtp_pool import SmtpPool, SmtpReply

__all__ = ["EmailProvider", "build", "classify"]

_GREYLIST_S: Final = 60.0
_MAILBOX_FULL_S: Final = 3600.0
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\b")
_CREDENTIALS: Final = frozenset({454, 530, 534, 535, 538})
_NO_MAILBOX: Final = frozenset({"5.1.1", "5.1.6", "5.1.10", "5.2.1"})
_TOO_LARGE: Final = frozenset({"5.3.4", "5.2.3"})


class EmailProvider:
    """Hands mails to one relay, signed where it does not sign by itself."""

    def __init__(self, settings: EmailSettings, pool: SmtpPool, signer: DkimSigner | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._signer = signer

    @property
    def name(self) -> ProviderName:
        return ProviderName.EMAIL

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        content = build(notification, device, settings=self._settings)
        if isinstance(content, DropMessage):
            return content
        content = await self._signed(content, now)
        timeout_s = self._settings.timeout
        try:
            reply = await self._pool.deliver(self._settings.sender, device.token, content, timeout_s=timeout_s)
        except errors.TransportError as exc:
            return outcome_of(exc)
        return classify(reply, now=now, size_bytes=len(content))

    async def close(self) -> None:
        await self._pool.close()

    async def _signed(self, content: bytes, now: datetime) -> bytes:
        signer, timestamp = self._signer, int(now.timestamp())
        if signer is None:
            return content
        if signer.is_slow:
            return await asyncio.to_thread(signer.sign, content, timestamp=timestamp)
        return signer.sign(content, timestamp=timestamp)


def build(notification: Notification, device: Device, *, settings: EmailSettings) -> bytes | DropMessage:
    """Write the mail as it goes over the wire."""
    return compose_email(notification, device, sender=settings.sender, sender_name=settings.sender_name)


def classify(reply: SmtpReply, *, now: datetime, size_bytes: int = 0) -> SendOutcome:
    """Decide what a reply means: by the enhanced status where there is one, else by the code.

    Reasons hold the codes alone: relays repeat addresses in their texts.
    """
    found = _ENHANCED.match(reply.text.strip())
    enhanced = found[1] if found else ""
    reason = f"{reply.code} {enhanced}".strip()
    if 200 <= reply.code < 300:
        return Accepted(reply.text[:200])
    if reply.code == 421:
        return Retry(reason, is_failure=False)  # it says that it is busy, which is not being broken
    if reply.code in _CREDENTIALS or enhanced.endswith(".7.8"):
        return ConfigPause(reason)
    if 400 <= reply.code < 500:
        return Retry(reason, _GREYLIST_S, is_failure=False)
    if reply.stage in ("connect", "sender"):
        return ConfigPause(reason)  # said before any recipient was named: it is about us
    if enhanced in _NO_MAILBOX:
        return DropDevice(reason, now)
    if enhanced in _TOO_LARGE or (reply.code == 552 and reply.stage == "data" and not enhanced):
        return TooLarge(size_bytes)
    if reply.code == 552 and enhanced in ("", "5.2.2"):
        return Retry(reason, _MAILBOX_FULL_S, is_failure=False)
    return DropMessage(reason)

"""Keeps a carrier's credentials up to date: what stands in files is read again when the files change, without a restart.

A carrier is built from settings and files. When a file has changed a second provider is built beside the first; if that works
it takes over, and the first is closed once its last call has ended. If it does not, the first stays and the log says why.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from broker.notification import Device, Notification
from config.certificates import BadCertificate, certificate_ends_at
from config.file_prints import FilePrint, look_at
from config.logs import get_logger
from pushers.duties import Duty
from pushers.outcome import SendOutcome
from pushers.provider import Provider
from pushers.providers.credentials import Unusable

__all__ = ["Carrier", "credential_watch"]

_log = get_logger()

_INTERVAL_S: Final = 15.0


class _Built:
    """A provider in service, and how many calls it has under way."""

    __slots__ = ("calls", "is_replaced", "provider")

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.calls = 0
        self.is_replaced = False


class Carrier:
    """A provider or one of its apps, under its own name.

    Args:
        name: Such as "apns" or "apns:kiosk".
        path: Where its settings stand, for the log.
        build: Makes the provider from settings and files; raises `Unusable`.
        files: What the credentials stand in.
        cert_file: The one of them that is shown as a certificate; empty for none.
    """

    def __init__(
        self,
        name: str,
        path: str,
        build: Callable[[], Provider],
        files: Sequence[Path],
        first: Provider,
        *,
        prints: Sequence[FilePrint],
        cert_file: str = "",
    ) -> None:
        self.name, self.path = name, path
        self._build, self._files = build, tuple(files)
        self._current = _Built(first)
        self._old: set[_Built] = set()
        self._prints = tuple(prints)
        self.problem = ""
        self._cert_file = cert_file
        self.ends_at = self._look_when_it_ends()

    @property
    def is_renewable(self) -> bool:
        """Whether anything could change."""
        return bool(self._files)

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        built = self._current
        built.calls += 1
        try:
            return await built.provider.send(notification, device, now=now)
        finally:
            built.calls -= 1
            if built.is_replaced and not built.calls:
                await self._retire(built)

    async def close(self) -> None:
        for built in (self._current, *self._old):
            await built.provider.close()
        self._old.clear()

    async def renew(self) -> bool:
        """Look whether the files have changed, and take over what they say; tells whether it did.

        `problem` says afterwards why not, where they have changed and cannot be used.
        """
        prints = await asyncio.to_thread(look_at, self._files)
        if prints == self._prints:
            return False
        self._prints = prints
        try:
            provider = await asyncio.to_thread(self._build)
            self.ends_at = await asyncio.to_thread(self._look_when_it_ends)
        except Unusable as exc:
            self.problem = f"{self.path}.{exc}"
            _log.error("credentials.unusable", carrier=self.name, reason=str(exc), kept="the former ones")
            return False
        self.problem = ""
        former, self._current = self._current, _Built(provider)
        former.is_replaced = True
        self._old.add(former)
        _log.info("credentials.renewed", carrier=self.name)
        if not former.calls:
            await self._retire(former)
        return True

    def _look_when_it_ends(self) -> float | None:
        """Read when the certificate ends, in Unix seconds; None without one, or where curl alone can read it."""
        try:
            return certificate_ends_at(self._cert_file) if self._cert_file else None
        except BadCertificate:
            return None

    async def _retire(self, built: _Built) -> None:
        if built in self._old:
            self._old.discard(built)
            await built.provider.close()


def credential_watch(carriers: Sequence[Carrier], renewed: Callable[[str], None]) -> Duty:
    """Make the duty of looking at all files; `renewed` hears the name of each carrier that has new credentials."""
    watched = [carrier for carrier in carriers if carrier.is_renewable]

    async def look() -> float:
        for carrier in watched:
            try:
                if await carrier.renew():
                    renewed(carrier.name)
            except Exception:  # the edge of a look: an error of ours in one must not keep the others from being looked at
                _log.exception("credentials.broke", carrier=carrier.name)
        return _INTERVAL_S

    return Duty("credentials", look)

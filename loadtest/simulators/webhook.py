"""Whoever a webhook belongs to: takes signed notifications at any address.

The word in an address decides, as with mailboxes: `unregistered` is gone, `busy` is busy once, `refused` never takes anything.
Not modelled: redirects, and receivers that are slow by themselves (fault rules answer so where a test wants it).
"""

import json
from typing import Any

import msgspec

from config.clock import Clock
from loadtest.simulators.exchange import ProviderName, Reply, Request, come_back
from loadtest.simulators.fates import Fate, Fates, fate_of_word
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.signed import Unsigned, read_signed

__all__ = ["WebhookService"]


class WebhookService:
    """Checks signatures and records what is told."""

    name: ProviderName = "webhook"

    def __init__(self, secret: str, outbox: Outbox, clock: Clock) -> None:
        self._secret = secret
        self._outbox = outbox
        self._clock = clock
        self.fates = Fates()

    def address_of(self, request: Request) -> str:
        try:
            told = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return request.path
        return str(told.get("to", request.path)) if isinstance(told, dict) else request.path

    def take(self, request: Request) -> Reply:
        try:
            told = read_signed(request, self._secret, now=self._clock.now().timestamp())
        except Unsigned as exc:
            return self.error(exc.status, exc.reason)
        address = str(told.get("to", ""))
        match self.fates.settle(address, fate_of_word(address)):
            case Fate.GONE:
                return self.error(410, "gone")
            case Fate.BUSY:
                return come_back(self.error(503, "busy"))
            case Fate.REFUSED:
                return self.error(422, "refused")
            case Fate.TAKEN:
                return self._accept(address, told)

    def error(self, status: int, reason: str) -> Reply:
        body = json.dumps({"error": reason}).encode() if reason else b""
        return Reply(status, ((b"content-type", b"application/json"),), body, reason)

    def _accept(self, address: str, told: dict[str, Any]) -> Reply:
        self._outbox.record(
            self.name,
            address,
            title=str(told.get("title", "")),
            body=str(told.get("body", "")),
            notification_id=str(told.get("id", "")),
            link=str(told.get("link", "")),
            image=str(told.get("image", "")),
            data=told.get("data") or {},
        )
        body = json.dumps({"id": self._clock.new_id().hex}).encode()
        return Reply(200, ((b"content-type", b"application/json"),), body)

"""All simulators together in one loop: what `python -m loadtest.simulators` runs and what tests open."""

import contextlib
import json
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from config.clock import Clock, SystemClock
from loadtest.simulators.apns import TOPIC, ApnsService
from loadtest.simulators.certificates import CertificateAuthority
from loadtest.simulators.control import ControlServer, create_control
from loadtest.simulators.credentials import Credentials, open_credentials
from loadtest.simulators.faults import FaultSchedule
from loadtest.simulators.fcm import TOKEN_PATH, FcmService, client_email
from loadtest.simulators.handling import Handling, Statistics
from loadtest.simulators.listener import Listener
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.smtp import SmtpService
from loadtest.simulators.subscriptions import Subscription, Subscriptions
from loadtest.simulators.webpush import WebPushService

__all__ = ["Ports", "Simulators"]

_STREAMS: Final = 1000  # what Apple announces after the first authorised request


class Ports(msgspec.Struct, frozen=True):
    """Where to listen on loopback; 0 takes a free port."""

    apns: int = 0
    fcm: int = 0
    webpush: int = 0
    smtp: int = 0
    control: int = 0


class Simulators:
    """APNs, FCM, a Web Push service, a mail relay and their control interface, open inside `async with`.

    Keys are kept in `data_dir`, so callers and Web Push subscriptions stay valid over a restart; what was delivered, fault
    rules and access tokens are not kept.

    Raises (from `async with`):
        CredentialsUnreadable: The file of keys is damaged.
        OSError: A port is taken, or the folder cannot be written.
    """

    def __init__(self, data_dir: str | Path, *, ports: Ports | None = None, clock: Clock | None = None) -> None:
        self._folder = Path(data_dir).absolute()
        self._ports = ports or Ports()
        self._clock: Clock = clock or SystemClock()
        self._opened = contextlib.AsyncExitStack()
        self.outbox = Outbox(self._clock)
        self.faults = FaultSchedule()
        self.apns: ApnsService
        self.fcm: FcmService
        self.webpush: WebPushService
        self.smtp = SmtpService(self.outbox, self.faults, self._clock)
        self.providers: dict[str, dict[str, Any]] = {}
        """Settings for `[providers]` that point at the simulators."""
        self.control = ""
        """The control interface's address, without a slash at the end."""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opening:
            await self._open(opening)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    def mint_subscription(self, name: str = "device") -> Subscription:
        """Make the Web Push subscription of a new simulated browser; `name` becomes part of its endpoint."""
        return self.subscriptions.mint(name, self._clock.new_id().hex[-12:])

    def statistics(self) -> dict[str, Statistics]:
        """Count calls by provider."""
        return {name: tally.statistics() for name, tally in self._tallies.items()}

    def reset(self) -> None:
        """Forget deliveries, faults, counts and which busy addresses were met; keys and connections stay."""
        self.outbox.clear()
        self.faults.clear()
        for service in (self.apns, self.fcm, self.webpush, self.smtp):
            service.fates.clear()
        for tally in self._tallies.values():
            tally.clear()

    async def _open(self, opening: contextlib.AsyncExitStack) -> None:
        now = self._clock.now()
        credentials = open_credentials(self._folder, now=now)
        authority = CertificateAuthority(credentials, now=now)
        ca_file = self._folder / "ca.pem"
        authority.write(ca_file)
        self.subscriptions = Subscriptions(credentials.subscription_seed)
        self.apns = ApnsService(credentials, self.outbox, self._clock)
        self.fcm = FcmService(credentials, self.outbox, self._clock)
        self.webpush = WebPushService(self.subscriptions, self.outbox, self._clock)
        handlings = {service.name: Handling(service, self.faults) for service in (self.apns, self.fcm, self.webpush)}
        self._tallies = {**{name: handling.tally for name, handling in handlings.items()}, "email": self.smtp.tally}
        apns = Listener(handlings["apns"], self._clock, streams=_STREAMS, needs_authorisation=True, speaks_http1=False)
        fcm = Listener(handlings["fcm"], self._clock)
        webpush = Listener(handlings["webpush"], self._clock)
        for listener, port, protocols in (
            (apns, self._ports.apns, ("h2",)),
            (fcm, self._ports.fcm, ("h2", "http/1.1")),
            (webpush, self._ports.webpush, ("h2", "http/1.1")),
        ):
            await listener.open(port, authority.context(protocols))
            opening.push_async_callback(listener.close)
        await self.smtp.open(self._ports.smtp)
        opening.push_async_callback(self.smtp.close)
        await self._open_control(opening)
        self.providers = {
            "apns": _apns_settings(credentials, apns.port, ca_file),
            "fcm": _fcm_settings(credentials, fcm.port, ca_file),
            "webpush": _webpush_settings(credentials, webpush.port, ca_file),
            "email": _email_settings(self.smtp.port),
        }

    async def _open_control(self, opening: contextlib.AsyncExitStack) -> None:
        server = ControlServer(
            create_control(self.outbox, self.faults, mint=self.mint_subscription, statistics=self.statistics, reset=self.reset)
        )
        await server.open(self._ports.control)
        opening.push_async_callback(server.close)
        self.control = server.url


def _apns_settings(credentials: Credentials, port: int, ca_file: Path) -> dict[str, Any]:
    return {
        "url": f"https://127.0.0.1:{port}",
        "team_id": credentials.apns_team_id,
        "key_id": credentials.apns_key_id,
        "private_key": credentials.apns_private_key,
        "topic": TOPIC,
        "ca_file": str(ca_file),
    }


def _fcm_settings(credentials: Credentials, port: int, ca_file: Path) -> dict[str, Any]:
    url = f"https://127.0.0.1:{port}"
    account = {
        "type": "service_account",
        "project_id": credentials.fcm_project,
        "private_key_id": credentials.fcm_private_key_id,
        "private_key": credentials.fcm_private_key,
        "client_email": client_email(credentials.fcm_project),
        "client_id": "100000000000000000000",
        "token_uri": url + TOKEN_PATH,
    }
    return {"url": url, "service_account": json.dumps(account), "ca_file": str(ca_file)}


def _webpush_settings(credentials: Credentials, port: int, ca_file: Path) -> dict[str, Any]:
    return {
        "vapid_private_key": credentials.vapid_private_key,
        "subject": "mailto:operator@simulator.test",
        "allowed_hosts": ["*"],
        "connect_to": f"127.0.0.1:{port}",
        "ca_file": str(ca_file),
    }


def _email_settings(port: int) -> dict[str, Any]:
    return {"url": f"smtp+plain://127.0.0.1:{port}", "sender": "heliograph@simulator.test", "sender_name": "heliograph"}

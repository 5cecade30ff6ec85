"""All simulators together in one loop: what `python -m loadtest.simulators` runs and what tests open."""

import contextlib
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from config.clock import SystemClock
from loadtest.simulators.apns import TOPIC, ApnsService
from loadtest.simulators.certificates import CertificateAuthority
from loadtest.simulators.control import ControlServer, create_control
from loadtest.simulators.credentials import Credentials, open_credentials
from loadtest.simulators.faults import FaultSchedule
from loadtest.simulators.fcm import TOKEN_PATH, FcmService, client_email
from loadtest.simulators.handling import Handling, Statistics
from loadtest.simulators.listener import Listener
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.sms import SmsAccount, SmsService
from loadtest.simulators.smtp import SmtpService
from loadtest.simulators.subscriptions import Subscription, Subscriptions
from loadtest.simulators.webhook import WebhookService
from loadtest.simulators.webpush import WebPushService

__all__ = ["Ports", "Simulators"]

_STREAMS: Final = 1000  # what Apple announces after the first authorised request
_MAIL_USER: Final = "heliograph"


class Ports(msgspec.Struct, frozen=True):
    """Where to listen on loopback; 0 takes a free port."""

    apns: int = 0
    fcm: int = 0
    webpush: int = 0
    smtp: int = 0
    submission: int = 0
    smtps: int = 0
    sms: int = 0
    webhook: int = 0
    control: int = 0


class Simulators:
    """APNs, FCM, Web Push, a mail relay, text messages, webhooks and a control interface, open inside `async with`.

    Keys are kept in `data_dir`, so callers and Web Push subscriptions stay valid over a restart; what was delivered, fault
    rules and access tokens are not kept.

    Raises (from `async with`):
        CredentialsUnreadable: The file of keys is damaged.
        OSError: A port is taken, or the folder cannot be written.
    """

    def __init__(self, data_dir: str | Path, *, ports: Ports | None = None) -> None:
        self._folder = Path(data_dir).absolute()
        self._ports = ports or Ports()
        self._clock = SystemClock()
        self._opened = contextlib.AsyncExitStack()
        self.outbox = Outbox(self._clock)
        self.faults = FaultSchedule()
        self.apns: ApnsService
        self.fcm: FcmService
        self.webpush: WebPushService
        self.sms: SmsService
        self.webhook: WebhookService
        self.smtp = SmtpService(self.outbox, self.faults, self._clock)
        self.providers: dict[str, dict[str, Any]] = {}
        """Settings for `[providers]` that point at the simulators."""
        self.relays: dict[str, dict[str, Any]] = {}
        """Settings for `[providers.email]` that point at the relay's ports with TLS and login: `starttls` and `implicit`."""
        self.control = ""
        """The control interface's address, without a slash at the end."""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opening:
            await self._open(opening)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    def mint_subscription(self, name: str = "device", is_kept: bool = False) -> Subscription:
        """Make a simulated browser's Web Push subscription; `name` becomes part of its endpoint.

        It is that of a new browser each time, or with `is_kept` that of the same one each time the name comes.
        """
        return self.subscriptions.mint(name, "kept" if is_kept else self._clock.new_id().hex[-12:])

    def statistics(self) -> dict[str, Statistics]:
        """Count calls by provider."""
        return {name: tally.statistics() for name, tally in self._tallies.items()}

    def reset(self) -> None:
        """Forget deliveries, faults, counts and which busy addresses were met; keys and connections stay."""
        self.outbox.clear()
        self.faults.clear()
        for service in (self.apns, self.fcm, self.webpush, self.smtp, self.sms, self.webhook):
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
        authority.write_client(self._folder / "apns-client.pem", TOPIC)
        self.apns = ApnsService(credentials, self.outbox, self._clock)
        self.fcm = FcmService(credentials, self.outbox, self._clock)
        self.webpush = WebPushService(self.subscriptions, self.outbox, self._clock)
        account = _sms_account(credentials)
        self.sms = SmsService(account, self.outbox, self._clock)
        self.webhook = WebhookService(account.secret, self.outbox, self._clock)
        services = (self.apns, self.fcm, self.webpush, self.sms, self.webhook)
        handlings = {service.name: Handling(service, self.faults) for service in services}
        self._tallies = {**{name: handling.tally for name, handling in handlings.items()}, "email": self.smtp.tally}
        ports: dict[str, int] = {}
        for name, handling in handlings.items():
            is_apns = name == "apns"
            streams = _STREAMS if is_apns else 1000
            listener = Listener(handling, self._clock, streams=streams, needs_authorisation=is_apns, speaks_http1=not is_apns)
            protocols = ("h2",) if is_apns else ("h2", "http/1.1")
            await listener.open(getattr(self._ports, name), authority.context(protocols, asks_client=is_apns))
            opening.push_async_callback(listener.close)
            ports[name] = listener.port
        opening.push_async_callback(self.smtp.close)
        await self.smtp.open(self._ports.smtp)
        login = (_MAIL_USER, _derived(credentials, "mail password"))
        await self.smtp.open_submission((self._ports.submission, self._ports.smtps), authority.mail_context(), login)
        await self._open_control(opening)
        self.providers = {
            "apns": _apns_settings(credentials, ports["apns"], ca_file),
            "fcm": _fcm_settings(credentials, ports["fcm"], ca_file),
            "webpush": _webpush_settings(credentials, ports["webpush"], ca_file),
            "email": _email_settings(f"smtp+plain://127.0.0.1:{self.smtp.port}"),
            "sms": _sms_settings(account, ports["sms"], ca_file),
            "webhook": _webhook_settings(account, ports["webhook"], ca_file),
        }
        for mode, scheme, port in zip(("starttls", "implicit"), ("smtp", "smtps"), self.smtp.ports[1:], strict=True):
            known = {"username": login[0], "password": login[1], "ca_file": str(ca_file)}
            self.relays[mode] = _email_settings(f"{scheme}://127.0.0.1:{port}") | known

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


def _email_settings(url: str) -> dict[str, Any]:
    return {"url": url, "sender": "heliograph@simulator.test", "sender_name": "heliograph"}


def _sms_settings(account: SmsAccount, port: int, ca_file: Path) -> dict[str, Any]:
    url = f"https://127.0.0.1:{port}"
    return {
        "kind": "twilio",
        "url": url,
        "account_sid": account.sid,
        "auth_token": account.auth_token,
        "sender": "+15005550006",
        "status_callback": f"{url}/status",
        "ca_file": str(ca_file),
    }


def _webhook_settings(account: SmsAccount, port: int, ca_file: Path) -> dict[str, Any]:
    return {
        "secret": account.secret,
        "allowed_hosts": ["*"],
        "connect_to": f"127.0.0.1:{port}",
        "ca_file": str(ca_file),
    }


def _sms_account(credentials: Credentials) -> SmsAccount:
    sid, token = f"AC{_derived(credentials, 'sms account')}", _derived(credentials, "sms token")
    return SmsAccount(sid, token, _derived(credentials, "hook secret"))


def _derived(credentials: Credentials, what: str) -> str:
    """Make a word that stays the same as long as the keys do."""
    return hmac.new(credentials.subscription_seed.encode(), what.encode(), hashlib.sha256).hexdigest()[:32]

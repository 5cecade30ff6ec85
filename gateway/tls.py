"""TLS of our ports: a context with safe defaults, whose certificate follows its files without a restart.

The server keeps one context for its life. At each handshake it hands over to the newest one that could be made: whoever is
connected goes on with what was agreed, whoever comes now sees the new certificate. Files that cannot be used change nothing;
health and log say so until they can.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.certificates import BadCertificate, check_authorities, check_pair
from config.clock import Clock
from config.door_settings import TlsSettings
from config.errors import SettingsError
from config.file_prints import look_at
from config.logs import get_logger

__all__ = ["ExpiryCollector", "ServerTls"]

_log = get_logger()

_SECTION: Final = "http.tls"
_INTERVAL_S: Final = 15.0
# TLS 1.2 (RFC 7540 App. A forbids about all others): forward secrecy and AEAD. Those of 1.3 are all good, and OpenSSL's.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ServerTls:
    """What the ports of a process show. Reads its files when it is made, so it blocks then."""

    def __init__(self, settings: TlsSettings, clock: Clock) -> None:
        """Make it.

        Raises:
            SettingsError: The files cannot be used; the line says which and why.
        """
        self._settings, self._clock = settings, clock
        self._files = [Path(file) for file in (settings.cert_file, settings.key_file, settings.client_ca_file) if file]
        self._prints = look_at(self._files)  # before they are read: what changes meanwhile is read again
        self._look_now = asyncio.Event()
        self._problem = ""
        try:
            self.context, self.ends_at = _make(settings)
        except BadCertificate as exc:
            raise SettingsError([f"{_SECTION}.{exc}"]) from None
        self._newest = self.context
        self._renewed_at = 0.0
        self.context.sni_callback = self._hand_over

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every answer over TLS says to browsers (RFC 6797 §7.1, which forbids saying it over anything else)."""
        age_s = int(self._settings.hsts_max_age)
        # Without includeSubDomains: of other host names this server knows nothing.
        return [("Strict-Transport-Security", f"max-age={age_s}")] if age_s else []

    def concerns(self) -> list[str]:
        """Tell what an operator should know of: files that cannot be used, a certificate that has ended."""
        told = [f"{self._problem}; the former certificate is shown"] if self._problem else []
        if self.ends_at <= self._clock.now().timestamp():
            told.append(f"{_SECTION}.cert_file: the certificate has expired")
        return told

    def look_now(self) -> None:
        """Read the files at once, changed or not."""
        self._look_now.set()

    async def watch(self) -> None:
        """Look at the files now and then, until cancelled."""
        while True:
            is_asked = await self._wait()
            await self.renew(is_asked=is_asked)

    async def renew(self, *, is_asked: bool = False) -> bool:
        """Look whether the files have changed, and show what they hold; tells whether it does."""
        prints = await asyncio.to_thread(look_at, self._files)
        if prints == self._prints and not is_asked:
            return False
        self._prints = prints
        try:
            self._newest, self.ends_at = await asyncio.to_thread(_make, self._settings)
        except BadCertificate as exc:
            self._problem = f"{_SECTION}.{exc}"
            _log.error("certificate.unusable", reason=self._problem, kept="the former one")
            return False
        self._problem, self._renewed_at = "", self._clock.now().timestamp()
        _log.info("certificate.renewed", ends_at=int(self.ends_at))
        return True

    async def _wait(self) -> bool:
        asked = asyncio.ensure_future(self._look_now.wait())
        passed = asyncio.ensure_future(self._clock.sleep(_INTERVAL_S))
        try:
            await asyncio.wait((asked, passed), return_when=asyncio.FIRST_COMPLETED)
            is_asked = self._look_now.is_set()
            self._look_now.clear()
            return is_asked
        finally:
            asked.cancel()
            passed.cancel()

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._newest is not self.context:
            connection.context = self._newest
            if self._settings.client_ca_file and connection.session_reused and self._is_older(connection.session):
                return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE  # it may come again, and show its certificate
        return None

    def _is_older(self, session: ssl.SSLSession | None) -> bool:
        """Whether a session of TLS 1.2, which shows no certificate again, was begun before the authorities were read anew."""
        return session is None or session.time <= self._renewed_at


class ExpiryCollector(Collector):
    """Tells Prometheus when certificates end: `names` gives, by name, Unix seconds."""

    def __init__(self, names: Callable[[], Iterable[tuple[str, float]]]) -> None:
        self._names = names

    def collect(self) -> Iterable[Metric]:
        ends = GaugeMetricFamily(
            "heliograph_expiry_timestamp_seconds", "When a certificate or key ends, in Unix seconds", labels=["kind", "name"]
        )
        for name, ends_at in self._names():
            ends.add_metric(["certificate", name], ends_at)
        yield ends


def _make(settings: TlsSettings) -> tuple[ssl.SSLContext, float]:
    """Make a context of the files as they are now; tells also when its certificate ends.

    Raises:
        BadCertificate: They cannot be used.
    """
    ends_at = check_pair(settings.cert_file, settings.key_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _use("ciphers", "none of these suites is known", context.set_ciphers, settings.ciphers or _CIPHERS)
    # Never asks on the terminal: an encrypted key was refused above, and one that takes its place now fails.
    rule = "cannot be used by OpenSSL: too weak a key, or a broken chain"
    _use("cert_file", rule, context.load_cert_chain, settings.cert_file, settings.key_file or None, "")
    if settings.client_ca_file:
        check_authorities("client_ca_file", settings.client_ca_file)
        _use("client_ca_file", "cannot be used", context.load_verify_locations, settings.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session is not asked for its certificate again: an authority that was taken out would live on in tickets.
        # What TLS 1.2 resumes without one is looked at in `_hand_over`.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context, ends_at


def _use(name: str, rule: str, call: Callable[..., Any], *args: Any) -> None:
    try:
        call(*args)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise BadCertificate(name, rule) from None

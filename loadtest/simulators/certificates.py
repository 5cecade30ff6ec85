"""Server certificates, made for whatever host a caller asks for: a simulator stands in for every push service."""

import ipaddress
import re
import ssl
import tempfile
from collections import OrderedDict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loadtest.simulators.credentials import Credentials

__all__ = ["CertificateAuthority"]

_LIFETIME: Final = timedelta(days=825)  # the longest that common clients accept from a private authority
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_CONTEXTS: Final = 256
_LOOPBACK: Final = "127.0.0.1"


class CertificateAuthority:
    """Issues certificates under the authority of the credentials; contexts are kept, the oldest host goes first."""

    def __init__(self, credentials: Credentials, *, now: datetime) -> None:
        key = serialization.load_pem_private_key(credentials.ca_private_key.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._ca_key = key
        self._ca = x509.load_pem_x509_certificate(credentials.ca_certificate.encode())
        self._ca_pem = credentials.ca_certificate
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: OrderedDict[tuple[str, tuple[str, ...]], ssl.SSLContext] = OrderedDict()

    def write(self, path: Path) -> None:
        """Write the authority's certificate, which callers trust, to `path`."""
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as draft:
            draft.write(self._ca_pem)
        Path(draft.name).replace(path)  # whole at every moment, for whoever reads it meanwhile

    def write_client(self, path: Path, name: str) -> None:
        """Write a client's certificate with that common name, and its key, to `path`."""
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as draft:
            draft.write(self._key_pem() + self._issue_client(name).public_bytes(serialization.Encoding.PEM))
        Path(draft.name).replace(path)

    def mail_context(self) -> ssl.SSLContext:
        """Make the context of a mail relay on loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context, self._issue(_LOOPBACK))
        return context

    def context(self, protocols: tuple[str, ...], *, asks_client: bool = False) -> ssl.SSLContext:
        """Make a server's context, TLS 1.2 or newer, that offers `protocols` by ALPN and has a certificate for any host.

        Args:
            asks_client: Ask callers for a certificate of ours; they may have none.
        """
        context = self._context(_LOOPBACK, protocols)
        if asks_client:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=self._ca_pem)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: ssl.SSLContext) -> int | None:
            if host is not None:
                if not _HOST.fullmatch(host.lower()) or len(host) > 253:
                    return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
                connection.context = self._context(host.lower(), protocols)
            return None

        context.sni_callback = choose
        return context

    def _context(self, host: str, protocols: tuple[str, ...]) -> ssl.SSLContext:
        context = self._contexts.get((host, protocols))
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(list(protocols))
            self._load(context, self._issue(host))
            if len(self._contexts) >= _CONTEXTS:
                self._contexts.popitem(last=False)
            self._contexts[host, protocols] = context
        return context

    def _load(self, context: ssl.SSLContext, certificate: x509.Certificate) -> None:
        # The standard library takes certificates from files only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self._key_pem() + certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)

    def _key_pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _issue_client(self, name: str) -> x509.Certificate:
        return (
            self._blank(name)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )

    def _blank(self, name: str) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(self._ca.subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(days=1))
            .not_valid_after(self._now + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False)
        )

    def _issue(self, host: str) -> x509.Certificate:
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == _LOOPBACK:
            names = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
        return (
            self._blank(host)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )

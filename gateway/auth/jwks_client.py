"""Fetches the document in which an issuer publishes its keys: one bounded answer, from where the settings say and nowhere else.

Redirects are not followed, proxies of the environment not used, certificates verified. Unless the settings name a private
network, the host must have public addresses only, and it is these that are connected to (`config.egress`).
"""

import socket
import ssl
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from config.egress import Forbidden, Pins, Unresolved
from config.token_settings import IssuerKeys

__all__ = ["DOCUMENT_LIMIT", "JwksClient", "NotFetched"]

DOCUMENT_LIMIT: Final = 256 * 1024
_HEADERS: Final = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "heliograph",
}


class NotFetched(Exception):
    """There is no document; the text says why, in words for an operator."""


class JwksClient:
    """Asks one address; nothing is kept between two calls, since there are minutes between them."""

    def __init__(self, settings: IssuerKeys, pins: Pins) -> None:
        """Make it; nothing is connected yet.

        Raises:
            OSError: The certificates to trust cannot be read.
        """
        self._url, self._timeout_s = settings.jwks_url, settings.jwks_timeout
        ca_file = settings.jwks_ca_file
        self._trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._pins = None if settings.jwks_private_network else pins

    async def fetch(self) -> bytes:
        """Get the document. Must be called within a task.

        Raises:
            NotFetched: There is none, or it broke a rule.
        """
        try:
            async with self._session() as session, session.get(self._url, allow_redirects=False) as response:
                _check(response)
                return await _read(response.content)
        except TimeoutError:
            raise NotFetched(f"no whole answer within {self._timeout_s:g} s") from None
        except (Forbidden, Unresolved) as exc:
            raise NotFetched(str(exc)) from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise NotFetched(_reason(exc)) from exc

    def _session(self) -> aiohttp.ClientSession:
        resolver = None if self._pins is None else _PinnedResolver(self._pins)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=self._trust, resolver=resolver, use_dns_cache=False, force_close=True),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
        )


class _PinnedResolver(AbstractResolver):
    """Gives aiohttp the addresses that were checked."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        addresses = await self._pins.addresses(host)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        pass


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def _check(response: aiohttp.ClientResponse) -> None:
    if 300 <= response.status < 400:
        raise NotFetched(f"answered {response.status}: redirects are not followed")
    if response.status != 200:
        raise NotFetched(f"answered {response.status}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotFetched("answered compressed, unasked")


async def _read(content: aiohttp.StreamReader) -> bytes:
    document = bytearray()
    while chunk := await content.read(DOCUMENT_LIMIT + 1 - len(document)):
        document += chunk
        if len(document) > DOCUMENT_LIMIT:
            raise NotFetched(f"answered more than {DOCUMENT_LIMIT} bytes")
    return bytes(document)


def _reason(exc: BaseException) -> str:
    match exc:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorError():
            return "does not take connections"
        case _:
            return f"no answer: {type(exc).__name__}"

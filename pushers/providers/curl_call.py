"""libcurl's easy handles: one call each at a time, their constant options set once, their ends explained.

The functions that libcurl calls back only note what came; what is to be done about it is the transport's.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import pycurl

from pushers.providers import errors
from pushers.providers.http_message import HttpRequest, HttpResponse

__all__ = ["MAX_BODY_BYTES", "CallOwner", "CurlCall", "certificate_options", "constant_options", "explain"]

MAX_BODY_BYTES: Final = 64 * 1024
_CONNECT_TIMEOUT_S: Final = 3.0
# Retired before stream ids (2^31) run out, and so that a fleet's connections spread over a provider's new hosts.
_CONNECTION_AGE_S: Final = 3600
_E_HTTP2_STREAM: Final = 92  # pycurl has no name for it


class CallOwner(Protocol):
    """What a call asks of its transport, from within libcurl."""

    def note_opening(self, call: "CurlCall", descriptor: int) -> None:
        """libcurl is about to connect this socket for the call."""

    def has_lost_connection(self) -> bool:
        """Whether a connection in use has just ended."""


class CurlCall:
    """An easy handle with its constant options, and the one call that it serves at a time."""

    __slots__ = (
        "_body",
        "_chunks",
        "_given_bytes",
        "_lines",
        "_owner",
        "_pinned",
        "_size_bytes",
        "answer",
        "curl",
        "is_cut",
    )

    def __init__(self, constants: Sequence[tuple[int, Any]], owner: CallOwner) -> None:
        self._owner = owner
        self.answer: asyncio.Future[HttpResponse | errors.TransportError] | None = None
        self.is_cut = False
        self._chunks: list[bytes] = []
        self._lines: list[bytes] = []
        self._size_bytes = 0
        self._body = b""
        self._given_bytes = 0
        self._pinned: tuple[str, ...] = ()
        self.curl = pycurl.Curl()
        for option, value in constants:
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self.curl.setopt(pycurl.READFUNCTION, self._give)
        self.curl.setopt(pycurl.SEEKFUNCTION, self._rewind)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._keep)
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self._on_open)

    def prepare(self, request: HttpRequest, answer: asyncio.Future[HttpResponse | errors.TransportError]) -> None:
        curl = self.curl
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.HTTPHEADER, [_header_line(name, value) for name, value in request.headers.items()])
        curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        self._body, self._given_bytes = request.body, 0
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout_s * 1000)))
        if request.pinned != self._pinned:
            curl.setopt(pycurl.RESOLVE, list(request.pinned))
            self._pinned = request.pinned
        self.answer = answer

    def reset(self) -> None:
        self.answer = None
        self.is_cut = False
        self._chunks.clear()
        self._lines.clear()
        self._size_bytes = 0

    def response(self) -> HttpResponse:
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        return HttpResponse(status, b"".join(self._chunks)[:MAX_BODY_BYTES], tuple(self._lines))

    def was_sent(self) -> bool:
        """Whether any byte of the request may have left."""
        return bool(self.curl.getinfo(pycurl.REQUEST_SIZE) > 0)

    def _on_open(self, descriptor: int, _purpose: int) -> int:
        """Called by libcurl with a socket that it is about to connect for this call."""
        self._owner.note_opening(self, descriptor)
        return 0  # go on

    def _give(self, size_bytes: int) -> bytes:
        """Called by libcurl for the next piece of the request's body."""
        piece = self._body[self._given_bytes : self._given_bytes + size_bytes]
        self._given_bytes += len(piece)
        return piece

    def _rewind(self, offset: int, _origin: int) -> int:
        """Called by libcurl when it wants to send again by itself.

        It does so for a stream that was refused (RFC 9113 §8.7: certainly not carried out), and just as well for one that
        a lost connection left without an answer, which may have been carried out and is not ours to repeat.
        """
        if self._owner.has_lost_connection():
            return int(pycurl.SEEKFUNC_FAIL)
        self._given_bytes = offset
        return int(pycurl.SEEKFUNC_OK)

    def _keep(self, chunk: bytes) -> int | None:
        """Called by libcurl with a piece of the body; any other size than the piece's ends the call."""
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_BODY_BYTES:
            self.is_cut = True
            return 0
        return None


def constant_options(ca_file: str, connect_to: str) -> tuple[tuple[int, Any], ...]:
    """List what every handle of a transport has in common, so that it is set once per handle and not per call."""
    options: list[tuple[int, Any]] = [
        (pycurl.POST, 1),
        (pycurl.NOSIGNAL, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
        (pycurl.PIPEWAIT, 1),  # rather wait for a connection's first settings than open another
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),  # a proxy of the environment would resolve the name again
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 0 if connect_to else 2),
        (pycurl.CONNECTTIMEOUT_MS, int(_CONNECT_TIMEOUT_S * 1000)),
        (pycurl.MAXLIFETIME_CONN, _CONNECTION_AGE_S),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.USERAGENT, "heliograph"),
    ]
    if connect_to:
        options.append((pycurl.CONNECT_TO, [f"::{connect_to}"]))
    # The wheel's own OpenSSL looks where its builder kept certificates; the interpreter knows where this system does.
    system = ssl.get_default_verify_paths()
    if ca_file or system.cafile:
        options.append((pycurl.CAINFO, ca_file or system.cafile))
    elif system.capath:
        options.append((pycurl.CAPATH, system.capath))
    return tuple(options)


def certificate_options(cert_file: str, key_file: str) -> tuple[tuple[int, Any], ...]:
    """List what makes handles show a certificate; nothing where there is none."""
    if not cert_file:
        return ()
    return (pycurl.SSLCERT, cert_file), (pycurl.SSLKEY, key_file or cert_file)


def _header_line(name: str, value: str) -> str:
    """Join a header; libcurl takes "name;" for an empty value, and would send a line break as it is."""
    if not value.isprintable():
        raise ValueError(f"header {name} holds a control character")
    return f"{name}: {value}" if value else f"{name};"


_NO_CONNECTION: Final = frozenset(
    {
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_RESOLVE_PROXY,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    }
)
_CAUSES: Final[Mapping[int, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: "host not found",
    pycurl.E_COULDNT_CONNECT: "connection refused or unreachable",
    pycurl.E_SSL_CONNECT_ERROR: "TLS handshake failed",
    pycurl.E_PEER_FAILED_VERIFICATION: "certificate not trusted",
    pycurl.E_SSL_CACERT_BADFILE: "ca_file not readable",
    pycurl.E_OPERATION_TIMEDOUT: "no answer in time",
    pycurl.E_GOT_NOTHING: "connection closed without an answer",
    pycurl.E_SEND_ERROR: "connection lost while sending",
    pycurl.E_RECV_ERROR: "connection lost while receiving",
    pycurl.E_PARTIAL_FILE: "answer broken off",
    pycurl.E_SEND_FAIL_REWIND: "connection lost without an answer",
    pycurl.E_HTTP2: "HTTP/2 error",
    _E_HTTP2_STREAM: "stream reset",
}


def explain(code: int, call: CurlCall) -> errors.TransportError:
    """Translate libcurl's code by what is known of the request. Whatever is not certainly unsent is unknown."""
    cause = _CAUSES.get(code, f"curl error {code}")
    if code in _NO_CONNECTION:
        return errors.ConnectFailed(cause)
    if call.was_sent():
        return errors.Ambiguous(cause)
    if code != pycurl.E_OPERATION_TIMEDOUT:
        return errors.NotSent(cause)
    # A call that waits for a free stream has not even looked up the host.
    if call.curl.getinfo(pycurl.NAMELOOKUP_TIME) > 0:
        return errors.ConnectFailed("no connection in time")
    return errors.NotSent("no stream free in time")

"""The one HTTP transport: libcurl's multi interface (HTTP/2, multiplexed), driven by the event loop.

libcurl says which sockets it wants watched and when it wants to be called again; the loop's readers, writers and one timer
answer it. There is no thread, no task and no Python code per frame. What must hold:

- A call is bounded by its own timeout, and a caller that goes away takes only its own call along.
- Whatever ends without an answer says what is known of the request (`errors`): never sent, no connection, or unknown.
- What may have been carried out is never sent again by itself; a stream that was refused is.
- https only, TLS 1.2 or later, no redirect is followed, no proxy of the environment is used, a reply's body is cut at 64 KiB.

libcurl's functions may not be called from inside its callbacks, so these only note what is wanted.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pycurl

from pushers.providers import errors

__all__ = ["MAX_BODY_BYTES", "HttpRequest", "HttpResponse", "HttpStatistics", "HttpTransport"]

MAX_BODY_BYTES: Final = 64 * 1024
_CONNECT_TIMEOUT_S: Final = 3.0
# Retired before stream ids (2^31) run out, and so that a fleet's connections spread over a provider's new hosts.
_CONNECTION_AGE_S: Final = 3600
_MAX_STREAMS: Final = 1000
# A peer that vanished takes the connection along after this, instead of after a quarter of an hour.
_UNACKNOWLEDGED_MS: Final = 10_000
_E_HTTP2_STREAM: Final = 92  # pycurl has no name for it


class HttpRequest(msgspec.Struct, frozen=True):
    """A POST. `pinned` holds libcurl RESOLVE entries ("host:port:address,…"): addresses that were checked already."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    pinned: tuple[str, ...] = ()


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer; `lines` are its header lines as they came, read only when somebody asks."""

    status: int
    body: bytes = b""
    lines: tuple[bytes, ...] = ()

    def header(self, name: str) -> str:
        """Read a header, whatever its case; empty when it is absent."""
        wanted = name.lower().encode()
        for line in reversed(self.lines):
            key, _, value = line.partition(b":")
            if key.strip().lower() == wanted:
                return value.strip().decode("latin-1")
        return ""


class HttpStatistics(msgspec.Struct, frozen=True):
    """`under_way` calls wait for an answer; `idle_handles` wait for a call; `sockets` are watched for libcurl."""

    under_way: int
    idle_handles: int
    sockets: int


class HttpTransport:
    """Calls to one provider over a few shared connections.

    Args:
        ca_file: Certificates to trust instead of the system's.
        connect_to: "host:port" that stands for every host; then the name in the certificate is not checked (simulators).
        max_calls: Calls under way at once; one more is refused as not sent.
        host_connections: Connections per host; another is opened only when all streams are taken.
        starts_single: One call per connection until the first one on a new connection has ended, for a provider that takes
            a single stream from a client it does not know yet (APNs): libcurl would send hundreds before it hears the limit,
            and each refused one costs a connection.
    """

    def __init__(
        self,
        *,
        ca_file: str = "",
        connect_to: str = "",
        max_calls: int = 2048,
        host_connections: int = 2,
        starts_single: bool = False,
        agent: str = "heliograph",
    ) -> None:
        self._constants = _constant_options(ca_file, connect_to, agent)
        self._max_calls = max_calls
        self._starts_single = starts_single
        self._is_narrow = False
        self._openers: set[_Call] = set()  # calls under way that opened a connection
        self._has_lost = False  # a connection in use has ended since libcurl was last let work
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, host_connections)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, _MAX_STREAMS)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._watched: dict[int, int] = {}
        self._idle: list[_Call] = []
        self._under_way: dict[Any, _Call] = {}
        self._is_closed = False

    def __repr__(self) -> str:
        counts = self.statistics()
        return f"<HttpTransport under_way={counts.under_way} idle={counts.idle_handles} sockets={counts.sockets}>"

    def statistics(self) -> HttpStatistics:
        """Count what is held right now."""
        return HttpStatistics(len(self._under_way), len(self._idle), len(self._watched))

    async def request(self, request: HttpRequest) -> HttpResponse:
        """Send and wait for the whole answer, whatever its status.

        Raises:
            NotSent: It never left, so that it may be repeated at once.
            ConnectFailed: The host was not found, not reached, or could not prove who it is.
            Ambiguous: It left, and no answer came in time.
        """
        if self._is_closed:
            raise errors.NotSent("the transport is closed")
        if len(self._under_way) >= self._max_calls:
            raise errors.NotSent("too many calls under way")
        loop = self._loop = self._loop or asyncio.get_running_loop()
        call = self._idle.pop() if self._idle else _Call(self._constants, self)
        answer: asyncio.Future[HttpResponse | errors.TransportError] = loop.create_future()
        call.prepare(request, answer)
        self._under_way[call.curl] = call
        self._multi.add_handle(call.curl)
        try:
            ended = await answer
        except asyncio.CancelledError:
            # The call may have ended in this same turn, and its handle may serve another caller by now.
            if call.answer is answer:
                self._release(call)
            raise
        if isinstance(ended, errors.TransportError):
            raise ended
        return ended

    async def close(self) -> None:
        """Close all connections; calls under way end as unknown, or as not sent where that is certain. May come twice."""
        if self._is_closed:
            return
        self._is_closed = True
        for call in list(self._under_way.values()):
            self._finish(call, errors.Ambiguous("closed") if call.was_sent() else errors.NotSent("closed"))
        for call in self._idle:
            call.curl.close()
        self._idle.clear()
        self._multi.close()
        for descriptor in list(self._watched):
            self._unwatch(descriptor)
        if self._timer is not None:
            self._timer.cancel()

    def _on_socket(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        """Called by libcurl: watch a socket for what it waits for, or no more."""
        if what == pycurl.POLL_REMOVE:
            # Not only ahead of closing: a connection that rests is not watched either.
            self._has_lost = self._has_lost or _has_ended(descriptor)
            self._unwatch(descriptor)
            return
        loop, before = self._loop, self._watched.get(descriptor, 0)
        assert loop is not None  # only calls open sockets
        for bit, ready, add, remove in (
            (pycurl.POLL_IN, pycurl.CSELECT_IN, loop.add_reader, loop.remove_reader),
            (pycurl.POLL_OUT, pycurl.CSELECT_OUT, loop.add_writer, loop.remove_writer),
        ):
            if what & bit and not before & bit:
                add(descriptor, self._act, descriptor, ready)
            elif before & bit and not what & bit:
                remove(descriptor)
        self._watched[descriptor] = what

    def _unwatch(self, descriptor: int) -> None:
        watched = self._watched.pop(descriptor, 0)
        if self._loop is None or self._loop.is_closed():
            return
        if watched & pycurl.POLL_IN:
            self._loop.remove_reader(descriptor)
        if watched & pycurl.POLL_OUT:
            self._loop.remove_writer(descriptor)

    def _on_timer(self, timeout_ms: int) -> None:
        """Called by libcurl: it wants to be called in so many milliseconds; -1 takes that back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms < 0 or self._loop is None or self._is_closed:
            return
        if timeout_ms == 0:  # also how calls of one loop turn come to be started together
            self._timer = self._loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)
        else:
            self._timer = self._loop.call_later(timeout_ms / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, ready: int) -> None:
        """Let libcurl work on a socket, or on what is due, and end the calls that are through."""
        if self._is_closed:
            return
        self._has_lost = False
        self._multi.socket_action(descriptor, ready)
        self._set_width()
        waiting = 1
        while waiting:
            waiting, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                call = self._under_way[curl]
                self._finish(call, call.response())
            for curl, code, _text in failed:
                call = self._under_way[curl]
                self._finish(call, call.response() if call.is_cut else _explain(code, call))
        self._set_width()

    def note_opening(self, call: "_Call", descriptor: int) -> None:
        """Called by a call for which libcurl opens a connection."""
        self._openers.add(call)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            with _borrowed(descriptor) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)

    def has_lost_connection(self) -> bool:
        """Whether a connection in use has just ended: asked of the system, because libcurl does not tell."""
        return self._has_lost or any(map(_has_ended, self._watched))

    def _set_width(self) -> None:
        """Allow one stream per connection while a new one is untried; not from a callback, see above."""
        is_narrow = self._starts_single and bool(self._openers)
        if is_narrow != self._is_narrow:
            self._is_narrow = is_narrow
            self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1 if is_narrow else _MAX_STREAMS)

    def _finish(self, call: "_Call", ended: HttpResponse | errors.TransportError) -> None:
        answer = call.answer
        self._release(call)
        if answer is not None and not answer.done():
            answer.set_result(ended)  # errors travel as values: nobody may be left to fetch an exception

    def _release(self, call: "_Call") -> None:
        """Take a call out of libcurl's hands (one under way gets RST_STREAM) and keep its handle."""
        self._multi.remove_handle(call.curl)
        del self._under_way[call.curl]
        self._openers.discard(call)
        call.reset()
        self._idle.append(call)


class _Call:
    """An easy handle with its constant options, and the one call that it serves at a time."""

    __slots__ = (
        "_body",
        "_chunks",
        "_given_bytes",
        "_lines",
        "_pinned",
        "_size_bytes",
        "_transport",
        "answer",
        "curl",
        "is_cut",
    )

    def __init__(self, constants: Sequence[tuple[int, Any]], transport: HttpTransport) -> None:
        self._transport = transport
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
        self._transport.note_opening(self, descriptor)
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
        if self._transport.has_lost_connection():
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


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Look at one of libcurl's descriptors as a socket, and leave it libcurl's."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()


def _has_ended(descriptor: int) -> bool:
    try:
        with _borrowed(descriptor) as connection:
            return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError as exc:
        return exc.errno != errno.ENOTSOCK  # libcurl watches a wake-up descriptor of its own, too


def _constant_options(ca_file: str, connect_to: str, agent: str) -> tuple[tuple[int, Any], ...]:
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
        (pycurl.USERAGENT, agent),
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


def _explain(code: int, call: _Call) -> errors.TransportError:
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

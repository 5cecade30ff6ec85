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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pycurl

from pushers.haste import Haste
from pushers.providers import errors
from pushers.providers.curl_call import CurlCall, certificate_options, constant_options, explain
from pushers.providers.http_message import HttpRequest, HttpResponse

__all__ = ["HttpStatistics", "HttpTransport"]

_MAX_STREAMS: Final = 1000
# A peer that vanished takes the connection along after this, instead of after a quarter of an hour.
_UNACKNOWLEDGED_MS: Final = 10_000
# So many calls end in a turn of the loop, in haste and else.
_ENDS_IN_HASTE: Final = 8
_ENDS: Final = 1000


class HttpStatistics(msgspec.Struct, frozen=True):
    """`under_way` calls wait for an answer; `idle_handles` wait for a call; `sockets` are watched for libcurl."""

    under_way: int
    idle_handles: int
    sockets: int


class HttpTransport:
    """Calls to one provider over a few shared connections.

    Args:
        ca_file: Certificates to trust instead of the system's.
        cert_file: A certificate to show, in PEM; its key stands there too, or in `key_file`.
        connect_to: "host:port" that stands for every host; then the name in the certificate is not checked (simulators).
        max_calls: Calls under way at once; one more is refused as not sent.
        host_connections: Connections per host; another is opened only when all streams are taken.
        starts_single: One call per connection until the first one on a new connection has ended, for a provider that takes
            a single stream from a client it does not know yet (APNs): libcurl would send hundreds before it hears the limit,
            and each refused one costs a connection.
        haste: Says when ends of calls are to wait, or to come few at a time.
    """

    def __init__(
        self,
        *,
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        connect_to: str = "",
        max_calls: int = 2048,
        host_connections: int = 2,
        starts_single: bool = False,
        haste: Haste | None = None,
    ) -> None:
        self._constants = (*constant_options(ca_file, connect_to), *certificate_options(cert_file, key_file))
        self._max_calls = max_calls
        self._starts_single = starts_single
        self._is_narrow = False
        self._openers: set[CurlCall] = set()  # calls under way that opened a connection
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
        self._idle: list[CurlCall] = []
        self._under_way: dict[Any, CurlCall] = {}
        self._haste, self._goes_on = haste, False
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
        call = self._idle.pop() if self._idle else CurlCall(self._constants, self)
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
        while self._end_some(_ENDS):
            pass
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
        self._end_calls()

    def _end_calls(self) -> None:
        """End the calls that are through, or see to it that they end later."""
        haste = self._haste
        if haste is not None and haste.rests:
            self._go_on_by(haste.after)
        elif self._end_some(_ENDS_IN_HASTE if haste is not None and haste.is_on else _ENDS):
            assert self._loop is not None  # calls have begun
            self._go_on_by(self._loop.call_soon)

    def _go_on_by(self, have_called: Callable[[Callable[[], None]], object]) -> None:
        if not self._goes_on:
            self._goes_on = True
            have_called(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if not self._is_closed:
            self._end_calls()

    def _end_some(self, most: int) -> bool:
        """End so many at most; tell whether there are more."""
        waiting, succeeded, failed = self._multi.info_read(most)
        for curl in succeeded:
            call = self._under_way[curl]
            self._finish(call, call.response())
        for curl, code, _text in failed:
            call = self._under_way[curl]
            self._finish(call, call.response() if call.is_cut else explain(code, call))
        self._set_width()
        return bool(waiting)

    def note_opening(self, call: CurlCall, descriptor: int) -> None:
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

    def _finish(self, call: CurlCall, ended: HttpResponse | errors.TransportError) -> None:
        answer = call.answer
        self._release(call)
        if answer is not None and not answer.done():
            answer.set_result(ended)  # errors travel as values: nobody may be left to fetch an exception

    def _release(self, call: CurlCall) -> None:
        """Take a call out of libcurl's hands (one under way gets RST_STREAM) and keep its handle."""
        self._multi.remove_handle(call.curl)
        del self._under_way[call.curl]
        self._openers.discard(call)
        call.reset()
        self._idle.append(call)


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

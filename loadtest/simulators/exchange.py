"""One call to a simulated provider, as values: what came in, what goes out, and how it goes out."""

from collections.abc import Callable
from typing import Literal

import msgspec

from loadtest.simulators.faults import Action

__all__ = ["Answer", "Handler", "ProviderName", "Reply", "Request", "come_back"]

ProviderName = Literal["apns", "fcm", "webpush", "email", "sms", "webhook"]


class Request(msgspec.Struct, frozen=True):
    """A whole HTTP request. Header names are lower-case; `repeated` is the first name that came twice, or empty.

    `peer` is the common name of the certificate that the caller has shown, empty where it showed none that was asked for.
    """

    method: str
    path: str
    authority: str
    headers: dict[bytes, bytes]
    body: bytes
    repeated: bytes = b""
    peer: str = ""

    def header(self, name: bytes) -> str | None:
        """Read a header as text; None where it is absent. Bytes beyond Latin-1 cannot occur."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Reply(msgspec.Struct, frozen=True):
    """What a provider says. `reason` is its own word for a refusal, kept for the counters; it is not sent by itself.

    `is_authorised` tells the connection that its peer has proved who it is: APNs allows one stream until then.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    reason: str = ""
    is_authorised: bool = False


def come_back(reply: Reply) -> Reply:
    """Add to a refusal that the caller may try again in a second (RFC 9110 §10.2.3)."""
    return msgspec.structs.replace(reply, headers=(*reply.headers, (b"retry-after", b"1")))


class Answer(msgspec.Struct, frozen=True):
    """A reply and the fault, if any, that the connection commits while giving it."""

    reply: Reply
    fault: Action | None = None


Handler = Callable[[Request], Answer]
"""Answers a request within the loop turn that brought it: no I/O, no await."""

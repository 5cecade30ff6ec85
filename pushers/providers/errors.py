"""Errors of the transports, by what is known of the request.

TransportError
├── NotSent              it never left: a repeat cannot double
├── ConnectFailed        no connection to the provider: never left either, and the provider may be away
├── Ambiguous            it left, and no answer came: it may have been carried out
├── Misconfigured        it never left, and will not before our credentials or settings are mended
└── TokenUnavailable     it never left: the access token that it needs could not be had now
"""

__all__ = ["Ambiguous", "ConnectFailed", "Misconfigured", "NotSent", "TokenUnavailable", "TransportError"]


class TransportError(Exception):
    """A call to a provider ended without an answer; the text names the cause and holds nothing of the request."""


class NotSent(TransportError):
    """The request never left."""


class ConnectFailed(TransportError):
    """No connection to the provider could be made."""


class Ambiguous(TransportError):
    """The request left and no answer came."""


class Misconfigured(TransportError):
    """The provider refuses our credentials or settings."""


class TokenUnavailable(TransportError):
    """The access token could not be had; `retry_after_s` is the token service's own word, None leaves it to us."""

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s

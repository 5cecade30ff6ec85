"""What each code means, whose matter it is, and what the other side should do: one table for metrics and documentation.

Whose matter: *user* is the caller's doing (a bad request, an old token, a line that broke), *system* is ours or a dependency's,
*business* is a rule of the operator's that said no. Only the second wakes somebody up.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import Disconnect, Unsubscribe
from gateway.protocol.errors import Error

__all__ = ["DISCONNECTS", "ERRORS", "UNSUBSCRIBES", "ErrorClass", "Explained", "class_of_disconnect", "class_of_error"]


class ErrorClass(StrEnum):
    """Whose matter an error is."""

    USER = "user"
    SYSTEM = "system"
    BUSINESS = "business"


class Explained(msgspec.Struct, frozen=True):
    """A code in words."""

    code: int
    name: str
    error_class: ErrorClass
    meaning: str
    advice: str


_USER, _SYSTEM, _BUSINESS = ErrorClass.USER, ErrorClass.SYSTEM, ErrorClass.BUSINESS


def _table(*rows: tuple[Error | Disconnect | Unsubscribe, ErrorClass, str, str]) -> Mapping[int, Explained]:
    return {
        of.code: Explained(of.code, of.message if isinstance(of, Error) else of.reason, error_class, meaning, advice)
        for of, error_class, meaning, advice in rows
    }


_RETRIES: Final = "SDKs try again by themselves, with backoff."
_FINAL: Final = "Repeating it helps nobody: change what is asked."

ERRORS: Final = _table(
    (errors.INTERNAL, _SYSTEM, "Something on this side failed, or a dependency does not answer.", _RETRIES),
    (errors.UNAUTHORIZED, _USER, "The client has not shown who it is.", "Connect with a token."),
    (errors.UNKNOWN_CHANNEL, _USER, "The channel's namespace is not configured.", _FINAL),
    (
        errors.PERMISSION_DENIED,
        _BUSINESS,
        "Settings, token, role, policy or proxy do not allow it.",
        "Ask for a token that allows it; the operator sees which rule decided.",
    ),
    (errors.METHOD_NOT_FOUND, _USER, "What the command names does not exist.", _FINAL),
    (errors.ALREADY_SUBSCRIBED, _USER, "This client is in the channel already.", "Nothing is to be done."),
    (errors.LIMIT_EXCEEDED, _BUSINESS, "A limit of this client is reached, such as its number of channels.", _FINAL),
    (errors.BAD_REQUEST, _USER, "A field breaks a rule; the message names both.", _FINAL),
    (errors.NOT_AVAILABLE, _BUSINESS, "The feature is not switched on for this channel.", _FINAL),
    (errors.TOKEN_EXPIRED, _USER, "The token's time is over.", "SDKs fetch a new one and try again by themselves."),
    (errors.EXPIRED, _USER, "A connection or subscription would be over at once.", "Give out tokens that live longer."),
    (errors.TOO_MANY_REQUESTS, _BUSINESS, "Commands come faster than the rate that is set.", _RETRIES),
    (
        errors.UNRECOVERABLE_POSITION,
        _BUSINESS,
        "The stream has another epoch, or no longer holds what is asked for.",
        "Load the state anew, and go on from the stream's present position.",
    ),
)

_BACK: Final = "SDKs come back by themselves, with backoff."
_AWAY: Final = "SDKs stay away until they are told to connect."

DISCONNECTS: Final = _table(
    (disconnects.CLOSED, _USER, "The peer went away. Never sent; it stands in metrics.", _BACK),
    (disconnects.SHUTDOWN, _SYSTEM, "The node ends; clients are told one after the other.", _BACK),
    (disconnects.INTERNAL, _SYSTEM, "Something on this side failed.", _BACK),
    (
        disconnects.EXPIRED,
        _USER,
        "The connection's time was over and it was not refreshed.",
        "SDKs fetch a token and come back.",
    ),
    (disconnects.SUBSCRIPTION_EXPIRED, _USER, "A subscription's time was over and it was not refreshed.", _BACK),
    (disconnects.SLOW, _USER, "More waits for this client than its queue may hold.", _BACK),
    (disconnects.WRITE_ERROR, _USER, "The client took nothing for too long, or its line broke while we wrote.", _BACK),
    (disconnects.INSUFFICIENT_STATE, _SYSTEM, "Publications were lost that history cannot give back.", _BACK),
    (disconnects.FORCE_RECONNECT, _BUSINESS, "The operator or a balancer asked the client to connect elsewhere.", _BACK),
    (disconnects.NO_PONG, _USER, "No pong came in time.", _BACK),
    (disconnects.TOO_MANY_REQUESTS, _BUSINESS, "Commands came much faster than the rate that is set.", _BACK),
    (
        disconnects.STATE_INVALIDATED,
        _BUSINESS,
        "What the client was let in with no longer holds.",
        "SDKs fetch a token and come back.",
    ),
    (disconnects.INVALID_TOKEN, _USER, "The token cannot be used; `heliograph token inspect` says why.", _AWAY),
    (disconnects.BAD_REQUEST, _USER, "A frame or command that no SDK would send.", _AWAY),
    (disconnects.STALE, _USER, "No connect command came in time.", _AWAY),
    (disconnects.FORCE_DISCONNECT, _BUSINESS, "The operator or the application ended it, or the user is blocked.", _AWAY),
    (disconnects.CONNECTION_LIMIT, _BUSINESS, "The user has as many connections as are allowed.", _AWAY),
    (disconnects.CHANNEL_LIMIT, _BUSINESS, "The client would be in more channels than are allowed.", _AWAY),
    (disconnects.INAPPROPRIATE_PROTOCOL, _USER, "Binary data for a client that speaks JSON.", _AWAY),
    (disconnects.PERMISSION_DENIED, _BUSINESS, "Settings, role, policy or proxy do not allow the connection.", _AWAY),
    (disconnects.NOT_AVAILABLE, _BUSINESS, "The feature is not switched on.", _AWAY),
)

UNSUBSCRIBES: Final = _table(
    (disconnects.UNSUBSCRIBED_BY_SERVER, _BUSINESS, "The application took the client out of the channel.", "SDKs stay out."),
    (
        disconnects.UNSUBSCRIBED_INSUFFICIENT_STATE,
        _SYSTEM,
        "Publications were lost that history cannot give back.",
        "SDKs subscribe again, and say that they could not recover.",
    ),
    (disconnects.UNSUBSCRIBED_EXPIRED, _USER, "The subscription's time was over.", "SDKs fetch a token and subscribe again."),
    (
        disconnects.UNSUBSCRIBED_STATE_INVALIDATED,
        _BUSINESS,
        "What the client was let in with no longer holds.",
        "SDKs fetch a token and subscribe anew.",
    ),
)


def class_of_error(code: int) -> ErrorClass:
    """Tell whose matter a command's error is; codes of an application's own, which proxies answer with, are its rules."""
    explained = ERRORS.get(code)
    return explained.error_class if explained else ErrorClass.BUSINESS


def class_of_disconnect(code: int) -> ErrorClass:
    """Tell whose matter a disconnect is; codes of an application's own are its rules."""
    explained = DISCONNECTS.get(code)
    return explained.error_class if explained else ErrorClass.BUSINESS

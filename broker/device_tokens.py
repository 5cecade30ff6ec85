"""What the address of a device must look like, provider by provider; whether anybody answers there is the provider's to say."""

import base64
import binascii
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from broker.errors import BadInput
from broker.notification import Provider

__all__ = ["check_token"]

# One addr-spec, ASCII, no quoted local parts: what every relay takes, and nothing that could start a second recipient.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
# E.164: at most 15 digits; no country's code begins with 0. A shorter one than 7 is no number that anybody could be reached at.
_PHONE_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
# The name of an address that the settings' own webhook knows what to do with.
_HOOK_NAME: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,255}")


def check_token(provider: Provider, token: object) -> str:
    """Hold an address against the rules of its provider; gives the text to keep.

    Args:
        token: Text; for webpush also the browser's subscription as an object.
    Raises:
        BadInput: Naming the field and the rule.
    """
    match provider:
        case Provider.WEBPUSH:
            return _check_subscription(token)
        case _ if not isinstance(token, str):
            raise BadInput("token", "must be text")
        case Provider.APNS:
            if not re.fullmatch(r"[0-9a-fA-F]{32,200}", token):
                raise BadInput("token", "must be 32 to 200 hexadecimal digits for apns")
            return token.lower()
        case Provider.FCM:
            if not re.fullmatch(r"[A-Za-z0-9_:.%/+=~-]{1,4096}", token):
                raise BadInput("token", "must be an FCM registration token: 1 to 4096 letters, digits and -_:.%/+=~")
            return token
        case Provider.EMAIL:
            if len(token) > 254 or not _ADDRESS.fullmatch(token):
                raise BadInput("token", "must be one mail address, ASCII, at most 254 characters")
            return token
        case Provider.SMS:
            if not _PHONE_NUMBER.fullmatch(token):
                raise BadInput("token", "must be a phone number in E.164 form, such as +4915112345678")
            return token
        case Provider.WEBHOOK:
            if not _HOOK_NAME.fullmatch(token):
                _check_address(token, "token")
            return token


def _check_subscription(token: object) -> str:
    """Check endpoint and keys (RFC 8291 §3.1: an uncompressed P-256 point and 16 bytes); return the JSON to keep."""
    subscription = token
    if isinstance(token, str):
        try:
            subscription = msgspec.json.decode(token)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            raise BadInput("token", "must be the browser's subscription: an object with endpoint and keys") from None
    if not isinstance(subscription, dict) or not isinstance(keys := subscription.get("keys"), dict):
        raise BadInput("token", "must be the browser's subscription: an object with endpoint and keys")
    endpoint = _check_address(subscription.get("endpoint"), "token.endpoint")
    point = _base64url(keys.get("p256dh"), 65, "token.keys.p256dh")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise BadInput("token.keys.p256dh", "must be a point of the curve P-256") from None
    _base64url(keys.get("auth"), 16, "token.keys.auth")
    kept = {"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}
    return msgspec.json.encode(kept).decode()


def _check_address(url: object, field: str) -> str:
    """Check the spelling of an https address that somebody hands in; where it leads is looked at before each call."""
    # urlsplit would drop line breaks silently, and they would be kept in what is stored.
    if not isinstance(url, str) or len(url) > 2048 or not re.fullmatch(r"[!-~]+", url):
        raise BadInput(field, "must be an https address of at most 2048 printable ASCII characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadInput(field, "must be an https address with a valid host and port") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise BadInput(field, "must be an https address without user name and fragment")
    return url


def _base64url(value: object, size: int, field: str) -> bytes:
    rule = f"must be {size} bytes in base64url"
    # The decoder would skip what is not of the alphabet.
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", value):
        raise BadInput(field, rule)
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        raise BadInput(field, rule) from None
    if len(raw) != size:
        raise BadInput(field, rule)
    return raw

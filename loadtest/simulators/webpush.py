"""A Web Push service with its browsers: RFC 8030 requests, RFC 8292 identification, RFC 8291 messages that it decrypts.

A push service takes messages unread. This one reads them at once all the same, and refuses what its browser could not decrypt,
so that mistakes show where they are made. What goes to the browser of a name that begins with "sealed-" is read when somebody
asks what came: a browser's work is not to be measured with the sender's.

Errors are worded like those of the service behind Firefox (`errno` 109 and 110: the identification is wrong).
Not modelled: storing for sleeping browsers (so Topic replaces nothing), receipts, and caps on TTL.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from config.clock import Clock
from loadtest.simulators.exchange import ProviderName, Reply, Request, come_back
from loadtest.simulators.fates import Fate, Fates, fate_of_word
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.subscriptions import Subscriptions, Undecryptable

__all__ = ["SEALED", "WebPushService"]

SEALED: Final = "sealed-"

_LIMIT_BYTES: Final = 4096
_MAX_LIFETIME_S: Final = 24 * 3600
_IDENTITIES: Final = 10_000
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES: Final = ("very-low", "low", "normal", "high")
_VAPID: Final = re.compile(r"vapid\s+(?P<parameters>.+)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'\s*(?P<name>[a-z]+)\s*=\s*"?(?P<value>[A-Za-z0-9_.\-=]+)"?\s*')

_WORDS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class _Refusal(Exception):
    """A check failed; with status, errno and a sentence."""

    def __init__(self, status: int, errno: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.errno = errno


class _Identity(msgspec.Struct, frozen=True):
    """A VAPID token whose signature held."""

    audience: str
    expires_at_s: float


class WebPushService:
    """Checks, decrypts and records messages to any endpoint; those minted here it can also read."""

    name: ProviderName = "webpush"

    def __init__(self, subscriptions: Subscriptions, outbox: Outbox, clock: Clock) -> None:
        self._subscriptions = subscriptions
        self._outbox = outbox
        self._clock = clock
        self._identities: dict[str, _Identity] = {}
        self.fates = Fates()

    def address_of(self, request: Request) -> str:
        return _origin(request) + request.path

    def take(self, request: Request) -> Reply:
        endpoint = self.address_of(request)
        try:
            ttl_s = _check_headers(request)
            self._check_identity(request)
            token = self._subscriptions.token_of(request.path)
            is_sealed = token is not None and token.startswith(SEALED)
            content = {} if is_sealed else self._read(token, request.body)
            self._settle(endpoint)
        except _Refusal as refusal:
            reply = _error(refusal.status, refusal.errno, str(refusal))
            return come_back(reply) if refusal.status == 503 else reply
        if is_sealed:
            self._outbox.record_unread(self.name, endpoint, None, partial(self._unseal, token, request))
        else:
            self._outbox.record(self.name, endpoint, **_shown(content, request, is_decrypted=token is not None))
        location = f"{_origin(request)}/m/{self._clock.new_id().hex}".encode()
        return Reply(201, ((b"location", location), (b"ttl", b"%d" % ttl_s)))

    def error(self, status: int, reason: str) -> Reply:
        return _error(status, {404: 102, 410: 103, 413: 104, 429: 202}.get(status, 999), reason)

    def _settle(self, endpoint: str) -> None:
        match self.fates.settle(endpoint, fate_of_word(endpoint)):
            case Fate.GONE:
                raise _Refusal(410, 103, "The subscription has ended")
            case Fate.BUSY:
                raise _Refusal(503, 201, "Try again later")
            case Fate.REFUSED:
                raise _Refusal(400, 999, "The message was refused")
            case Fate.TAKEN:
                pass

    # -- RFC 8292

    def _check_identity(self, request: Request) -> None:
        authorisation = request.header(b"authorization")
        if authorisation is None:
            raise _Refusal(401, 109, "Missing Authorization header")
        identity = self._identities.get(authorisation)
        if identity is None:
            identity = _verify(authorisation)
            if len(self._identities) >= _IDENTITIES:
                del self._identities[next(iter(self._identities))]
            self._identities[authorisation] = identity
        remaining_s = identity.expires_at_s - self._clock.now().timestamp()
        if remaining_s <= 0:
            raise _Refusal(403, 109, "Expired token: exp lies in the past")
        if remaining_s > _MAX_LIFETIME_S:
            raise _Refusal(403, 109, "Invalid token: exp lies more than 24 hours ahead")
        if identity.audience != _origin(request):
            raise _Refusal(403, 109, "Invalid token: aud is not the origin of the endpoint")

    # -- RFC 8291

    def _read(self, token: str | None, body: bytes) -> dict[str, Any]:
        """Decrypt and read the content; that of foreign subscriptions stays unknown."""
        if token is None or not body:
            return {}
        try:
            plaintext = self._subscriptions.decrypt(token, body)
        except Undecryptable as exc:
            raise _Refusal(400, 106, f"Undecryptable message: {exc}") from exc
        try:
            content = msgspec.json.decode(plaintext)
        except (msgspec.DecodeError, UnicodeDecodeError):
            content = None
        # What is not an object of JSON is shown as it is: content is the application's own affair.
        return content if isinstance(content, dict) else {"options": {"body": plaintext.decode(errors="replace")}}

    def _unseal(self, token: str | None, request: Request) -> Mapping[str, Any]:
        """Read what was taken unread; what cannot be decrypted is no notification's, and says so."""
        try:
            return _shown(self._read(token, request.body), request, is_decrypted=True)
        except _Refusal as refusal:
            return _shown({"title": str(refusal)}, request, is_decrypted=False)


def _shown(content: dict[str, Any], request: Request, *, is_decrypted: bool) -> Mapping[str, Any]:
    """Tell what a browser would show, as fields of the outbox."""
    options = _mapping(content.get("options"))
    data = _mapping(options.get("data")) or _mapping(content.get("data"))
    return {
        "title": str(content.get("title", "")),
        "body": str(options.get("body", content.get("body", ""))),
        "notification_id": str(data.get("hg_id", content.get("hg_id", ""))),
        "link": str(data.get("link", "")),
        "image": str(options.get("image", "")),
        "data": data,
        "headers": {
            name: value for name in ("ttl", "topic", "urgency") if (value := request.header(name.encode())) is not None
        },
        "decrypted": is_decrypted,
    }


def _check_headers(request: Request) -> int:
    """Check what RFC 8030 asks of a request; returns the time to live in seconds."""
    if request.method != "POST":
        raise _Refusal(405, 999, "Messages are posted")
    if request.repeated:
        raise _Refusal(400, 999, f"Repeated header {request.repeated.decode('latin-1')}")
    ttl = request.header(b"ttl")
    if ttl is None:
        raise _Refusal(400, 111, "Missing TTL header")
    if not (ttl.isascii() and ttl.isdigit()):
        raise _Refusal(400, 112, "TTL must be a number of seconds")
    topic = request.header(b"topic")
    if topic is not None and not _TOPIC.fullmatch(topic):
        raise _Refusal(400, 113, "Topic must have at most 32 characters of the base64url alphabet")
    if request.header(b"urgency") not in (None, *_URGENCIES):
        raise _Refusal(400, 999, "Urgency must be one of very-low, low, normal, high")
    if len(request.body) > _LIMIT_BYTES:
        raise _Refusal(413, 104, "Message exceeds 4096 bytes")
    if request.body and request.header(b"content-encoding") != "aes128gcm":
        raise _Refusal(415, 999, "Content-Encoding must be aes128gcm")
    return int(ttl)


def _verify(authorisation: str) -> _Identity:
    scheme = _VAPID.fullmatch(authorisation)
    if scheme is None:
        raise _Refusal(401, 109, "Authorization must have the scheme vapid")
    parsed = [_PARAMETER.fullmatch(part) for part in scheme["parameters"].split(",")]
    parameters = {match["name"]: match["value"] for match in parsed if match is not None}
    if "t" not in parameters or "k" not in parameters:
        raise _Refusal(401, 109, "Authorization must have the parameters t and k")
    try:
        point = urlsafe_b64decode(parameters["k"] + "=" * (-len(parameters["k"]) % 4))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as exc:
        raise _Refusal(401, 109, "k is not an uncompressed P-256 point") from exc
    try:
        unchecked = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
        claims = jwt.decode(parameters["t"], key, algorithms=["ES256"], options=unchecked)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError) as exc:
        raise _Refusal(403, 109, "Invalid token: not signed by k with ES256") from exc
    audience, expires_at_s, subject = claims.get("aud"), claims.get("exp"), claims.get("sub")
    if not isinstance(audience, str) or not isinstance(expires_at_s, int | float):
        raise _Refusal(403, 109, "Invalid token: aud and exp are required")
    if not isinstance(subject, str) or not subject.startswith(("mailto:", "https:")):
        raise _Refusal(403, 109, "Invalid token: sub must be a mailto: or https: address")
    return _Identity(audience, float(expires_at_s))


def _origin(request: Request) -> str:
    return "https://" + request.authority.removesuffix(":443")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _error(status: int, errno: int, message: str) -> Reply:
    word = _WORDS.get(status, "Error")
    body = json.dumps({"code": status, "errno": errno, "error": word, "message": message or word}).encode()
    return Reply(status, ((b"content-type", b"application/json"),), body, message)

"""APNs: Apple's provider API, `POST /3/device/<token>` with an ES256 provider token or a certificate for the app.

Not modelled: broadcast channels, grouping and delays by priority, one stored notification
per sleeping device, and the per-device limit (a fault rule answers 429 where a test wants it).
"""

import json
import re
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.clock import Clock
from loadtest.simulators.credentials import Credentials
from loadtest.simulators.exchange import ProviderName, Reply, Request, come_back
from loadtest.simulators.fates import Fate, Fates, fate_of_token
from loadtest.simulators.outbox import Outbox

__all__ = ["SECOND_TOPIC", "TOPIC", "ApnsService"]

TOPIC: Final = "test.simulator.app"
# Another app of the same team.
SECOND_TOPIC: Final = "test.simulator.kiosk"
_TOKEN_LIFETIME_S: Final = 3600
_CLOCK_SKEW_S: Final = 300
_TOKENS: Final = 1000
_LIMIT_BYTES: Final = 4096
_VOIP_LIMIT_BYTES: Final = 5120

_TOPIC_SUFFIXES: Final = {
    "alert": "",
    "background": "",
    "mdm": "",
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "location": ".location-query",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
    "controls": "",
}
_STATUSES: Final = {
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "MissingProviderToken": 403,
    "InvalidProviderToken": 403,
    "ExpiredProviderToken": 403,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "TooManyProviderTokenUpdates": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
"""Statuses of Apple's reasons; whatever is not listed is a 400."""

_DEVICE_TOKEN: Final = re.compile(r"[0-9a-fA-F]{32,200}")
_APNS_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH: Final = "/3/device/"


class _Refusal(Exception):
    """A check failed; the text is Apple's reason."""


class ApnsService:
    """Checks and records pushes.

    Args:
        token_update_interval_s: A new provider token sooner than this after the last one of its key is answered 429, as Apple
            does within 20 minutes. Off by default: several processes of one developer share a simulator.
    """

    name: ProviderName = "apns"

    def __init__(self, credentials: Credentials, outbox: Outbox, clock: Clock, *, token_update_interval_s: float = 0.0) -> None:
        key = load_pem_private_key(credentials.apns_private_key.encode(), password=None)
        assert isinstance(key, EllipticCurvePrivateKey)
        self._key = key.public_key()
        self._key_id = credentials.apns_key_id
        self._team_id = credentials.apns_team_id
        self._outbox = outbox
        self._clock = clock
        self._update_interval_s = token_update_interval_s
        self._issued_at_by_token: dict[str, float] = {}
        self._last_update_at: float | None = None
        self.fates = Fates()

    def address_of(self, request: Request) -> str:
        return request.path.removeprefix(_PATH) if request.path.startswith(_PATH) else ""

    def take(self, request: Request) -> Reply:
        try:
            token = self._check_path(request)
            self._check_authorisation(request)
        except _Refusal as refusal:
            return self._refuse(request, str(refusal))
        try:
            self._check_headers(request)
            payload = self._check_payload(request)
        except _Refusal as refusal:
            return self._refuse(request, str(refusal), is_authorised=True)
        match self.fates.settle(token, fate_of_token(token)):
            case Fate.GONE:
                return self._refuse(request, "Unregistered", is_authorised=True)
            case Fate.BUSY:
                return come_back(self._refuse(request, "ServiceUnavailable", is_authorised=True))
            case Fate.REFUSED:
                return self._refuse(request, "PayloadEmpty", is_authorised=True)
            case Fate.TAKEN:
                return self._accept(request, token, payload)

    def error(self, status: int, reason: str) -> Reply:
        body: dict[str, Any] = {"reason": reason} if reason else {}
        if status == 410:
            body["timestamp"] = int(self._clock.now().timestamp() * 1000)
        return Reply(status, _headers(_new_id(self._clock)), json.dumps(body).encode() if body else b"", reason)

    # -- checks, in Apple's order: where, who, how, what

    def _check_path(self, request: Request) -> str:
        if not request.path.startswith(_PATH):
            raise _Refusal("BadPath")
        if request.method != "POST":
            raise _Refusal("MethodNotAllowed")
        token = request.path.removeprefix(_PATH)
        if not token:
            raise _Refusal("MissingDeviceToken")
        if not _DEVICE_TOKEN.fullmatch(token):
            raise _Refusal("BadDeviceToken")
        return token

    def _check_authorisation(self, request: Request) -> None:
        authorisation = request.header(b"authorization") or ""
        if request.peer and not authorisation:
            return  # whose certificate it is, is looked at with the topic
        scheme, _, token = authorisation.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _Refusal("MissingProviderToken")
        issued_at = self._issued_at_by_token.get(token)
        now = self._clock.now().timestamp()
        if issued_at is None:
            issued_at = self._verify(token, now)
        if now - issued_at > _TOKEN_LIFETIME_S:
            raise _Refusal("ExpiredProviderToken")

    def _verify(self, token: str, now: float) -> float:
        """Check a provider token that was not seen before and remember it; returns its `iat`."""
        unchecked = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
        try:
            decoded = jwt.decode_complete(token, self._key, algorithms=["ES256"], options=unchecked)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError) as exc:
            raise _Refusal("InvalidProviderToken") from exc
        issued_at = decoded["payload"].get("iat")
        if decoded["header"].get("kid") != self._key_id or decoded["payload"].get("iss") != self._team_id:
            raise _Refusal("InvalidProviderToken")
        if not isinstance(issued_at, int | float) or issued_at > now + _CLOCK_SKEW_S:
            raise _Refusal("InvalidProviderToken")
        if self._last_update_at is not None and now - self._last_update_at < self._update_interval_s:
            raise _Refusal("TooManyProviderTokenUpdates")
        self._last_update_at = now
        if len(self._issued_at_by_token) >= _TOKENS:
            del self._issued_at_by_token[next(iter(self._issued_at_by_token))]
        self._issued_at_by_token[token] = float(issued_at)
        return float(issued_at)

    def _check_headers(self, request: Request) -> None:
        if request.repeated:
            raise _Refusal("DuplicateHeaders")
        apns_id = request.header(b"apns-id")
        if apns_id is not None and not _APNS_ID.fullmatch(apns_id):
            raise _Refusal("BadMessageId")
        if not request.headers.get(b"apns-expiration", b"0").isdigit():  # of bytes: ASCII digits only
            raise _Refusal("BadExpirationDate")
        push_type = request.header(b"apns-push-type") or ""
        if push_type not in _TOPIC_SUFFIXES:
            raise _Refusal("InvalidPushType")
        priority = request.header(b"apns-priority")
        if priority not in (None, "1", "5", "10") or (push_type == "background" and priority == "10"):
            raise _Refusal("BadPriority")
        if len(request.headers.get(b"apns-collapse-id", b"")) > 64:
            raise _Refusal("BadCollapseId")
        topic = request.header(b"apns-topic")
        if not topic:
            raise _Refusal("MissingTopic")
        app = topic.removesuffix(_TOPIC_SUFFIXES[push_type])
        if app not in (TOPIC, SECOND_TOPIC) or topic != app + _TOPIC_SUFFIXES[push_type]:
            raise _Refusal("BadTopic" if topic.startswith((TOPIC, SECOND_TOPIC)) else "TopicDisallowed")
        if request.peer and not request.header(b"authorization") and request.peer != app:
            raise _Refusal("TopicDisallowed")

    def _check_payload(self, request: Request) -> dict[str, Any]:
        limit = _VOIP_LIMIT_BYTES if request.headers.get(b"apns-push-type") == b"voip" else _LIMIT_BYTES
        if len(request.body) > limit:
            raise _Refusal("PayloadTooLarge")
        try:
            payload = msgspec.json.decode(request.body)
        except msgspec.DecodeError as exc:
            raise _Refusal("PayloadEmpty") from exc
        if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
            raise _Refusal("PayloadEmpty")
        return payload

    # -- answers

    def _accept(self, request: Request, token: str, payload: dict[str, Any]) -> Reply:
        alert = payload["aps"].get("alert", "")
        texts = alert if isinstance(alert, dict) else {"body": alert}
        own = {name: value for name, value in payload.items() if name != "aps"}
        apns_id = request.headers.get(b"apns-id") or _new_id(self._clock)
        self._outbox.record(
            self.name,
            token,
            title=str(texts.get("title", "")),
            body=str(texts.get("body", "")),
            notification_id=str(own.get("hg_id", "")),
            link=str(own.get("link", "")),
            image=str(own.get("img", "")),
            data=own,
            headers={
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in request.headers.items()
                if name.startswith(b"apns-")
            },
        )
        return Reply(200, ((b"apns-id", apns_id), (b"apns-unique-id", _new_id(self._clock))), is_authorised=True)

    def _refuse(self, request: Request, reason: str, *, is_authorised: bool = False) -> Reply:
        reply = self.error(_STATUSES.get(reason, 400), reason)
        apns_id = request.headers.get(b"apns-id") or _new_id(self._clock)
        return Reply(reply.status, _headers(apns_id), reply.body, reason, is_authorised)


def _headers(apns_id: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"apns-id", apns_id), (b"content-type", b"application/json"))


def _new_id(clock: Clock) -> bytes:
    return str(clock.new_id()).encode()

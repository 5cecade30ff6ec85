"""FCM: Google's token endpoint and HTTP v1 `messages:send`, with errors shaped like Google's.

Not modelled: quotas (a fault rule answers 429 where a test wants it), collapse limits, roles, and topic management.
"""

import json
import secrets
from typing import Any, Final
from urllib.parse import parse_qs

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.clock import Clock
from loadtest.simulators.credentials import Credentials
from loadtest.simulators.exchange import ProviderName, Reply, Request, come_back
from loadtest.simulators.fates import Fate, Fates, fate_of_word
from loadtest.simulators.fcm_message import InvalidMessage, Message, parse_send_request
from loadtest.simulators.outbox import Outbox

__all__ = ["TOKEN_PATH", "FcmService", "client_email"]

TOKEN_PATH: Final = "/token"  # noqa: S105 (a path)
_GOOGLES_AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # what Google's own library says whatever the address
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES: Final = frozenset(
    {"https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"}
)
_TOKEN_LIFETIME_S: Final = 3600
_CLOCK_SKEW_S: Final = 300
_JSON: Final = ((b"content-type", b"application/json; charset=UTF-8"),)

_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
_STATUS_WORDS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def client_email(project: str) -> str:
    """Name the service account of a project, as Google does."""
    return f"heliograph@{project}.iam.gserviceaccount.com"


class FcmService:
    """Issues access tokens, checks and records messages."""

    name: ProviderName = "fcm"

    def __init__(self, credentials: Credentials, outbox: Outbox, clock: Clock) -> None:
        key = load_pem_private_key(credentials.fcm_private_key.encode(), password=None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key.public_key()
        self._key_id = credentials.fcm_private_key_id
        self._email = client_email(credentials.fcm_project)
        self._project = credentials.fcm_project
        self._send_path = f"/v1/projects/{credentials.fcm_project}/messages:send"
        self._outbox = outbox
        self._clock = clock
        self._expires_at_by_token: dict[str, float] = {}
        self.fates = Fates()

    def address_of(self, request: Request) -> str:
        if request.path == TOKEN_PATH:
            return ""
        try:
            return msgspec.json.decode(request.body, type=_Addressed).message.address
        except msgspec.DecodeError:
            return ""

    def take(self, request: Request) -> Reply:
        if request.path == TOKEN_PATH:
            return self._grant(request)
        if request.method != "POST" or not request.path.endswith("/messages:send"):
            return _html(404, "Not Found")
        if not self._is_authorised(request):
            return _error(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")
        if request.path != self._send_path:
            return _error(404, "Requested entity was not found.")
        try:
            parsed = parse_send_request(request.body)
        except InvalidMessage as exc:
            violation = {"field": exc.field, "description": str(exc)}
            return _error(400, str(exc), "INVALID_ARGUMENT", [] if exc.is_recipient else [violation])
        if parsed.validate_only:
            return _success({"name": f"projects/{self._project}/messages/fake_message_id"})
        return self._deliver(parsed.message)

    def error(self, status: int, reason: str) -> Reply:
        return _error(status, reason or "The service answered with an error.", reason)

    def _deliver(self, message: Message) -> Reply:
        match self.fates.settle(message.address, fate_of_word(message.address)):
            case Fate.GONE:
                return _error(404, "Requested entity was not found.", "UNREGISTERED")
            case Fate.BUSY:
                return come_back(_error(503, "The service is currently unavailable.", "UNAVAILABLE"))
            case Fate.REFUSED:
                violation = {"field": "message.notification", "description": "The message was refused."}
                return _error(400, "The message was refused.", "INVALID_ARGUMENT", [violation])
            case Fate.TAKEN:
                self._record(message)
                name = f"projects/{self._project}/messages/0:{self._clock.new_id().hex}"
                return _success({"name": name})

    def _record(self, message: Message) -> None:
        android = message.android.notification if message.android else None
        shown = message.notification
        data = dict(message.data)
        self._outbox.record(
            self.name,
            message.address,
            title=(android and android.title) or (shown.title if shown else data.get("title", "")),
            body=(android and android.body) or (shown.body if shown else data.get("body", "")),
            notification_id=data.get("hg_id", ""),
            link=data.get("link", ""),
            image=shown.image if shown else "",
            data=data,
        )

    # -- OAuth 2, RFC 7523

    def _is_authorised(self, request: Request) -> bool:
        scheme, _, token = (request.header(b"authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and self._expires_at_by_token.get(token, 0.0) > self._clock.now().timestamp()

    def _grant(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode("latin-1"))
        if request.method != "POST" or form.get("grant_type") != [_GRANT]:
            return _oauth_error("unsupported_grant_type", "Invalid grant_type: jwt-bearer is required.")
        problem = self._problem_of(form.get("assertion", [""])[0], f"https://{request.authority}{TOKEN_PATH}")
        if problem:
            return _oauth_error("invalid_grant", problem)
        now = self._clock.now().timestamp()
        self._expires_at_by_token = {token: at for token, at in self._expires_at_by_token.items() if at > now}
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._expires_at_by_token[token] = now + _TOKEN_LIFETIME_S
        return _success({"access_token": token, "expires_in": _TOKEN_LIFETIME_S, "token_type": "Bearer"})

    def _problem_of(self, assertion: str, audience: str) -> str:
        """Say what is wrong with an assertion; empty where nothing is."""
        unchecked = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
        try:
            decoded = jwt.decode_complete(assertion, self._key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError):
            return "Invalid JWT Signature."
        claims = decoded["payload"]
        if decoded["header"].get("kid") not in (None, self._key_id) or claims.get("iss") != self._email:
            return "Invalid grant: account not found"
        if claims.get("aud") not in (audience, _GOOGLES_AUDIENCE):
            return "Invalid JWT: Failed audience check."
        if not _SCOPES & set(str(claims.get("scope", "")).split()):
            return "Invalid OAuth scope or ID token audience provided."
        return self._problem_of_times(claims.get("iat"), claims.get("exp"))

    def _problem_of_times(self, issued_at: object, expires_at: object) -> str:
        now = self._clock.now().timestamp()
        if not isinstance(issued_at, int | float) or not isinstance(expires_at, int | float):
            return "Invalid JWT: iat and exp are required."
        if issued_at > now + _CLOCK_SKEW_S or expires_at <= now or expires_at - issued_at > _TOKEN_LIFETIME_S:
            return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return ""


class _Address(msgspec.Struct, frozen=True):
    token: str = ""
    fid: str = ""
    topic: str = ""
    condition: str = ""

    @property
    def address(self) -> str:
        return self.token or self.fid or self.topic or self.condition


class _Addressed(msgspec.Struct, frozen=True):
    """A body read for its recipient alone."""

    message: _Address


def _success(content: dict[str, Any]) -> Reply:
    return Reply(200, _JSON, msgspec.json.encode(content))


def _error(status: int, message: str, code: str = "", violations: list[dict[str, str]] | None = None) -> Reply:
    """Shape an error: FcmError where FCM itself speaks (`code`), BadRequest where it names fields."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": _FCM_ERROR, "errorCode": code})
    if violations:
        details.append({"@type": _BAD_REQUEST, "fieldViolations": violations})
    error: dict[str, Any] = {"code": status, "message": message, "status": _STATUS_WORDS.get(status, "UNKNOWN")}
    if details:
        error["details"] = details
    return Reply(status, _JSON, json.dumps({"error": error}).encode(), code or error["status"])


def _oauth_error(error: str, description: str) -> Reply:
    return Reply(400, _JSON, json.dumps({"error": error, "error_description": description}).encode(), error)


def _html(status: int, title: str) -> Reply:
    body = f"<!DOCTYPE html><html lang=en><title>Error {status} ({title})!!1</title></html>"
    return Reply(status, ((b"content-type", b"text/html; charset=UTF-8"),), body.encode(), title)

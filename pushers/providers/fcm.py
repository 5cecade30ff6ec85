"""FCM: Google's HTTP v1 API.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.settings import FcmSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.fcm import LIMIT_BYTES, FcmMessage, compose_fcm
from pushers.providers import errors
from pushers.providers.failures import outcome_of
from pushers.providers.fcm_token import AccessTokens
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after, server_error

__all__ = ["FcmProvider", "build", "classify"]

_UNAUTHENTICATED: Final = "UNAUTHENTICATED"
_QUOTA_PAUSE_S: Final = 60.0
_INTERNAL_PAUSE_S: Final = 10.0
_NEARLY_TOO_LARGE: Final = 0.9


class FcmProvider:
    """Sends to the apps of one Firebase project."""

    def __init__(self, settings: FcmSettings, project_id: str, tokens: AccessTokens, transport: HttpTransport) -> None:
        self._url = f"{settings.url.rstrip('/')}/v1/projects/{project_id}/messages:send"
        self._timeout_s = settings.timeout
        self._tokens = tokens
        self._transport = transport

    @property
    def name(self) -> ProviderName:
        return ProviderName.FCM

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        message = compose_fcm(notification, device, now=now)
        if isinstance(message, TooLarge | DropMessage):
            return message
        try:
            token = await self._tokens.current()
            response = await self._transport.request(build(message, url=self._url, token=token, timeout_s=self._timeout_s))
        except errors.TransportError as exc:
            return outcome_of(exc)
        outcome = classify(response, now=now, counted_bytes=message.counted_bytes, cuts=message.cuts)
        if isinstance(outcome, Retry) and outcome.reason == _UNAUTHENTICATED and not self._tokens.replace(token):
            return ConfigPause(_UNAUTHENTICATED)
        return outcome

    async def close(self) -> None:
        await self._tokens.close()
        await self._transport.close()


def build(message: FcmMessage, *, url: str, token: str, timeout_s: float) -> HttpRequest:
    """Wrap a message; its address stands in the body."""
    return HttpRequest(url, {"authorization": f"Bearer {token}", "content-type": "application/json"}, message.body, timeout_s)


class _Error(msgspec.Struct, frozen=True):
    """What the body of an error says: FCM's own code, the status of Google's APIs, whether a field is blamed, and whether the
    quota that is exceeded is that of a single device."""

    code: str = ""
    status: str = ""
    blames_field: bool = False
    is_of_device: bool = False


def classify(response: HttpResponse, *, now: datetime, counted_bytes: int = 0, cuts: tuple[str, ...] = ()) -> SendOutcome:
    """Decide what an answer means: by FCM's own code, else by the HTTP status."""
    answer = _decode(response.body)
    if response.status == 200:
        return Accepted(str(answer.get("name", "")), ", ".join(cuts))
    error = _read_error(answer)
    reason = error.code or error.status or f"status {response.status}"
    said = response.header("retry-after")
    match response.status, error.code:
        case _, "THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR":
            return ConfigPause(reason)
        case _, "SENDER_ID_MISMATCH":
            return DropDevice(reason, now, confident=False)  # a token of another project: ours may be the wrong one
        case _, "UNREGISTERED":
            return DropDevice(reason, now)
        case (429, _) | (_, "QUOTA_EXCEEDED"):
            after_s = parse_retry_after(said, now, _QUOTA_PAUSE_S)
            if error.is_of_device:
                return Retry(reason, after_s, scope="device", is_failure=False)
            return Retry(reason, after_s, scope="lane", is_failure=False, is_quota=True)
        case 400, _:
            return _classify_bad_request(error, reason, now, counted_bytes)
        case 401, _:
            return Retry(_UNAUTHENTICATED, 0.0, scope="lane", is_failure=False)
        case ((403 | 404), _):
            return ConfigPause(reason)
        case 413, _:
            return TooLarge(LIMIT_BYTES)
        case 500, _:
            return server_error(reason, said, now, _INTERNAL_PAUSE_S)
        case status, _ if status > 500:
            return server_error(reason, said, now)
        case _:
            return DropMessage(reason)


def _classify_bad_request(error: _Error, reason: str, now: datetime, counted_bytes: int) -> SendOutcome:
    """The one code of many meanings: a bad token, a bad field, a message too large."""
    if counted_bytes > LIMIT_BYTES * _NEARLY_TOO_LARGE:
        return TooLarge(LIMIT_BYTES)
    if error.code == "INVALID_ARGUMENT" and not error.blames_field:
        return DropDevice(reason, now, confident=False)
    return DropMessage(reason)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _read_error(answer: dict[str, Any]) -> _Error:
    error = answer.get("error")
    if not isinstance(error, dict):
        return _Error()
    code, blames_field, is_of_device = "", False, False
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        kind = str(detail.get("@type", ""))
        if kind.endswith("google.firebase.fcm.v1.FcmError"):
            code = str(detail.get("errorCode", ""))
        elif kind.endswith("google.rpc.BadRequest"):
            blames_field = True
        elif kind.endswith("google.rpc.QuotaFailure"):
            is_of_device = is_of_device or _names_device(detail.get("violations"))
    return _Error(code, str(error.get("status", "")), blames_field, is_of_device)


def _names_device(violations: object) -> bool:
    """Whether a QuotaFailure is about the rate to a single device: its subject is one."""
    return isinstance(violations, list) and any(
        isinstance(one, dict) and str(one.get("subject", "")).lower().startswith(("device", "registration"))
        for one in violations
    )

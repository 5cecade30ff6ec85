"""Text messages: Twilio's Messages API, and beside it the signed webhook of an SMS gateway of one's own.

Numbers that Twilio itself answers with an error for testing are answered so here: +15005550001 is no number, …2 cannot be
reached, …3 lies in a region that is switched off, …4 has unsubscribed, …8 has a full queue once, …9 is no mobile number.
Not modelled: status callbacks, replies such as STOP, costs, and the pace of a sender.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/iam/test-credentials
"""

import base64
import binascii
import hmac
import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from config.clock import Clock
from loadtest.simulators.exchange import ProviderName, Reply, Request
from loadtest.simulators.fates import Fate, Fates
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.signed import Unsigned, read_signed

__all__ = ["HOOK_PATH", "SmsAccount", "SmsService"]

HOOK_PATH: Final = "/sms"
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER: Final = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11}")
_MOST_CHARS: Final = 1600
_LONGEST_VALIDITY_S: Final = 36_000
_FIELDS: Final = frozenset({"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"})

_MAGIC: Final = {
    "+15005550001": (400, 21211, "Invalid 'To' Phone Number"),
    "+15005550002": (400, 21612, "Message cannot be sent with the current combination of 'To' and/or 'From' parameters"),
    "+15005550003": (400, 21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (400, 21614, "'To' number is not a valid mobile number"),
}
_FULL_QUEUE: Final = "+15005550008"


class SmsAccount:
    """Whom the simulator knows: an account with its token, and the secret of the signed webhook."""

    def __init__(self, sid: str, auth_token: str, secret: str) -> None:
        self.sid, self.auth_token, self.secret = sid, auth_token, secret


class _Refusal(Exception):
    """A check failed; with status, Twilio's code and its sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class SmsService:
    """Checks and records messages."""

    name: ProviderName = "sms"

    def __init__(self, account: SmsAccount, outbox: Outbox, clock: Clock) -> None:
        self._account = account
        self._outbox = outbox
        self._clock = clock
        self.fates = Fates()

    def address_of(self, request: Request) -> str:
        return _form(request).get("To", "")

    def take(self, request: Request) -> Reply:
        if request.path == HOOK_PATH:
            return self._take_hook(request)
        try:
            self._check_caller(request)
            fields = self._check_fields(request)
        except _Refusal as refusal:
            return self._refuse(refusal)
        sid = "SM" + self._clock.new_id().hex
        callback = parse_qs(urlsplit(fields.get("StatusCallback", "")).query)
        self._outbox.record(
            self.name,
            fields["To"],
            title="",
            body=fields["Body"],
            notification_id=callback.get("notification", [""])[0],
            headers={name: value for name, value in fields.items() if name not in ("To", "Body")},
        )
        answer = {"sid": sid, "status": "queued", "to": fields["To"], "body": fields["Body"], "error_code": None}
        return Reply(201, _JSON, json.dumps(answer).encode())

    def error(self, status: int, reason: str) -> Reply:
        """Word an error; a reason that is a number is Twilio's code."""
        code = int(reason) if reason.isdigit() else {401: 20003, 404: 20404, 429: 20429}.get(status, 20500)
        return self._refuse(_Refusal(status, code, reason or "error"))

    # -- checks

    def _check_caller(self, request: Request) -> None:
        scheme, _, encoded = (request.header(b"authorization") or "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        account = self._account
        known = hmac.compare_digest(f"{user}:{password}".encode(), f"{account.sid}:{account.auth_token}".encode())
        if scheme.lower() != "basic" or not known:
            raise _Refusal(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{account.sid}/Messages.json":
            raise _Refusal(404, 20404, "The requested resource was not found")
        if request.method != "POST":
            raise _Refusal(405, 20004, "Method not allowed")

    def _check_fields(self, request: Request) -> dict[str, str]:
        if request.header(b"content-type") != "application/x-www-form-urlencoded":
            raise _Refusal(415, 20415, "Unsupported media type")
        fields = _form(request)
        if unknown := sorted(fields.keys() - _FIELDS):
            raise _Refusal(400, 20001, f"Unknown parameter {unknown[0]}")
        to = fields.get("To", "")
        if not to:
            raise _Refusal(400, 21604, "A 'To' phone number is required")
        if not _NUMBER.fullmatch(to):
            raise _Refusal(400, 21211, "Invalid 'To' Phone Number")
        if ("From" in fields) == ("MessagingServiceSid" in fields):
            raise _Refusal(400, 21603, "A 'From' or 'MessagingServiceSid' parameter is required")
        if not _SENDER.fullmatch(fields.get("From", "+15005550006")):
            raise _Refusal(400, 21212, "Invalid 'From' Phone Number")
        if not fields.get("Body"):
            raise _Refusal(400, 21602, "Message body is required")
        if len(fields["Body"]) > _MOST_CHARS:
            raise _Refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        validity = fields.get("ValidityPeriod", "1")
        if not validity.isdigit() or not 1 <= int(validity) <= _LONGEST_VALIDITY_S:
            raise _Refusal(400, 21621, "The 'ValidityPeriod' parameter is out of range")
        if to in _MAGIC:
            raise _Refusal(*_MAGIC[to])
        if self.fates.settle(to, Fate.BUSY if to == _FULL_QUEUE else Fate.TAKEN) is Fate.BUSY:
            raise _Refusal(429, 21611, "This 'From' number has exceeded the maximum number of queued messages")
        return fields

    # -- answers

    def _refuse(self, refusal: _Refusal) -> Reply:
        answer: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "status": refusal.status}
        answer["more_info"] = f"https://www.twilio.com/docs/errors/{refusal.code}"
        return Reply(refusal.status, _JSON, json.dumps(answer).encode(), str(refusal.code))

    def _take_hook(self, request: Request) -> Reply:
        """Take a message as an SMS gateway of one's own would."""
        try:
            told = read_signed(request, self._account.secret, now=self._clock.now().timestamp())
        except Unsigned as exc:
            return Reply(exc.status, _JSON, json.dumps({"error": exc.reason}).encode(), exc.reason)
        to = str(told.get("to", ""))
        if to in ("+15005550004", "+15005550009"):
            return Reply(410, _JSON, b'{"error":"gone"}', "gone")
        if self.fates.settle(to, Fate.BUSY if to == _FULL_QUEUE else Fate.TAKEN) is Fate.BUSY:
            return Reply(503, (*_JSON, (b"retry-after", b"1")), b'{"error":"busy"}', "busy")
        if to in _MAGIC:
            return Reply(422, _JSON, b'{"error":"refused"}', "refused")
        self._outbox.record(self.name, to, title="", body=str(told.get("text", "")), notification_id=str(told.get("id", "")))
        return Reply(200, _JSON, json.dumps({"id": self._clock.new_id().hex}).encode())


_JSON: Final = ((b"content-type", b"application/json"),)


def _form(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    except (UnicodeDecodeError, ValueError):
        return {}
    return {name: values[-1] for name, values in fields.items()}

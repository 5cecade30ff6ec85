"""How a receiver checks a signed call: written from the documentation, not from the sender's code."""

import hashlib
import hmac
from typing import Any, Final

import msgspec

from loadtest.simulators.exchange import Request

__all__ = ["Unsigned", "read_signed"]

_TOLERANCE_S: Final = 300


class Unsigned(Exception):
    """The call is not what it should be: the status to answer with, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_signed(request: Request, secret: str, *, now: float) -> dict[str, Any]:
    """Check a call's signature and age; gives the JSON object of its body.

    Raises:
        Unsigned: It is not signed with the secret, too old or from the future, or no JSON object.
    """
    if request.method != "POST":
        raise Unsigned(405, "only POST is taken")
    timestamp = request.header(b"heliograph-timestamp") or ""
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > _TOLERANCE_S:
        raise Unsigned(401, "the timestamp is missing or more than five minutes off")
    wanted = hmac.new(secret.encode(), f"{timestamp}.".encode() + request.body, hashlib.sha256).hexdigest()
    signatures = (request.header(b"heliograph-signature") or "").split(",")
    if not any(hmac.compare_digest(signature.strip().encode(), f"v1={wanted}".encode()) for signature in signatures):
        raise Unsigned(401, "the signature is wrong")
    if request.header(b"content-type") != "application/json":
        raise Unsigned(415, "the body must be application/json")
    try:
        told = msgspec.json.decode(request.body)
    except msgspec.DecodeError as exc:
        raise Unsigned(400, "the body is no JSON") from exc
    if not isinstance(told, dict):
        raise Unsigned(400, "the body is no JSON object")
    return told

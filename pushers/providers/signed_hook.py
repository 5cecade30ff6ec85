"""Signed calls to an address of the operator's or a user's choice: JSON by POST, and what the answers mean.

They are signed as status webhooks are, so that receivers check one rule: `heliograph-signature` holds `v1=` and the HMAC-SHA256
of `<heliograph-timestamp>.<body>` for each secret in use, and secrets can change without a gap. The timestamp is that of the
try, so that an old call cannot be played again; a repeat is told by `delivery_id` in the body.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from config.tracing import carried, current
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after, server_error
from pushers.status_webhooks import sign

__all__ = ["build_signed", "classify_hook"]

_BUSY_S: Final = 60.0


def build_signed(
    url: str, body: bytes, *, secrets: Sequence[str], now: datetime, timeout_s: float, pinned: tuple[str, ...] = ()
) -> HttpRequest:
    """Address and sign a call, with each of the secrets."""
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "heliograph-timestamp": str(timestamp),
        "heliograph-signature": sign(secrets, timestamp, body),
        **carried(current()),
    }
    return HttpRequest(url, headers, body, timeout_s, pinned)


class _Answer(msgspec.Struct, frozen=True):
    """What an answer may tell in its body: an id of its own."""

    id: str = ""


def classify_hook(response: HttpResponse, *, now: datetime, size_bytes: int, is_ours: bool) -> SendOutcome:
    """Decide what an answer means.

    Args:
        is_ours: The address stands in the settings: what is wrong with it is wrong for everybody, and waits until it is mended.
            An address that a device named is that device's own trouble.
    """
    reason = f"status {response.status}"
    said = response.header("retry-after")
    match response.status:
        case status if 200 <= status < 300:
            return Accepted(_read_id(response.body))
        case 410:
            return DropDevice(reason, now)
        case 413:
            return TooLarge(size_bytes)
        case 408 | 425 | 429:
            after_s = parse_retry_after(said, now, _BUSY_S)
            return Retry(reason, after_s, scope="lane" if is_ours else "device", is_failure=False)
        case status if status >= 500:
            return server_error(reason, said, now)
        case 401 | 403 | 404 | 405 if is_ours:
            return ConfigPause(reason)
        case status if 300 <= status < 400 and is_ours:
            return ConfigPause(f"{reason}: redirects are not followed")
        case 404:
            return DropDevice(reason, now, confident=False)
        case _:  # a redirect too: following one would leave what the guard has looked at
            return DropMessage(reason)


def _read_id(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Answer).id[:200]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""

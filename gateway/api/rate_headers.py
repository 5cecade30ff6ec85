"""How a caller is told of its rate: `RateLimit-Limit`, `-Remaining`, `-Reset`, and `Retry-After` when nothing is left."""

import math

from broker.limits import Allowance, Rate

__all__ = ["rate_headers"]


def rate_headers(rate: Rate, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """Write what is left as headers, in whole seconds, rounded up: whoever waits so long does not wait in vain."""
    headers = [
        (b"ratelimit-limit", b"%d" % rate.burst),
        (b"ratelimit-remaining", b"%d" % allowance.remaining),
        (b"ratelimit-reset", b"%d" % _seconds(allowance.whole_in_s)),
    ]
    if allowance.wait_s > 0:
        headers.append((b"retry-after", b"%d" % max(1, _seconds(allowance.wait_s))))
    return headers


def _seconds(seconds: float) -> int:
    return 0 if math.isinf(seconds) else math.ceil(seconds - 1e-6)

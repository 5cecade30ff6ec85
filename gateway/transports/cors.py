"""What browsers ask before a page of one origin may read an answer of another (Fetch standard, CORS protocol).

On HTTP transports the origin check does not refuse: without these headers the browser keeps the answer from the page.
"""

from collections.abc import Mapping, Sequence

from gateway.origins import is_origin_allowed

__all__ = ["HeaderList", "cors_headers", "preflight_headers"]

HeaderList = list[tuple[bytes, bytes]]


def cors_headers(headers: Mapping[bytes, bytes], allowed: Sequence[str]) -> HeaderList:
    """Make the headers that let the asking page read the answer; none where its origin is not allowed."""
    origin = headers.get(b"origin", b"")
    if not origin or not is_origin_allowed(origin.decode("latin-1"), allowed):
        return []
    answer = [
        (b"access-control-allow-origin", origin),  # echoed, never *, because credentials are allowed
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
    if asked := headers.get(b"access-control-request-headers"):
        answer.append((b"access-control-allow-headers", asked))
    return answer


def preflight_headers(headers: Mapping[bytes, bytes], allowed: Sequence[str]) -> HeaderList:
    """Make the headers that answer a preflight request."""
    answer = cors_headers(headers, allowed)
    if answer:
        answer += [(b"access-control-max-age", b"300"), (b"access-control-allow-methods", b"POST, OPTIONS")]
    return answer

"""Writes `docs/errors.md`, the page of every code, from the tables that the code uses: `python -m gateway.error_reference`."""

import sys
from collections.abc import Iterable, Iterator, Mapping

from broker.notification import Outcome
from broker.outcome_classes import CLASSES
from gateway.api.errors import STATUS_BY_CODE
from gateway.api.explained import API_ERRORS
from gateway.protocol.error_classes import DISCONNECTS, ERRORS, UNSUBSCRIBES, Explained

__all__ = ["render_errors"]

_HEAD = """\
# Errors

Made from the code by `python -m gateway.error_reference`; a test holds it to that.

Every code has a class that says whose matter it is: **user**, the caller's (a bad request, an old token, a line that broke);
**system**, ours or a dependency's; **business**, a rule of the operator's that said no. Metrics have it as the label `class`,
and the alerts in `deploy/prometheus` watch the shares of the first two. Codes of an application's own, which its proxies answer
with, count as business.
"""

_COMMANDS = """
## Errors of commands

A client's command fails with one of these; the connection goes on. `temporary` tells SDKs to try again.
"""

_DISCONNECTS = """
## Disconnects

The connection ends with one of these. 3000–3499 and 4000–4499 mean come back, 3500–3999 and 4500–4999 mean stay away.
"""

_UNSUBSCRIBES = """
## Unsubscribes

A subscription ends with one of these and the connection goes on. From 2500 SDKs subscribe again.
"""

_API = """
## Errors of the HTTP API

HTTP 200 with `{"error": {"code", "message"}}`, or the status below in transport error mode. Before a method is reached, HTTP
itself says no: 401 without a valid key, 404 for an unknown method, 405 for anything but POST, 413 for a body that is too large,
400 for one that is no JSON, 429 for a key that calls too fast, 503 with `Retry-After` while the store does not answer.
"""

_OUTCOMES = """
## Outcomes of deliveries

What stands in a notification's timeline when a delivery has failed for good. `notification_statistics` counts them by class.
"""

_MEANINGS: Mapping[Outcome, str] = {
    Outcome.UNREGISTERED: "The address is dead; the device was removed.",
    Outcome.SUPPRESSED: "The address bounced or complained before, and is left alone.",
    Outcome.REFUSED: "The provider will never take this message.",
    Outcome.GAVE_UP: "The last retry failed; it lies among the dead letters.",
    Outcome.UNKNOWN: "No answer came, and a repeat could have told the user twice.",
    Outcome.PAUSED: "The provider's settings are wrong or its breaker is open, and time ran out.",
    Outcome.MUTED: "A preference switches this route off.",
    Outcome.CAPPED: "The user has got as many of this category as they are to get; it stays in the inbox.",
    Outcome.HELD_OUT: "The user belongs to the control group of an experiment, which gets nothing.",
    Outcome.EXPIRED: "Its time to live ended first.",
}


def render_errors() -> str:
    """Write the page."""
    lines = [
        _HEAD,
        *_codes(_COMMANDS, ERRORS.values()),
        *_codes(_DISCONNECTS, DISCONNECTS.values()),
        *_codes(_UNSUBSCRIBES, UNSUBSCRIBES.values()),
        *_codes(_API, API_ERRORS.values(), statuses=STATUS_BY_CODE),
        _OUTCOMES,
        "| outcome | class | meaning |",
        "|---|---|---|",
        *(f"| `{outcome}` | {CLASSES[outcome]} | {text} |" for outcome, text in _MEANINGS.items()),
    ]
    return "\n".join(lines) + "\n"


def _codes(head: str, codes: Iterable[Explained], statuses: Mapping[int, int] | None = None) -> Iterator[str]:
    yield head
    yield f"| code | name |{' HTTP |' if statuses else ''} class | meaning | what to do |"
    yield f"|---|---|{'---|' if statuses else ''}---|---|---|"
    for known in codes:
        status = f" {statuses[known.code]} |" if statuses else ""
        yield f"| {known.code} | {known.name} |{status} {known.error_class} | {known.meaning} | {known.advice} |"


if __name__ == "__main__":
    sys.stdout.write(render_errors())

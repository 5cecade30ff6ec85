"""One line per attempt that ended, and none for what was only put off."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from broker.ledger import SendDone, StepKind
from broker.notification import Entry, Outcome
from pushers.metrics import Metrics
from pushers.report import Report


@pytest.fixture
def report():
    return Report(Metrics(CollectorRegistry()))


def make_done(step, notification, clock, outcome, **more):
    sent = step(notification(correlation_id="req-1"), StepKind.SEND)
    return SendDone(sent, Entry("push", outcome, clock.now(), "fcm", "fcm-to…", "d", 2, "503"), clock.now(), **more)


def test_a_line_tells_all_that_matters(report, step, notification, clock):
    done = make_done(step, notification, clock, Outcome.RETRY, retry_at=clock.now() + timedelta(seconds=8))
    with capture_logs() as logs:
        report.ended(done, now=clock.now(), took_s=0.25)
    assert logs == [
        {
            "event": "delivery.ended",
            "log_level": "info",
            "notification": "0199-1",
            "route": "push",
            "provider": "fcm",
            "outcome": "retry",
            "attempt": 2,
            "address": "fcm-to…",
            "detail": "503",
            "took_s": 0.25,
            "retry_in_s": 8.0,
            "correlation_id": "req-1",
        }
    ]


def test_what_was_accepted_is_told_at_debug_level_and_what_was_put_off_not_at_all(report, step, notification, clock):
    with capture_logs() as logs:
        report.ended(make_done(step, notification, clock, Outcome.ACCEPTED), now=clock.now())
        report.ended(SendDone(step(kind=StepKind.SEND), None, clock.now()), now=clock.now())
    assert [entry["log_level"] for entry in logs] == ["debug"]

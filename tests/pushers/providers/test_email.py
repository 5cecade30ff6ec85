"""The reply table of SMTP row by row."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.providers.email import classify
from pushers.providers.smtp_pool import SmtpReply, Stage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAGES: tuple[Stage, ...] = ("connect", "sender", "recipient", "data")

TABLE: list[tuple[Stage, int, str, SendOutcome]] = [
    ("data", 250, "2.0.0 Ok: queued as 4B1", Accepted("2.0.0 Ok: queued as 4B1")),
    ("recipient", 421, "4.7.0 closing", Retry("421 4.7.0", is_failure=False)),
    ("recipient", 450, "4.2.0 greylisted", Retry("450 4.2.0", 60.0, is_failure=False)),
    ("data", 451, "local error", Retry("451", 60.0, is_failure=False)),
    ("recipient", 452, "4.5.3 too many", Retry("452 4.5.3", 60.0, is_failure=False)),
    ("recipient", 451, "4.7.1 greylisted", Retry("451 4.7.1", 60.0, is_failure=False)),
    ("connect", 454, "4.7.0 temporary", ConfigPause("454 4.7.0")),
    ("sender", 530, "5.7.0 authenticate first", ConfigPause("530 5.7.0")),
    ("connect", 535, "5.7.8 bad credentials", ConfigPause("535 5.7.8")),
    ("sender", 550, "5.7.8 credentials", ConfigPause("550 5.7.8")),
    ("recipient", 550, "5.1.1 <bob@x.example> unknown", DropDevice("550 5.1.1", NOW)),
    ("recipient", 550, "5.1.6 moved", DropDevice("550 5.1.6", NOW)),
    ("recipient", 556, "5.1.10 null MX", DropDevice("556 5.1.10", NOW)),
    ("recipient", 550, "5.2.1 disabled", DropDevice("550 5.2.1", NOW)),
    ("recipient", 552, "5.2.2 mailbox full", Retry("552 5.2.2", 3600.0, is_failure=False)),
    ("recipient", 552, "mailbox full", Retry("552", 3600.0, is_failure=False)),
    ("data", 552, "5.3.4 too big", TooLarge(700)),
    ("data", 554, "5.2.3 too big", TooLarge(700)),
    ("data", 552, "too big", TooLarge(700)),
    ("recipient", 550, "5.7.1 policy", DropMessage("550 5.7.1")),
    ("data", 554, "5.7.26 spam", DropMessage("554 5.7.26")),
    ("recipient", 550, "no such user", DropMessage("550")),
    ("recipient", 550, "5.1.1000 not a code", DropMessage("550")),
    ("sender", 550, "5.7.1 sender not allowed", ConfigPause("550 5.7.1")),
    ("connect", 554, "no service", ConfigPause("554")),
    ("data", 354, "what", DropMessage("354")),
]


@pytest.mark.parametrize(("stage", "code", "text", "expected"), TABLE)
def test_reply_table(stage: Stage, code: int, text: str, expected: SendOutcome) -> None:
    assert classify(SmtpReply(stage, code, text), now=NOW, size_bytes=700) == expected


@given(st.sampled_from(STAGES), st.integers(200, 599), st.text())
def test_any_reply_has_an_outcome_that_repeats_no_text(stage: Stage, code: int, text: str) -> None:
    outcome = classify(SmtpReply(stage, code, "bob@x.example " + text), now=NOW)
    assert isinstance(outcome, SendOutcome)
    assert "bob" not in getattr(outcome, "reason", "")

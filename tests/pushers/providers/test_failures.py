"""What ended without an answer, as the pipeline is told."""

import pytest

from pushers.outcome import Ambiguous, ConfigPause, Retry, SendOutcome
from pushers.providers import errors
from pushers.providers.failures import outcome_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.NotSent("no stream"), Retry("no stream")),
        (errors.ConnectFailed("refused"), Retry("refused")),
        (errors.Ambiguous("silence"), Ambiguous("silence")),
        (errors.Misconfigured("account"), ConfigPause("account")),
        (errors.TokenUnavailable("busy", retry_after_s=7.0), Retry("busy", 7.0)),
    ],
)
def test_every_error_has_one_outcome(error: errors.TransportError, expected: SendOutcome) -> None:
    assert outcome_of(error) == expected

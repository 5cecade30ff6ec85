"""Every code is explained, and the page of errors is the one that the tables make."""

from pathlib import Path

from broker.notification import Outcome
from broker.outcome_classes import CLASSES, FAILURES
from gateway.api import errors as api_errors
from gateway.api.explained import API_ERRORS, class_of_api_error
from gateway.error_reference import render_errors
from gateway.protocol import disconnects, errors
from gateway.protocol.error_classes import DISCONNECTS, ERRORS, UNSUBSCRIBES, ErrorClass, class_of_disconnect, class_of_error

PAGE = Path(__file__).parents[2] / "docs/errors.md"


def codes_of(module, kind):
    return {value.code: value for name in module.__all__ if isinstance(value := getattr(module, name), kind)}


def test_the_page_is_made_from_the_tables():
    assert PAGE.read_text() == render_errors(), "run: python -m gateway.error_reference > docs/errors.md"


def test_no_code_is_without_an_explanation():
    assert {code: error.message for code, error in codes_of(errors, errors.Error).items()} == {
        code: known.name for code, known in ERRORS.items()
    }
    for kind, table in ((disconnects.Disconnect, DISCONNECTS), (disconnects.Unsubscribe, UNSUBSCRIBES)):
        assert {code: one.reason for code, one in codes_of(disconnects, kind).items()} == {
            code: known.name for code, known in table.items()
        }
    assert set(api_errors.STATUS_BY_CODE) == set(API_ERRORS) >= set(codes_of(api_errors, api_errors.ApiError))
    assert set(CLASSES) == set(Outcome)
    page = render_errors()
    assert all(f"| `{outcome}` | {of_class} |" in page for outcome, of_class in CLASSES.items() if of_class in FAILURES)


def test_an_applications_own_codes_are_its_rules():
    assert class_of_error(4242) == class_of_disconnect(4567) == class_of_api_error(1000) == ErrorClass.BUSINESS
    assert (class_of_error(100), class_of_disconnect(3500)) == (ErrorClass.SYSTEM, ErrorClass.USER)

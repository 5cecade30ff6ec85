"""Prices of messages: whose there are, and what is refused by name (N-31)."""

import pytest
from pydantic import ValidationError

from broker.notification import Provider
from config.operation_settings import CostSettings


def test_every_provider_may_have_a_price_and_nothing_has_one_by_itself() -> None:
    assert CostSettings().prices == {}
    all_of_them = dict.fromkeys(Provider, 0.5)
    assert CostSettings.model_validate({"currency": "EUR", **all_of_them}).prices == all_of_them
    assert CostSettings(currency="EUR", sms=0).prices == {}


@pytest.mark.parametrize(
    ("given", "where", "says"),
    [
        ({"currency": "EUR", "pigeon": 1}, ("pigeon",), "not permitted"),
        ({"currency": "EUR", "sms": -0.1}, ("sms",), "greater than or equal"),
        ({"currency": "EUR", "sms": float("inf")}, ("sms",), "finite"),
        ({"sms": 0.1}, (), "a price needs a currency"),
    ],
)
def test_what_is_no_price_of_a_provider_is_refused(given: dict[str, object], where: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CostSettings.model_validate(given)
    (problem,) = refused.value.errors()
    assert problem["loc"] == where
    assert says in problem["msg"]

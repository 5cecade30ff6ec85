"""The provider token's life."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pushers.providers.apns_token import ProviderToken

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def token() -> ProviderToken:
    return ProviderToken("TEAM", "KEY", KEY)


def test_claims_and_header(token: ProviderToken) -> None:
    text = token.current(NOW)
    claims = jwt.decode(text, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM", "iat": 1767225600}
    assert jwt.get_unverified_header(text)["kid"] == "KEY"


def test_one_token_for_three_quarters_of_an_hour(token: ProviderToken) -> None:
    first = token.current(NOW)
    assert token.current(NOW + timedelta(minutes=44, seconds=59)) == first
    assert token.current(NOW + timedelta(minutes=45)) != first


def test_clock_that_was_set_back_gets_a_new_token(token: ProviderToken) -> None:
    first = token.current(NOW)
    assert token.current(NOW - timedelta(seconds=1)) != first


def test_many_calls_with_the_refused_token_replace_it_once(token: ProviderToken) -> None:
    first = token.current(NOW)
    assert token.replace(first, NOW)
    second = token.current(NOW)
    assert second != first
    assert token.replace(first, NOW)
    assert token.current(NOW) == second


def test_replacement_is_not_replaced_until_its_time(token: ProviderToken) -> None:
    token.replace(token.current(NOW), NOW)
    second = token.current(NOW)
    assert not token.replace(second, NOW)
    assert token.current(NOW) == second
    later = NOW + timedelta(minutes=45)
    assert token.replace(token.current(later), later)

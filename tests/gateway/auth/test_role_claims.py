"""What a token says of its user's roles, and the claims that are kept."""

import pytest

from config.token_settings import TokenSettings
from gateway.auth.errors import InvalidToken
from gateway.auth.tokens import TokenVerifier

NESTED = {"realm_access": {"roles": ["editor"]}}


@pytest.mark.parametrize(
    ("setting", "claims", "expected"),
    [
        ("roles", {"roles": ["editor", "admin"]}, ("editor", "admin")),
        ("roles", {"roles": ["editor", "editor"]}, ("editor",)),
        ("roles", {"roles": "editor"}, ("editor",)),
        ("roles", {"roles": []}, ()),
        ("roles", {"roles": None}, ()),
        ("roles", {}, ()),
        ("realm_access.roles", NESTED, ("editor",)),
        ("realm_access.roles", {"realm_access.roles": ["plain"], **NESTED}, ("plain",)),
        ("realm_access.roles", {"realm_access": "x"}, ()),
        ("", {"roles": ["editor"]}, ()),
        ("", {"roles": 7}, ()),
    ],
)
def test_roles(verifier, sign, setting, claims, expected):
    verify = verifier(hmac_secret_key="s" * 64, roles_claim=setting)
    assert verify.connection(sign({"sub": "42", **claims}, "s" * 64)).roles == expected


@pytest.mark.parametrize(
    "roles", [7, {"a": 1}, [7], [""], ["x" * 65], ["a\0"], [["a"]], [f"r{number}" for number in range(65)]]
)
def test_roles_of_another_form_are_not_passed_over(verifier, sign, roles):
    verify = verifier(hmac_secret_key="s" * 64, roles_claim="roles")
    with pytest.raises(InvalidToken, match="the claim roles must list"):
        verify.connection(sign({"sub": "42", "roles": roles}, "s" * 64))


def test_only_the_claims_that_policies_may_ask_for_are_kept(sign, clock, revocation):
    settings = TokenSettings(hmac_secret_key="s" * 64)
    verify = TokenVerifier(settings, revocation=revocation, clock=clock, kept_claims=("dept", "level"))
    assert verify.connection(sign({"sub": "42", "dept": "eng", "phone": "1"}, "s" * 64)).kept == {"dept": "eng"}
    plain = TokenVerifier(settings, revocation=revocation, clock=clock)
    assert plain.connection(sign({"sub": "42", "dept": "eng"}, "s" * 64)).kept == {}

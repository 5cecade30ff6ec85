"""Several issuers: each token is held against its own issuer's keys and rules, and no others."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from config.clock import ManualClock
from config.errors import SettingsError
from config.keys import key_problems
from config.settings import Settings
from config.token_settings import TokenSettings
from gateway.auth.errors import Check, InvalidToken
from gateway.auth.issuers import Issuers
from gateway.auth.key_source import KeysUnavailable
from gateway.auth.tokens import TokenVerifier

A, B = "https://a.example.org/", "https://b.example.org/"
SECRET_B = "the secret of issuer b, which nobody else knows of"


@pytest.fixture
def both(verifier: Callable[..., TokenVerifier], secret: str, key_pairs: Any) -> TokenVerifier:
    """Judge tokens of the default issuer (a secret), of A (a public key) and of B (a secret of its own)."""
    issuers = [
        {"name": "a", "issuer": A, "ecdsa_public_key": key_pairs["ES256"][1], "audience": "us", "user_id_claim": "uid"},
        {"name": "b", "issuer": B, "hmac_secret_key": SECRET_B, "user_prefix": "b:"},
    ]
    return verifier(hmac_secret_key=secret, issuers=issuers)


def test_each_is_judged_by_its_own_keys_and_claims(both: TokenVerifier, sign: Any, key_pairs: Any) -> None:
    assert both.connection(sign({"sub": "1"})).user == "1"
    assert both.connection(sign({"sub": "1", "iss": "somebody else, whom the default issuer may be"})).user == "1"
    of_a = sign({"uid": "2", "iss": A, "aud": ["them", "us"]}, key_pairs["ES256"][0], "ES256")
    assert both.connection(of_a).user == "2"
    assert both.connection(sign({"sub": "3", "iss": B}, SECRET_B)).user == "b:3"
    assert both.connection(sign({"iss": B}, SECRET_B)).user == ""


@pytest.mark.parametrize("claims", [{"iss": A, "aud": "us"}, {"iss": B}, {"iss": B, "aud": "us"}])
def test_the_default_key_opens_nothing_of_others(both: TokenVerifier, sign: Any, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        both.connection(sign(claims))


@pytest.mark.parametrize("iss", [None, A, "", B.rstrip("/"), B.upper()])
def test_the_key_of_one_opens_nothing_of_others(both: TokenVerifier, sign: Any, iss: str | None) -> None:
    with pytest.raises(InvalidToken):
        both.connection(sign({"sub": "3"} | ({} if iss is None else {"iss": iss}), SECRET_B))


def test_a_public_key_is_no_secret_of_any_issuer(both: TokenVerifier, sign: Any, key_pairs: Any) -> None:
    claims = {"uid": "2", "iss": A, "aud": "us"}
    public = key_pairs["ES256"][1]
    head, _, _ = sign(claims, "x" * 64).rpartition(".")
    for guess in (public.encode(), public.strip().encode()):
        forged = base64.urlsafe_b64encode(hmac.new(guess, head.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        with pytest.raises(InvalidToken) as refusal:
            both.connection(f"{head}.{forged}")
        assert refusal.value.check is Check.KEY


def test_an_issuer_named_twice_is_believed_by_nobody(both: TokenVerifier, sign_bytes: Any) -> None:
    for claims in (b'{"iss":"%b","iss":"x"}', b'{"iss":"x","iss":"%b"}'):
        with pytest.raises(InvalidToken):
            both.connection(sign_bytes(claims % B.encode()))


def test_the_audience_of_one_is_not_that_of_others(both: TokenVerifier, sign: Any, key_pairs: Any) -> None:
    with pytest.raises(InvalidToken, match="audience") as refusal:
        both.connection(sign({"iss": A, "aud": "them"}, key_pairs["ES256"][0], "ES256"))
    assert refusal.value.check is Check.AUDIENCE


@pytest.mark.parametrize(
    "token", ["", ".", "a.b", "..", "a.W10.c", "a.bnVsbA.c", "a.eyJpc3MiOjd9.c", "a.%.c", "a." + "x" * 20_000]
)
def test_what_names_nobody_is_the_default_issuers(both: TokenVerifier, token: str) -> None:
    assert both.issuers.of(token) is both.issuers.default
    with pytest.raises(InvalidToken):
        both.connection(token)


# Published keys


@pytest.fixture
def published(verifier: Callable[..., TokenVerifier], publisher: Any, secret: str) -> TokenVerifier:
    issuer = {"name": "login", "issuer": A, "jwks_url": publisher.url, "jwks_private_network": True, "jwks_timeout": "2s"}
    return verifier(hmac_secret_key=secret, issuers=[issuer])


async def test_a_token_waits_for_the_key_that_it_names(
    published: TokenVerifier, publisher: Any, sign: Any, key_pairs: Any, make_jwk: Callable[..., Any]
) -> None:
    publisher.publish(make_jwk("ES256", "k1"), make_jwk("RS256", "k2"))
    for algorithm, kid in (("ES256", "k1"), ("RS256", "k2"), ("RS512", "k2"), ("ES256", None)):
        token = sign({"sub": "1", "iss": A}, key_pairs[algorithm][0], algorithm, **({} if kid is None else {"kid": kid}))
        await published.prepare(token)
        assert published.connection(token).user == "1"
    assert len(publisher.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": "http://169.254.169.254/"},
        {"kid": "k1\0"},
        {"kid": "K1"},
        {"kid": ""},
        {"jku": "http://127.0.0.1:1/", "kid": "k2"},
        {"x5u": "http://127.0.0.1:1/", "kid": "k2"},
    ],
)
async def test_no_other_name_means_a_key(
    published: TokenVerifier, publisher: Any, sign: Any, key_pairs: Any, make_jwk: Any, clock: ManualClock, headers: Any
) -> None:
    publisher.publish(make_jwk("ES256", "k1"))
    token = sign({"sub": "1", "iss": A}, key_pairs["ES256"][0], "ES256", **headers)
    await published.prepare(token)
    with pytest.raises(InvalidToken, match="does not publish") as refusal:
        published.connection(token)
    assert refusal.value.check is Check.KEY


async def test_tokens_that_can_never_pass_ask_nobody(
    published: TokenVerifier, publisher: Any, sign: Any, key_pairs: Any
) -> None:
    private = key_pairs["ES256"][0]
    for token in (
        "rubbish",
        sign({"sub": "1"}),  # the default issuer's
        sign({"iss": A}),  # HMAC, which is never published
        sign({"iss": A}, private, "ES256", kid="k" * 257),
        sign({"iss": A}, private, "ES256", crit=["exp"]),
        sign({"iss": A, "pad": "x" * 20_000}, private, "ES256"),
    ):
        await published.prepare(token)
    assert publisher.requests == []


async def test_whether_a_token_is_good_is_unknown_without_its_issuer(
    published: TokenVerifier, publisher: Any, sign: Any, key_pairs: Any
) -> None:
    publisher.answer = publisher.response(b"", "500 Oops")
    with pytest.raises(KeysUnavailable):
        await published.prepare(sign({"iss": A}, key_pairs["ES256"][0], "ES256"))
    await published.issuers.close()


async def test_several_keys_need_a_name(
    published: TokenVerifier, publisher: Any, sign: Any, key_pairs: Any, make_jwk: Callable[..., Any]
) -> None:
    publisher.publish(make_jwk("RS256", "k1"), make_jwk("RS384", "k2"))
    token = sign({"iss": A}, key_pairs["RS256"][0], "RS256")
    await published.prepare(token)
    with pytest.raises(InvalidToken, match="does not name its key"):
        published.connection(token)


# Settings


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ({"jwks_url": "https://issuer.example.org/jwks.json"}, ""),
        ({"jwks_url": "http://issuer.example.org/jwks.json"}, "plain https"),
        ({"jwks_url": "https://10.0.0.1/jwks.json"}, "plain https"),
        ({"jwks_url": "https://issuer.example.org:8443/"}, "plain https"),
        ({"jwks_url": "https://keys.corp/"}, "local network"),
        ({"jwks_url": "http://10.0.0.1:8080/jwks.json", "jwks_private_network": True}, ""),
        ({"jwks_url": "http://[fd00::1]/", "jwks_private_network": True}, ""),
        ({"jwks_url": "http://user:pw@keys/", "jwks_private_network": True}, "plain http"),
        ({"jwks_url": "file:///etc/passwd", "jwks_private_network": True}, "plain http"),
        ({"issuers": [{"name": "a", "issuer": A}]}, "issuers[0]: has no key"),
        ({"issuers": [{"name": "a", "issuer": A, "rsa_public_key": "x"}]}, "issuers[0].rsa_public_key: must be a public key"),
        ({"issue": {"enabled": True}}, "issue.signing_key: must be set"),
        ({"issue": {"enabled": True, "signing_key": "short"}}, "issue.signing_key: must be a private key"),
        ({"issue": {"enabled": True, "signing_key": "s" * 32}}, ""),
    ],
)
def test_settings_of_issuers_are_checked(token: dict[str, Any], problem: str) -> None:
    problems = key_problems(Settings.model_validate({"client": {"token": token}}))
    assert bool(problems) == bool(problem)
    assert problem in "".join(problems)


def test_a_public_key_and_published_ones_exclude_each_other(key_pairs: Any) -> None:
    token = {"jwks_url": "https://issuer.example.org/", "ecdsa_public_key": key_pairs["ES256"][1]}
    [line] = key_problems(Settings.model_validate({"client": {"token": token}}))
    assert line.startswith("client.token.jwks_url: not beside a public key")


@pytest.mark.parametrize(
    "token",
    [
        {"issuer": A, "issuers": [{"name": "a", "issuer": A}]},
        {"issuers": [{"name": "a", "issuer": A}, {"name": "b", "issuer": A}]},
        {"issuers": [{"name": "a", "issuer": A}, {"name": "a", "issuer": B}]},
        {"issuers": [{"name": "a", "issuer": ""}]},
        {"issuers": [{"name": "a", "issuer": A}], "issue": {"enabled": True, "issuer": A}},
    ],
)
def test_two_issuers_cannot_be_one(token: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"differ|must|at least"):
        Settings.model_validate({"client": {"token": token}})


def test_certificates_that_cannot_be_read_stop_the_start(clock: ManualClock) -> None:
    settings = TokenSettings(issuers=({"name": "a", "issuer": A, "jwks_url": "https://a.example.org/", "jwks_ca_file": "/no"},))
    with pytest.raises(SettingsError, match=r"client.token.issuers\[0\].jwks_ca_file: cannot be read"):
        Issuers(settings, clock)

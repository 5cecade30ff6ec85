"""What a person is told about a token: why it is refused and what to do, or what it grants."""

from collections.abc import Callable
from typing import Any

import pytest

from config.clock import ManualClock
from config.settings import ClientSettings
from gateway.auth.errors import Check
from gateway.auth.inspection import Inspection, inspect_token
from gateway.auth.verifiers import Verifiers

ISSUER = "https://login.example.org/"


@pytest.fixture
def look(clock: ManualClock, revocation: Any, secret: str) -> Callable[..., Any]:
    """Inspect a token by some settings of clients; without any, by the shared secret."""

    async def inspect(token: str, /, **client: Any) -> Inspection:
        settings = ClientSettings.model_validate(client or {"token": {"hmac_secret_key": secret}})
        verifiers = Verifiers(settings, revocation, clock)
        try:
            return await inspect_token(token, verifiers, revocation, settings.token.issue, clock)
        finally:
            await verifiers.close()

    return inspect


async def test_tells_what_a_connection_token_grants(look: Any, sign: Any, now: int) -> None:
    claims = {
        "sub": "42",
        "exp": now + 90,
        "iat": now - 7200,
        "channels": ["news"],
        "info": {"name": "Ann Example"},
        "jti": "t1",
    }
    found = await look(sign(claims | {"caps": [{"channels": ["x"], "allow": ["sub"]}]}))
    assert found.is_accepted
    assert found.verdict == 'lets user 42 connect, subscribed to ["news"] from the start, with capabilities of its own (caps)'
    facts = dict(found.facts)
    assert facts["kind"] == "connection token"
    assert facts["issuer"] == "default of client.token; keys for HS256, HS384, HS512"
    assert facts["signed with"] == "HS256"
    assert facts["user"] == "42"
    assert facts["exp"].endswith("UTC, in 1 minute 30 seconds")
    assert facts["iat"].endswith("UTC, 2 hours ago")
    assert facts["info"] == "23 characters of JSON"
    assert "Ann" not in str(found)


async def test_tells_what_a_subscription_token_grants(look: Any, sign: Any) -> None:
    found = await look(sign({"sub": "42", "channel": "$team", "client": "c1"}))
    assert found.verdict == "lets user 42 subscribe to $team, on connection c1 alone"
    assert (await look(sign({"channel": "$team"}))).verdict == "lets an anonymous client subscribe to $team"


async def test_subscription_tokens_are_judged_by_their_own_keys(look: Any, sign: Any, secret: str) -> None:
    client = {"token": {"hmac_secret_key": "x" * 32}, "subscription_token": {"enabled": True, "hmac_secret_key": secret}}
    assert (await look(sign({"channel": "x"}), **client)).is_accepted
    assert (await look(sign({"sub": "x"}), **client)).check is Check.SIGNATURE


@pytest.mark.parametrize(
    ("claims", "check", "words"),
    [
        ({"exp": -1}, Check.EXPIRED, "token has expired (error 109, clients fetch a fresh one)"),
        ({"nbf": 60}, Check.NOT_YET, "token is not valid yet (error 109"),
        ({"iss": "x"}, Check.ISSUER, "token is of another issuer (disconnect 3500, clients give up)"),
        ({"iss": ISSUER, "aud": "them"}, Check.AUDIENCE, "token is for another audience"),
        ({"iss": ISSUER, "aud": "us", "sub": 42}, Check.CLAIMS, "the claim sub must be a string"),
        ({"iss": ISSUER, "aud": "us", "jti": "stolen"}, Check.REVOKED, "token was revoked"),
    ],
)
async def test_tells_which_check_failed_and_what_to_do(
    look: Any, sign: Any, secret: str, revocation: Any, now: int, claims: dict[str, Any], check: Check, words: str
) -> None:
    revocation.token_ids.add("stolen")
    right = {"sub": "42", "iss": ISSUER, "aud": "us"}
    moments = {name: now + value for name, value in claims.items() if name in ("exp", "nbf")}
    found = await look(sign(right | claims | moments), token={"hmac_secret_key": secret, "issuer": ISSUER, "audience": "us"})
    assert (found.is_accepted, found.check) == (False, check)
    assert words in found.verdict
    assert found.advice


async def test_a_good_token_of_a_blocked_user_is_refused(look: Any, sign: Any, revocation: Any) -> None:
    revocation.blocked.add("42")
    for claims in ({"sub": "42"}, {"sub": "42", "channel": "$team"}):
        found = await look(sign(claims))
        assert (found.is_accepted, found.check) == (False, Check.REVOKED)
        assert found.verdict == "its user is blocked (disconnect 3507, clients give up)"
        assert "unblock_user" in found.advice
    assert (await look(sign({"sub": "43"}))).is_accepted


async def test_tells_what_is_demanded(look: Any, sign: Any, secret: str) -> None:
    client = {"token": {"hmac_secret_key": secret, "audience": "us"}}
    found = await look(sign({"aud": ["them", "others"]}), **client)
    assert found.advice.endswith('Demanded: us; the token says ["them", "others"].')
    assert (await look(sign({}), **client)).advice.endswith("the token says null.")


async def test_tells_of_keys_and_signatures(look: Any, sign: Any, key_pairs: Any) -> None:
    found = await look(sign({"sub": "42"}, key_pairs["ES256"][0], "ES256", kid="k\x1b[31m1"))
    assert (found.check, found.advice[:10]) == (Check.KEY, "Sign with ")
    assert dict(found.facts)["signed with"] == 'ES256, key "k\\u001b[31m1"'
    assert (await look(sign({"sub": "42"}, "another secret, long enough to be one"))).check is Check.SIGNATURE


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "there is no token"),
        ("hrt_0123_1_ab", "this is a refresh token"),
        ("hgk_0123_ab", "this is a key of the HTTP API"),
        ("rubbish", "token is not three base64url parts"),
        ("a.b.c", "token is not three base64url parts"),
        ("e30.e30.", "token has a malformed header"),
        ("x" * 20_000, "longer than"),
    ],
)
async def test_knows_what_is_no_token_for_clients(look: Any, token: str, words: str) -> None:
    found = await look(token)
    assert (found.is_accepted, found.check) == (False, Check.FORM)
    assert words in found.verdict
    assert found.advice


async def test_fetches_keys_and_says_where_that_fails(
    look: Any, sign: Any, key_pairs: Any, make_jwk: Any, publisher: Any, secret: str
) -> None:
    issuer = {"name": "login", "issuer": ISSUER, "jwks_url": publisher.url, "jwks_private_network": True, "user_prefix": "p:"}
    client = {"token": {"hmac_secret_key": secret, "issuers": [issuer]}}
    token = sign({"sub": "42", "iss": ISSUER}, key_pairs["ES256"][0], "ES256", kid="k1")
    publisher.publish(make_jwk("ES256", "k1"))
    found = await look(token, **client)
    assert found.verdict == "lets user p:42 connect"
    assert dict(found.facts)["issuer"].startswith("login of client.token; keys for ES256")
    publisher.answer = publisher.response(b"", "404 Not Found")
    found = await look(token, **client)
    assert found.verdict == "cannot be judged now: its issuer's keys cannot be fetched (error 100)"
    assert found.advice == "See to it that jwks_url of issuer login can be reached from here: answered 404."


async def test_shows_nothing_that_a_terminal_obeys_and_nothing_endless(look: Any, sign: Any) -> None:
    found = await look(sign({"sub": "4\x1b]0;x\x07", "\x1b[2J": "\x9b", "note": "n" * 5000, "exp": 1e300, "nbf": "soon"}))
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for label, value in found.facts for char in label + value)
    assert dict(found.facts)["note"].endswith("… (5000 characters)")


@pytest.mark.parametrize("number", range(3))
async def test_shows_no_signature(look: Any, sign: Any, number: int) -> None:
    token = sign({"sub": "42"}, ["another secret, long enough to be one", "s" * 64, "t" * 99][number])
    assert token.rpartition(".")[2] not in str(await look(token))

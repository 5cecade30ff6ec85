import base64
import json

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.clock import ManualClock
from config.settings import TokenSettings
from gateway.auth.errors import InvalidToken, TokenExpired, TokenRevoked
from gateway.auth.tokens import ServerSubscription, SubscriptionOverride, TokenVerifier

YEAR_S = 365 * 24 * 3600


class NothingRevoked:
    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return False


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_tells_whom_a_connection_token_speaks_for(verifier, sign, now) -> None:
    claims = verifier().connection(sign({"sub": "42", "exp": now + 60, "iat": now - 5, "jti": "t1", "unknown": [1]}))

    assert (claims.user, claims.expire_at, claims.token_id, claims.issued_at) == ("42", now + 60, "t1", now - 5)
    assert (claims.info, claims.meta, dict(claims.subs)) == (b"", b"", {})


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": None}])
def test_takes_a_token_without_a_user_as_anonymous(verifier, sign, claims) -> None:
    assert verifier().connection(sign(claims)).user == ""


def test_reads_the_user_from_the_claim_that_settings_name(verifier, sign, secret) -> None:
    custom = verifier(hmac_secret_key=secret, user_id_claim="uid")

    assert custom.connection(sign({"uid": "7", "sub": "42"})).user == "7"
    assert custom.connection(sign({"sub": "42"})).user == ""


@pytest.mark.parametrize("user", [42, 4.5, True, ["42"], {"id": "42"}])
def test_refuses_a_user_that_is_no_string(verifier, sign_bytes, user) -> None:
    with pytest.raises(InvalidToken, match="sub must be a string"):
        verifier().connection(sign_bytes(json.dumps({"sub": user}).encode()))


def test_refuses_half_a_surrogate_pair_in_a_user(verifier, sign_bytes) -> None:
    with pytest.raises(InvalidToken):
        verifier().connection(sign_bytes(b'{"sub":"\\ud800"}'))


def test_refuses_an_expired_token_from_its_very_second(verifier, sign, now, clock: ManualClock) -> None:
    token = sign({"sub": "42", "exp": now + 10})
    clock.move(9.999)
    assert verifier().connection(token).expire_at == now + 10
    clock.move(0.001)
    with pytest.raises(TokenExpired, match="expired"):
        verifier().connection(token)


def test_refuses_a_token_before_its_time(verifier, sign, now, clock: ManualClock) -> None:
    token = sign({"sub": "42", "nbf": now + 10})
    with pytest.raises(TokenExpired, match="not valid yet"):
        verifier().connection(token)
    clock.move(10)
    assert verifier().connection(token).user == "42"


@pytest.mark.parametrize(("offset", "expected"), [(100, 100), (-5, -5), (2 * YEAR_S, YEAR_S)])
def test_lets_expire_at_override_the_end_of_a_connection(verifier, sign, now, offset, expected) -> None:
    claims = verifier().connection(sign({"sub": "42", "exp": now + 10, "expire_at": now + offset}))

    assert claims.expire_at == now + expected


@pytest.mark.parametrize("never", [0, -1])
def test_takes_expire_at_of_zero_as_never_but_checks_exp(verifier, sign, now, never) -> None:
    assert verifier().connection(sign({"exp": now + 10, "expire_at": never})).expire_at == 0
    with pytest.raises(TokenExpired):
        verifier().connection(sign({"exp": now - 10, "expire_at": never}))


def test_caps_a_lifetime_at_a_year(verifier, sign, now) -> None:
    assert verifier().connection(sign({"exp": now + 10 * YEAR_S})).expire_at == now + YEAR_S


@pytest.mark.parametrize("claims", [{"iss": "b"}, {}, {"iss": None}])
def test_refuses_another_issuer(verifier, sign, secret, claims) -> None:
    with pytest.raises(InvalidToken, match="issuer"):
        verifier(hmac_secret_key=secret, issuer="a").connection(sign(claims))


@pytest.mark.parametrize("audience", ["a", ["b", "a"]])
def test_accepts_an_audience_that_names_us(verifier, sign, secret, audience) -> None:
    verifier(hmac_secret_key=secret, audience="a", issuer="i").connection(sign({"aud": audience, "iss": "i"}))


@pytest.mark.parametrize("claims", [{}, {"aud": "ab"}, {"aud": []}, {"aud": ["b"]}])
def test_refuses_another_audience(verifier, sign, secret, claims) -> None:
    with pytest.raises(InvalidToken, match="audience"):
        verifier(hmac_secret_key=secret, audience="a").connection(sign(claims))


def test_judges_signature_issuer_and_audience_before_expiry(verifier, sign, secret, now) -> None:
    strict = verifier(hmac_secret_key=secret, audience="a", issuer="i")
    for claims, key in (
        ({"aud": "a", "iss": "i"}, "another secret, long enough to be one"),
        ({"aud": "a", "iss": "x"}, secret),
        ({"aud": "x", "iss": "i"}, secret),
    ):
        with pytest.raises(InvalidToken):
            strict.connection(sign({"exp": now - 1} | claims, key))
    with pytest.raises(TokenExpired):
        strict.connection(sign({"exp": now - 1, "aud": "a", "iss": "i"}))


def test_keeps_info_as_the_bytes_that_were_signed(verifier, sign_bytes) -> None:
    info = b'{"z": 1.50, "a":[1e3,"\\u00e9"], "big":12345678901234567890123}'

    assert verifier().connection(sign_bytes(b'{"info": ' + info + b' ,"sub":"42"}')).info == info


def test_puts_info_on_one_line(verifier, sign_bytes) -> None:
    assert verifier().connection(sign_bytes(b'{"info":{\r\n"a":\n1}}')).info == b'{  "a": 1}'


def test_lets_base64_info_win(verifier, sign) -> None:
    claims = verifier().connection(sign({"info": {"a": 1}, "b64info": b64('{"b":2}')}))

    assert claims.info == b'{"b":2}'


@pytest.mark.parametrize("value", ["!", "e30", b64("{"), b64("a: 1"), b64("NaN"), base64.b64encode(b'"\xff"').decode()])
@pytest.mark.parametrize("place", [lambda v: {"b64info": v}, lambda v: {"subs": {"a": {"b64data": v}}}])
def test_refuses_base64_that_is_not_json(verifier, sign, value, place) -> None:
    with pytest.raises(InvalidToken, match="b64"):
        verifier().connection(sign(place(value)))


def test_keeps_meta_and_refuses_one_that_is_no_object(verifier, sign) -> None:
    assert verifier().connection(sign({"meta": {"plan": "gold"}})).meta == b'{"plan":"gold"}'
    assert verifier().connection(sign({"meta": None})).meta == b""
    with pytest.raises(InvalidToken, match="meta"):
        verifier().connection(sign({"meta": [1]}))


def test_reads_channels_as_subscriptions(verifier, sign) -> None:
    claims = verifier().connection(sign({"channels": ["news", "team:1"]}))

    assert claims.subs == {"news": ServerSubscription(), "team:1": ServerSubscription()}


def test_lets_subs_win_over_channels(verifier, sign) -> None:
    subs = {
        "news": {"info": {"a": 1}, "data": [2], "override": {"presence": {"value": True}, "join_leave": {"value": False}}},
        "plain": {},
        "null": None,
    }
    claims = verifier().connection(sign({"channels": ["gone"], "subs": subs}))

    override = SubscriptionOverride(presence=True, join_leave=False)
    assert claims.subs == {
        "news": ServerSubscription(b'{"a":1}', b"[2]", override),
        "plain": ServerSubscription(),
        "null": ServerSubscription(),
    }


def test_uses_channels_where_subs_is_empty(verifier, sign) -> None:
    assert list(verifier().connection(sign({"channels": ["news"], "subs": {}})).subs) == ["news"]


@pytest.mark.parametrize("channel", ["news", ""])
def test_refuses_a_subscription_token_at_connect(verifier, sign, now, channel) -> None:
    with pytest.raises(InvalidToken, match="must not have the claim channel"):
        verifier().connection(sign({"sub": "42", "channel": channel, "exp": now - 5}))


def test_tells_what_a_subscription_token_grants(verifier, sign, now) -> None:
    claims = verifier().subscription(
        sign(
            {
                "sub": "42",
                "channel": "$team",
                "client": "c1",
                "exp": now + 60,
                "info": {"a": 1},
                "b64data": b64("[1]"),
                "override": {"force_recovery": {"value": True}},
                "jti": "s1",
            }
        )
    )

    assert (claims.user, claims.channel, claims.client, claims.expire_at) == ("42", "$team", "c1", now + 60)
    assert (claims.info, claims.data, claims.token_id) == (b'{"a":1}', b"[1]", "s1")
    assert claims.override == SubscriptionOverride(force_recovery=True)


@pytest.mark.parametrize("claims", [{}, {"channel": ""}, {"channel": None}, {"channel": 1}])
def test_refuses_a_subscription_token_without_channel(verifier, sign, claims) -> None:
    with pytest.raises(InvalidToken):
        verifier().subscription(sign({"sub": "42"} | claims))


@pytest.mark.parametrize("kind", ["connection", "subscription"])
def test_refuses_what_was_revoked_like_what_has_expired(verifier, sign, revocation, kind) -> None:
    revocation.token_ids.add("t1")
    revocation.issued_before["7"] = 1000.0
    read = getattr(verifier(), kind)
    more = {"channel": "news"} if kind == "subscription" else {}

    for claims in ({"sub": "42", "jti": "t1"}, {"sub": "7", "iat": 999}, {"sub": "7"}):
        with pytest.raises(TokenRevoked) as refusal:
            read(sign(claims | more))
        assert isinstance(refusal.value, TokenExpired)
    assert read(sign({"sub": "7", "iat": 1000} | more)).user == "7"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"42"',
        b"{",
        b'{"sub":"42"} x',
        b'{"sub":"1","sub":"2"}',
        b'{"exp":1,"exp":99999999999}',
        b'{"exp":"99999999999"}',
        b'{"exp":NaN}',
        b'{"exp":1e999}',
        b'{"exp":true}',
        b'{"nbf":"soon"}',
        b'{"jti":7}',
        b'{"aud":7}',
        b'{"channels":"news"}',
        b'{"channels":[1]}',
        b'{"subs":["news"]}',
        b'{"subs":{"news":{"override":{"presence":true}}}}',
        b'{"info":\xff}',
        b'{"info":"\xff"}',
        b'{"info":' + b"[" * 6000 + b"]" * 6000 + b"}",
    ],
)
@pytest.mark.parametrize("kind", ["connection", "subscription"])
def test_refuses_claims_that_break_a_rule(verifier, sign_bytes, payload, kind) -> None:
    with pytest.raises(InvalidToken):
        getattr(verifier(), kind)(sign_bytes(payload))


def test_believes_unsigned_tokens_only_when_told_to(verifier, sign, secret, now) -> None:
    trusting = verifier(hmac_secret_key=secret, issuer="i", skip_signature=True)
    foreign = "another secret, long enough to be one"

    assert trusting.connection(sign({"sub": "42", "iss": "i"}, foreign)).user == "42"
    with pytest.raises(TokenExpired):
        trusting.connection(sign({"sub": "42", "iss": "i", "exp": now}, foreign))
    with pytest.raises(InvalidToken):
        trusting.connection(sign({"sub": "42"}, foreign))
    with pytest.raises(InvalidToken):
        trusting.connection("a.b.c")


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]*")))
@example("")
@example("...")
@example("é" * 20000)
@settings(deadline=None)
def test_answers_arbitrary_text_with_invalid_token(text: str) -> None:
    verifier = TokenVerifier(TokenSettings(hmac_secret_key="s" * 32), revocation=NothingRevoked(), clock=ManualClock())
    for read in (verifier.connection, verifier.subscription):
        with pytest.raises(InvalidToken):
            read(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CLAIM_NAMES = ["sub", "exp", "nbf", "iat", "jti", "aud", "iss", "expire_at", "info", "b64info", "channels", "subs", "meta"]


@given(st.one_of(st.binary(), st.dictionaries(st.sampled_from(CLAIM_NAMES), json_values).map(lambda v: json.dumps(v).encode())))
@settings(deadline=None)
def test_reads_signed_payloads_or_refuses_them(payload: bytes) -> None:
    verifier = TokenVerifier(TokenSettings(hmac_secret_key="s" * 32), revocation=NothingRevoked(), clock=ManualClock())
    token = jwt.PyJWS().encode(payload, "s" * 32, algorithm="HS256")
    try:
        claims = verifier.connection(token)
    except (InvalidToken, TokenExpired):
        return
    assert b"\n" not in claims.info
    claims.user.encode()
    if claims.info:
        json.loads(claims.info)

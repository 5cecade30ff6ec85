import base64
import hashlib
import hmac
import json

import jwt
import pytest

from config.settings import TokenSettings
from gateway.auth.errors import InvalidToken
from gateway.auth.keys import TOKEN_MAX_BYTES, Keyring

PUBLIC_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_opens_what_the_secret_signed(sign, secret, algorithm) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))

    assert json.loads(ring.open(sign({"sub": "42"}, secret, algorithm))) == {"sub": "42"}


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_opens_what_a_private_key_signed(sign, key_pairs, public_setting, algorithm) -> None:
    private, public = key_pairs[algorithm]
    ring = Keyring(TokenSettings(**{public_setting(algorithm): public}))
    token = sign({"sub": "42"}, private, algorithm)

    assert algorithm in ring.algorithms
    assert json.loads(ring.open(token)) == {"sub": "42"}
    head, _, signature = token.rpartition(".")
    with pytest.raises(InvalidToken, match="signature"):
        ring.open(f"{head}.{'A' * len(signature)}")


def test_reads_a_pem_whose_line_ends_are_escaped(sign, key_pairs) -> None:
    private, public = key_pairs["RS256"]
    ring = Keyring(TokenSettings(rsa_public_key=public.replace("\n", "\\n")))

    assert ring.open(sign({}, private, "RS256")) == b"{}"


def test_tries_the_previous_secret_while_secrets_are_rotated(sign, secret) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key="the new secret, long enough to be one", hmac_previous_secret_key=secret))

    ring.open(sign({}, secret))
    ring.open(sign({}, "the new secret, long enough to be one"))
    with pytest.raises(InvalidToken):
        ring.open(sign({}, "a third secret, long enough to be one"))


def test_has_no_key_without_settings(sign) -> None:
    ring = Keyring(TokenSettings())

    assert ring.algorithms == frozenset()
    with pytest.raises(InvalidToken):
        ring.open(sign({"sub": "42"}))


def test_refuses_an_empty_secret(secret) -> None:
    head = f"{part({'alg': 'HS256'})}.{part({'sub': '42'})}"
    signature = base64.urlsafe_b64encode(hmac.new(b"", head.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    for settings in (TokenSettings(), TokenSettings(hmac_secret_key=secret)):
        with pytest.raises(InvalidToken):
            Keyring(settings).open(f"{head}.{signature}")


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "", "hs256", "HS256 ", "PS256", "ES256K", "ES521", "dir", 7, None, ["HS256"]]
)
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_refuses_algorithms_that_no_key_is_configured_for(secret, key_pairs, name, signature) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret, rsa_public_key=key_pairs["RS256"][1]))
    with pytest.raises(InvalidToken):
        ring.open(f"{part({'alg': name})}.{part({'sub': '42'})}.{signature}")


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
@pytest.mark.parametrize("mac", ["HS256", "HS384", "HS512"])
def test_refuses_a_public_key_used_as_secret(key_pairs, public_setting, secret, algorithm, mac) -> None:
    public = key_pairs[algorithm][1]
    head = f"{part({'alg': mac})}.{part({'sub': '42'})}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[mac]
    for key in (public, public.strip()):
        forged = base64.urlsafe_b64encode(hmac.new(key.encode(), head.encode(), digest).digest()).rstrip(b"=").decode()
        for more in ({}, {"hmac_secret_key": secret}):
            with pytest.raises(InvalidToken):
                Keyring(TokenSettings(**{public_setting(algorithm): public}, **more)).open(f"{head}.{forged}")


def test_refuses_a_key_of_another_kind(sign, key_pairs) -> None:
    ring = Keyring(TokenSettings(ecdsa_public_key=key_pairs["ES256"][1]))
    for algorithm in ("ES384", "RS256", "EdDSA"):
        with pytest.raises(InvalidToken):
            ring.open(sign({}, key_pairs[algorithm][0], algorithm))


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'x"},
        {"jku": "https://attacker.example/keys.json"},
        {"x5u": "https://attacker.example/cert.pem"},
        {"jwk": {"kty": "oct", "k": "QQ"}},
    ],
)
@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_lets_no_header_choose_the_key(sign, secret, headers) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))

    ring.open(sign({}, secret, **headers))
    for key in ("A", "\0", "attacker's secret, long enough to be one"):
        with pytest.raises(InvalidToken):
            ring.open(sign({}, key, **headers))


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"crit": ["b64"]}, {"b64": False}, {"kid": 7}, {"crit": []}])
def test_refuses_headers_that_change_the_meaning(secret, headers) -> None:
    head = f"{part({'alg': 'HS256'} | headers)}.{part({})}"
    signature = (
        base64.urlsafe_b64encode(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    )
    with pytest.raises(InvalidToken):
        Keyring(TokenSettings(hmac_secret_key=secret)).open(f"{head}.{signature}")


def test_refuses_two_algorithms_in_one_header(secret) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","alg":"none"}').rstrip(b"=").decode()
    with pytest.raises(InvalidToken):
        Keyring(TokenSettings(hmac_secret_key=secret)).open(f"{header}.{part({})}.")


def test_refuses_huge_tokens_before_it_reads_them(sign, secret) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))
    token = sign({"pad": "x" * TOKEN_MAX_BYTES})

    with pytest.raises(InvalidToken, match="longer"):
        ring.open(token)
    with pytest.raises(InvalidToken, match="longer"):
        ring.open(token, skip_signature=True)
    ring.open(sign({"pad": "x" * 8000}))


@pytest.mark.parametrize(
    "change", [lambda t: t + "=", lambda t: t + "\n", lambda t: " " + t, lambda t: t + ".AAAA", lambda t: t[:-1]]
)
def test_refuses_other_spellings_of_a_good_token(sign, secret, change) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))
    token = sign({"sub": "42"})

    ring.open(token)
    with pytest.raises(InvalidToken):
        ring.open(change(token))


def test_opens_unsigned_tokens_only_when_told_to(secret) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))
    token = jwt.encode({"sub": "42"}, None, algorithm="none")

    with pytest.raises(InvalidToken):
        ring.open(token)
    assert json.loads(ring.open(token, skip_signature=True)) == {"sub": "42"}


def test_speaks_of_no_token_in_its_errors(sign, secret) -> None:
    ring = Keyring(TokenSettings(hmac_secret_key=secret))
    token = sign({"sub": "42"}, "another secret, long enough to be one")
    with pytest.raises(InvalidToken) as refusal:
        ring.open(token)
    assert not any(piece in str(refusal.value) for piece in token.split("."))

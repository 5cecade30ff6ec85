"""R20: attacks on tokens, each against a judge with a secret, public keys of every kind, and an issuer that publishes its keys.

The table holds what public collections of attacks and vectors hold, made here from keys of our own; `scripts/wycheproof` runs
the public vectors themselves.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from config.clock import ManualClock
from config.token_settings import TokenSettings
from gateway.auth.errors import InvalidToken, TokenError, TokenExpired, TokenRevoked
from gateway.auth.issuers import Issuers
from gateway.auth.tokens import TokenVerifier

SECRET = "a secret of more than sixty-four bytes, so that it serves every digest"
PUBLISHED = "https://published.example.org/"
GOOD = {"sub": "42", "exp": 4102444800}
ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def written(value: object) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def joined(header: object, claims: object, signature: bytes = b"") -> str:
    return f"{written(header)}.{written(claims)}.{b64(signature)}"


def with_mac(header: object, claims: object, key: bytes, digest: str = "sha256") -> str:
    head = f"{written(header)}.{written(claims)}"
    return f"{head}.{b64(hmac.digest(key, head.encode(), digest))}"


class Keys:
    """Private keys of the tests' issuers, and signatures by them that a library would not make."""

    def __init__(self, pairs: dict[str, tuple[str, str]]) -> None:
        self.pairs = pairs
        self.rsa: Any = load_pem_private_key(pairs["RS256"][0].encode(), None)
        self.ec: Any = load_pem_private_key(pairs["ES256"][0].encode(), None)
        self.ec384: Any = load_pem_private_key(pairs["ES384"][0].encode(), None)

    def es256(self, header: object, claims: object, key: Any = None, change: Callable[[int, int], bytes] | None = None) -> str:
        head = f"{written(header)}.{written(claims)}"
        r, s = utils.decode_dss_signature((key or self.ec).sign(head.encode(), ec.ECDSA(hashes.SHA256())))
        signature = change(r, s) if change else r.to_bytes(32) + s.to_bytes(32)
        return f"{head}.{b64(signature)}"

    def rs256(self, header: object, claims: object, pad: Any = None, digest: Any = None) -> str:
        head = f"{written(header)}.{written(claims)}"
        signature = self.rsa.sign(head.encode(), pad or padding.PKCS1v15(), digest or hashes.SHA256())
        return f"{head}.{b64(signature)}"

    def raw_rsa(self, header: object, claims: object, block: bytes) -> str:
        """Sign a block whose padding is the test's own, by bare exponentiation."""
        numbers = self.rsa.private_numbers()
        signature = pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(256)
        return joined(header, claims, signature)


@pytest.fixture(scope="session")
def keys(key_pairs: Any) -> Keys:
    return Keys(key_pairs)


@pytest.fixture
def judge(verifier: Callable[..., TokenVerifier], key_pairs: Any) -> TokenVerifier:
    return verifier(
        hmac_secret_key=SECRET,
        rsa_public_key=key_pairs["RS256"][1],
        ecdsa_public_key=key_pairs["ES256"][1],
        eddsa_public_key=key_pairs["EdDSA"][1],
    )


def forged_algorithms() -> Iterator[Any]:
    for name in ("none", "None", "NONE", "nOnE", "", "HS257", "hs256", "PS256", "ES256K", "RSA1_5", "dir", "A128KW"):
        for signature in (b"", b"\0" * 32):
            yield pytest.param(joined({"alg": name, "typ": "JWT"}, GOOD, signature), id=f"alg {name} {len(signature)}")
    for value in (None, True, 0, ["HS256"], {"HS256": 1}, "HS256\0", " HS256"):
        yield pytest.param(with_mac({"alg": value}, GOOD, SECRET.encode()), id=f"alg {value!r}")
    yield pytest.param(with_mac({}, GOOD, SECRET.encode()), id="no alg")
    yield pytest.param(with_mac(b'{"alg":"HS256","alg":"HS256"}', GOOD, SECRET.encode()), id="alg twice")
    yield pytest.param(with_mac(b'{"alg":"none","alg":"HS256"}', GOOD, SECRET.encode()), id="alg twice, none first")


@pytest.mark.parametrize("token", list(forged_algorithms()))
def test_algorithms_that_nobody_chose(judge: TokenVerifier, token: str) -> None:
    with pytest.raises(InvalidToken):
        judge.connection(token)


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_public_keys_taken_for_secrets(
    verifier: Callable[..., TokenVerifier], keys: Keys, public_setting: Callable[[str], str], kind: str, algorithm: str
) -> None:
    pem = keys.pairs[kind][1]
    public: Any = load_pem_private_key(keys.pairs[kind][0].encode(), None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for more in ({}, {"hmac_secret_key": SECRET}):
        judge = verifier(**{public_setting(kind): pem}, **more)
        for guess in (pem.encode(), pem.strip().encode(), pem.replace("\n", "").encode(), der, b64(der).encode(), b""):
            with pytest.raises(InvalidToken):
                judge.connection(with_mac({"alg": algorithm}, GOOD, guess, f"sha{algorithm[2:]}"))


def foreign_headers() -> Iterator[Any]:
    for kid in (
        "../../../../dev/null",
        "/proc/self/environ",
        "'; SELECT '",
        "' UNION SELECT 'x' --",
        "$(id)",
        "a\0b",
        "\u202e",
        "%00",
    ):
        yield {"kid": kid}
    jwk = {"kty": "oct", "k": b64(b"attacker")}
    yield from (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:1/"},
        {"x5u": "http://127.0.0.1:1/"},
        {"x5c": ["AAAA"]},
        {"x5t": "AA"},
    )
    yield {"typ": "application/jose+json", "cty": "JWT"}


@pytest.mark.parametrize("more", list(foreign_headers()), ids=lambda more: str(more)[:40])
def test_headers_that_bring_a_key_bring_nothing(judge: TokenVerifier, more: dict[str, Any]) -> None:
    assert judge.connection(with_mac({"alg": "HS256"} | more, GOOD, SECRET.encode())).user == "42"
    for key in (b"attacker", b"", b"\0", b"x"):
        with pytest.raises(InvalidToken):
            judge.connection(with_mac({"alg": "HS256"} | more, GOOD, key))


def test_a_key_in_the_header_signs_nothing(judge: TokenVerifier) -> None:
    attacker = ec.generate_private_key(ec.SECP256R1())
    numbers = attacker.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}
    head = f"{written({'alg': 'ES256', 'jwk': jwk})}.{written(GOOD)}"
    r, s = utils.decode_dss_signature(attacker.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
    with pytest.raises(InvalidToken, match="signature"):
        judge.connection(f"{head}.{b64(r.to_bytes(32) + s.to_bytes(32))}")


@pytest.mark.parametrize(
    "more",
    [
        {"crit": []},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": "exp"},
        {"crit": None},
        {"b64": False},
        {"b64": None},
        {"b64": 0},
        {"kid": None},
        {"kid": 7},
        {"kid": ["k"]},
        {"kid": "k" * 257},
    ],
    ids=str,
)
def test_headers_that_must_not_be_passed_over(judge: TokenVerifier, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        judge.connection(with_mac({"alg": "HS256"} | more, GOOD, SECRET.encode()))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"HS256"',
        b'{"alg":"HS256"',
        b"\xff",
        b"[" * 5000,
        b'{"alg":"HS256","x":' + b"[" * 5000,
        b'{"alg":"HS256"}x',
    ],
)
def test_headers_that_are_none(judge: TokenVerifier, header: bytes) -> None:
    with pytest.raises(InvalidToken):
        judge.connection(with_mac(header, GOOD, SECRET.encode()))


# Signatures


def ecdsa_forgeries() -> Iterator[Any]:
    yield pytest.param(lambda r, s: b"\0" * 64, id="zero")
    yield pytest.param(lambda r, s: b"\0" * 32 + s.to_bytes(32), id="r zero")
    yield pytest.param(lambda r, s: r.to_bytes(32) + b"\0" * 32, id="s zero")
    yield pytest.param(lambda r, s: ORDER_P256.to_bytes(32) * 2, id="order")
    yield pytest.param(lambda r, s: r.to_bytes(32) + ORDER_P256.to_bytes(32), id="s order")
    yield pytest.param(lambda r, s: (1).to_bytes(32) * 2, id="one")
    yield pytest.param(lambda r, s: s.to_bytes(32) + r.to_bytes(32), id="swapped")
    yield pytest.param(lambda r, s: r.to_bytes(33) + s.to_bytes(33), id="padded")
    yield pytest.param(lambda r, s: b"\0" + r.to_bytes(32) + s.to_bytes(32), id="a byte before")
    yield pytest.param(lambda r, s: r.to_bytes(32) + s.to_bytes(32) + b"\0", id="a byte behind")
    yield pytest.param(lambda r, s: (r.to_bytes(32) + s.to_bytes(32))[:-1], id="a byte less")
    yield pytest.param(lambda r, s: utils.encode_dss_signature(r, s), id="DER")
    yield pytest.param(lambda r, s: b"", id="none")


@pytest.mark.parametrize("change", list(ecdsa_forgeries()))
def test_ecdsa_signatures_in_other_forms(judge: TokenVerifier, keys: Keys, change: Callable[[int, int], bytes]) -> None:
    assert judge.connection(keys.es256({"alg": "ES256"}, GOOD)).user == "42"
    with pytest.raises(InvalidToken):
        judge.connection(keys.es256({"alg": "ES256"}, GOOD, change=change))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA", "RS256"])
def test_curves_and_kinds_that_the_key_is_not_of(judge: TokenVerifier, keys: Keys, algorithm: str) -> None:
    head = f"{written({'alg': algorithm})}.{written(GOOD)}"
    for key, digest, size in ((keys.ec384, hashes.SHA384(), 48), (keys.ec384, hashes.SHA256(), 48)):
        r, s = utils.decode_dss_signature(key.sign(head.encode(), ec.ECDSA(digest)))
        with pytest.raises(InvalidToken):
            judge.connection(f"{head}.{b64(r.to_bytes(size) + s.to_bytes(size))}")
    with pytest.raises(InvalidToken):
        judge.connection(f"{head}.{b64(keys.ec.sign(head.encode(), ec.ECDSA(hashes.SHA512())))}")


SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def rsa_blocks(head: bytes) -> Iterator[tuple[str, bytes]]:
    """Blocks that careless checks of PKCS #1 v1.5 take: the right digest, and wrong padding around it."""
    digest = hashlib.sha256(head).digest()
    info = SHA256_INFO + digest
    yield "short padding, rubbish behind", b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\0" * (256 - 11 - len(info))
    yield "no padding", b"\0\1\0" + info + b"\0" * (256 - 3 - len(info))
    yield "block type 2", b"\0\2" + b"\xff" * (253 - len(info)) + b"\0" + info
    yield "block type 0", b"\0\0" + b"\0" * (253 - len(info)) + b"\0" + info
    yield "padding of another byte", b"\0\1" + b"\xfe" * (253 - len(info)) + b"\0" + info
    yield "digest alone", b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest
    yield (
        "no null parameter",
        b"\0\1" + b"\xff" * 204 + b"\0" + bytes.fromhex("302f300b0609608648016503040201" + "0420") + digest,
    )


def test_rsa_paddings_in_other_forms(judge: TokenVerifier, keys: Keys) -> None:
    assert judge.connection(keys.rs256({"alg": "RS256"}, GOOD)).user == "42"
    head = f"{written({'alg': 'RS256'})}.{written(GOOD)}".encode()
    digest = hashlib.sha256(head).digest()
    right = b"\0\1" + b"\xff" * (253 - len(SHA256_INFO + digest)) + b"\0" + SHA256_INFO + digest
    assert judge.connection(keys.raw_rsa({"alg": "RS256"}, GOOD, right)).user == "42"
    for name, block in rsa_blocks(head):
        with pytest.raises(InvalidToken):
            judge.connection(keys.raw_rsa({"alg": "RS256"}, GOOD, block)), name


def test_rsa_signatures_of_another_scheme_or_size(judge: TokenVerifier, keys: Keys) -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for header, pad, digest in (
        ({"alg": "RS256"}, pss, hashes.SHA256()),
        ({"alg": "PS256"}, pss, hashes.SHA256()),
        ({"alg": "RS256"}, padding.PKCS1v15(), hashes.SHA1()),  # what an attacker may try
        ({"alg": "RS384"}, padding.PKCS1v15(), hashes.SHA256()),
    ):
        with pytest.raises(InvalidToken):
            judge.connection(keys.rs256(header, GOOD, pad, digest))
    for signature in (b"", b"\0" * 256, b"\1" + b"\0" * 255, b"\xff" * 256, b"\0" * 255 + b"\1", b"\0" * 1024):
        with pytest.raises(InvalidToken):
            judge.connection(joined({"alg": "RS256"}, GOOD, signature))
    good = keys.rs256({"alg": "RS256"}, GOOD)
    head, _, signature_text = good.rpartition(".")
    signature = base64.urlsafe_b64decode(signature_text + "==")
    modulus = keys.rsa.public_key().public_numbers().n
    for other in (b"\0" + signature, signature + b"\0", signature[1:], (int.from_bytes(signature) + modulus).to_bytes(257)):
        with pytest.raises(InvalidToken):
            judge.connection(f"{head}.{b64(other)}")


def test_every_bit_of_a_token_counts(judge: TokenVerifier) -> None:
    token = with_mac({"alg": "HS256"}, GOOD, SECRET.encode())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, char in enumerate(token):
        if char != ".":
            for bit in range(6):
                changed = token[:place] + alphabet[alphabet.index(char) ^ 1 << bit] + token[place + 1 :]
                with pytest.raises(InvalidToken):
                    judge.connection(changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: t.replace(".", "", 1),
        lambda t: t + ".",
        lambda t: "." + t,
        lambda t: t + t,
        lambda t: t + "=",
        lambda t: t.replace(".", "=.", 1),
        lambda t: t + "\n",
        lambda t: t.replace(".", " .", 1),
        lambda t: t.replace(".", "\0.", 1),
        lambda t: t.replace(".", "é.", 1),
        lambda t: t.split(".")[0] + ".." + t.split(".")[2],
        lambda t: ".".join(t.split(".")[:2]) + ".",
        lambda t: ".".join(t.split(".")[:2]),
        lambda t: json.dumps({"payload": t.split(".")[1], "protected": t.split(".")[0], "signature": t.split(".")[2]}),
        lambda t: f"Bearer {t}",
    ],
)
def test_other_spellings_and_serialisations(judge: TokenVerifier, change: Callable[[str], str]) -> None:
    with pytest.raises(InvalidToken):
        judge.connection(change(with_mac({"alg": "HS256"}, GOOD, SECRET.encode())))


# Claims


@pytest.mark.parametrize(
    "claims",
    [
        b'{"sub":"42","sub":"admin"}',
        b'{"sub":"42","\\u0073ub":"admin"}',
        b'{"sub":"42","exp":1,"exp":4102444800}',
        b'{"sub":"42","info":{"a":1,"a":2}}',
        b'{"sub":"\\ud800"}',
        b'{"sub":42}',
        b'{"sub":["42"]}',
        b'{"sub":{"$ne":null}}',
        b'{"sub":true}',
        b'{"sub":"42","exp":"4102444800"}',
        b'{"sub":"42","exp":[4102444800]}',
        b'{"sub":"42","exp":NaN}',
        b'{"sub":"42","exp":Infinity}',
        b'{"sub":"42","nbf":"now"}',
        b'{"sub":"42","aud":7}',
        b'{"sub":"42","jti":7}',
        b'{"sub":"42","channel":"x"}',
        b'{"sub":"42","meta":7}',
        b'{"sub":"42","b64info":"%"}',
        b'{"sub":"42","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[]",
        b"null",
        b'"42"',
        b"42",
        b"{",
        b'{"sub":"42"}{"sub":"admin"}',
        b'{"sub":"42"}\0',
        b"\xef\xbb\xbf{}",
        b"\xff",
    ],
    ids=lambda claims: claims[:40].decode(errors="replace"),
)
def test_claims_that_break_a_rule(judge: TokenVerifier, claims: bytes) -> None:
    with pytest.raises(InvalidToken):
        judge.connection(with_mac({"alg": "HS256"}, claims, SECRET.encode()))


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": 0}, TokenExpired),
        ({"exp": -1}, TokenExpired),
        ({"exp": 1767225599.999}, TokenExpired),
        ({"exp": 1767225600}, TokenExpired),  # this very second: no leeway
        ({"nbf": 1767225600.001}, TokenExpired),
        ({"nbf": 1e300}, TokenExpired),
        ({"iss": "https://eve.example.org/"}, InvalidToken),
        ({"iss": None}, InvalidToken),
        ({"iss": "US"}, InvalidToken),
        ({"aud": "them"}, InvalidToken),
        ({"aud": []}, InvalidToken),
        ({"aud": None}, InvalidToken),
        ({"aud": "our"}, InvalidToken),
        ({"aud": "ours, theirs"}, InvalidToken),
        ({"jti": "revoked"}, TokenRevoked),
        ({"iat": 1767225599}, TokenRevoked),
        ({"iat": None}, TokenRevoked),
        ({"exp": 1, "iss": "x"}, InvalidToken),  # what can never pass is told first
    ],
    ids=str,
)
def test_tokens_that_are_over_or_meant_for_others(
    verifier: Callable[..., TokenVerifier], revocation: Any, clock: ManualClock, claims: dict[str, Any], error: type[TokenError]
) -> None:
    assert clock.now().timestamp() == 1767225600
    judge = verifier(hmac_secret_key=SECRET, issuer="us", audience="ours")
    revocation.token_ids.add("revoked")
    revocation.issued_before["42"] = 1767225600
    right = {"sub": "42", "iss": "us", "aud": ["theirs", "ours"], "iat": 1767225600, "exp": 1767225600.001}
    assert judge.connection(with_mac({"alg": "HS256"}, right, SECRET.encode())).user == "42"
    with pytest.raises(error):
        judge.connection(with_mac({"alg": "HS256"}, right | claims, SECRET.encode()))


@pytest.mark.parametrize("size", [16 * 1024 + 1, 1024 * 1024, 16 * 1024 * 1024])
def test_oversized_tokens_cost_nothing(judge: TokenVerifier, size: int) -> None:
    for token in ("a" * size, "." * size, "a." * size, with_mac({"alg": "HS256"}, b"x" * size, SECRET.encode())):
        with pytest.raises(InvalidToken, match="longer"):
            judge.connection(token)


# Published keys


async def test_published_keys_are_asked_for_by_name_and_for_their_own_algorithm(
    publisher: Any, keys: Keys, make_jwk: Callable[..., Any], clock: ManualClock, revocation: Any
) -> None:
    issuer = {"name": "p", "issuer": PUBLISHED, "jwks_url": publisher.url, "jwks_private_network": True}
    judge = TokenVerifier(TokenSettings(issuers=(issuer,)), revocation=revocation, clock=clock)
    publisher.publish(
        make_jwk("ES256", "ec"), make_jwk("RS256", "rsa", alg="RS256"), {"kty": "oct", "kid": "oct", "k": b64(b"x" * 32)}
    )
    claims = GOOD | {"iss": PUBLISHED}
    good = keys.es256({"alg": "ES256", "kid": "ec"}, claims)
    await judge.prepare(good)
    assert judge.connection(good).user == "42"
    for token in (
        with_mac({"alg": "HS256", "kid": "oct"}, claims, b"x" * 32),
        with_mac({"alg": "HS256", "kid": "ec"}, claims, keys.pairs["ES256"][1].encode()),
        keys.es256({"alg": "ES256", "kid": "rsa"}, claims),
        keys.es256({"alg": "RS256", "kid": "ec"}, claims),
        keys.rs256({"alg": "RS512", "kid": "rsa"}, claims, digest=hashes.SHA512()),
        keys.es256({"alg": "ES256", "kid": "ec"}, claims, key=ec.generate_private_key(ec.SECP256R1())),
        joined({"alg": "none", "kid": "ec"}, claims),
    ):
        with pytest.raises(InvalidToken):
            judge.connection(token)
    await judge.issuers.close()


async def test_a_thousand_made_up_names_are_two_fetches(
    publisher: Any, keys: Keys, make_jwk: Callable[..., Any], clock: ManualClock
) -> None:
    issuer = {"name": "p", "issuer": PUBLISHED, "jwks_url": publisher.url, "jwks_private_network": True}
    issuers = Issuers(TokenSettings(issuers=(issuer,)), clock)
    publisher.publish(make_jwk("ES256", "ec"))
    claims = written(GOOD | {"iss": PUBLISHED})
    await issuers.prepare(f"{written({'alg': 'ES256', 'kid': 'ec'})}.{claims}.AA")
    waiting = [
        asyncio.ensure_future(issuers.prepare(f"{written({'alg': 'ES256', 'kid': f'made up {n}'})}.{claims}.AA"))
        for n in range(1000)
    ]
    await clock.advance(60)
    await asyncio.gather(*waiting)
    assert len(publisher.requests) == 2
    await issuers.close()


@pytest.mark.parametrize("bits", [1024, 2047])
def test_weak_keys_are_no_keys(bits: int) -> None:
    public = rsa.generate_private_key(65537, bits).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="2048 bits or more"):
        TokenVerifier(TokenSettings(rsa_public_key=pem), revocation=None, clock=ManualClock())  # type: ignore[arg-type]

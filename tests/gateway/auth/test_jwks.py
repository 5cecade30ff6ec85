"""Key sets as issuers publish them, and as nobody should."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.jwks import KEYS_MAX, BadKeySet, KeySet, read_key_set

ALGORITHMS = ["RS256", "ES256", "ES384", "ES512", "EdDSA"]


def read(*keys: Any) -> KeySet:
    return read_key_set(json.dumps({"keys": keys}).encode())


def octets(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(math.ceil(number.bit_length() / 8))).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_reads_a_key_of_each_kind(make_jwk: Callable[..., Any], algorithm: str) -> None:
    found = read(make_jwk(algorithm))
    assert found.faults == ()
    assert [key.kid for key in found.find(algorithm, "k1")] == ["k1"]
    assert found.find(algorithm, "k2") == ()
    assert found.find("HS256", "k1") == ()


def test_a_key_is_bound_to_what_it_says_of_itself(make_jwk: Callable[..., Any]) -> None:
    found = read(make_jwk("RS256", alg="RS384", use="sig", key_ops=["verify"], x5c=["no certificate"], x5u="http://10.0.0.1/"))
    assert found.find("RS384", "k1")
    assert not found.find("RS256", "k1")


def test_a_token_without_kid_may_mean_every_key_of_its_algorithm(make_jwk: Callable[..., Any]) -> None:
    found = read(make_jwk("ES256", "a"), make_jwk("RS256", "b"), make_jwk("ES384", None))
    assert [key.kid for key in found.find("ES256", None)] == ["a"]
    assert found.find("ES384", "")
    assert not found.find("ES384", "a")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kty": "oct", "k": "AAAA"}, "shared secret"),
        ({"d": "AAAA"}, "private key"),
        ({"kty": "XYZ"}, "unknown kind"),
        ({"kty": 7}, "unknown kind"),
        ({"kty": ["EC"]}, "unknown kind"),
        ({"kty": "RSA"}, "malformed"),
        ({"crv": "secp256k1"}, "curve"),
        ({"crv": "P-384"}, "malformed"),
        ({"crv": None}, "curve"),
        ({"kty": "OKP", "crv": "Ed448"}, "curve"),
        ({"kty": "OKP", "crv": "X25519"}, "curve"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, "malformed"),
        ({"x": "AAAA"}, "malformed"),
        ({"y": "A" * 43}, "malformed"),  # not on the curve
        ({"x": 7}, "malformed"),
        ({"x": "=" * 43}, "malformed"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": "RS256"}, "algorithm"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": ["ES256"]}, "algorithm"),
        ({"kid": 7}, "kid"),
        ({"kid": "k" * 257}, "kid"),
        ({"use": 7}, "use"),
        ({"key_ops": "verify"}, "key_ops"),
    ],
)
def test_a_key_that_cannot_be_used_is_passed_over_with_a_reason(
    make_jwk: Callable[..., Any], change: dict[str, Any], reason: str
) -> None:
    found = read(make_jwk("ES256", "bad") | change, make_jwk("EdDSA", "good"))
    assert [key.kid for key in found.keys] == ["good"]
    [fault] = found.faults
    assert fault.startswith("keys[0]: ")
    assert reason in fault


@pytest.mark.parametrize(
    ("modulus", "exponent", "reason"),
    [
        (1 << 1023 | 1, 65537, "bits"),
        (1 << 8192 | 1, 65537, "bits"),
        (1 << 2047 | 1, 1 << 33 | 1, "exponent"),
        (1 << 2047 | 1, 1, "malformed"),
        (1 << 2047 | 1, 4, "malformed"),
        (pow(65537, 200), 65537, "broken generator"),
    ],
)
def test_weak_and_costly_rsa_keys_are_passed_over(
    make_jwk: Callable[..., Any], modulus: int, exponent: int, reason: str
) -> None:
    found = read({"kty": "RSA", "n": octets(modulus), "e": octets(exponent)}, make_jwk())
    assert reason in found.faults[0]


@pytest.mark.parametrize("change", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": []}])
def test_what_is_meant_for_something_else_is_passed_over_in_silence(
    make_jwk: Callable[..., Any], change: dict[str, Any]
) -> None:
    found = read(make_jwk("ES256", **change), make_jwk("EdDSA", "good"))
    assert (len(found.keys), found.faults) == (1, ())


def test_a_kid_of_two_keys_means_neither(make_jwk: Callable[..., Any]) -> None:
    found = read(make_jwk("ES256", "k1"), make_jwk("ES384", "k1"), make_jwk("RS256", "k1"))
    assert [sorted(key.algorithms)[0] for key in found.keys] == ["RS256"]  # RFC 7517 §4.5: kinds may share a name
    assert found.faults == ("1 kid of several keys: none of these is used",)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [null, 7, [], "key", {}]}',
        b'{"keys": [], "keys": []}',
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"keys":' + b"[" * 100_000,
    ],
)
def test_a_document_without_a_usable_key_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(document)


def test_too_many_keys_are_refused(make_jwk: Callable[..., Any]) -> None:
    read(*(make_jwk("EdDSA", str(number)) for number in range(KEYS_MAX)))
    with pytest.raises(BadKeySet, match="more than 100 keys"):
        read(*(make_jwk("EdDSA", str(number)) for number in range(KEYS_MAX + 1)))


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
)
def test_whatever_is_published_is_a_key_set_or_a_bad_one(value: Any) -> None:
    for document in (value, {"keys": value}, {"keys": [value]}):
        with pytest.raises(BadKeySet):
            read_key_set(json.dumps(document).encode())


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid"]),
        st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "A" * 43, "sig", "verify", ""]) | st.integers(),
    )
)
def test_any_members_give_a_key_or_a_reason(members: dict[str, Any]) -> None:
    try:
        assert read(members).keys
    except BadKeySet as exc:
        assert str(exc)

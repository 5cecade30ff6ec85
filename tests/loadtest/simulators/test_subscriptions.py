"""Simulated browsers: their keys, and what they can read."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.simulators.subscriptions import Subscription, Subscriptions, Undecryptable

SEED = "5e" * 32


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def path_of(subscription: Subscription) -> str:
    return subscription.endpoint.removeprefix("https://push.simulator.test")


def token_of(subscription: Subscription) -> str:
    return path_of(subscription).removeprefix("/p/")


def encrypt(subscription: Subscription, plaintext: bytes, *, record_size: int = 4096) -> bytes:
    return bytes(
        http_ece.encrypt(
            plaintext,
            salt=os.urandom(16),
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=raw(subscription.keys.p256dh),
            auth_secret=raw(subscription.keys.auth),
            version="aes128gcm",
            rs=record_size,
        )
    )


def test_keys_have_their_shapes() -> None:
    subscription = Subscriptions(SEED).mint("phone", "1")
    point = raw(subscription.keys.p256dh)
    assert len(raw(subscription.keys.auth)) == 16
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    assert key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == point
    assert subscription.endpoint.startswith("https://push.simulator.test/p/phone-1-")


def test_browsers_outlive_the_process() -> None:
    subscription = Subscriptions(SEED).mint("phone", "1")
    assert Subscriptions(SEED).mint("phone", "1") == subscription
    assert Subscriptions(SEED).decrypt(token_of(subscription), encrypt(subscription, b"hello")) == b"hello"


def test_browsers_differ() -> None:
    subscriptions = Subscriptions(SEED)
    minted = [subscriptions.mint("phone", "1"), subscriptions.mint("phone", "2"), Subscriptions("6e" * 32).mint("phone", "1")]
    assert len({one.endpoint for one in minted}) == len({one.keys.p256dh for one in minted}) == 3
    assert len({one.keys.auth for one in minted}) == 3


@pytest.mark.parametrize(
    ("name", "stem"), [("", "device"), ("Bob's phone/1?", "Bob-s-phone-1-"), ("x" * 100, "x" * 64), ("ü", "-")]
)
def test_names_become_part_of_the_endpoint(name: str, stem: str) -> None:
    assert token_of(Subscriptions(SEED).mint(name, "1")).startswith(f"{stem}-1-")


def test_only_minted_tokens_are_known() -> None:
    subscriptions = Subscriptions(SEED)
    path = path_of(subscriptions.mint("phone", "1"))
    assert subscriptions.token_of(path) == path.removeprefix("/p/")
    for other in ("/p/phone-1-0000000000000000", "/p/", "/p/phone", path[2:], "/p/x" + path[3:], "/p/phone-1-ü"):
        assert subscriptions.token_of(other) is None
    assert Subscriptions("6e" * 32).token_of(path) is None


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=3993))  # of nothing the library makes no record at all, which RFC 8188 does not allow
def test_reads_what_an_independent_library_encrypts(plaintext: bytes) -> None:
    subscriptions = Subscriptions(SEED)
    subscription = subscriptions.mint("phone", "1")
    assert subscriptions.decrypt(token_of(subscription), encrypt(subscription, plaintext)) == plaintext


def test_the_example_of_rfc_8291_has_this_form() -> None:
    """RFC 8291 §5's message has the layout that is read here: only its keys are not ours."""
    body = raw(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6"
        "cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    with pytest.raises(Undecryptable, match="not encrypted for this subscription"):
        Subscriptions(SEED).decrypt("phone", body)


def test_whatever_was_changed_is_noticed() -> None:
    subscriptions = Subscriptions(SEED)
    subscription = subscriptions.mint("phone", "1")
    body = bytearray(encrypt(subscription, b"hello"))
    for position in (0, 30, 86, len(body) - 1):  # salt, sender's key, ciphertext, tag
        changed = bytearray(body)
        changed[position] ^= 1
        with pytest.raises(Undecryptable):
            subscriptions.decrypt(token_of(subscription), bytes(changed))


def test_another_browser_reads_nothing() -> None:
    subscriptions = Subscriptions(SEED)
    with pytest.raises(Undecryptable):
        subscriptions.decrypt(token_of(subscriptions.mint("b", "1")), encrypt(subscriptions.mint("a", "1"), b"hello"))


def test_only_one_record_is_allowed() -> None:
    subscriptions = Subscriptions(SEED)
    subscription = subscriptions.mint("phone", "1")
    with pytest.raises(Undecryptable, match="one record only"):
        subscriptions.decrypt(token_of(subscription), encrypt(subscription, b"x" * 100, record_size=64))


def test_a_message_cut_after_its_first_record_is_noticed() -> None:
    subscriptions = Subscriptions(SEED)
    subscription = subscriptions.mint("phone", "1")
    first = encrypt(subscription, b"x" * 100, record_size=64)[: 86 + 64]
    with pytest.raises(Undecryptable, match="delimiter of a last record"):
        subscriptions.decrypt(token_of(subscription), first)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_undecryptable(body: bytes) -> None:
    with pytest.raises(Undecryptable):
        Subscriptions(SEED).decrypt("phone", body)


def test_keys_are_kept_for_a_bounded_number_of_browsers() -> None:
    subscriptions = Subscriptions(SEED, remembered=2)
    minted = [subscriptions.mint("phone", str(number)) for number in range(4)]
    for subscription in minted:
        assert subscriptions.decrypt(token_of(subscription), encrypt(subscription, b"x")) == b"x"


def test_what_is_encoded_is_base64url_without_padding() -> None:
    subscription = Subscriptions(SEED).mint("phone", "1")
    assert urlsafe_b64encode(raw(subscription.keys.auth)).rstrip(b"=").decode() == subscription.keys.auth
    assert "=" not in subscription.keys.p256dh

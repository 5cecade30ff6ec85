"""Keys and tokens for the tests of authentication."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from config.clock import ManualClock
from config.settings import TokenSettings
from gateway.auth.tokens import TokenVerifier

SECRET = "a secret of more than sixty-four bytes, so that it serves every digest"


class Revoked:
    """A revocation list that holds token ids, users, and a date from which tokens of a user count again."""

    def __init__(self) -> None:
        self.token_ids: set[str] = set()
        self.issued_before: dict[str, float] = {}

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return token_id in self.token_ids or issued_at < self.issued_before.get(user, 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def now(clock: ManualClock) -> int:
    return int(clock.now().timestamp())


@pytest.fixture
def revocation() -> Revoked:
    return Revoked()


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def verifier(clock: ManualClock, revocation: Revoked) -> Callable[..., TokenVerifier]:
    """Make a verifier of some token settings; without any, of the shared secret."""

    def make(*, skip_signature: bool = False, **settings: Any) -> TokenVerifier:
        chosen = TokenSettings(**(settings or {"hmac_secret_key": SECRET}))
        return TokenVerifier(chosen, revocation=revocation, clock=clock, skip_signature=skip_signature)

    return make


@pytest.fixture
def sign() -> Callable[..., str]:
    """Sign claims, by default with the shared secret."""

    def make(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
        return jwt.PyJWS().encode(json.dumps(claims, separators=(",", ":")).encode(), key, algorithm=algorithm, headers=headers)

    return make


@pytest.fixture
def sign_bytes() -> Callable[..., str]:
    """Sign a payload as it stands, with the shared secret."""

    def make(payload: bytes, algorithm: str = "HS256") -> str:
        return jwt.PyJWS().encode(payload, SECRET, algorithm=algorithm)

    return make


@pytest.fixture(scope="session")
def key_pairs() -> dict[str, tuple[str, str]]:
    """A private and a public PEM by the algorithm they serve."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys: dict[str, Any] = {
        "RS256": rsa_key,
        "RS384": rsa_key,
        "RS512": rsa_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "ES512": ec.generate_private_key(ec.SECP521R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    return {
        name: (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        )
        for name, key in keys.items()
    }


@pytest.fixture
def public_setting() -> Callable[[str], str]:
    """Name the setting that holds the public key of an algorithm."""
    return lambda algorithm: (
        {"R": "rsa", "E": "ecdsa"}.get(algorithm[0] if algorithm != "EdDSA" else "", "eddsa") + "_public_key"
    )

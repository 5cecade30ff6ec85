"""Keys and tokens for the tests of authentication."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from config.clock import ManualClock
from config.settings import TokenSettings
from gateway.auth.tokens import TokenVerifier

SECRET = "a secret of more than sixty-four bytes, so that it serves every digest"


class Revoked:
    """A revocation list that holds token ids, users, and a date from which tokens of a user count again."""

    def __init__(self) -> None:
        self.token_ids: set[str] = set()
        self.issued_before: dict[str, float] = {}
        self.blocked: set[str] = set()

    def is_blocked(self, user: str) -> bool:
        return user in self.blocked

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


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.fixture
def make_jwk(key_pairs: dict[str, tuple[str, str]]) -> Callable[..., dict[str, Any]]:
    """Write the public key of an algorithm as an issuer publishes it."""

    def make(algorithm: str = "ES256", kid: str | None = "k1", **more: Any) -> dict[str, Any]:
        key: Any = load_pem_public_key(key_pairs[algorithm][1].encode())
        if isinstance(key, rsa.RSAPublicKey):
            numbers = key.public_numbers()
            jwk = {"kty": "RSA", "n": _base64url(numbers.n.to_bytes(256)), "e": _base64url(numbers.e.to_bytes(3))}
        elif isinstance(key, ec.EllipticCurvePublicKey):
            size, (x, y) = (key.key_size + 7) // 8, (key.public_numbers().x, key.public_numbers().y)
            curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.key_size]
            jwk = {"kty": "EC", "crv": curve, "x": _base64url(x.to_bytes(size)), "y": _base64url(y.to_bytes(size))}
        else:
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.public_bytes_raw())}
        return jwk | ({} if kid is None else {"kid": kid}) | more

    return make


class Publisher:
    """An issuer's web server: answers with what the test puts into `answer`, after `gate` where there is one."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.url = ""
        self.gate: asyncio.Event | None = None

    def publish(self, *keys: dict[str, Any]) -> None:
        self.answer = self.response(json.dumps({"keys": keys}).encode())

    def response(self, body: bytes, status: str = "200 OK", **headers: str) -> bytes:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.gate is not None:
                await self.gate.wait()
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    found = Publisher()
    server = await asyncio.start_server(found.serve, "127.0.0.1")
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    yield found
    server.close()

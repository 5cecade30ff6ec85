"""The keys that tokens may be signed with, and the check of a signature.

The algorithm a token names only chooses among the configured keys; a key is bound to the algorithms of its own kind, so
that an RSA public key can never be taken for an HMAC secret. `kid`, `jwk`, `jku` and `x5u` choose nothing.
"""

import re
from hashlib import sha256, sha384, sha512
from typing import Any, Final, cast

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

from config.pem import Kind, algorithms_of, read_public_key
from config.settings import TokenSettings
from gateway.auth.errors import InvalidToken

__all__ = ["TOKEN_MAX_BYTES", "Keyring"]

TOKEN_MAX_BYTES: Final = 16 * 1024

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_HMAC_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
_PUBLIC_KINDS: Final[tuple[Kind, ...]] = ("rsa", "ecdsa", "eddsa")


class _Hmac(HMACAlgorithm):
    def check_key_length(self, key: bytes) -> str | None:
        """Keep quiet: the check of the settings warns about short secrets once, not at every token."""
        return None


class _Header(msgspec.Struct):
    alg: str


_header = msgspec.json.Decoder(_Header)


class Keyring:
    """The keys of one `TokenSettings`, ready for use.

    Raises:
        ValueError: A key is no key; the check of the settings reports that first, with the setting's name.
    """

    def __init__(self, settings: TokenSettings) -> None:
        self._keys_by_algorithm: dict[str, tuple[Any, ...]] = {}
        secrets = (settings.hmac_secret_key.get_secret_value(), settings.hmac_previous_secret_key.get_secret_value())
        if keys := tuple(secret.encode() for secret in secrets if secret):
            self._keys_by_algorithm |= dict.fromkeys(_HMAC_ALGORITHMS, keys)
        for kind in _PUBLIC_KINDS:
            if pem := cast(str, getattr(settings, f"{kind}_public_key")):
                key = read_public_key(pem, kind)
                self._keys_by_algorithm |= dict.fromkeys(algorithms_of(key), (key,))
        self._jws = _make_jws()

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms that some key can verify."""
        return frozenset(self._keys_by_algorithm)

    def open(self, token: str, *, skip_signature: bool = False) -> bytes:
        """Check a compact JWS (RFC 7515 §7.1) and give its payload, bytes as they were signed.

        Args:
            token: What a client sent.
            skip_signature: Believe the token unsigned; its form is checked all the same.
        Raises:
            InvalidToken: Too long, malformed, an algorithm without a key, or a signature of nobody we know.
        """
        if len(token) > TOKEN_MAX_BYTES:
            raise InvalidToken(f"token is longer than {TOKEN_MAX_BYTES} bytes")
        if _COMPACT.fullmatch(token) is None:
            raise InvalidToken("token is not three base64url parts")
        if skip_signature:
            return self._payload(token, b"", [], {"verify_signature": False})
        algorithm = _algorithm(token)
        keys = self._keys_by_algorithm.get(algorithm)
        if keys is None:
            raise InvalidToken("token is signed with an algorithm that no key is configured for")
        for key in keys[:-1]:
            try:
                return self._payload(token, key, [algorithm])
            except InvalidToken:
                continue  # the previous secret may fit
        return self._payload(token, keys[-1], [algorithm])

    def _payload(self, token: str, key: Any, algorithms: list[str], options: Any = None) -> bytes:
        try:
            return cast(bytes, self._jws.decode_complete(token, key, algorithms=algorithms, options=options)["payload"])
        except jwt.InvalidSignatureError:
            raise InvalidToken("token has a wrong signature") from None
        # ValueError: some signatures of public-key algorithms fail in the decoding of their numbers.
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken("token is malformed") from None


def _algorithm(token: str) -> str:
    """Read the algorithm that the header names; PyJWT reads it again and must agree."""
    segment = token.partition(".")[0]
    try:
        return _header.decode(jwt.utils.base64url_decode(segment)).alg
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise InvalidToken("token has a malformed header") from None


def _make_jws() -> jwt.PyJWS:
    """Make a verifier of the algorithms that can be configured and of no others, `none` least of all."""
    jws = jwt.PyJWS(algorithms=["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"])
    for name, digest in (("HS256", sha256), ("HS384", sha384), ("HS512", sha512)):
        jws.register_algorithm(name, _Hmac(digest))
    return jws

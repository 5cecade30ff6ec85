"""The keys that the tokens of one issuer may be signed with, and the check of a signature.

The algorithm a token names only chooses among the keys that are bound to it, so that an RSA public key can never be taken for
an HMAC secret. `kid` chooses among the keys that the issuer publishes, by comparison and nothing else, and among keys of the
settings nothing at all; `jwk`, `jku`, `x5c` and `x5u` choose nothing anywhere.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256, sha384, sha512
from typing import Any, Final, cast

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

from config.pem import Kind, algorithms_of, read_public_key, read_signing_key
from config.token_settings import IssuerKeys, IssueSettings
from gateway.auth.errors import Check, InvalidToken
from gateway.auth.json_members import read_members
from gateway.auth.jwks import KID_MAX_CHARS
from gateway.auth.key_source import KeySource

__all__ = ["TOKEN_MAX_BYTES", "Header", "Keyring", "read_header", "signing_algorithm"]

TOKEN_MAX_BYTES: Final = 16 * 1024
_SHORT_HEADER: Final = 512

# Base64url in its one spelling (RFC 4648 §3.5): the bits of the last character that mean nothing are 0.
_PART: Final = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT: Final = re.compile(rf"(?=[^.]){_PART}\.(?=[^.]){_PART}\.{_PART}")
_HMAC_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
_PUBLIC_KINDS: Final[tuple[Kind, ...]] = ("rsa", "ecdsa", "eddsa")
_PUBLIC_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")


class _Hmac(HMACAlgorithm):
    def check_key_length(self, key: bytes) -> str | None:
        """Keep quiet: the check of the settings warns about short secrets once, not at every token."""
        return None


class Header(msgspec.Struct, frozen=True):
    """What a token's header says, unverified: the algorithm, and the name of a key (None for none)."""

    algorithm: str
    kid: str | None = None


class Keyring:
    """The keys of one issuer, ready for use.

    Args:
        settings: Hold the keys that do not change.
        source: Holds those that the issuer publishes, None where it publishes none.
    Raises:
        ValueError: A key is no key; the check of the settings reports that first, with the setting's name.
    """

    def __init__(self, settings: IssuerKeys, source: KeySource | None = None) -> None:
        self._keys_by_algorithm, self._source = _keys_of(settings), source
        self._jws = _make_jws()

    @classmethod
    def of_own(cls, settings: IssueSettings) -> "Keyring":
        """Make the keyring of the tokens that we issue ourselves.

        Raises:
            ValueError: As above.
        """
        keys_by_algorithm: dict[str, tuple[Any, ...]] = {}
        for secret in (settings.signing_key, settings.previous_signing_key):
            if text := secret.get_secret_value():
                _, key = read_signing_key(text)
                algorithm = signing_algorithm(key)
                keys_by_algorithm[algorithm] = (*keys_by_algorithm.get(algorithm, ()), key)
        return cls.of_keys(keys_by_algorithm)

    @classmethod
    def of_keys(cls, keys_by_algorithm: Mapping[str, tuple[Any, ...]]) -> "Keyring":
        """Make a keyring of keys that were read already, by the algorithm that each may verify."""
        ring = cls(IssuerKeys())
        ring._keys_by_algorithm |= keys_by_algorithm
        return ring

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms that some key can verify, or that a published one might."""
        return frozenset(self._keys_by_algorithm) | frozenset(_PUBLIC_ALGORITHMS if self._source else ())

    async def prepare(self, token: str) -> None:
        """Wait for a key that the issuer may publish and that is not held yet, if there is such a thing.

        What is wrong with the token is left to `open`.

        Raises:
            KeysUnavailable: The issuer does not say which keys it has.
        """
        if self._source is None:
            return
        try:
            header = self._read_header(token)
        except InvalidToken:
            return
        if header.algorithm in _PUBLIC_ALGORITHMS and header.algorithm not in self._keys_by_algorithm:
            await self._source.look_for(header.algorithm, header.kid)

    def open(self, token: str, *, skip_signature: bool = False) -> bytes:
        """Check a compact JWS (RFC 7515 §7.1) and give its payload, bytes as they were signed.

        Args:
            token: What a client sent.
            skip_signature: Believe the token unsigned; its form is checked all the same.
        Raises:
            InvalidToken: Too long, malformed, an algorithm without a key, or a signature of nobody we know.
        """
        header = self._read_header(token)
        if skip_signature:
            return self._payload(token, b"", [], {"verify_signature": False})
        keys = self._candidates(header)
        for key in keys[:-1]:
            try:
                return self._payload(token, key, [header.algorithm])
            except InvalidToken:
                continue  # the previous secret may fit
        return self._payload(token, keys[-1], [header.algorithm])

    def _read_header(self, token: str) -> Header:
        if len(token) > TOKEN_MAX_BYTES:
            raise InvalidToken(f"token is longer than {TOKEN_MAX_BYTES} bytes", Check.FORM)
        if _COMPACT.fullmatch(token) is None:
            raise InvalidToken("token is not three base64url parts", Check.FORM)
        return read_header(token)

    def _candidates(self, header: Header) -> Sequence[Any]:
        """Tell which keys may have signed; at least one."""
        if keys := self._keys_by_algorithm.get(header.algorithm):
            return keys
        if self._source is None or header.algorithm not in _PUBLIC_ALGORITHMS:
            raise InvalidToken("token is signed with an algorithm that no key is configured for", Check.KEY)
        published = self._source.find(header.algorithm, header.kid)
        if not published:
            raise InvalidToken("token is signed with a key that its issuer does not publish", Check.KEY)
        if len(published) > 1:
            raise InvalidToken("token does not name its key (kid), and its issuer has several", Check.KEY)
        return [published[0].key]

    def _payload(self, token: str, key: Any, algorithms: list[str], options: Any = None) -> bytes:
        try:
            return cast(bytes, self._jws.decode_complete(token, key, algorithms=algorithms, options=options)["payload"])
        except jwt.InvalidSignatureError:
            raise InvalidToken("token has a wrong signature", Check.SIGNATURE) from None
        # ValueError: some signatures of public-key algorithms fail in the decoding of their numbers.
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken("token is malformed", Check.FORM) from None


def read_header(token: str) -> Header:
    """Read a token's header; PyJWT reads it again and must agree, which it cannot fail to where each name comes once.

    Raises:
        InvalidToken: It is malformed, or asks for something that is not done here.
    """
    part = token.partition(".")[0]
    # All tokens of an issuer begin with the same few headers.
    return _known_header(part) if len(part) <= _SHORT_HEADER else _header(part)


def _header(part: str) -> Header:
    try:
        members = read_members(jwt.utils.base64url_decode(part))
    except ValueError:
        raise InvalidToken("token has a malformed header", Check.FORM) from None
    if not isinstance(members, dict) or not isinstance(members.get("alg"), str):
        raise InvalidToken("token has a malformed header", Check.FORM)
    if "crit" in members or members.get("b64", True) is not True:
        # RFC 7515 §4.1.11: what is critical and not understood makes the token invalid.
        raise InvalidToken("token has a header that must not be passed over (crit, b64)", Check.FORM)
    kid = members.get("kid")
    if "kid" in members and (not isinstance(kid, str) or len(kid) > KID_MAX_CHARS):
        raise InvalidToken(f"token's kid is not text of at most {KID_MAX_CHARS} characters", Check.FORM)
    return Header(members["alg"], kid)


_known_header = functools.lru_cache(256)(_header)


def signing_algorithm(key: Any) -> str:
    """Tell with which algorithm we sign by a key of ours; `key` is the half that verifies."""
    return "HS256" if isinstance(key, bytes) else algorithms_of(key)[0]


def _keys_of(settings: IssuerKeys) -> dict[str, tuple[Any, ...]]:
    keys_by_algorithm: dict[str, tuple[Any, ...]] = {}
    secrets = (settings.hmac_secret_key.get_secret_value(), settings.hmac_previous_secret_key.get_secret_value())
    if keys := tuple(secret.encode() for secret in secrets if secret):
        keys_by_algorithm |= dict.fromkeys(_HMAC_ALGORITHMS, keys)
    for kind in _PUBLIC_KINDS:
        if pem := cast(str, getattr(settings, f"{kind}_public_key")):
            key = read_public_key(pem, kind)
            keys_by_algorithm |= dict.fromkeys(algorithms_of(key), (key,))
    return keys_by_algorithm


def _make_jws() -> jwt.PyJWS:
    """Make a verifier of the algorithms that can be configured and of no others, `none` least of all."""
    jws = jwt.PyJWS(algorithms=list(_PUBLIC_ALGORITHMS))
    for name, digest in (("HS256", sha256), ("HS384", sha384), ("HS512", sha512)):
        jws.register_algorithm(name, _Hmac(digest))
    return jws

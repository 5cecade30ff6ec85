"""JSON Web Key Sets (RFC 7517): the public keys that an issuer publishes, as far as they may verify tokens.

A key that cannot be used is passed over with a reason, and the others count. What is meant for something else (`use: enc`) is
passed over in silence. Certificates and addresses in a key (`x5c`, `x5u`) mean nothing here.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from config.pem import algorithms_of
from gateway.auth.json_members import read_members

if TYPE_CHECKING:
    from config.pem import PublicKey

__all__ = ["KEYS_MAX", "KID_MAX_CHARS", "BadKeySet", "KeySet", "PublishedKey", "read_key_set"]

KEYS_MAX: Final = 100
KID_MAX_CHARS: Final = 256
# A larger modulus or exponent makes each check of a signature expensive.
_RSA_BITS: Final = range(2048, 8193)
_RSA_EXPONENT_BITS: Final = 32
# What a faulty library made primes of: keys from it are powers of 65537 modulo each of these, others are not.
_ROCA_GENERATOR: Final = 65537
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+")
_CURVES: Final[Mapping[str, tuple[type[ec.EllipticCurve], int]]] = {
    "P-256": (ec.SECP256R1, 32),
    "P-384": (ec.SECP384R1, 48),
    "P-521": (ec.SECP521R1, 66),
}
# RFC 7518 §6.2.2, §6.3.2, §6.4.1: whoever publishes one of these has lost the key.
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class BadKeySet(Exception):
    """The document is no key set, or none of its keys can verify a token; the text says why."""


class PublishedKey(msgspec.Struct, frozen=True):
    """A key that may verify tokens of some algorithms; `kid` is "" where it has no name."""

    kid: str
    algorithms: frozenset[str]
    key: Any


class KeySet(msgspec.Struct, frozen=True):
    """The keys of a set that can be used, and a line for each that cannot."""

    keys: tuple[PublishedKey, ...]
    faults: tuple[str, ...]

    def find(self, algorithm: str, kid: str | None) -> tuple[PublishedKey, ...]:
        """Find the keys that a token's header may mean; a token that names none means every key of its algorithm."""
        return tuple(key for key in self.keys if algorithm in key.algorithms and (kid is None or key.kid == kid))

    def digests(self) -> dict[str, str]:
        """Make what tells one set from another: by kid, a digest of the keys of that name and of what they may verify."""
        prints: dict[str, list[bytes]] = {}
        for key in self.keys:
            name = key.kid.encode(errors="replace").decode()  # JSON can smuggle in half a surrogate pair
            der = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            prints.setdefault(name, []).append(hashlib.sha256(der).digest() + " ".join(sorted(key.algorithms)).encode())
        return {name: hashlib.sha256(b"".join(sorted(some))).hexdigest() for name, some in prints.items()}


class _Unfit(Exception):
    """Why a key cannot be used; "" for no fault of anybody's."""


def read_key_set(document: bytes) -> KeySet:
    """Read a key set.

    Raises:
        BadKeySet: There is nothing in it to verify a token with.
    """
    keys: list[PublishedKey] = []
    faults: list[str] = []
    for number, written in enumerate(_members(document)):
        try:
            keys.append(_read_key(written))
        except _Unfit as exc:
            if text := str(exc):
                faults.append(f"keys[{number}]: {text}")
    if twice := _twins(keys):
        faults.append(f"{len(twice)} kid of several keys: none of these is used")
        keys = [key for key in keys if (key.kid, type(key.key)) not in twice]
    if not keys:
        raise BadKeySet("holds no key that can verify tokens" + (f": {faults[0]}" if faults else ""))
    return KeySet(tuple(keys), tuple(faults))


def _members(document: bytes) -> Sequence[Any]:
    try:
        members = read_members(document)
    except ValueError:
        raise BadKeySet("is no JSON, or has a name twice") from None
    listed = members.get("keys") if isinstance(members, dict) else None
    if not isinstance(listed, list):
        raise BadKeySet("has no list of keys")
    if len(listed) > KEYS_MAX:
        raise BadKeySet(f"has more than {KEYS_MAX} keys")
    return listed


def _twins(keys: Sequence[PublishedKey]) -> set[tuple[str, type]]:
    """Tell which names are those of several keys of one kind: which one signed could not be told (RFC 7517 §4.5)."""
    names = [(key.kid, type(key.key)) for key in keys if key.kid]
    return {name for name in names if names.count(name) > 1}


def _read_key(written: Any) -> PublishedKey:
    if not isinstance(written, dict):
        raise _Unfit("is no object")
    kind, kid = written.get("kty"), written.get("kid", "")
    if kind == "oct":
        raise _Unfit("is a shared secret (oct), which must not be published")
    if not isinstance(kid, str) or len(kid) > KID_MAX_CHARS:
        raise _Unfit(f"kid must be text of at most {KID_MAX_CHARS} characters")
    if not _PRIVATE_MEMBERS.isdisjoint(written):
        raise _Unfit("holds a private key, which must not be published")
    _check_purpose(written)
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _Unfit("is of an unknown kind (kty)")
    try:
        key = read(written)
    except (ValueError, UnsupportedAlgorithm):
        raise _Unfit("is malformed") from None
    return PublishedKey(kid, _algorithms(written, key), key)


def _check_purpose(written: Mapping[str, Any]) -> None:
    use, operations = written.get("use", "sig"), written.get("key_ops", ["verify"])
    if not isinstance(use, str) or not isinstance(operations, list):
        raise _Unfit("use must be text, and key_ops a list")
    if use != "sig" or "verify" not in operations:
        raise _Unfit("")


def _algorithms(written: Mapping[str, Any], key: "PublicKey") -> frozenset[str]:
    able = frozenset(algorithms_of(key))
    if "alg" not in written:
        return able
    named = written["alg"]
    if not isinstance(named, str) or named not in able:
        raise _Unfit("names an algorithm (alg) that is not supported, or not of its kind")
    return frozenset({named})


def _read_rsa(written: Mapping[str, Any]) -> "PublicKey":
    modulus, exponent = _number(written, "n"), _number(written, "e")
    if modulus.bit_length() not in _RSA_BITS:
        raise _Unfit(f"is an RSA key of other than {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits")
    if exponent.bit_length() > _RSA_EXPONENT_BITS:
        raise _Unfit(f"is an RSA key whose exponent has more than {_RSA_EXPONENT_BITS} bits")
    if _is_guessable(modulus):
        raise _Unfit("is an RSA key of a broken generator (CVE-2017-15361)")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _is_guessable(modulus: int) -> bool:
    """Tell whether a modulus bears the mark of a generator whose keys can be factored ("ROCA"); by chance one in 2²⁸ does."""
    return all(modulus % prime in _POWERS[prime] for prime in _ROCA_PRIMES)


_POWERS: Final = {prime: {pow(_ROCA_GENERATOR, n, prime) for n in range(prime)} for prime in _ROCA_PRIMES}


def _read_ec(written: Mapping[str, Any]) -> "PublicKey":
    curve = written.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES:
        raise _Unfit("lies on a curve that is not supported")
    make_curve, size = _CURVES[curve]
    x, y = _octets(written, "x"), _octets(written, "y")
    if len(x) != size or len(y) != size:  # RFC 7518 §6.2.1.2
        raise ValueError
    # Refuses points that are not on the curve.
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), make_curve()).public_key()


def _read_okp(written: Mapping[str, Any]) -> "PublicKey":
    if written.get("crv") != "Ed25519":
        raise _Unfit("lies on a curve that is not supported")
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(written, "x"))


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], "PublicKey"]]] = {"RSA": _read_rsa, "EC": _read_ec, "OKP": _read_okp}


def _number(written: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(written, name))


def _octets(written: Mapping[str, Any], name: str) -> bytes:
    """Read a member in base64url without padding; ValueError where it is none."""
    text = written.get(name)
    if not isinstance(text, str) or _TEXT.fullmatch(text) is None:
        raise ValueError
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""Keys in PEM text: the one place that reads them, for the settings' check and for whoever uses the keys.

`cryptography` is imported when a key is read, so that commands without keys start fast.
"""

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
    PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
    # A secret counts as both halves of a pair.
    KeyPair: TypeAlias = tuple["PrivateKey", PublicKey] | tuple[bytes, bytes]

__all__ = ["algorithms_of", "read_ec_private_key", "read_public_key", "read_signing_key"]

Kind: TypeAlias = Literal["rsa", "ecdsa", "eddsa"]

# RFC 7518 §3.4 binds each ES algorithm to its curve.
_ES_ALGORITHM_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA_MIN_BITS = 2048  # RFC 7518 §3.3
_SECRET_MIN_BYTES = 32  # RFC 7518 §3.2


def read_public_key(pem: str, kind: Kind) -> "PublicKey":
    """Read a public key that may verify tokens.

    Args:
        pem: `-----BEGIN PUBLIC KEY-----…`; a backslash followed by n counts as a line end, as environments often hold it.
        kind: Which kind of key is wanted.
    Raises:
        ValueError: The text is no such key, or one that must not be used; the message never quotes it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if "PRIVATE KEY-----" in pem:
        raise ValueError("must be a public key in PEM form, this is a private one")
    try:
        key = load_pem_public_key(_lines(pem))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError('must be a public key in PEM form ("-----BEGIN PUBLIC KEY-----")') from None
    if kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_MIN_BITS:
            raise ValueError(f"must have {_RSA_MIN_BITS} bits or more, this RSA key has {key.key_size}")
        return key
    if kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _ES_ALGORITHM_BY_CURVE:
            raise ValueError("must lie on the curve P-256, P-384 or P-521")
        return key
    if kind == "eddsa" and isinstance(key, ed25519.Ed25519PublicKey):
        return key
    wanted = {"rsa": "an RSA key", "ecdsa": "an elliptic-curve key", "eddsa": "an Ed25519 key"}[kind]
    raise ValueError(f"must be {wanted}, this PEM holds another kind")


def read_ec_private_key(pem: str) -> "EllipticCurvePrivateKey":
    """Read the unencrypted P-256 key that signs for APNs (the .p8 file) or for Web Push (VAPID).

    Raises:
        ValueError: The text is no such key; the message never quotes it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_lines(pem), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError('must be an unencrypted private key in PEM form ("-----BEGIN PRIVATE KEY-----")') from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("must be an elliptic-curve key on P-256")
    return key


def read_signing_key(text: str) -> "KeyPair":
    """Read what we sign our own tokens with: a private key in PEM form with its public half, or a secret.

    Raises:
        ValueError: The text is neither, or too weak; the message never quotes it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if "-----BEGIN" not in text:
        secret = text.encode()
        if len(secret) < _SECRET_MIN_BYTES:
            raise ValueError(f"must be a private key in PEM form, or a secret of {_SECRET_MIN_BYTES} bytes or more")
        return secret, secret
    try:
        key = load_pem_private_key(_lines(text), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("must be an unencrypted private key in PEM form, or a secret") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_MIN_BITS:
        return key, key.public_key()
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ES_ALGORITHM_BY_CURVE:
        return key, key.public_key()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, key.public_key()
    raise ValueError(f"must be on P-256, P-384, P-521 or Ed25519, or an RSA key of {_RSA_MIN_BITS} bits or more")


def algorithms_of(key: "PublicKey") -> tuple[str, ...]:
    """Name the JWS algorithms that a public key may verify (RFC 7518 §3.1, RFC 8037 §3.1)."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return ("RS256", "RS384", "RS512")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (_ES_ALGORITHM_BY_CURVE[key.curve.name],)
    return ("EdDSA",)


def _lines(pem: str) -> bytes:
    return pem.replace("\\n", "\n").strip().encode()

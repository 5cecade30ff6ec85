"""Runs the vectors of Project Wycheproof that concern tokens; see `scripts/wycheproof`.

Tokens and key sets go the whole way: key set, header, signature. Vectors of a bare algorithm have messages that no token can
have; they are held against the same check of a signature, with the key read from its JWK.
"""

import sys
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import jwt
import msgspec

from config.token_settings import IssuerKeys
from gateway.auth.errors import InvalidToken
from gateway.auth.jwks import BadKeySet, read_key_set
from gateway.auth.key_source import KeySource
from gateway.auth.keys import Keyring

AGREES, REFUSED, ACCEPTED, PASSED_OVER = "as expected", "refused though valid", "accepted though invalid", "not applicable"

# Algorithms by the name of a file.
ALGORITHMS: Final[Mapping[str, str]] = {
    "ecdsa_secp256r1_sha256_p1363_test": "ES256",
    "ecdsa_secp384r1_sha384_p1363_test": "ES384",
    "ecdsa_secp521r1_sha512_p1363_test": "ES512",
    "rsa_signature_2048_sha256_test": "RS256",
    "rsa_signature_2048_sha384_test": "RS384",
    "rsa_signature_2048_sha512_test": "RS512",
    "rsa_signature_3072_sha256_test": "RS256",
    "rsa_signature_3072_sha384_test": "RS384",
    "rsa_signature_3072_sha512_test": "RS512",
    "rsa_signature_4096_sha256_test": "RS256",
    "rsa_signature_4096_sha384_test": "RS384",
    "rsa_signature_4096_sha512_test": "RS512",
    "rsa_signature_8192_sha256_test": "RS256",
    "rsa_signature_8192_sha384_test": "RS384",
    "rsa_signature_8192_sha512_test": "RS512",
    "ed25519_test": "EdDSA",
    "hmac_sha256_test": "HS256",
    "hmac_sha384_test": "HS384",
    "hmac_sha512_test": "HS512",
}
TOKEN_FILES: Final = ("json_web_signature_test", "json_web_key_test")
SUPPORTED: Final = frozenset({*ALGORITHMS.values()})

Verdict = tuple[dict[str, Any], bool | None]
"""A test, and whether it was accepted; None where it is about something that is not supported."""


def main(path: Path) -> int:
    """Run all files that are known; the exit code."""
    files = [path] if path.is_file() else [path / f"{name}.json" for name in (*TOKEN_FILES, *ALGORITHMS)]
    total: Counter[str] = Counter()
    print(f"| file | vectors | {AGREES} | {REFUSED} | {ACCEPTED} | {PASSED_OVER} |\n|---|---|---|---|---|---|")
    for file in files:
        run = token_verdicts if file.stem in TOKEN_FILES else algorithm_verdicts
        counts = Counter(outcome(file.stem, test, accepted) for test, accepted in run(file))
        total += counts
        print_row(file.stem, counts)
    print_row("all", total)
    return 1 if total[ACCEPTED] else 0


def print_row(name: str, counts: Counter[str]) -> None:
    cells = [counts[kind] for kind in (AGREES, REFUSED, ACCEPTED, PASSED_OVER)]
    print(f"| {name} | {counts.total()} | {' | '.join(map(str, cells))} |")


def outcome(name: str, test: Mapping[str, Any], accepted: bool | None) -> str:
    if accepted is None:
        return PASSED_OVER
    if test["result"] == "acceptable" or accepted == (test["result"] == "valid"):
        return AGREES
    kind = ACCEPTED if accepted else REFUSED
    print(f"{name} {test['tcId']} {test['comment']} {test['flags']}: {kind}", file=sys.stderr)
    return kind


def token_verdicts(file: Path) -> Iterator[Verdict]:
    """Judge tokens by the keys of their group."""
    for group in msgspec.json.decode(file.read_bytes())["testGroups"]:
        holder = group.get("public") or group["private"]
        listed = holder.get("keys", [holder])
        ring = keyring_of(listed)
        valid = {test["jws"] for test in group["tests"] if test["result"] == "valid"}
        for test in group["tests"]:
            yield test, opens(ring, test["jws"]) if is_ours(file.stem, listed, test, valid) else None


def is_ours(name: str, listed: list[dict[str, Any]], test: Mapping[str, Any], valid: set[str]) -> bool:
    """Whether a vector says something about what is done here."""
    if test["result"] == "valid":
        return any(key.get("alg", "RS256") in SUPPORTED for key in listed)
    # Some invalid ones are, to the letter, what the same group calls valid. Rules of sets do not touch secrets: these come
    # from the settings, where there are no names and a short one is warned of.
    return test["jws"] not in valid and not (name == "json_web_key_test" and all(key["kty"] == "oct" for key in listed))


def keyring_of(listed: list[dict[str, Any]]) -> Keyring | None:
    """Make a keyring: of the secrets if that is all there is, else of what the published set gives; None for nothing."""
    secrets = [key for key in listed if key["kty"] == "oct"]
    if len(secrets) == len(listed):
        algorithms = {key.get("alg", "HS256") for key in secrets}
        return Keyring.of_keys(
            {name: tuple(octets(key["k"]) for key in secrets if key.get("alg", "HS256") == name) for name in algorithms}
        )
    try:
        published = read_key_set(msgspec.json.encode({"keys": listed}))
    except BadKeySet:
        return None
    # A set can be asked as its holder can.
    return Keyring(IssuerKeys(), cast(KeySource, published))


def opens(ring: Keyring | None, token: str) -> bool:
    try:
        return ring is not None and ring.open(token) is not None
    except InvalidToken:
        return False


def algorithm_verdicts(file: Path) -> Iterator[Verdict]:
    """Judge signatures of bare messages."""
    name = ALGORITHMS[file.stem]
    algorithm = jwt.PyJWS().get_algorithm_by_name(name)
    for group in msgspec.json.decode(file.read_bytes())["testGroups"]:
        is_mac = group["type"] == "MacTest"
        # A token's HMAC is whole; shorter ones are another algorithm.
        is_ours = not is_mac or group["tagSize"] == int(name[2:])
        for test in group["tests"]:
            if not is_ours:
                yield test, None
            elif is_mac:
                yield test, verifies(algorithm.verify, test["msg"], bytes.fromhex(test["key"]), test["tag"])
            else:
                yield test, verifies(algorithm.verify, test["msg"], published_key(group), test["sig"])


def published_key(group: Mapping[str, Any]) -> Any:
    """Read the key of a group from its JWK; None where it has none that is taken."""
    try:
        return read_key_set(msgspec.json.encode({"keys": [group.get("publicKeyJwk") or group["keyJwk"]]})).keys[0].key
    except (BadKeySet, KeyError):
        return None


def verifies(verify: Callable[[bytes, Any, bytes], bool], message: str, key: Any, signature: str) -> bool | None:
    if key is None:
        return None
    try:
        return verify(bytes.fromhex(message), key, bytes.fromhex(signature))
    except ValueError:
        return False


def octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).exists():
        sys.exit("usage: scripts/wycheproof PATH (the folder testvectors_v1, or one of its files)")
    sys.exit(main(Path(sys.argv[1])))

"""Why a token is refused, or what it grants, in words for the person who has it before them.

The verdict is that of the very code that judges tokens of clients; here stands only how it is told. Nothing of the token is
shown that could be misused or that is somebody's own: no signature, and of `info`, `data` and `meta` only how long they are.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from jwt.utils import base64url_decode

from broker.revocation import Revocation
from config.clock import Clock
from config.token_settings import IssueSettings
from gateway.auth.errors import Check, InvalidToken, TokenError
from gateway.auth.issuers import Issuer
from gateway.auth.json_members import read_members
from gateway.auth.key_source import KeysUnavailable
from gateway.auth.keys import read_header
from gateway.auth.tokens import ConnectionClaims, SubscriptionClaims, TokenVerifier
from gateway.auth.verifiers import Verifiers

__all__ = ["Inspection", "inspect_token"]

_ADVICE: Final[Mapping[Check, str]] = {
    Check.FORM: "Make the token with a JWT library and hand it on whole: three parts with dots between, each name once.",
    Check.KEY: "Sign with a key that is configured for this issuer, and let the header name it (alg, kid).",
    Check.SIGNATURE: "The key that signed is not the one that is configured, or the token was changed on its way.",
    Check.ISSUER: "Let the claim iss say what the settings demand, or set the issuer there.",
    Check.AUDIENCE: "Let the claim aud name the audience that the settings demand, or set another one there.",
    Check.CLAIMS: "Mend the claim that is named where the token is made.",
    Check.EXPIRED: "Make a fresh one; clients fetch it by themselves (error 109). If it is fresh, the clocks differ.",
    Check.NOT_YET: "Wait until the moment in nbf. If that is long past, the clocks differ.",
    Check.REVOKED: "Let the user log in again: this token, all older ones of the user, or its login was taken back.",
}
_CODES: Final = {
    "connection": "disconnect 3500, clients give up",
    "subscription": "error 103, clients give up the subscription",
}
_EXPIRED_CODE: Final = "error 109, clients fetch a fresh one"
_BLOCKED_CODE: Final = "disconnect 3507, clients give up"
_UNBLOCK: Final = "The token is good, but block_user keeps its user out: unblock_user lets them in again."
_PRIVATE: Final = ("info", "data", "meta", "b64info", "b64data")
_SHOWN: Final = 200


class Inspection(msgspec.Struct, frozen=True):
    """What came out. `facts` are labels with what the token says; before the signature was checked it only says so."""

    is_accepted: bool
    verdict: str
    advice: str
    facts: Sequence[tuple[str, str]]
    check: Check | None = None


async def inspect_token(
    token: str, verifiers: Verifiers, revocation: Revocation, issue: IssueSettings, clock: Clock
) -> Inspection:
    """Judge a token as a node with these settings would; keys that issuers publish are fetched.

    Args:
        revocation: Knows whom a node keeps out whatever their token says; the verifiers ask it about tokens.
        issue: Knows which tokens are of our own making.
    """
    if known := _other_kind(token):
        return Inspection(False, known[0], known[1], (), Check.FORM)
    claims = _unverified(token)
    kind = "subscription" if claims.get("channel") is not None else "connection"
    verifier = verifiers.subscriptions if kind == "subscription" else verifiers.connections
    issuer = verifier.issuers.of(token)
    facts = [("kind", f"{kind} token"), ("issuer", _issuer_words(issuer, issue, kind)), *_facts(token, claims, issuer, clock)]
    try:
        await verifier.prepare(token)
        result = _judge(verifier, token, kind)
    except KeysUnavailable:
        states = {state.name: state.error for state in verifiers.key_states()}
        reason = states.get(issuer.name) or "does not answer"
        advice = f"See to it that jwks_url of issuer {issuer.name} can be reached from here: {reason}."
        return Inspection(
            False, "cannot be judged now: its issuer's keys cannot be fetched (error 100)", advice, facts, Check.KEY
        )
    except TokenError as exc:
        code = _CODES[kind] if isinstance(exc, InvalidToken) else _EXPIRED_CODE
        return Inspection(False, f"{exc} ({code})", _advice(exc.check, issuer, claims), facts, exc.check)
    if result.user and revocation.is_blocked(result.user):
        return Inspection(False, f"its user is blocked ({_BLOCKED_CODE})", _UNBLOCK, facts, Check.REVOKED)
    return Inspection(True, _granted(result), "", facts)


def _judge(verifier: TokenVerifier, token: str, kind: str) -> ConnectionClaims | SubscriptionClaims:
    return verifier.subscription(token) if kind == "subscription" else verifier.connection(token)


def _other_kind(token: str) -> tuple[str, str] | None:
    """Know what people paste by mistake."""
    if not token:
        return "there is no token", "Hand it over as the argument, or on standard input."
    if token.startswith("hrt_"):
        return "this is a refresh token", "It is for POST /auth/refresh alone, which gives an access token to connect with."
    if token.startswith("hgk_"):
        return "this is a key of the HTTP API", "It is for backends: keep it from clients, and replace it if one had it."
    return None


def _unverified(token: str) -> Mapping[str, Any]:
    """Read the claims without believing them; none where they cannot be read."""
    try:
        claims = read_members(base64url_decode(token.split(".")[1]))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _issuer_words(issuer: Issuer, issue: IssueSettings, kind: str) -> str:
    section = "client.subscription_token" if kind == "subscription" else "client.token"
    algorithms = ", ".join(sorted(issuer.keyring.algorithms)) or "none"
    where = "our own" if issue.enabled and issuer.issuer == issue.issuer else f"{issuer.name} of {section}"
    return f"{where}; keys for {algorithms}"


def _facts(token: str, claims: Mapping[str, Any], issuer: Issuer, clock: Clock) -> Iterator[tuple[str, str]]:
    try:
        header = read_header(token)
    except InvalidToken:
        pass
    else:
        yield "signed with", _text(header.algorithm) + (f", key {_text(header.kid)}" if header.kid is not None else "")
    if issuer.user_claim in claims:
        user = claims[issuer.user_claim]
        yield "user", _text(f"{issuer.user_prefix}{user}" if isinstance(user, str) and user else user)
    for name, value in claims.items():
        if name in ("exp", "nbf", "iat", "expire_at"):
            yield name, _moment(value, clock)
        elif name in _PRIVATE:
            yield name, f"{len(json.dumps(value, ensure_ascii=False))} characters of JSON"
        elif name != issuer.user_claim:
            yield _label(name), _text(value)


def _advice(check: Check, issuer: Issuer, claims: Mapping[str, Any]) -> str:
    wanted = {Check.ISSUER: ("iss", issuer.issuer), Check.AUDIENCE: ("aud", issuer.audience)}.get(check)
    if wanted is None:
        return _ADVICE[check]
    return f"{_ADVICE[check]} Demanded: {_text(wanted[1])}; the token says {_text(claims.get(wanted[0]))}."


def _granted(claims: ConnectionClaims | SubscriptionClaims) -> str:
    whom = f"user {_text(claims.user)}" if claims.user else "an anonymous client"
    if isinstance(claims, SubscriptionClaims):
        only = f", on connection {_text(claims.client)} alone" if claims.client else ""
        return f"lets {whom} subscribe to {_text(claims.channel)}{only}"
    words = f"lets {whom} connect"
    if claims.subs:
        words += f", subscribed to {_text(list(claims.subs))} from the start"
    if claims.capabilities is not None:
        words += ", with capabilities of its own (caps)"
    return words


def _moment(value: Any, clock: Clock) -> str:
    try:
        moment = datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return _text(value)
    left_s = (moment - clock.now()).total_seconds()
    words = f"in {_span(left_s)}" if left_s > 0 else f"{_span(-left_s)} ago"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {words}"


_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def _span(seconds: float) -> str:
    """Write a time in its two largest units."""
    left, parts = int(seconds), []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "less than a second"


def _label(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= 32 else _text(name)


def _text(value: Any) -> str:
    """Write a value on one line, with nothing that a terminal would obey; a long one is cut."""
    text = json.dumps(value) if not isinstance(value, str) or not value.isascii() or not value.isprintable() else value
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"

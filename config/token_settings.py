"""Settings of tokens: whose signatures are believed, and the tokens that this system issues itself."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.section import Section as _Section

__all__ = [
    "ConnectionTokenSettings",
    "IssueSettings",
    "IssuerKeys",
    "IssuerSettings",
    "SharedIssuerKeysSettings",
    "SubscriptionTokenSettings",
    "TokenSettings",
]

_LEAST_SECRET_BYTES = 32


class IssuerKeys(_Section):
    """What one issuer signs with, and what its tokens must say."""

    hmac_secret_key: SecretStr = Field(SecretStr(""), description="Secret of HS256, HS384 and HS512 tokens.")
    hmac_previous_secret_key: SecretStr = Field(
        SecretStr(""), description="Tried when the current secret fails, while secrets are rotated."
    )
    rsa_public_key: str = Field("", description="PEM of RS256, RS384 and RS512 tokens.")
    ecdsa_public_key: str = Field("", description="PEM of ES256, ES384 and ES512 tokens.")
    eddsa_public_key: str = Field("", description="PEM of EdDSA (Ed25519) tokens.")
    jwks_url: str = Field("", description="Where the issuer publishes its public keys (a JSON Web Key Set); https.")
    jwks_private_network: bool = Field(
        False, description="That address may lie in a private network, at any port, and may be http."
    )
    jwks_ca_file: str = Field("", description="Certificates to trust there instead of the system's.")
    jwks_refresh: Duration = Field(600.0, ge=10, description="How often the keys are fetched again.")
    jwks_timeout: Duration = Field(3.0, gt=0, le=8, description="How long fetching them may take.")
    audience: str = Field("", description="If set, `aud` must name it.")
    issuer: str = Field("", description="If set, `iss` must equal it.")
    user_id_claim: str = Field("sub", min_length=1, description="Claim that holds the user id.")
    roles_claim: str = Field(
        "",
        description='Claim that lists the user\'s roles, with dots where it lies in others ("realm_access.roles"); empty: none '
        "are believed.",
    )

    @property
    def has_key(self) -> bool:
        """Whether any token could be verified."""
        return bool(
            self.hmac_secret_key.get_secret_value()
            or self.rsa_public_key
            or self.ecdsa_public_key
            or self.eddsa_public_key
            or self.jwks_url
        )


class IssuerSettings(IssuerKeys):
    """One more issuer, known by the claim `iss` of its tokens."""

    name: str = Field(min_length=1, max_length=64, description="What it is called in logs and metrics.")
    issuer: str = Field(min_length=1, description="The claim `iss` of its tokens, which chooses it.")
    user_prefix: str = Field("", description="Put before its user ids, so that nobody of another issuer has the same one.")


class TokenSettings(IssuerKeys):
    """The issuer whose tokens need no `iss`, and others beside it."""

    issuers: tuple[IssuerSettings, ...] = Field((), description="Issuers beside this one, each with keys of its own.")

    @property
    def has_key(self) -> bool:
        """Whether any token of any issuer could be verified."""
        return super().has_key or any(issuer.has_key for issuer in self.issuers)

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        _check_differ("issuers[].name", (issuer.name for issuer in self.issuers))
        _check_differ(
            "issuers[].issuer", [*(issuer.issuer for issuer in self.issuers), *([self.issuer] if self.issuer else [])]
        )
        return self


class IssueSettings(_Section):
    """Tokens of our own, for applications without a token service."""

    enabled: bool = Field(False, description="Answer /api/token_issue, /auth/refresh and /auth/revoke.")
    issuer: str = Field("heliograph", min_length=1, description="The claim `iss` of these tokens.")
    signing_key: SecretStr = Field(
        SecretStr(""),
        description="Signs them, the same on all nodes: a private key in PEM form (EC, Ed25519, RSA), or a secret of 32 bytes.",
    )
    previous_signing_key: SecretStr = Field(SecretStr(""), description="The one before, still believed while keys are rotated.")
    access_ttl: Duration = Field(600.0, ge=1, le=86400, description="How long an access token lasts unless the call says.")
    refresh_ttl: Duration = Field(2_592_000.0, ge=60, description="How long a refresh token may lie unused.")
    family_ttl: Duration = Field(31_536_000.0, ge=60, description="How long a login lasts at most, refreshed or not.")
    retry_grace: Duration = Field(
        10.0,
        le=60,
        description="How long a refresh token that was just used gives the same pair again, for answers that got lost; later, "
        "using it twice ends the login.",
    )


class ConnectionTokenSettings(TokenSettings):
    issue: IssueSettings = IssueSettings()

    @property
    def has_key(self) -> bool:
        """Whether any token could be verified, those that we issue included."""
        return super().has_key or self.issue.enabled

    @model_validator(mode="after")
    def _own_issuer_differs(self) -> Self:
        if self.issue.enabled and self.issue.issuer in {self.issuer, *(issuer.issuer for issuer in self.issuers)}:
            raise ValueError("issue.issuer must differ from the other issuers")
        return self


class SubscriptionTokenSettings(TokenSettings):
    enabled: bool = Field(False, description="Use these keys for subscription tokens instead of client.token's.")


class SharedIssuerKeysSettings(_Section):
    """Keys from a `jwks_url` that nodes share through Redis, so that one that starts while an issuer is down has them."""

    secret: SecretStr = Field(
        SecretStr(""),
        description="Signs what is shared, so that nobody else's keys are believed; at least 32 bytes, the same on every node, "
        "known to nobody else. Empty: nothing is shared.",
    )
    longest: Duration = Field(86_400.0, ge=60, le=86_400, description="How old keys may be that another node has fetched.")

    @field_validator("secret")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value().encode()) < _LEAST_SECRET_BYTES:
            raise ValueError(f"must be at least {_LEAST_SECRET_BYTES} bytes")
        return value


def _check_differ(what: str, names: Iterable[str]) -> None:
    listed = list(names)
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(f"{what} must differ; twice: {', '.join(twice)}")

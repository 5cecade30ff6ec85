"""Settings of the door: TLS, whose word counts about addresses, and how fast anybody may knock."""

import ipaddress
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from config.durations import Duration
from config.section import Section

__all__ = ["DoorRateSettings", "LimitsSettings", "NetworkTexts", "TlsSettings"]


def _check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            rule = 'must be addresses or networks without host bits, such as "10.0.0.0/8" or "2001:db8::/32"'
            raise ValueError(f"{rule}; {text[:64]!r} is none") from None
    return texts


NetworkTexts: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_check_networks)]


class TlsSettings(Section):
    """TLS on the port of clients and the API, and on those of operators."""

    cert_file: str = Field(
        "",
        description="PEM file of the certificate and its intermediates, read anew when it changes; empty for no TLS.",
    )
    key_file: str = Field("", description="PEM file of its key, unencrypted; empty where that stands in cert_file too.")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="The oldest version of TLS that is spoken.")
    ciphers: str = Field(
        "", description="OpenSSL's names of the suites for TLS 1.2; empty for those with forward secrecy and AEAD alone."
    )
    client_ca_file: str = Field(
        "",
        description="PEM file of authorities: only who shows a certificate of theirs is let in; empty lets anybody in.",
    )
    hsts_max_age: Duration = Field(
        2_592_000.0,
        ge=0,
        le=63_072_000,
        description="How long browsers are told to come over TLS alone, at every port of this host name; 0 does not tell them.",
    )

    @property
    def is_on(self) -> bool:
        return bool(self.cert_file)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.cert_file and (self.key_file or self.client_ca_file):
            raise ValueError("cert_file is missing: without it there is no TLS")
        return self


class DoorRateSettings(Section):
    """A rate of the door; 0 sets none."""

    per_s: float = Field(0.0, ge=0, le=1_000_000, description="So many per second on average; 0 sets no limit.")
    burst: int = Field(20, ge=1, le=1_000_000, description="So many may come at once under per_s.")


class LimitsSettings(Section):
    """How fast anybody may knock, counted over all nodes."""

    handshakes_per_address: DoorRateSettings = DoorRateSettings()
    handshakes_per_user: DoorRateSettings = DoorRateSettings()
    commands_per_user: DoorRateSettings = DoorRateSettings()
    emulation_per_address: DoorRateSettings = DoorRateSettings()
    calls_per_address: DoorRateSettings = DoorRateSettings()
    calls_per_key: DoorRateSettings = DoorRateSettings()
    auth_per_address: DoorRateSettings = DoorRateSettings()
    ipv6_prefix: int = Field(64, ge=16, le=128, description="Addresses of IPv6 that share so many bits count as one.")
    exempt: NetworkTexts = Field((), description="Networks whose addresses are never limited.")

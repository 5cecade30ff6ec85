"""Settings of the door: TLS, whose word counts about addresses, and how fast anybody may knock."""

from typing import Literal, Self

from pydantic import Field, model_validator

from config.section import Section

__all__ = ["TlsSettings"]


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

    @property
    def is_on(self) -> bool:
        return bool(self.cert_file)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.cert_file and (self.key_file or self.client_ca_file):
            raise ValueError("cert_file is missing: without it there is no TLS")
        return self

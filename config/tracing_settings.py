"""Settings of tracing."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.section import Section

__all__ = ["TracingSettings"]


class TracingSettings(Section):
    """Traces by OpenTelemetry; needs the extra `tracing`."""

    enabled: bool = Field(False, description="Write traces.")
    endpoint: str = Field("http://127.0.0.1:4318/v1/traces", description="Where they are sent: OTLP over HTTP.")
    headers: tuple[SecretStr, ...] = Field(
        (), description='Headers of those requests, each as "name: value": what opens the endpoint.'
    )
    sample_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the traces that begin here which are written; where a caller has decided, that counts.",
    )
    service_name: str = Field("heliograph", min_length=1, description="What this service is called in them.")
    queue_size: int = Field(
        8192, ge=64, le=1_000_000, description="Spans of a process that may wait to be sent; further ones push out the oldest."
    )
    timeout: Duration = Field(
        5.0, gt=0, description="How long a request may take, and at the end the sending of all that waits."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @model_validator(mode="after")
    def _headers_are_pairs(self) -> Self:
        for header in self.headers:
            name, colon, _ = header.get_secret_value().partition(":")
            if not colon or not name.strip() or not header.get_secret_value().isprintable():
                raise ValueError('headers must be written as "name: value"')
        return self

    @property
    def header_map(self) -> Mapping[str, str]:
        """The headers by their names."""
        pairs = (header.get_secret_value().partition(":") for header in self.headers)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

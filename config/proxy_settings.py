"""Settings of event proxies: where the application's backend is asked, how, and what its answers mean."""

import re
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.section import Section

__all__ = ["DEFAULT_PROXY", "EndpointSettings", "NamedProxySettings", "ProxySettings", "StatusTransform", "check_name"]

# The proxy of the event's own section: `channel.proxy.*`, `rpc.proxy`.
DEFAULT_PROXY = "default"


class ErrorTransform(Section):
    code: int = Field(0, ge=0, le=1999, description="Code of the error; 0 for none. Those of applications: 400 to 1999.")
    message: str = Field("", description="What the error says.")
    temporary: bool = Field(False, description="Whether the client may try again.")


class DisconnectTransform(Section):
    code: int = Field(0, ge=0, le=4999, description="Code of the disconnect; 0 for none. Those of applications: 4000 to 4999.")
    reason: str = Field("", description="What the disconnect says.")


class StatusTransform(Section):
    """What an HTTP status of the backend means for the client: exactly one of the two."""

    status_code: int = Field(ge=100, le=599, description="The status that is meant; 200 never is.")
    to_error: ErrorTransform = ErrorTransform()
    to_disconnect: DisconnectTransform = DisconnectTransform()

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        if (self.to_error.code == 0) == (self.to_disconnect.code == 0):
            raise ValueError("set the code of either to_error or to_disconnect")
        if 0 < self.to_disconnect.code < 3000:
            raise ValueError("to_disconnect.code must be from 3000 to 4999")
        if self.status_code == 200:
            raise ValueError("status_code must not be 200, which is success")
        return self


# Those that frame the request itself; whoever could set them could smuggle in a second one.
_FRAMING_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)


class EndpointSettings(Section):
    """Where the application's backend is asked, and how."""

    endpoint: str = Field("", description="Address that is asked by POST: http:// or https://.")
    timeout: Duration = Field(1.0, description="How long an answer may take.")
    static_headers: dict[str, SecretStr] = Field({}, description="Headers of every request.")
    http_headers: tuple[str, ...] = Field((), description="Headers of the client's own HTTP request that are passed on.")
    emulated_headers: tuple[str, ...] = Field((), description="Headers passed on from what the client itself says in connect.")
    include_connection_meta: bool = Field(False, description="Tell the backend the connection's meta.")
    binary_encoding: bool = Field(False, description="Send payloads as base64; needed where they are no JSON.")
    ca_file: str = Field("", description="Certificates to trust instead of the system's.")
    status_to_code_transforms: tuple[StatusTransform, ...] = Field(
        (), description="HTTP statuses that mean an error or a disconnect of their own."
    )

    @field_validator("static_headers", "http_headers", "emulated_headers")
    @classmethod
    def _names_headers(cls, value: Any) -> Any:
        for name in value:
            if not re.fullmatch(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", name):
                raise ValueError("must be names of headers")
            if name.lower() in _FRAMING_HEADERS:
                raise ValueError(f"must not name {name}, which belongs to the request itself")
        return value

    def _check_reachable(self, whose: str) -> None:
        if not re.match(r"https?://[^/?#]", self.endpoint):
            raise ValueError(f"{whose} needs an endpoint that begins with http:// or https://")
        if not self.timeout:
            raise ValueError("timeout must be above 0")


class _Switch(Section):
    enabled: bool = Field(False, description="Ask the backend.")


class _Name(Section):
    name: str = Field(description="What namespaces call it by.")


# The fields of bases further to the right come first.
class ProxySettings(EndpointSettings, _Switch):
    """An event that the application's backend is asked about."""

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if self.enabled:
            self._check_reachable("enabled")
        return self


class NamedProxySettings(EndpointSettings, _Name):
    """A backend that namespaces name, for whatever event."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value == DEFAULT_PROXY:
            raise ValueError(f"must not be {DEFAULT_PROXY}, which stands for the proxy of the event itself")
        return check_name(value)

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        self._check_reachable("a proxy")
        return self


def check_name(value: str) -> str:
    """Insist on a name of the kind that namespaces and proxies have."""
    if not re.fullmatch(r"[-a-zA-Z0-9_.]{2,}", value):
        raise ValueError("must be two or more of the characters a-z A-Z 0-9 - _ .")
    return value

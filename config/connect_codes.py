"""Tables for connects that fail where no error can be answered: which disconnect, or which HTTP response, stands for a code."""

import json
from collections.abc import Iterable

from pydantic import Field, field_validator

from config.section import Section

__all__ = ["ConnectDisconnectSettings", "ConnectResponseSettings"]


def _check_codes(codes: Iterable[int]) -> None:
    listed = list(codes)
    if twice := sorted({code for code in listed if listed.count(code) > 1}):
        raise ValueError(f"codes must differ; twice: {', '.join(map(str, twice))}")


class DisconnectTarget(Section):
    code: int = Field(ge=3000, le=4999, description="Code of the disconnect; those of applications: 4000 to 4999.")
    reason: str = Field(min_length=1, max_length=120, description="What it says.")

    @field_validator("reason")
    @classmethod
    def _is_no_json(cls, value: str) -> str:
        try:
            json.loads(value)
        except ValueError:
            return value
        raise ValueError("must not be JSON, which SDKs would misread")


class ConnectDisconnectTransform(Section):
    code: int = Field(ge=1, le=1999, description="Code of the error that connect failed with.")
    to: DisconnectTarget


class ConnectDisconnectSettings(Section):
    """What a one-way connection is told where connect fails, instead of what is built in."""

    enabled: bool = Field(False, description="Use the table for one-way connections whose connect fails.")
    transforms: tuple[ConnectDisconnectTransform, ...] = Field(
        (), description="Disconnects by the code of the error; others stay what they are."
    )

    @field_validator("transforms")
    @classmethod
    def _codes_differ(cls, value: tuple[ConnectDisconnectTransform, ...]) -> tuple[ConnectDisconnectTransform, ...]:
        _check_codes(transform.code for transform in value)
        return value


class HttpResponseTarget(Section):
    status_code: int = Field(ge=200, le=599, description="Status of the response.")
    body: str = Field("", description="Its text; what the error or the disconnect says when empty.")


class ConnectResponseTransform(Section):
    code: int = Field(ge=1, le=4999, description="Code of the error or the disconnect that connect ended with.")
    to: HttpResponseTarget


class ConnectResponseSettings(Section):
    """What a failed connect is answered with, instead of 200 and a disconnect in the stream."""

    enabled: bool = Field(False, description="Answer a failed connect with an HTTP status; 500 for codes not in the table.")
    transforms: tuple[ConnectResponseTransform, ...] = Field((), description="Responses by the code.")

    @field_validator("transforms")
    @classmethod
    def _codes_differ(cls, value: tuple[ConnectResponseTransform, ...]) -> tuple[ConnectResponseTransform, ...]:
        _check_codes(transform.code for transform in value)
        return value

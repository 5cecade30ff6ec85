"""Settings of the audit."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from config.durations import Duration
from config.section import Section

__all__ = ["AuditSettings", "Grant"]

Grant = Literal["connect", "subscribe", "publish", "presence", "presence_stats", "history", "rpc"]
_LEAST_KEY_BYTES = 16


class AuditSettings(Section):
    """Who did what: denials and changes always, grants where they are listed."""

    enabled: bool = Field(True, description="Write the audit.")
    grants: tuple[Grant, ...] = Field((), description="Commands of clients that are also recorded when they are granted.")
    retention: Duration = Field(31_536_000.0, description="How long records are kept; 0 keeps them for ever.")
    hmac_key: SecretStr = Field(
        SecretStr(""),
        description="Signs the chain, so that writing the store is not enough to forge a record; at least 16 bytes.",
    )
    previous_hmac_keys: tuple[SecretStr, ...] = Field((), description="Keys that older records were signed with.")
    unsigned_through: int = Field(
        0,
        ge=0,
        description="Number of the last record from before there was a key; with one, later records without count as broken.",
    )
    on_failure: Literal["continue", "refuse"] = Field(
        "continue",
        description="Changes outside the store (disconnects, blocks, revocations) while the audit cannot be written: made and "
        "recorded later, or answered 503. Changes in the store are never made without their record.",
    )
    queue_size: int = Field(10_000, ge=10, description="Denials and grants of a process that may wait to be written.")
    flush_interval: Duration = Field(1.0, gt=0, description="How long they wait, so that many are written at once.")
    head_interval: Duration = Field(
        3600.0, gt=0, description="How often the newest record's hash is logged, as an anchor outside of the store."
    )

    @field_validator("hmac_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value().encode()) < _LEAST_KEY_BYTES:
            raise ValueError(f"must be at least {_LEAST_KEY_BYTES} bytes")
        return value

    @field_validator("previous_hmac_keys")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not key.get_secret_value() for key in value):
            raise ValueError("must not be empty")
        return value

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys that records may be signed with: the one in use, empty for none, then the previous ones."""
        return tuple(key.get_secret_value().encode() for key in (self.hmac_key, *self.previous_hmac_keys))

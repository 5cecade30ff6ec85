"""Settings of consumers: logs that an application writes calls of the API into."""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.proxy_settings import check_name
from config.section import Section

__all__ = ["ConsumerSettings", "OutboxSettings", "StreamSettings"]


class OutboxSettings(Section):
    dsn: SecretStr = Field(SecretStr(""), description="Database of the outbox table: postgresql://…; empty means store.url.")
    outbox_table_name: str = Field(
        "heliograph_outbox", min_length=1, description="Table, or schema.table; `heliograph db outbox` prints how to make it."
    )


class StreamSettings(Section):
    address: SecretStr = Field(SecretStr(""), description="Redis or Valkey of the stream: redis://…; empty means broker.url.")
    stream: str = Field("", description="Key of the stream; dead letters go to the stream of that name with .dead behind it.")
    consumer_group: str = Field("heliograph", min_length=1, description="Group that all nodes read in.")
    visibility_timeout: Duration = Field(
        30.0, ge=20, description="When entries that a node has read and not settled go to another."
    )
    trim: bool = Field(True, description="Remove entries that are done; false where other groups read the stream too.")


class ConsumerSettings(Section):
    """One consumer; every gateway process runs it."""

    name: str = Field(description="Stands in logs, metrics and idempotency keys; the same on all nodes.")
    type: Literal["postgresql", "redis_stream"] = Field(description="What it reads.")
    enabled: bool = Field(True, description="Run it.")
    batch_size: int = Field(100, ge=1, le=1000, description="Items taken at once.")
    max_attempts: int = Field(10, ge=1, le=1000, description="Tries before an item that keeps failing is put aside.")
    retry_base: Duration = Field(1.0, gt=0, description="First wait after a failed try.")
    retry_cap: Duration = Field(30.0, gt=0, description="Longest wait between tries.")
    postgresql: OutboxSettings = OutboxSettings()
    redis_stream: StreamSettings = StreamSettings()

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if len(value) > 64:
            raise ValueError("must be at most 64 long")
        return check_name(value)

    @model_validator(mode="after")
    def _names_its_stream(self) -> Self:
        if self.type == "redis_stream" and not self.redis_stream.stream:
            raise ValueError("type redis_stream needs redis_stream.stream")
        return self

"""Settings of topics and campaigns."""

from pydantic import Field, field_validator

from config.durations import Duration
from config.section import Section

__all__ = ["CampaignSettings", "TopicSettings"]


class TopicSettings(Section):
    client_patterns: tuple[str, ...] = Field(
        (),
        description='Existing topics that clients may subscribe their own user to, over RPC; * is any text: ["news:*"].',
    )

    @field_validator("client_patterns")
    @classmethod
    def _are_short(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(0 < len(pattern) <= 255 for pattern in value):
            raise ValueError("must be patterns of 1 to 255 characters")
        return value


class CampaignSettings(Section):
    """How campaigns reach their audience, a page of users at a time."""

    backlog: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="A campaign waits while about so many deliveries and decisions of its priority wait to be made.",
    )
    retention: Duration = Field(
        2_592_000.0, ge=86400, description="How long campaigns are kept after they have ended, with their counts."
    )

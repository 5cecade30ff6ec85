"""Settings of what operators say otherwise for a while."""

from pydantic import Field

from config.durations import Duration
from config.section import Section

__all__ = ["OverrideSettings"]


class OverrideSettings(Section):
    """How far overrides may go."""

    longest: Duration = Field(604_800.0, gt=0, le=31_536_000.0, description="How long an override may last at most.")

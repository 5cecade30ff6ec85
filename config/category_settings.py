"""Settings of what users are told about and how: categories, their routes and limits, quiet hours."""

import re
from typing import Final, Literal

from pydantic import Field, field_validator

from config.durations import Duration
from config.section import Section

__all__ = ["CapSettings", "CategorySettings", "Priority", "QuietHoursSettings", "RoutingSettings"]

Priority = Literal["critical", "high", "normal", "bulk"]

_ROUTES: Final = ("live", "push", "email", "sms", "webhook")
_LONGEST_WAIT_S: Final = 30 * 86400.0
_CATEGORY: Final = re.compile(r"[^\x00-\x1f\x7f*]{1,64}")


class CapSettings(Section):
    """How often a user may be disturbed; what is above stays in the inbox and goes live. Critical ones are never counted.

    The limit of a category is its own, or where that is 0 the common one.
    """

    limit: int = Field(
        0, ge=0, le=10_000, description="Notifications per user and category within the window; 0 sets no limit."
    )
    window: Duration = Field(86400.0, gt=0, le=31 * 86400, description="How far back is counted, at most 744h.")


class QuietHoursSettings(Section):
    ignored_by: tuple[Priority, ...] = Field(
        ("critical",), description="Priorities that reach users in their quiet hours and while they snooze."
    )
    dropped: tuple[Priority, ...] = Field(
        (), description="Priorities whose push, email and sms are left out in quiet hours, and not held until their end."
    )
    jitter: Duration = Field(
        0.0, ge=0, le=3600, description="Spread what was held over so long after the end, so that not all leaves at once: 10m."
    )


class RoutingSettings(Section):
    """Which ways to go; what is left out is left to the defaults."""

    routes: tuple[str, ...] = Field(
        (), description='Routes in order; those joined by + are tried together: ["live+push", "email"].'
    )
    waits: dict[str, float] = Field({}, description="Seconds that a route is given before the next has its turn.")
    stop_on: Literal["", "ack", "accepted"] = Field("", description="What ends it: an ack, or that a provider accepted.")
    devices: Literal["", "all", "most_recent", "one_per_platform"] = Field("", description="Which push devices are tried.")

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The routes, those that are tried together in one."""
        return tuple(tuple(stage.split("+")) for stage in self.routes)

    @field_validator("routes")
    @classmethod
    def _name_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        named = [name for stage in value for name in stage.split("+")]
        if unknown := [name for name in named if name not in _ROUTES]:
            raise ValueError(f"must be of {', '.join(_ROUTES)}, not {unknown[0]!r}")
        if len(set(named)) != len(named):
            raise ValueError("must not name a route twice")
        return value

    @field_validator("waits")
    @classmethod
    def _are_waits_of_routes(cls, value: dict[str, float]) -> dict[str, float]:
        for name, wait_s in value.items():
            if name not in _ROUTES:
                raise ValueError(f"must be of {', '.join(_ROUTES)}, not {name!r}")
            if not 0 <= wait_s <= _LONGEST_WAIT_S:
                raise ValueError(f"must be from 0 to {_LONGEST_WAIT_S:.0f} seconds")
        return value


class CategorySettings(Section):
    """A kind of notification."""

    name: str = Field(description="As `category` of notifications names it.")
    required: bool = Field(False, description="Users cannot switch it off.")
    off_by_default: tuple[Literal["live", "push", "email", "sms", "webhook", "*"], ...] = Field(
        (),
        description='Routes that are off until a user switches them on; ["*"] for all.',
    )
    cap: CapSettings = CapSettings()
    routing: RoutingSettings = RoutingSettings()

    @field_validator("name")
    @classmethod
    def _is_a_category(cls, value: str) -> str:
        if not _CATEGORY.fullmatch(value):
            raise ValueError("must be 1 to 64 characters, without * and control characters")
        return value

    @field_validator("off_by_default")
    @classmethod
    def _are_words_of_one_kind(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError('must be ["*"] or single routes')
        return value

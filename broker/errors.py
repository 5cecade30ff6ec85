"""Errors of the broker, by who must act.

BrokerError
├── BadInput             the caller; repeating it helps nobody. Names the field and the rule
├── NotFound             the caller named something that does not exist
├── PositionLost         the asked epoch is not the stream's (history, error 112)
└── Unavailable          the world; the same call may succeed after `retry_after_s`
    ├── EngineUnavailable / StoreUnavailable
    └── Withheld         an operator has it refused for now
"""

__all__ = [
    "BadInput",
    "BrokerError",
    "EngineUnavailable",
    "NotFound",
    "PositionLost",
    "StoreUnavailable",
    "Unavailable",
    "Withheld",
]


class BrokerError(Exception):
    """Something the broker could not do."""


class BadInput(BrokerError):
    """A value breaks a rule; nothing was changed."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class NotFound(BrokerError):
    """The named thing does not exist, or is not the caller's."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")
        self.what = what


class PositionLost(BrokerError):
    """The stream has another epoch than the one asked for."""


class Unavailable(BrokerError):
    """Whether anything was changed is unknown; try again later."""

    def __init__(self, text: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class EngineUnavailable(Unavailable):
    """The real-time engine did not answer."""


class StoreUnavailable(Unavailable):
    """The durable store did not answer."""


class Withheld(Unavailable):
    """An operator has such calls refused for now; nothing was changed. The text is for whoever asked."""

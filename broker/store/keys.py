"""How a step is known: by its notification and its device."""

from typing import Final, NamedTuple

__all__ = ["PLAN", "StepKey"]

# The device of a plan step.
PLAN: Final = ""


class StepKey(NamedTuple):
    """The primary key of a step. Its text is the step's id: `<notification>`, and for a send `<notification>/<device>`."""

    notification_id: str
    device_id: str

    @classmethod
    def parse(cls, step_id: str) -> "StepKey":
        """Read a step's id."""
        notification_id, _, device_id = step_id.partition("/")
        return cls(notification_id, device_id)

    @property
    def is_plan(self) -> bool:
        """Whether this is a notification's plan step."""
        return self.device_id == PLAN

    def __str__(self) -> str:
        return self.notification_id if self.is_plan else f"{self.notification_id}/{self.device_id}"

"""Settings of what keeps the notification pipeline in order: guards, retention, status webhooks."""

from pydantic import Field

from config.durations import Duration
from config.section import Section

__all__ = ["DeletionGuardSettings"]


class DeletionGuardSettings(Section):
    """When answers that devices are gone are not believed any more."""

    enabled: bool = Field(True, description="Keep devices while a provider calls too many of them gone.")
    share: float = Field(0.05, gt=0, le=1, description="Share of a provider's answers, within the window, that is too many.")
    doubtful_share: float = Field(
        0.02, gt=0, le=1, description="The same for answers that may be our own mix-up, such as tokens of another project."
    )
    least: int = Field(50, ge=1, description="So many within the window are never too many.")
    window: Duration = Field(600.0, gt=0, description="How far back is counted, by each process for itself.")

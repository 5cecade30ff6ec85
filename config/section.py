"""What every section of the settings is: frozen, complete, and without room for typing errors."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Section"]


class Section(BaseModel):
    """A section; unknown names are refused, defaults are held against the rules too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

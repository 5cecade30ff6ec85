"""Errors of settings.

SettingsError
    one or more problems, each a line that names the setting and the rule
"""

__all__ = ["SettingsError"]


class SettingsError(Exception):
    """The settings cannot be used; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

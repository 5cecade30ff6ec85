"""What is wrong with a template, and where.

TemplateFault            names the field, the line and the rule
├── SyntaxFault          it can never be rendered: its author must act
└── RenderFault          it could not be rendered with these variables
    ├── MissingVariable  one was not given
    └── OverBudget       it asked for more work or more text than is granted
"""

__all__ = ["MissingVariable", "OverBudget", "RenderFault", "SyntaxFault", "TemplateFault", "Unrenderable"]


class TemplateFault(Exception):
    """Something in a template's text; `line` counts from 1, 0 where it is unknown. Texts never quote a variable's value."""

    def __init__(self, field: str, rule: str, *, line: int = 0) -> None:
        super().__init__(f"{field}: {rule} (line {line})" if line else f"{field}: {rule}")
        self.field, self.rule, self.line = field, rule, line


class SyntaxFault(TemplateFault):
    """The template is not one, or uses what is not granted."""


class RenderFault(TemplateFault):
    """These variables do not fit the template."""


class MissingVariable(RenderFault):
    """A variable that the template needs was not given."""

    def __init__(self, field: str, variable: str, *, line: int = 0) -> None:
        super().__init__(field, f"needs the variable {variable!r}", line=line)
        self.variable = variable


class OverBudget(RenderFault):
    """More work or more text than is granted."""


class Unrenderable(Exception):
    """What was accepted cannot be told: trying again helps nobody. The text says why, without any variable's value."""

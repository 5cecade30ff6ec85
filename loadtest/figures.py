"""How figures are written for people."""

__all__ = ["write_number"]


def write_number(value: float | None) -> str:
    """Write a figure with about three digits that count; a dash for what was not measured."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"

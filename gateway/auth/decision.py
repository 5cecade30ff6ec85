"""What was decided, and by which rule: the value that everybody who asks for a right gets.

A rule is told as `kind` or `kind:name`, from a bounded set: options of the settings (`option`), a token or a backend's answer
(`token`, `proxy`), rights that a connection brought along (`capability`), roles (`role:editor`), policies (`policy:no-nights`),
keys of the API (`api_key:methods`). It is what an operator sees in the log, in metrics and in the audit; whoever is refused is
told nothing of it.
"""

from typing import Final

import msgspec

__all__ = ["ALLOWED", "DEFAULT_DENIAL", "Decision"]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Whether something may be done, and the rule that says so."""

    allowed: bool
    rule: str


# What nothing forbids, and what nothing allows.
ALLOWED: Final = Decision(True, "default")
DEFAULT_DENIAL: Final = Decision(False, "default")

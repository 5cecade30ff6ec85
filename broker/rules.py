"""Port: which version the rules about who may do what have, so that every node notices when they change.

Each change of API keys, roles, policies or overrides raises the number of its subject in the transaction that makes it. Nodes
are told over control (`broker.control.RulesChanged`), and compare the numbers at times, for what was told may have been lost.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

__all__ = ["RuleVersions", "Subject"]


class Subject(StrEnum):
    """What rules are about."""

    API_KEYS = "api_keys"
    ROLES = "roles"
    POLICY = "policy"
    OVERRIDES = "overrides"


class RuleVersions(Protocol):
    """The numbers of all subjects."""

    async def versions(self) -> Mapping[Subject, int]:
        """Read them; a subject that never changed is left out, and counts as 0.

        Raises:
            StoreUnavailable: The store does not answer.
        """

"""Port: roles, and who has them besides those whose token says so."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from broker.errors import BadInput

__all__ = ["ASSIGNED_MAX", "PERMISSIONS_MAX", "ROLES_MAX", "Role", "Roles", "check_role_name"]

ROLES_MAX: Final = 500
PERMISSIONS_MAX: Final = 64
# Users with roles in the store are held by every node: operators and services. Everybody else's roles come with their tokens.
ASSIGNED_MAX: Final = 10_000

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


class Role(msgspec.Struct, frozen=True):
    """A name for permissions, each written `<actions> <pattern>`, such as `subscribe,history docs:*`."""

    name: str
    permissions: tuple[str, ...]


class Roles(Protocol):
    """The roles. All methods raise `StoreUnavailable`; those that change something tell the subject's new version."""

    async def set(self, role: Role) -> int:
        """Keep a role in place of what it was.

        Raises:
            BadInput: Naming `name`, when there are `ROLES_MAX` roles already.
        """

    async def remove(self, name: str) -> int:
        """Forget a role, and that users have it.

        Raises:
            NotFound: There is none.
        """

    async def all(self) -> Sequence[Role]:
        """List the roles in the order of their names."""

    async def assign(self, user: str, role: str) -> int:
        """Give a user a role, which may be one that is not kept here; one who has it keeps it.

        Raises:
            BadInput: Naming `user`, when `ASSIGNED_MAX` users have roles already, or it is no text that can be kept.
        """

    async def unassign(self, user: str, role: str) -> int:
        """Take a role from a user.

        Raises:
            NotFound: The user does not have it.
        """

    async def assignments(self) -> Mapping[str, tuple[str, ...]]:
        """Tell who has which roles, by user."""


def check_role_name(name: str) -> str:
    """Hold a role's name against the rules.

    Raises:
        BadInput: Naming `name`.
    """
    if not _NAME.fullmatch(name):
        raise BadInput("name", "must be 1 to 64 letters, digits and _.:- and begin with a letter or digit")
    return name

"""The roles of the settings, as a book that those of the store are added to."""

from collections.abc import Sequence

from broker.errors import BadInput
from broker.roles import Role
from config.errors import SettingsError
from config.rule_settings import RoleSettings
from gateway.auth.roles import RoleBook

__all__ = ["roles_of_settings"]


def roles_of_settings(settings: Sequence[RoleSettings]) -> RoleBook:
    """Make the book.

    Raises:
        SettingsError: Permissions break a rule; one line for each role that has such.
    """
    problems = []
    for number, role in enumerate(settings):
        try:
            RoleBook([Role(role.name, role.permissions)])
        except BadInput as exc:
            problems.append(f"roles[{number}].{exc.field}: {exc.rule}")
    if problems:
        raise SettingsError(problems)
    return RoleBook(Role(role.name, role.permissions) for role in settings)

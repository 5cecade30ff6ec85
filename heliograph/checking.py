"""What of the settings only their readers can judge: the rules that they bring along, held against what a start would say."""

from config.errors import SettingsError
from config.settings import Settings
from gateway.auth.policy_file import problems_of_policy_file
from gateway.auth.settings_roles import roles_of_settings

__all__ = ["problems_of_rules"]


def problems_of_rules(settings: Settings) -> list[str]:
    """Write a line for each reason for which roles or the policy's file would forbid a start. Reads that file."""
    problems: list[str] = []
    try:
        roles_of_settings(settings.roles)
    except SettingsError as exc:
        problems += exc.problems
    if settings.policy.file:
        problems += problems_of_policy_file(settings.policy.file, settings.policy.claims)
    return problems

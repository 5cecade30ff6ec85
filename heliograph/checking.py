"""What of the settings only their readers can judge: rules and credentials, held against what a start would say."""

import asyncio

from broker.channels import ChannelRules
from broker.errors import BadInput
from config.clock import SystemClock
from config.errors import SettingsError
from config.settings import Settings
from gateway.auth.policy_file import problems_of_policy_file
from gateway.auth.role_patterns import read_permission
from gateway.auth.settings_roles import roles_of_settings
from pushers.providers.configured import build_providers

__all__ = ["advise_on_roles", "problems_of_providers", "problems_of_rules"]


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


def advise_on_roles(settings: Settings) -> list[str]:
    """Write a line for each permission of a well-formed role that lets nobody do anything: its channels cannot be."""
    rules = ChannelRules(settings.channel, settings.client.subscribe_to_user_personal_channel)
    lines: list[str] = []
    for number, role in enumerate(settings.roles):
        for place, text in enumerate(role.permissions):
            try:
                read_permission(text, f"roles[{number}].permissions[{place}]", rules)
            except BadInput as exc:
                lines.append(f"{exc.field}: {exc.rule}")
    return lines


def problems_of_providers(settings: Settings) -> list[str]:
    """Write a line for each reason for which providers would forbid a pipeline's start. Reads their files, and calls nobody."""

    async def build_and_close() -> None:
        for carrier in build_providers(settings.providers, clock=SystemClock()):
            await carrier.close()

    try:
        asyncio.run(build_and_close())
    except SettingsError as exc:
        return list(exc.problems)
    return []

"""What kinds of processes there are, and what settings each can do with."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from config.settings import Settings

__all__ = ["GATEWAY", "PUSHER", "ROLES", "SERVE", "Role"]


class Role(msgspec.Struct, frozen=True):
    """A process, by the name of its command and what it does."""

    name: str
    has_clients: bool
    has_pipeline: bool

    @property
    def port_section(self) -> str:
        """The section of settings that names host and port."""
        return "http" if self.has_clients else "pusher"

    def problems(self, settings: Settings) -> list[str]:
        """Write a line for each reason why a process of this role would be of no use with these settings."""
        if not self.has_clients and _scheme(settings.broker.url) == "memory":
            return [
                "broker.url: memory:// is this process's alone, so that a pusher would reach no client of any gateway: set it "
                "to the Redis or Valkey that the gateways use (redis://…)"
            ]
        return []

    def advice(self, settings: Settings) -> list[str]:
        """Write a line for each thing that starts, and joins no other process, or nobody outside."""
        if self.has_clients and self.has_pipeline:
            return []
        lines = []
        if _scheme(settings.broker.url) == "memory":
            lines.append("broker.url: memory:// is this process's alone: other gateways and pushers do not see its clients")
        if _scheme(settings.store.url) == "sqlite":
            others = "pushers" if self.has_clients else "gateways"
            lines.append(f"store.url: a SQLite file is shared with {others} on this machine only; postgresql:// with all")
        if not self.has_clients and not any(account.settings.is_configured for account in settings.providers.accounts()):
            lines.append("providers: none is set, so that notifications reach only who is connected")
        return lines


SERVE: Final = Role("serve", has_clients=True, has_pipeline=True)
GATEWAY: Final = Role("gateway", has_clients=True, has_pipeline=False)
PUSHER: Final = Role("pusher", has_clients=False, has_pipeline=True)
ROLES: Final = {role.name: role for role in (SERVE, GATEWAY, PUSHER)}


def _scheme(url: str) -> str:
    return urlsplit(url).scheme

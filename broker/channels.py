"""Channel names, and which options they fall under.

A name is `[$][namespace:]rest[#user[,user…]]`. Both sides of the product read it: the gateway to decide who may do what,
the pipeline to publish on a personal channel.

Ids of users may hold colons (`auth0:7f3a`, `urn:…`), names of namespaces may hold no `#`. So a colon that stands behind a `#`
belongs to a user and ends no namespace: `#auth0:7f3a` has none, and that user connects like everybody else.
"""

import re
from collections.abc import Mapping

from broker.errors import BrokerError
from broker.model import PublishOptions
from config.settings import ChannelOptions, ChannelSettings, PersonalChannelSettings

__all__ = ["ChannelRules", "UnknownNamespace", "history_meta_ttl_s", "namespace_of", "publish_options", "users_of"]

_META_TTL_S = 720 * 3600.0


class UnknownNamespace(BrokerError):
    """The channel's namespace is not among the settings (code 102)."""


def namespace_of(channel: str) -> str:
    """Tell the namespace of a channel, "" for none."""
    return (_before_colon(channel) or "").removeprefix("$")


def users_of(channel: str) -> list[str] | None:
    """Tell the users that a channel is limited to, None where it names none."""
    _, mark, users = channel.rpartition("#")
    return users.split(",") if mark else None


class ChannelRules:
    """The options of every channel, and the name of a user's personal one."""

    def __init__(self, settings: ChannelSettings, personal: PersonalChannelSettings) -> None:
        self._without_namespace = settings.without_namespace
        self._by_namespace: Mapping[str, ChannelOptions] = {entry.name: entry for entry in settings.namespaces}
        self._patterns = {
            id(options): re.compile(options.channel_regex)
            for options in (self._without_namespace, *self._by_namespace.values())
            if options.channel_regex
        }
        self._personal = personal
        namespace = personal.personal_channel_namespace
        where = self._by_namespace.get(namespace) if namespace else self._without_namespace
        self._personal_may_list = where is not None and where.allow_user_limited_channels

    def options(self, channel: str) -> ChannelOptions:
        """Find a channel's options.

        Raises:
            UnknownNamespace: The name has a namespace that nobody configured.
        """
        if (name := _before_colon(channel)) is None:
            return self._without_namespace
        namespace = name.removeprefix("$")
        try:
            return self._by_namespace[namespace]
        except KeyError:
            raise UnknownNamespace(f"namespace {namespace!r} is not configured") from None

    def is_name_allowed(self, channel: str, options: ChannelOptions) -> bool:
        """Whether the characters of a client's channel name pass: the namespace's pattern, else ASCII."""
        pattern = self._patterns.get(id(options))
        if pattern is None:
            return channel.isascii()
        rest = channel if _before_colon(channel) is None else channel.partition(":")[2]
        return pattern.search(rest) is not None

    def personal(self, user: str) -> str | None:
        """Name a user's personal channel; None for anonymous users or where personal channels are off.

        Where channels may be limited to users, an id that holds a comma or `#` has none: its channel's name would read as a
        list, and let in whoever stands on it.
        """
        if not user or not self._personal.enabled:
            return None
        if self._personal_may_list and ("," in user or "#" in user):
            return None
        namespace = self._personal.personal_channel_namespace
        return f"{namespace}:#{user}" if namespace else f"#{user}"

    def personal_options(self, user: str) -> tuple[str, ChannelOptions] | None:
        """Name a user's personal channel, with its options; None also where it is to be in a namespace that nobody configured:
        nobody is subscribed there."""
        name = self.personal(user)
        if name is None:
            return None
        try:
            return name, self.options(name)
        except UnknownNamespace:
            return None

    def is_personal_of_another(self, channel: str, user: str) -> bool:
        """Whether a channel is the personal one of somebody else than this user."""
        owner = channel.partition("#")[2]  # namespaces have no #, users may
        return owner != user and channel == self.personal(owner)


def _before_colon(channel: str) -> str | None:
    """Give what stands before the colon that ends a namespace; None where there is no such colon."""
    name, colon, _ = channel.partition(":")
    return name if colon and "#" not in name else None


def history_meta_ttl_s(options: ChannelOptions) -> float:
    """Tell how long a stream's position outlives its last use, whether that writes or reads."""
    return options.history_meta_ttl or _META_TTL_S


def publish_options(
    options: ChannelOptions,
    *,
    skip_history: bool = False,
    idempotency_key: str = "",
    version: int = 0,
    version_epoch: str = "",
) -> PublishOptions:
    """Put together how a publication in a channel of these options is kept."""
    keep = options.has_history and not skip_history
    return PublishOptions(
        history_size=options.history_size if keep else 0,
        history_ttl_s=options.history_ttl if keep else 0.0,
        history_meta_ttl_s=history_meta_ttl_s(options),
        idempotency_key=idempotency_key,
        version=version,
        version_epoch=version_epoch,
    )

"""Port: the addresses of users; and the rules that an address must meet."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

from broker.device_tokens import check_token
from broker.errors import BadInput
from broker.notification import Device, Provider
from broker.templates import check_locale

__all__ = ["MAX_DEVICES", "DeviceFilter", "Devices", "Registration", "check_registration"]

MAX_DEVICES: Final = 50
_PLATFORM: Final[Mapping[Provider, str]] = {
    Provider.APNS: "ios",
    Provider.FCM: "android",
    Provider.WEBPUSH: "web",
    Provider.EMAIL: "email",
    Provider.SMS: "phone",
    Provider.WEBHOOK: "webhook",
}
_APP: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Registration(msgspec.Struct, frozen=True):
    """A valid request to register a device."""

    user: str
    provider: Provider
    token: str
    platform: str = ""
    locale: str = ""
    timezone: str = ""
    app: str = ""


class DeviceFilter(msgspec.Struct, frozen=True):
    """Which devices are meant: those that meet every rule here. A rule lists what may be; an empty one lets all through."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class Devices(Protocol):
    """The registry. An address belongs to one user: registering it for another moves it."""

    async def register(self, registration: Registration) -> Device:
        """Store an address, or renew it: the same address keeps its id and gets a new `registered_at`.

        Raises:
            BadInput: Naming `user`, when the user has `MAX_DEVICES` already.
        """

    async def of_user(self, user: str) -> Sequence[Device]:
        """List a user's devices, oldest first."""

    async def remove(self, user: str, device_id: str) -> bool:
        """Remove a user's device; False when the user has no such device."""

    async def find(self, wanted: DeviceFilter, *, after: str = "", limit: int) -> Sequence[Device]:
        """List devices in the order of their ids, at most `limit`, beginning behind the id `after`."""

    async def count(self, wanted: DeviceFilter) -> int:
        """Count devices."""

    async def remove_all(self, wanted: DeviceFilter) -> int:
        """Remove devices in one step; tells how many. The filter must have a rule."""


def check_registration(
    user: str, provider: str, token: object, platform: str = "", locale: str = "", timezone: str = "", app: str = ""
) -> Registration:
    """Hold a registration against the rules of its provider.

    Args:
        token: Text; for webpush also the browser's subscription as an object (RFC 8030, Push API `toJSON()`).
    Raises:
        BadInput: Naming the field and the rule.
    """
    if not user:
        raise BadInput("user", "must not be empty")
    if provider not in tuple(Provider):
        raise BadInput("provider", f"must be one of {', '.join(Provider)}")
    kind = Provider(provider)
    text = check_token(kind, token)
    for field, value, limit in (("platform", platform, 32), ("locale", locale, 35), ("timezone", timezone, 64)):
        if len(value) > limit or not value.isprintable():
            raise BadInput(field, f"must be at most {limit} printable characters")
    if locale:
        check_locale(locale)
    if timezone:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise BadInput("timezone", 'must be an IANA zone such as "Europe/Berlin"') from None
    if app and not _APP.fullmatch(app):
        raise BadInput("app", "must be at most 64 of the characters a-z A-Z 0-9 - _")
    return Registration(user, kind, text, platform or _PLATFORM[kind], locale, timezone, app)

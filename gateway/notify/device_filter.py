"""Which devices a request means, and the page of them that it asks for."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from broker.devices import DeviceFilter
from broker.errors import BadInput
from broker.notification import Provider
from gateway.notify.messages import DeviceListRequest, DeviceRemoveRequest

__all__ = ["listed_devices", "page_size", "removed_devices"]

_MAX_LISTED: Final = 1000
_MAX_PAGE: Final = 1000
_PAGE: Final = 100


def listed_devices(request: DeviceListRequest) -> DeviceFilter:
    """Tell which devices are to be listed.

    Raises:
        BadInput: It names nobody, or the same thing twice, or a list is too long.
    """
    if request.filter is UNSET:
        if not request.user:
            raise BadInput("user", "must not be empty where there is no filter")
        return DeviceFilter(users=(request.user,))
    given = request.filter
    for provider in given.providers:
        if provider not in tuple(Provider):
            raise BadInput("filter.providers", f"must be of {', '.join(Provider)}")
    users = _users(request.user, given.users, "filter.users")
    ids, platforms = _listed(given.ids, "filter.ids"), _listed(given.platforms, "filter.platforms")
    return DeviceFilter(ids, users, tuple(given.providers), platforms)


def removed_devices(request: DeviceRemoveRequest) -> DeviceFilter:
    """Tell which devices are to be removed where they are listed.

    Raises:
        BadInput: As above. A user alone is not enough: whoever forgets the id must not lose all devices.
    """
    if request.id:
        raise BadInput("ids" if request.ids else "users", "must not be given beside id")
    if not request.ids and not request.users:
        raise BadInput("id", "must not be empty where neither ids nor users are given")
    return DeviceFilter(_listed(request.ids, "ids"), _users(request.user, request.users, "users"))


def page_size(limit: int) -> int:
    """Tell how many devices make a page.

    Raises:
        BadInput: It is none, or too many.
    """
    if not 0 <= limit <= _MAX_PAGE:
        raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
    return limit or _PAGE


def _users(user: str, users: Sequence[str], field: str) -> tuple[str, ...]:
    if user and users:
        raise BadInput(field, "must not be given beside user")
    return (user,) if user else _listed(users, field)


def _listed(values: Sequence[str], field: str) -> tuple[str, ...]:
    if len(values) > _MAX_LISTED:
        raise BadInput(field, f"must not name more than {_MAX_LISTED}")
    if "" in values:
        raise BadInput(field, "must not hold an empty name")
    return tuple(values)

"""API methods about roles: `role_set`, `role_remove`, `role_list`, `role_assign`, `role_unassign`.

A change holds for clients that are connected as well, on every node within moments: rights are added at once, and subscriptions
that somebody would not get any more end with 2502, upon which SDKs ask again.
"""

from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from broker.channels import ChannelRules
from broker.errors import BadInput, NotFound
from broker.roles import PERMISSIONS_MAX, Role, Roles, check_role_name
from broker.rules import Subject
from gateway.api.messages import EmptyResult
from gateway.api.method import Method
from gateway.auth.role_patterns import check_name, read_permission
from gateway.auth.roles import RoleBook
from gateway.rule_news import RuleNews

__all__ = ["role_methods"]


class RoleSetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Says what a role allows, in place of what it did."""

    name: Annotated[str, Meta(description="What claims and assignments call it.")]
    permissions: Annotated[
        list[str], Meta(description="Actions and a pattern each, such as `subscribe,publish docs:*` or `call device_*`.")
    ]


class RoleRemoveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Forgets a role, and that users have it."""

    name: Annotated[str, Meta(description="Name of the role.")]


class RoleListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for the roles, and who has them by the store."""

    user: Annotated[str, Meta(description="Only the assignments of this user; empty for all.")] = ""


class RoleItem(msgspec.Struct):
    """A role; one of the settings cannot be changed here."""

    name: str
    permissions: list[str]
    in_settings: bool


class AssignmentItem(msgspec.Struct):
    """The roles that a user has by the store, beside those of the token."""

    user: str
    roles: list[str]


class RoleListResult(msgspec.Struct):
    """The roles by name, and the assignments by user."""

    items: list[RoleItem]
    assignments: list[AssignmentItem]


class RoleAssignRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names a user and a role."""

    user: Annotated[str, Meta(description="Id of the user, as in tokens.")]
    role: Annotated[str, Meta(description="Name of the role.")]


class _Roles:
    def __init__(self, store: Roles, news: RuleNews, book: RoleBook, rules: ChannelRules, methods: Collection[str]) -> None:
        self._store, self._news, self._book, self._rules, self._methods = store, news, book, rules, methods

    async def set(self, request: RoleSetRequest) -> EmptyResult:
        """Make a role, or say anew what it allows."""
        check_role_name(request.name)
        self._check_changeable(request.name)
        if len(request.permissions) > PERMISSIONS_MAX:
            raise BadInput("permissions", f"must be at most {PERMISSIONS_MAX}")
        for number, text in enumerate(request.permissions):
            field = f"permissions[{number}]"
            permission = read_permission(text, field, self._rules)
            if "call" in permission.actions:
                check_name(permission.pattern, field, self._methods, "method")
        await self._news.tell(Subject.ROLES, await self._store.set(Role(request.name, tuple(request.permissions))))
        return EmptyResult()

    async def remove(self, request: RoleRemoveRequest) -> EmptyResult:
        """Forget a role; nobody has it any more."""
        self._check_changeable(request.name)
        await self._news.tell(Subject.ROLES, await self._store.remove(request.name))
        return EmptyResult()

    async def assign(self, request: RoleAssignRequest) -> EmptyResult:
        """Give a user a role, beside those of the token. Meant for few: roles of many belong into their tokens."""
        if not request.user:
            raise BadInput("user", "must not be empty")
        if request.role not in self._book:
            raise NotFound("role")
        await self._news.tell(Subject.ROLES, await self._store.assign(request.user, request.role))
        return EmptyResult()

    async def unassign(self, request: RoleAssignRequest) -> EmptyResult:
        """Take a role from a user. One that a token claims stays for as long as the token does."""
        await self._news.tell(Subject.ROLES, await self._store.unassign(request.user, request.role))
        return EmptyResult()

    async def list(self, request: RoleListRequest) -> RoleListResult:
        """List the roles of settings and store, and who has which by the store."""
        stored = [role for role in await self._store.all() if role.name not in self._book.fixed]
        roles = sorted([*self._book.settings_roles, *stored], key=lambda role: role.name)
        assigned = await self._store.assignments()
        return RoleListResult(
            [RoleItem(role.name, list(role.permissions), role.name in self._book.fixed) for role in roles],
            [AssignmentItem(user, list(has)) for user, has in assigned.items() if request.user in ("", user)],
        )

    def _check_changeable(self, name: str) -> None:
        if name in self._book.fixed:
            raise BadInput("name", "is a role of the settings: change it there")


def role_methods(store: Roles, news: RuleNews, book: RoleBook, rules: ChannelRules, methods: Collection[str]) -> list[Method]:
    """Make the methods of this group; `methods` are the names of all that can be called."""
    group = _Roles(store, news, book, rules, methods)
    return [
        Method("role_set", RoleSetRequest, group.set, is_strict=True, group="Roles"),
        Method("role_remove", RoleRemoveRequest, group.remove, is_strict=True, group="Roles"),
        Method("role_list", RoleListRequest, group.list, is_strict=True, group="Roles"),
        Method("role_assign", RoleAssignRequest, group.assign, is_strict=True, group="Roles"),
        Method("role_unassign", RoleAssignRequest, group.unassign, is_strict=True, group="Roles"),
    ]

"""API methods about keys of the API: `api_key_create`, `api_key_rotate`, `api_key_revoke`, `api_key_list`.

A key's text is in the answer that makes it, and nowhere else. Each change is in force on this node when the answer comes, and
on the others within moments (`gateway/rule_watch.py`).
"""

import math
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from broker.api_keys import ApiKey, ApiKeyGrant, ApiKeys, check_key_name, hash_of, make_key, renew_key, split_key
from broker.channels import ChannelRules
from broker.errors import BadInput, NotFound
from broker.rules import Subject
from config.clock import Clock
from gateway.api.messages import EmptyResult
from gateway.api.method import Method
from gateway.auth.role_patterns import check_channel_pattern, check_names
from gateway.auth.roles import RoleBook
from gateway.rule_news import RuleNews

__all__ = ["api_key_methods"]

_PATTERNS_MAX: Final = 64
_RATE_MAX: Final = 1_000_000
_GRACE_S: Final = 86_400.0
_GRACE_MAX_S: Final = 90 * 86_400.0
_LAST_MOMENT: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class ApiKeyCreateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for a key, and says what it may do; it needs `methods` or a `role`."""

    name: Annotated[str, Meta(description="Whose it is, in logs and lists; no two keys have the same.")]
    methods: Annotated[list[str], Meta(description="Methods that it may call, by name or pattern: `publish`, `device_*`.")] = []
    role: Annotated[str, Meta(description="Role whose permissions to `call` it has beside `methods`.")] = ""
    channels: Annotated[list[str], Meta(description="Patterns of channels that its calls may name; empty for all.")] = []
    expire_at: Annotated[int, Meta(description="Unix seconds from which on it opens nothing; 0 for never.")] = 0
    rate_per_s: Annotated[float, Meta(description="Calls per second on average; 0 sets no limit.")] = 0.0
    burst: Annotated[int, Meta(description="Calls that may come at once; needs rate_per_s, 0 takes that.")] = 0


class ApiKeyResult(msgspec.Struct):
    """A key that was made: its text is told here, and never again."""

    id: str
    name: str
    key: str


class ApiKeyRotateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for another secret of a key."""

    id: Annotated[str, Meta(description="The key's id, as the list tells it.")]
    grace_s: Annotated[float, Meta(description="How long the secret before it opens as well, in seconds.")] = _GRACE_S


class ApiKeyRevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Takes a key out of use."""

    id: Annotated[str, Meta(description="The key's id, as the list tells it.")]


class ApiKeyListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for the keys."""


class ApiKeyItem(msgspec.Struct, omit_defaults=True):
    """A key without its text; moments in Unix seconds, `last_used_at` exact to a minute."""

    id: str
    name: str
    created_at: int
    methods: list[str] = []
    role: str = ""
    channels: list[str] = []
    expire_at: int = 0
    rate_per_s: float | UnsetType = UNSET
    burst: int = 0
    rotated_at: int = 0
    previous_until: int = 0
    last_used_at: int = 0


class ApiKeyListResult(msgspec.Struct):
    """The keys by name; those of the settings are not among them."""

    items: list[ApiKeyItem]


class _Keys:
    def __init__(
        self, store: ApiKeys, news: RuleNews, roles: RoleBook, rules: ChannelRules, methods: Collection[str], clock: Clock
    ) -> None:
        self._store, self._news, self._roles, self._clock = store, news, roles, clock
        self._rules, self._methods = rules, methods

    async def create(self, request: ApiKeyCreateRequest) -> ApiKeyResult:
        """Make a key of the API. Its text is in the answer and cannot be told again."""
        grant = self._grant(request)
        key_id, text = make_key()
        version = await self._store.add(ApiKey(key_id, grant, _hash(text), self._clock.now()))
        await self._news.tell(Subject.API_KEYS, version)
        return ApiKeyResult(key_id, grant.name, text)

    async def rotate(self, request: ApiKeyRotateRequest) -> ApiKeyResult:
        """Give a key another secret. The one before it opens as well for a while, and the one before that no more."""
        if not 0 <= request.grace_s <= _GRACE_MAX_S:
            raise BadInput("grace_s", f"must be from 0 to {_GRACE_MAX_S:.0f}")
        name, now, text = await self._name(request.id), self._clock.now(), renew_key(request.id)
        until = now + timedelta(seconds=request.grace_s)
        version = await self._store.rotate(request.id, _hash(text), at=now, previous_until=until)
        await self._news.tell(Subject.API_KEYS, version)
        return ApiKeyResult(request.id, name, text)

    async def revoke(self, request: ApiKeyRevokeRequest) -> EmptyResult:
        """Take a key out of use, on every node within moments; what it has begun is finished."""
        await self._news.tell(Subject.API_KEYS, await self._store.revoke(request.id))
        return EmptyResult()

    async def list(self, _request: ApiKeyListRequest) -> ApiKeyListResult:
        """List the keys, without their texts."""
        return ApiKeyListResult([_item(key) for key in await self._store.all()])

    async def _name(self, key_id: str) -> str:
        for key in await self._store.all():
            if key.id == key_id:
                return key.grant.name
        raise NotFound("API key")

    def _grant(self, request: ApiKeyCreateRequest) -> ApiKeyGrant:
        check_key_name(request.name)
        if not request.methods and not request.role:
            raise BadInput("methods", "must name methods, or role a role: a key that may call nothing is of no use")
        for field, patterns in (("methods", request.methods), ("channels", request.channels)):
            if len(patterns) > _PATTERNS_MAX:
                raise BadInput(field, f"must be at most {_PATTERNS_MAX}")
        check_names(request.methods, "methods", self._methods, "method")
        for number, pattern in enumerate(request.channels):
            check_channel_pattern(pattern, f"channels[{number}]", self._rules, may_own=False)
        if request.role and request.role not in self._roles:
            raise BadInput("role", "is none that there is")
        if request.expire_at and not self._clock.now().timestamp() < request.expire_at < _LAST_MOMENT:
            raise BadInput("expire_at", "must lie in the future, in Unix seconds, or be 0 for never")
        if not 0 <= request.rate_per_s <= _RATE_MAX:
            raise BadInput("rate_per_s", f"must be from 0 to {_RATE_MAX}")
        if not 0 <= request.burst <= _RATE_MAX or (request.burst and not request.rate_per_s):
            raise BadInput("burst", f"must be from 0 to {_RATE_MAX}, and needs rate_per_s")
        return ApiKeyGrant(
            request.name,
            request.role,
            tuple(request.methods),
            tuple(request.channels),
            datetime.fromtimestamp(request.expire_at, UTC) if request.expire_at else None,
            request.rate_per_s,
            request.burst or math.ceil(request.rate_per_s),
        )


def _hash(text: str) -> bytes:
    split = split_key(text)
    assert split is not None, "a key that was just made can be read"
    return hash_of(*split)


def _item(key: ApiKey) -> ApiKeyItem:
    grant = key.grant
    return ApiKeyItem(
        key.id,
        grant.name,
        _seconds(key.created_at),
        list(grant.methods),
        grant.role,
        list(grant.channels),
        _seconds(grant.expires_at),
        grant.rate_per_s or UNSET,
        grant.burst,
        _seconds(key.rotated_at),
        _seconds(key.previous_until),
        _seconds(key.last_used_at),
    )


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())


def api_key_methods(
    store: ApiKeys, news: RuleNews, roles: RoleBook, rules: ChannelRules, methods: Collection[str], clock: Clock
) -> list[Method]:
    """Make the methods of this group.

    Args:
        methods: The names of all methods of the API; looked at when a key is made.
    """
    group = _Keys(store, news, roles, rules, methods, clock)
    return [
        Method("api_key_create", ApiKeyCreateRequest, group.create, is_strict=True, group="Keys"),
        Method("api_key_rotate", ApiKeyRotateRequest, group.rotate, is_strict=True, group="Keys"),
        Method("api_key_revoke", ApiKeyRevokeRequest, group.revoke, is_strict=True, group="Keys"),
        Method("api_key_list", ApiKeyListRequest, group.list, is_strict=True, group="Keys"),
    ]

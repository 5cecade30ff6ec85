"""API methods about policies: `policy_set`, `policy_get`, `policy_list`, `policy_rollback`, `policy_dry_run`.

A policy that breaks a rule is refused with every place and reason, and the one in force stays. One that is set decides on this
node when the answer comes, on the others within moments; no connection is closed by it.
"""

import asyncio
from collections.abc import Collection
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from broker.errors import BadInput, NotFound
from broker.policies import COMMENT_MAX, DOCUMENT_MAX_BYTES, Mode, Policies, PolicyVersion
from broker.rules import Subject
from gateway.api.method import Method
from gateway.auth.policy_document import BadPolicy, check, decode
from gateway.rule_news import RuleNews

__all__ = ["policy_methods"]

_LIST_MAX: Final = 200
_EMPTY: Final = Raw(b"{}")


class PolicySetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A policy that is to decide from now on; one without rules ends that any does."""

    policy: Annotated[Raw, Meta(description="An object with `rules`, and perhaps `timezone` and `networks`.")]
    comment: Annotated[str, Meta(description="Why, for whoever looks at the versions.")] = ""


class PolicyDryRunRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A policy that is to be tried: what it would decide otherwise is logged and counted, and nothing else."""

    policy: Annotated[Raw, Meta(description="As in `policy_set`; without rules the trial ends.")] = _EMPTY
    comment: Annotated[str, Meta(description="Why, for whoever looks at the versions.")] = ""


class PolicyGetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for a policy."""

    version: Annotated[int, Meta(description="Number of the version; 0 for the newest of the mode.")] = 0
    mode: Annotated[Literal["enforced", "dry_run"], Meta(description="Which one, where no version is named.")] = "enforced"


class PolicyListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for versions."""

    limit: Annotated[int, Meta(ge=1, le=_LIST_MAX, description="At most so many, the newest first.")] = 50


class PolicyRollbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names the version that is to decide again."""

    version: Annotated[int, Meta(description="Number of the version.")]


class PolicyVersionResult(msgspec.Struct):
    """The version that came of it."""

    version: int


class PolicyItem(msgspec.Struct, omit_defaults=True):
    """A version; `created_at` in Unix seconds."""

    version: int
    mode: str
    created_at: int
    comment: str = ""
    policy: Raw | None = None


class PolicyListResult(msgspec.Struct):
    """Versions, the newest first."""

    items: list[PolicyItem]


class _Policies:
    def __init__(
        self, store: Policies, news: RuleNews, claims: Collection[str], methods: Collection[str], *, is_file: bool
    ) -> None:
        self._store, self._news, self._claims, self._methods = store, news, claims, methods
        self._is_file = is_file

    async def set(self, request: PolicySetRequest) -> PolicyVersionResult:
        """Have a policy decide from now on. What the old one allowed and this does not ends with 2502, connections stay."""
        return await self._put(bytes(request.policy), Mode.ENFORCED, request.comment)

    async def dry_run(self, request: PolicyDryRunRequest) -> PolicyVersionResult:
        """Try a policy beside the one in force; without rules, end the trial."""
        return await self._put(bytes(request.policy), Mode.DRY_RUN, request.comment)

    async def rollback(self, request: PolicyRollbackRequest) -> PolicyVersionResult:
        """Have an older version decide again, as a new version. It is checked as if it were new."""
        older = await self._store.read(request.version)
        return await self._put(older.document, Mode.ENFORCED, f"version {older.version} again")

    async def get(self, request: PolicyGetRequest) -> PolicyItem:
        """Read a policy."""
        if request.version:
            return _item(await self._store.read(request.version))
        newest = await self._store.newest(Mode(request.mode))
        if newest is None:
            raise NotFound("policy")
        return _item(newest)

    async def list(self, request: PolicyListRequest) -> PolicyListResult:
        """List the versions of both modes that are kept, without their rules."""
        versions = await self._store.versions(limit=request.limit)
        return PolicyListResult([_item(version) for version in versions])

    async def _put(self, document: bytes, mode: Mode, comment: str) -> PolicyVersionResult:
        if self._is_file:
            raise BadInput("policy", "is a file's (policy.file): change that")
        if len(document) > DOCUMENT_MAX_BYTES:
            raise BadInput("policy", f"must be at most {DOCUMENT_MAX_BYTES} bytes")
        if len(comment) > COMMENT_MAX or "\0" in comment:
            raise BadInput("comment", f"must be at most {COMMENT_MAX} characters without U+0000")
        try:
            await asyncio.to_thread(lambda: check(decode(document), self._claims, self._methods))
        except BadPolicy as exc:
            raise BadInput("policy", str(exc)) from None
        version = await self._store.put(document, mode, comment)
        await self._news.tell(Subject.POLICY, version)
        return PolicyVersionResult(version)


def _item(version: PolicyVersion) -> PolicyItem:
    document = Raw(version.document) if version.document else None
    return PolicyItem(version.version, version.mode.value, int(version.created_at.timestamp()), version.comment, document)


def policy_methods(
    store: Policies, news: RuleNews, claims: Collection[str], methods: Collection[str], *, is_file: bool
) -> list[Method]:
    """Make the methods of this group.

    Args:
        claims: Those that the settings keep.
        methods: The names of all methods of the API; looked at when a policy is set.
        is_file: The policy comes from a file, and is not changed here.
    """
    group = _Policies(store, news, claims, methods, is_file=is_file)
    return [
        Method("policy_set", PolicySetRequest, group.set, is_strict=True, group="Policies"),
        Method("policy_get", PolicyGetRequest, group.get, is_strict=True, group="Policies"),
        Method("policy_list", PolicyListRequest, group.list, is_strict=True, group="Policies"),
        Method("policy_rollback", PolicyRollbackRequest, group.rollback, is_strict=True, group="Policies"),
        Method("policy_dry_run", PolicyDryRunRequest, group.dry_run, is_strict=True, group="Policies"),
    ]

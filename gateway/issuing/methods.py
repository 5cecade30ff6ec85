"""API methods about logins: `token_issue`, `token_family_list`, `token_family_revoke`; off unless the settings turn them on."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from broker.errors import BadInput
from broker.token_families import TokenFamily
from gateway.api.errors import NOT_AVAILABLE, ApiError, ApiFailure
from gateway.api.method import Method
from gateway.issuing.service import Pair, TokenService

__all__ = [
    "TokenFamilyListRequest",
    "TokenFamilyRevokeRequest",
    "TokenIssueRequest",
    "issuing_methods",
]

_OFF: Final = ApiError(NOT_AVAILABLE.code, f"{NOT_AVAILABLE.message}: client.token.issue is off")


class TokenIssueRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for the tokens of somebody whom the application has logged in."""

    user: Annotated[str, Meta(description="Id of the user.")]
    claims: Annotated[
        msgspec.Raw, Meta(description="What access tokens say besides, such as `info`, `caps` or `channels`; up to 8 KiB.")
    ] = msgspec.Raw()
    ttl_s: Annotated[float, Meta(description="How long access tokens last; 0 for `client.token.issue.access_ttl`.")] = 0.0


class TokenIssueResult(msgspec.Struct):
    """A pair for the client, and the login's id, which is also the `jti` of its access tokens. Times are seconds from now."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    family: str


class TokenFamilyListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names the user."""

    user: Annotated[str, Meta(description="Id of the user.")]


class TokenFamilyItem(msgspec.Struct, omit_defaults=True):
    """A login. Moments are Unix seconds; `ended_at` and `reason` are there if it was ended before its time."""

    id: str
    created_at: float
    refreshed_at: float
    refreshes: int
    expires_at: float
    ended_at: float | None = None
    reason: str = ""


class TokenFamilyListResult(msgspec.Struct):
    """A user's newest logins, up to 100."""

    items: list[TokenFamilyItem]


class TokenFamilyRevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names a login, or a user all of whose logins are meant."""

    id: Annotated[str, Meta(description="Id of the login.")] = ""
    user: Annotated[str, Meta(description="Id of the user.")] = ""


class TokenFamilyRevokeResult(msgspec.Struct):
    """How many logins are meant that had not ended before, one where an id was given."""

    ended: int


def issuing_methods(service: TokenService | None) -> list[Method]:
    """Make the methods of this group; None answers that they are switched off."""
    desk = _Desk(service)
    return [
        Method("token_issue", TokenIssueRequest, desk.issue, is_strict=True, group="Tokens"),
        Method("token_family_list", TokenFamilyListRequest, desk.list, is_strict=True, group="Tokens"),
        Method("token_family_revoke", TokenFamilyRevokeRequest, desk.revoke, is_strict=True, group="Tokens"),
    ]


class _Desk:
    def __init__(self, service: TokenService | None) -> None:
        self._given = service

    @property
    def _service(self) -> TokenService:
        if self._given is None:
            raise ApiFailure(_OFF)
        return self._given

    async def issue(self, request: TokenIssueRequest) -> TokenIssueResult:
        """Begin a login: an access token to connect with, and a refresh token for `POST /auth/refresh`."""
        return issue_result(await self._service.issue(request.user, request.claims, request.ttl_s))

    async def list(self, request: TokenFamilyListRequest) -> TokenFamilyListResult:
        """List a user's logins, the newest first; those that have ended stay for a while."""
        _require(request.user, "user")
        return TokenFamilyListResult([_item(family) for family in await self._service.of_user(request.user)])

    async def revoke(self, request: TokenFamilyRevokeRequest) -> TokenFamilyRevokeResult:
        """End a login, or all of a user: nothing is refreshed any more, and connections are closed with 3014."""
        service = self._service
        if bool(request.id) == bool(request.user):
            raise BadInput("id", "must be given, or user: one of both")
        if request.user:
            return TokenFamilyRevokeResult(await service.end_all(request.user))
        await service.end(request.id)
        return TokenFamilyRevokeResult(1)


def issue_result(pair: Pair) -> TokenIssueResult:
    return TokenIssueResult(pair.access_token, int(pair.access_s), pair.refresh_token, int(pair.refresh_s), pair.family_id)


def _require(value: str, field: str) -> None:
    if not value:
        raise BadInput(field, "must not be empty")


def _item(family: TokenFamily) -> TokenFamilyItem:
    return TokenFamilyItem(
        family.id,
        _seconds(family.created_at),
        _seconds(family.rotated_at),
        family.generation - 1,
        _seconds(min(family.token_expires_at, family.expires_at)),
        None if family.ended_at is None else _seconds(family.ended_at),
        family.reason,
    )


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 3)

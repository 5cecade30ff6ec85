"""Requests and results of the methods of campaigns. Unknown fields are refused."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.notify.messages import NotifyRequest

__all__ = [
    "AudienceItem",
    "CampaignCreateRequest",
    "CampaignCreateResult",
    "CampaignItem",
    "CampaignListRequest",
    "CampaignListResult",
    "CampaignRequest",
    "CampaignResult",
    "CampaignUpdateRequest",
]

_CampaignId = Annotated[str, Meta(description="Id of the campaign, as `campaign_create` gave it.")]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    pass


class AudienceItem(_Request, omit_defaults=True):
    """Exactly one of `topic`, `topics` and `all`."""

    topic: Annotated[str | UnsetType, Meta(description="The subscribers of a topic that exists.")] = UNSET
    topics: Annotated[
        list[str] | UnsetType, Meta(description="Those of up to 10 topics, each user once, whichever they are in.")
    ] = UNSET
    all: Annotated[bool, Meta(description="Every user who has a device, a mailbox or a number.")] = False


class CampaignCreateRequest(_Request):
    """A notification for an audience of any size."""

    audience: Annotated[AudienceItem, Meta(description="Whom it is for.")]
    notification: Annotated[
        NotifyRequest,
        Meta(
            description="What they are told: a request to `notify` without `user`, `users`, `topic`, `escalate` and "
            "`idempotency_key`. Its `send_at` is when the campaign begins; `ttl_s` counts for each user from their turn."
        ),
    ]
    name: Annotated[str, Meta(description="For people: what this campaign is.")] = ""
    rate_per_s: Annotated[float, Meta(description="Users per second; 0 is as fast as they can be told.")] = 0.0
    idempotency_key: Annotated[
        str, Meta(description="A repeat with the same key and body makes no second campaign and answers with the same id.")
    ] = ""


class CampaignCreateResult(msgspec.Struct):
    """The campaign's id."""

    id: str


class CampaignRequest(_Request):
    """Names a campaign."""

    id: _CampaignId


class CampaignUpdateRequest(_Request):
    """Changes how a campaign goes on."""

    id: _CampaignId
    rate_per_s: Annotated[float, Meta(description="Users per second from now on; 0 is as fast as they can be told.")]


class CampaignItem(msgspec.Struct):
    """A campaign; moments in Unix seconds.

    `audience_size` is the audience's as counted at the beginning, at most a million. `expanded` users have got a notification,
    `skipped` ones could get none; `notifications` says how many of these stand in which state, as they were counted lately.
    """

    id: str
    state: str
    audience: AudienceItem
    priority: str
    rate_per_s: float
    created_at: float
    starts_at: float
    expanded: int
    skipped: int
    notifications: dict[str, int]
    name: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    audience_size: int | UnsetType = UNSET
    begun_at: float | UnsetType = UNSET
    finished_at: float | UnsetType = UNSET


class CampaignResult(msgspec.Struct):
    """How a campaign stands."""

    campaign: CampaignItem


class CampaignListRequest(_Request):
    """Asks for campaigns, the newest first, page by page."""

    state: Annotated[str, Meta(description="Only `scheduled`, `running`, `paused`, `done` or `cancelled` ones.")] = ""
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="Most campaigns on a page, up to 100; 0 means 20.")] = 0


class CampaignListResult(msgspec.Struct):
    """A page of campaigns; `next_cursor` is empty on the last one."""

    items: list[CampaignItem]
    next_cursor: str

"""API methods about campaigns: what is told to an audience, and how far that has come."""

import math
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from broker.campaigns import MAX_RATE_PER_S, MAX_TOPICS, Audience, Campaign, Campaigns, CampaignState, NewCampaign
from broker.errors import BadInput
from broker.topics import check_topic
from config.logs import get_logger
from config.settings import NotificationSettings
from gateway.api.method import Method
from gateway.notify.campaign_messages import (
    AudienceItem,
    CampaignCreateRequest,
    CampaignCreateResult,
    CampaignItem,
    CampaignListRequest,
    CampaignListResult,
    CampaignRequest,
    CampaignResult,
    CampaignUpdateRequest,
)
from gateway.notify.drafting import Drafting, fingerprint_of
from gateway.notify.intake import Intake, open_to_all
from gateway.notify.messages import NotifyRequest, NotifyResult, StateResult
from gateway.notify.wording import Wording

__all__ = ["CampaignService", "campaign_methods"]

_log = get_logger()

_GROUP: Final = "Campaigns"
_PAGE: Final = 20
_MAX_PAGE: Final = 100
_LEAST_RATE_PER_S: Final = 0.001


class CampaignService:
    """Makes campaigns, and steers them."""

    def __init__(
        self,
        campaigns: Campaigns,
        settings: NotificationSettings,
        wording: Wording | None = None,
        intake: Intake = open_to_all,
    ) -> None:
        self._campaigns, self._drafting, self._take_in = campaigns, Drafting(settings, wording), intake

    async def create(self, request: CampaignCreateRequest) -> CampaignCreateResult:
        """Tell an audience of any size what `notify` tells users by name; the answer means that the campaign is stored.

        Its users are told page by page after this, each once: those who are subscribed when their turn comes.
        """
        audience = _audience(request.audience)
        _check_words(request)
        if request.notification.topic is not UNSET:
            raise BadInput("notification.topic", "must not be given: the audience says whom it is for")
        if request.notification.idempotency_key:
            raise BadInput("notification.idempotency_key", "must not be given: it is the campaign's")
        try:
            draft = await self._drafting.draft(request.notification, for_audience=True)
        except BadInput as exc:
            raise BadInput(f"notification.{exc.field}", exc.rule) from None
        new = NewCampaign(audience, draft, request.rate_per_s, request.name)
        try:
            campaign_id = await self._create(new, request.idempotency_key, request)
        except BadInput as exc:
            raise BadInput(f"{_HOME.get(exc.field.partition('[')[0], '')}{exc.field}", exc.rule) from None
        return CampaignCreateResult(campaign_id)

    async def notify(self, request: NotifyRequest) -> NotifyResult:
        """Make the campaign of a request to notify that names a topic."""
        assert not isinstance(request.topic, UnsetType)
        check_topic(request.topic)
        draft = await self._drafting.draft(request, for_audience=True)
        new = NewCampaign(Audience((request.topic,)), draft)
        return NotifyResult([], await self._create(new, request.idempotency_key, request))

    async def status(self, request: CampaignRequest) -> CampaignResult:
        """Tell how far a campaign has come, and what became of its notifications."""
        return CampaignResult(_item(await self._campaigns.status(request.id)))

    async def list(self, request: CampaignListRequest) -> CampaignListResult:
        """List campaigns; those that ended long ago are gone."""
        if request.state and request.state not in tuple(CampaignState):
            raise BadInput("state", f"must be one of {', '.join(CampaignState)}")
        if not 0 <= request.limit <= _MAX_PAGE:
            raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
        state, size = CampaignState(request.state) if request.state else None, request.limit or _PAGE
        # One more than the page holds tells whether another one follows.
        found = await self._campaigns.find(state=state, before=request.cursor, limit=size + 1)
        next_cursor = found[size - 1].id if len(found) > size else ""
        return CampaignListResult([_item(campaign) for campaign in found[:size]], next_cursor)

    async def update(self, request: CampaignUpdateRequest) -> CampaignResult:
        """Tell users of a campaign faster or slower from the next page on, also while it runs or is paused.

        What is left to wait for the next page changes with the rate. One that has ended stays as it is.
        """
        _check_rate(request.rate_per_s)
        campaign = await self._campaigns.set_rate(request.id, request.rate_per_s)
        _log.info("campaign.rate_set", campaign=campaign.id, state=campaign.state.value, rate_per_s=campaign.rate_per_s)
        return CampaignResult(_item(campaign))

    async def pause(self, request: CampaignRequest) -> StateResult:
        """Tell nobody more for now; what has been stored goes its ways. One that has ended stays as it is."""
        return self._moved(request.id, "campaign.paused", await self._campaigns.pause(request.id))

    async def resume(self, request: CampaignRequest) -> StateResult:
        """Go on where a campaign was paused."""
        return self._moved(request.id, "campaign.resumed", await self._campaigns.resume(request.id))

    async def cancel(self, request: CampaignRequest) -> StateResult:
        """Tell nobody more, and call off every notification of the campaign that is still pending, a piece at a time.

        One that is done and of which nothing is pending stays as it is.
        """
        return self._moved(request.id, "campaign.cancelled", await self._campaigns.cancel(request.id))

    def _moved(self, campaign_id: str, event: str, state: CampaignState) -> StateResult:
        _log.info(event, campaign=campaign_id, state=state.value)
        return StateResult(state)

    async def _create(self, new: NewCampaign, key: str, request: msgspec.Struct) -> str:
        self._take_in(new.draft.lane)
        fingerprint = fingerprint_of(request) if key else b""
        campaign_id = await self._campaigns.create(new, idempotency_key=key, fingerprint=fingerprint)
        _log.info("campaign.created", campaign=campaign_id, lane=new.draft.lane.name.lower())
        return campaign_id


# Where in a request the fields stand that a store may complain of.
_HOME: Final = {"topic": "audience.", "topics": "audience.", "send_at": "notification."}


def campaign_methods(service: CampaignService) -> list[Method]:
    """Make the methods of this group."""
    return [
        Method("campaign_create", CampaignCreateRequest, service.create, is_strict=True, group=_GROUP),
        Method("campaign_status", CampaignRequest, service.status, is_strict=True, group=_GROUP),
        Method("campaign_list", CampaignListRequest, service.list, is_strict=True, group=_GROUP),
        Method("campaign_update", CampaignUpdateRequest, service.update, is_strict=True, group=_GROUP),
        Method("campaign_pause", CampaignRequest, service.pause, is_strict=True, group=_GROUP),
        Method("campaign_resume", CampaignRequest, service.resume, is_strict=True, group=_GROUP),
        Method("campaign_cancel", CampaignRequest, service.cancel, is_strict=True, group=_GROUP),
    ]


def _audience(item: AudienceItem) -> Audience:
    given = [item.topic is not UNSET, item.topics is not UNSET, item.all]
    if sum(given) != 1:
        raise BadInput("audience", "must have exactly one of topic, topics and all")
    if not isinstance(item.topic, UnsetType):
        check_topic(item.topic, "audience.topic")
        return Audience((item.topic,))
    if isinstance(item.topics, UnsetType):
        return Audience()
    if not 1 <= len(item.topics) <= MAX_TOPICS:
        raise BadInput("audience.topics", f"must hold 1 to {MAX_TOPICS} topics")
    for index, topic in enumerate(item.topics):
        check_topic(topic, f"audience.topics[{index}]")
        if topic in item.topics[:index]:
            raise BadInput(f"audience.topics[{index}]", "is named before")
    return Audience(tuple(item.topics))


def _check_words(request: CampaignCreateRequest) -> None:
    for field, limit in (("name", 128), ("idempotency_key", 255)):
        value = getattr(request, field)
        if len(value) > limit or not value.isprintable():
            raise BadInput(field, f"must be at most {limit} printable characters")
    _check_rate(request.rate_per_s)


def _check_rate(rate: float) -> None:
    if not (math.isfinite(rate) and (rate == 0 or _LEAST_RATE_PER_S <= rate <= MAX_RATE_PER_S)):
        raise BadInput("rate_per_s", f"must be 0, or from {_LEAST_RATE_PER_S} to {MAX_RATE_PER_S:.0f}")


def _item(campaign: Campaign) -> CampaignItem:
    topics = campaign.audience.topics
    return CampaignItem(
        id=campaign.id,
        state=campaign.state.value,
        audience=AudienceItem(
            topic=topics[0] if len(topics) == 1 else UNSET,
            topics=list(topics) if len(topics) > 1 else UNSET,
            all=not topics,
        ),
        priority=campaign.lane.name.lower(),
        rate_per_s=campaign.rate_per_s,
        created_at=campaign.created_at.timestamp(),
        starts_at=campaign.starts_at.timestamp(),
        expanded=campaign.expanded,
        skipped=campaign.skipped,
        notifications=dict(campaign.states),
        name=campaign.name or UNSET,
        category=campaign.category or UNSET,
        audience_size=UNSET if campaign.size is None else campaign.size,
        begun_at=_seconds(campaign.begun_at),
        finished_at=_seconds(campaign.finished_at),
    )


def _seconds(moment: datetime | None) -> float | UnsetType:
    return UNSET if moment is None else moment.timestamp()

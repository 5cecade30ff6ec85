"""The part of a process that brings notifications to whoever is not there."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import REGISTRY

from broker.channels import ChannelRules
from broker.click_links import ClickLinks
from broker.errors import Unavailable
from broker.inbox_news import InboxChanged, nobody_asks
from broker.open_links import OpenLinks
from broker.pipeline_reports import CarrierReport, PipelineReport
from broker.unsubscribe import UnsubscribeLinks
from heliograph.ending import Ending
from heliograph.ground import Ground, make_renderer
from heliograph.inbox_news import make_inbox_news
from heliograph.status_webhook import make_status_webhooks
from pushers.audit_retention import audit_retention
from pushers.backlog_watch import backlog_watch
from pushers.campaigns import CampaignDuties
from pushers.device_purge import device_purge
from pushers.duties import Duties, Duty
from pushers.experiment_picks import experiment_picks
from pushers.guard_reports import guard_reports
from pushers.haste import Haste
from pushers.housekeeping import housekeeping
from pushers.pipeline import Pipeline
from pushers.pipeline_reports import pipeline_reports
from pushers.providers.configured import build_providers, limits_of
from pushers.providers.renewal import credential_watch
from pushers.statistics import statistics_duties
from pushers.templates.telling import Telling

__all__ = ["PusherPart"]

_WITHDRAWING_S: Final = 1.0


class PusherPart:
    """The pipeline and its providers."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        settings, engine = ground.settings, ground.engine
        haste = Haste(ground.clock)
        providers = build_providers(settings.providers, clock=ground.clock, haste=haste)
        for provider in providers:
            ground.resources.push_async_callback(provider.close)
        self._news = make_inbox_news(ground, lambda _: False)  # nobody watches here: it is the gateways whom users ask
        inbox_changed = self._news.changed if settings.notifications.inbox_counts else nobody_asks
        self._pipeline = pipeline = Pipeline(
            ledger=ground.store.ledger,
            frequency=ground.store.frequency,
            pubsub=engine.pubsub,
            user_presence=engine.users,
            limits=engine.limits,
            rules=ChannelRules(settings.channel, settings.client.subscribe_to_user_personal_channel),
            providers=providers,
            provider_limits=limits_of(settings.providers),
            settings=settings.notifications,
            clock=ground.clock,
            worker_id=ground.process_id,
            stop_timeout_s=settings.node.shutdown_timeout,
            telling=_telling(ground),
            inbox_changed=inbox_changed,
            haste=haste,
            tracing=ground.tracing,
        )
        self._webhooks = webhooks = make_status_webhooks(ground, pipeline.metrics)
        self._duties = Duties(
            [
                *_keeping_duties(ground),
                experiment_picks(ground.store.experiments, ground.clock),
                guard_reports(pipeline.guards, ground.store.deletion_guards, ground.clock, worker_id=ground.process_id),
                *([webhooks.duty()] if webhooks else []),
                device_purge(
                    ground.store.removed_devices,
                    ground.clock,
                    undo_within_s=settings.notifications.deletion_guard.undo_within,
                ),
                credential_watch(providers, pipeline.renewed),
                *([] if _is_alone(ground) else [pipeline_reports(self.report, ground.store.pipeline_reports)]),
                *audit_retention(ground.store.audit, ground.clock, retention_s=settings.audit.retention),
                backlog_watch(ground.store.backlog, pipeline.metrics, ground.clock),
                *_campaign_duties(ground, pipeline, inbox_changed),
            ],
            ground.clock,
        )
        ground.overrides.on_change(pipeline.obey)
        self._carriers = providers
        self.started = pipeline.started

    def carriers(self) -> list[CarrierReport]:
        """Tell how each carrier is."""
        return self._pipeline.carriers()

    def report(self) -> PipelineReport:
        """Tell how the pipeline is."""
        return PipelineReport(
            worker=self._ground.process_id,
            name=self._ground.settings.node.name,
            at=self._ground.clock.now(),
            deliveries=self._pipeline.metrics.deliveries_by("outcome"),
            carriers=self.carriers(),
            concerns=self.concerns(),
            certificates=dict(self.certificates()),
        )

    def concerns(self) -> list[str]:
        """Tell what an operator should know of, though the process is well: credentials that are refused, or cannot be used."""
        told = [carrier.problem for carrier in self._carriers] + ([self._webhooks.concern] if self._webhooks else [])
        return self._pipeline.concerns() + [problem for problem in told if problem]

    def certificates(self) -> Iterable[tuple[str, float]]:
        """Tell when each certificate that providers are shown ends, by the carrier's name, in Unix seconds."""
        return [(carrier.name, carrier.ends_at) for carrier in self._carriers if carrier.ends_at is not None]

    async def run(self) -> None:
        REGISTRY.register(self._pipeline.metrics.registry)
        try:
            async with asyncio.TaskGroup() as group:
                duties = group.create_task(self._duties.run(), name="duties")
                telling = group.create_task(self._news.run(), name="inbox:news")
                await self._pipeline.run()
                duties.cancel()
                telling.cancel()
        finally:
            REGISTRY.unregister(self._pipeline.metrics.registry)

    async def stop(self, _ending: Ending) -> None:
        """Claim nothing more, finish and record the deliveries under way, give leases back."""
        await self._pipeline.stop()
        if not _is_alone(self._ground):
            with contextlib.suppress(Unavailable, TimeoutError):  # then it is forgotten a little later
                async with asyncio.timeout(_WITHDRAWING_S):
                    await self._ground.store.pipeline_reports.withdraw(self._ground.process_id)


def _is_alone(ground: Ground) -> bool:
    """Whether nobody else is there who could ask how this pipeline is."""
    return urlsplit(ground.settings.broker.url).scheme == "memory"


def _telling(ground: Ground) -> Telling:
    settings = ground.settings.notifications
    return Telling(
        make_renderer(ground),
        UnsubscribeLinks.of(settings.unsubscribe),
        ClickLinks.of(settings.clicks),
        OpenLinks.of(settings.opens),
        required=frozenset(one.name for one in settings.categories if one.required),
    )


def _keeping_duties(ground: Ground) -> list[Duty]:
    """Make those that count what was and remove what is old, in this order."""
    settings, store, clock = ground.settings.notifications, ground.store, ground.clock
    counted = store.statistics if settings.statistics.enabled else None
    return [
        *statistics_duties(store.statistics, clock, settings),
        housekeeping(store.retention, clock, retention_s=settings.retention, statistics=counted),
    ]


def _campaign_duties(ground: Ground, pipeline: Pipeline, inbox_changed: InboxChanged) -> list[Duty]:
    settings = ground.settings.notifications
    duties = CampaignDuties(
        ground.store.campaigns,
        ground.store.topics,
        settings.campaigns,
        ground.clock,
        carriers=pipeline.serving,
        retention_s=settings.retention,
        count=pipeline.metrics.campaigned,
        inbox_changed=inbox_changed,
    )
    return duties.duties()

"""The notification methods of a gateway, over the API and over RPC, and the services that they stand on."""

from broker.inbox_news import InboxChanged, InboxNews
from gateway.api.method import Method
from gateway.commands.rpc import RpcMethod
from gateway.notify.campaigns import CampaignService, campaign_methods
from gateway.notify.confirmations import ConfirmationService, confirmation_methods, confirmation_rpc_methods
from gateway.notify.experiments import experiment_methods
from gateway.notify.inbox import InboxService, inbox_methods, inbox_rpc_methods
from gateway.notify.intake import intake_of
from gateway.notify.methods import notification_methods
from gateway.notify.overload import Overload, all_of
from gateway.notify.rpc import rpc_methods
from gateway.notify.service import NotificationService
from gateway.notify.templates import TemplateService, template_methods
from gateway.notify.topics import TopicService, topic_methods, topic_rpc_methods
from gateway.notify.wording import Wording
from heliograph.ground import Ground, make_renderer
from heliograph.tracing import make_inbox, make_notifications
from pushers.templates.showing import show

__all__ = ["Notifying"]


class Notifying:
    """What a gateway offers about notifications.

    Attributes:
        overload: Looks at the queue while its `run` runs.
        methods, rpc: For backends, and for connected users.
    """

    def __init__(self, ground: Ground, news: InboxNews, changed: InboxChanged) -> None:
        store, settings = ground.store, ground.settings.notifications
        renderer = make_renderer(ground)
        wording = Wording(
            renderer,
            store.devices,
            preferences=store.preferences,
            experiments=store.experiments,
            remembered=ground.remembered,
        )
        self.overload = Overload(store.backlog, settings.overload, ground.clock, held=lambda: ground.overrides.now.lanes)
        intake = all_of(intake_of(lambda: ground.overrides.now, ground.clock), self.overload.take_in)
        campaigns = CampaignService(store.campaigns, settings, wording, intake)
        topics = TopicService(store.topics)
        service = NotificationService(
            make_notifications(ground),
            store.devices,
            store.preferences,
            settings,
            inbox_changed=changed,
            wording=wording,
            campaigns=campaigns,
            intake=intake,
            remembered=ground.remembered,
        )
        confirmations = ConfirmationService(make_notifications(ground), changed)
        inbox = InboxService(make_inbox(ground), changed, wording)
        self.rpc: dict[str, RpcMethod] = {
            **rpc_methods(service),
            **confirmation_rpc_methods(confirmations),
            **inbox_rpc_methods(inbox, news.watch),
            **topic_rpc_methods(topics, settings),
        }
        self.methods: list[Method] = [
            *notification_methods(service),
            *confirmation_methods(confirmations),
            *inbox_methods(inbox),
            *topic_methods(topics),
            *campaign_methods(campaigns),
            *template_methods(TemplateService(store.templates, renderer, show)),
            *experiment_methods(store.experiments),
        ]

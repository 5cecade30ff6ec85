"""Every setting, with its kind, its default and its rule: the one list that files, environment and help are read from.

Frozen values; units are in the type (`Duration` is seconds here, text such as `"25s"` outside). Names follow
the Centrifugo settings that teams already have, so that moving over is a matter of copying.
"""

import re
from collections.abc import Iterable
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from config.admin_settings import AdminSettings
from config.audience_settings import CampaignSettings, TopicSettings
from config.audit_settings import AuditSettings
from config.category_settings import CapSettings, CategorySettings, Priority, QuietHoursSettings, RoutingSettings
from config.click_settings import ClickSettings, OpenSettings
from config.connect_codes import ConnectDisconnectSettings, ConnectResponseSettings
from config.consumer_settings import ConsumerSettings
from config.content_settings import TemplateSettings, UnsubscribeSettings
from config.door_settings import LimitsSettings, NetworkTexts, TlsSettings
from config.durations import Duration
from config.operation_settings import (
    CostSettings,
    DeletionGuardSettings,
    HabitSettings,
    OverloadSettings,
    StatisticsSettings,
    StatusWebhookSettings,
)
from config.override_settings import OverrideSettings
from config.provider_settings import (
    ApnsSettings,
    EmailSettings,
    FcmSettings,
    ProviderLimits,
    ProvidersSettings,
    SmsSettings,
    WebhookSettings,
    WebPushSettings,
)
from config.proxy_settings import DEFAULT_PROXY, NamedProxySettings, ProxySettings, check_name
from config.rule_settings import PolicySettings, RoleSettings
from config.section import Section as _Section
from config.token_settings import ConnectionTokenSettings, SharedIssuerKeysSettings, SubscriptionTokenSettings, TokenSettings
from config.tracing_settings import TracingSettings

__all__ = [
    "ApnsSettings",
    "ChannelOptions",
    "ChannelSettings",
    "ClientSettings",
    "EmailSettings",
    "FcmSettings",
    "NamespaceSettings",
    "NotificationSettings",
    "ProviderLimits",
    "ProvidersSettings",
    "RpcSettings",
    "Settings",
    "SmsSettings",
    "StoreSettings",
    "TokenSettings",
    "WebPushSettings",
    "WebhookSettings",
]


class HttpSettings(_Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    trusted_proxies: NetworkTexts = Field(
        (), description="Networks of proxies whose word counts about where a request comes from."
    )
    forwarded_header: Literal["X-Forwarded-For", "Forwarded"] = Field(
        "X-Forwarded-For", description="The header in which they say it; the other one is never read."
    )
    tls: TlsSettings = TlsSettings()


class HttpApiSettings(_Section):
    keys: tuple[SecretStr, ...] = Field((), description="Keys that open /api; without one every call answers 401.")
    insecure: bool = Field(False, description="Open /api to anybody who reaches the port.")
    error_mode: Literal["", "transport"] = Field(
        "", description='"transport" answers failed calls with HTTP statuses instead of 200.'
    )
    body_size_limit: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body in bytes.")


class BrokerSettings(_Section):
    url: str = Field("memory://", description="Real-time engine, by the scheme of its address.")
    prefix: str = Field("heliograph", description="What all keys and topics in Redis begin with.")
    connect_timeout: Duration = Field(1.0, gt=0, description="How long connecting to Redis may take, login included.")
    call_timeout: Duration = Field(1.5, gt=0, description="How long Redis may take to answer a call.")
    connections: int = Field(2, ge=1, le=64, description="Connections to each Redis server, beside the one that listens.")
    ca_file: str = Field("", description="Certificates to trust instead of the system's, for rediss://.")
    cert_file: str = Field("", description="Certificate to show to the server, for rediss://.")
    key_file: str = Field("", description="Key of that certificate.")
    sentinel_username: str = Field("", description="Login at the sentinels; empty for none.")
    sentinel_password: SecretStr = Field(SecretStr(""), description="Password at the sentinels.")


class StoreSettings(_Section):
    url: str = Field("sqlite:///./data/heliograph.db", description="Durable store, by the scheme of its address.")
    migrate: Literal["auto", "never"] = Field(
        "auto", description="Whether a start brings older tables up to date, or leaves that to `heliograph db upgrade`."
    )
    pool_size: int = Field(8, ge=1, le=200, description="PostgreSQL: connections of a process, beside one for signals.")
    connect_timeout: Duration = Field(2.0, gt=0, description="PostgreSQL: how long connecting may take.")
    pool_timeout: Duration = Field(2.5, gt=0, description="PostgreSQL: how long to wait for a free connection.")
    answer_timeout: Duration = Field(
        3.0, gt=0, description="PostgreSQL: how long a caller waits in all; then whether it was stored is unknown."
    )
    statement_timeout: Duration = Field(10.0, gt=0, description="PostgreSQL: when the server ends a statement.")
    idle_in_transaction_timeout: Duration = Field(
        10.0, gt=0, description="PostgreSQL: when the server ends a transaction in which nothing happens."
    )


class PersonalChannelSettings(_Section):
    enabled: bool = Field(True, description="Subscribe every known user to `#user`, where notifications arrive live.")
    personal_channel_namespace: str = Field("", description="Namespace of the personal channel.")
    single_connection: bool = Field(False, description="Keep only the newest connection of a user, on all nodes.")


class ClientProxySettings(_Section):
    connect: ProxySettings = ProxySettings()
    refresh: ProxySettings = ProxySettings()


class ChannelProxySettings(_Section):
    subscribe: ProxySettings = ProxySettings()
    publish: ProxySettings = ProxySettings()
    sub_refresh: ProxySettings = ProxySettings()


class CommandRateSettings(_Section):
    """How fast one client may send commands; past four times the rate for long it is disconnected."""

    per_s: float = Field(0.0, ge=0, le=1_000_000, description="Commands per second and client on average; 0 sets no limit.")
    burst: int = Field(100, ge=1, description="Commands that may come at once under per_s.")


class ClientSettings(_Section):
    insecure: bool = Field(False, description="Skip permission checks and allow anonymous clients. Never in public.")
    insecure_skip_token_signature_verify: bool = Field(False, description="Believe tokens unsigned. Never in public.")
    allow_anonymous_connect_without_token: bool = Field(False, description="Clients without a token become user ''.")
    disallow_anonymous_connection_tokens: bool = Field(False, description="Refuse tokens without a user.")
    user_id_http_header: str = Field("", description="Header set by a trusted proxy that names the user.")
    allowed_origins: tuple[str, ...] = Field((), description='Origins that browsers may come from; ["*"] allows all.')
    ping_interval: Duration = Field(25.0, description="How often the server pings.")
    pong_timeout: Duration = Field(8.0, description="How long a pong may take; shorter than ping_interval.")
    stale_close_delay: Duration = Field(10.0, description="How long a connection may stay without connecting.")
    expired_close_delay: Duration = Field(25.0, description="Grace after a connection expires.")
    expired_sub_close_delay: Duration = Field(25.0, description="Grace after a subscription expires.")
    presence_update_interval: Duration = Field(27.0, description="Tick of presence, expiry and position checks.")
    channel_position_check_delay: Duration = Field(
        40.0, description="How old a comparison of a room with its stream may become."
    )
    channel_position_max_time_lag: Duration = Field(
        0.0,
        description="How late a publication of a stream may reach this node, by the clocks of both ends; a later one is "
        "insufficient state for positioned subscribers. 0 sets no limit.",
    )
    channel_limit: int = Field(128, ge=1, description="Subscriptions per client.")
    channel_max_length: int = Field(255, ge=1, description="Bytes in a channel name of a client.")
    queue_max_size: int = Field(1024 * 1024, ge=1024, description="Bytes waiting to be sent before a client is slow.")
    user_connection_limit: int = Field(0, ge=0, description="Connections per user and node; 0 sets no limit.")
    connection_limit: int = Field(0, ge=0, description="Connections per node; 0 sets no limit.")
    connection_rate_limit: int = Field(0, ge=0, description="New connections per second and node; 0 sets no limit.")
    concurrency: int = Field(1, ge=1, le=256, description="Commands of one client handled at once.")
    command_rate: CommandRateSettings = CommandRateSettings()
    history_max_publication_limit: int = Field(300, ge=1, description="Most publications in one history answer.")
    recovery_max_publication_limit: int = Field(300, ge=1, description="Most publications in one recovery.")
    connect_include_server_time: bool = Field(False, description="Tell the time in the connect result.")
    token: ConnectionTokenSettings = ConnectionTokenSettings()
    subscription_token: SubscriptionTokenSettings = SubscriptionTokenSettings()
    shared_issuer_keys: SharedIssuerKeysSettings = SharedIssuerKeysSettings()
    subscribe_to_user_personal_channel: PersonalChannelSettings = PersonalChannelSettings()
    proxy: ClientProxySettings = ClientProxySettings()
    connect_code_to_unidirectional_disconnect: ConnectDisconnectSettings = ConnectDisconnectSettings()

    @model_validator(mode="after")
    def _pong_before_ping(self) -> Self:
        if self.pong_timeout >= self.ping_interval > 0:
            raise ValueError("pong_timeout must be shorter than ping_interval")
        return self


class ChannelOptions(_Section):
    """What a channel may do, and who may do it (also the options of channels without a namespace)."""

    presence: bool = Field(False, description="Keep who is there.")
    join_leave: bool = Field(False, description="Tell who comes and goes.")
    force_push_join_leave: bool = Field(False, description="Tell it to every subscriber, asked or not.")
    history_size: int = Field(0, ge=0, description="Publications kept; needs history_ttl.")
    history_ttl: Duration = Field(0.0, description="How long they are kept; needs history_size.")
    history_meta_ttl: Duration = Field(0.0, description="How long the position outlives them; 0 means 720h.")
    force_positioning: bool = Field(False, description="Position every subscription.")
    allow_positioning: bool = Field(False, description="Position those who ask.")
    force_recovery: bool = Field(False, description="Recover every subscription; needs history.")
    allow_recovery: bool = Field(False, description="Recover those who ask.")
    force_recovery_mode: Literal["", "stream", "cache"] = Field("", description="What recovery gives back.")
    auto_cache_recover: bool = Field(False, description="Give the newest publication to every new subscriber.")
    allowed_delta_types: tuple[Literal["fossil"], ...] = Field((), description="Delta formats clients may ask for.")
    delta_publish: bool = Field(False, description="Every publication may travel as a delta.")
    allow_tags_filter: bool = Field(False, description="Let subscribers filter by tags.")
    allow_subscribe_for_client: bool = Field(False, description="Every client with a user may subscribe.")
    allow_subscribe_for_anonymous: bool = Field(
        False, description="What others may, clients without a user may too: subscribe."
    )
    allow_publish_for_client: bool = Field(False, description="Every client with a user may publish.")
    allow_publish_for_subscriber: bool = Field(False, description="Every subscriber may publish.")
    allow_publish_for_anonymous: bool = Field(False, description="What others may, clients without a user may too: publish.")
    allow_presence_for_client: bool = Field(False, description="Every client with a user may ask who is there.")
    allow_presence_for_subscriber: bool = Field(False, description="Every subscriber may ask who is there.")
    allow_presence_for_anonymous: bool = Field(
        False, description="What others may, clients without a user may too: ask who is there."
    )
    allow_history_for_client: bool = Field(False, description="Every client with a user may read history.")
    allow_history_for_subscriber: bool = Field(False, description="Every subscriber may read history.")
    allow_history_for_anonymous: bool = Field(
        False, description="What others may, clients without a user may too: read history."
    )
    allow_user_limited_channels: bool = Field(False, description="Honour user lists after #.")
    subscribe_proxy_enabled: bool = Field(False, description="The backend decides who subscribes without a token.")
    publish_proxy_enabled: bool = Field(False, description="The backend decides about publications of clients.")
    sub_refresh_proxy_enabled: bool = Field(False, description="The backend prolongs subscriptions that expire.")
    subscribe_proxy_name: str = Field(DEFAULT_PROXY, description="Which of the proxies decides who subscribes.")
    publish_proxy_name: str = Field(DEFAULT_PROXY, description="Which of the proxies decides about publications.")
    sub_refresh_proxy_name: str = Field(DEFAULT_PROXY, description="Which of the proxies prolongs subscriptions.")
    channel_regex: str = Field("", description="Searched in the name after the namespace.")
    publication_data_format: Literal["", "json", "json_object", "binary"] = Field("", description="What publications must be.")

    @property
    def has_history(self) -> bool:
        """Whether publications get an offset and are kept."""
        return self.history_size > 0 and self.history_ttl > 0

    @field_validator("channel_regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as exc:
            raise ValueError(f"must be a regular expression: {exc}") from None
        return value

    @model_validator(mode="after")
    def _history_is_whole(self) -> Self:
        if (self.history_size > 0) != (self.history_ttl > 0):
            raise ValueError("history_size and history_ttl go together: set both or neither")
        if self.history_meta_ttl and self.history_meta_ttl < self.history_ttl:
            raise ValueError("history_meta_ttl must not be shorter than history_ttl")
        if self.force_recovery and not self.has_history:
            raise ValueError("force_recovery needs history_size and history_ttl")
        if self.auto_cache_recover and not (self.force_recovery and self.force_recovery_mode == "cache"):
            raise ValueError('auto_cache_recover needs force_recovery and force_recovery_mode = "cache"')
        return self


class NamespaceSettings(ChannelOptions):
    name: str = Field(description="What stands before the first colon of a channel name.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return check_name(value)


class ChannelSettings(_Section):
    without_namespace: ChannelOptions = ChannelOptions()
    namespaces: tuple[NamespaceSettings, ...] = Field((), description="Options of channels by their namespace.")
    proxy: ChannelProxySettings = ChannelProxySettings()

    @field_validator("namespaces")
    @classmethod
    def _names_differ(cls, value: tuple[NamespaceSettings, ...]) -> tuple[NamespaceSettings, ...]:
        _check_names(namespace.name for namespace in value)
        return value


def _check_names(names: Iterable[str]) -> None:
    listed = list(names)
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(f"names must differ; twice: {', '.join(twice)}")


class WebSocketSettings(_Section):
    message_size_limit: int = Field(65536, ge=1024, description="Largest inbound message in bytes.")
    compression: bool = Field(False, description="Agree to compressed messages (permessage-deflate) where a client offers it.")
    compression_min_size: int = Field(0, ge=0, description="Messages below this many bytes are sent uncompressed.")
    compression_level: int = Field(1, ge=1, le=9, description="1 is the fastest, 9 the smallest.")


class TransportSettings(_Section):
    enabled: bool = Field(False, description="Take connections over this transport.")


class OneWayHttpSettings(TransportSettings):
    connect_code_to_http_response: ConnectResponseSettings = ConnectResponseSettings()


class HealthSettings(_Section):
    enabled: bool = Field(False, description="Answer /health and /health/ready.")
    grace: Duration = Field(10.0, description="How long the engine or the store may be away before a process is not ready.")


class PrometheusSettings(_Section):
    enabled: bool = Field(False, description="Answer /metrics.")
    worker_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Under --workers, worker 1 answers /metrics and /health at this port too, worker 2 at the next, and so on; "
        "0 for none.",
    )


class RpcPingSettings(_Section):
    enabled: bool = Field(False, description="Answer the built-in RPC method ping.")
    method: str = Field("ping", min_length=1, description="What the method is called.")


class RpcOptions(_Section):
    proxy_enabled: bool = Field(True, description="Hand methods of this namespace to the backend.")
    permission_required: bool = Field(
        False, description="Only those may call methods of this namespace whom a role or a policy allows it."
    )
    proxy_name: str = Field(DEFAULT_PROXY, description="Which of the proxies they are handed to.")


class RpcNamespaceSettings(RpcOptions):
    name: str = Field(min_length=2, description="What stands before the first colon of a method.")


class RpcSettings(_Section):
    ping: RpcPingSettings = RpcPingSettings()
    proxy: ProxySettings = ProxySettings()
    without_namespace: RpcOptions = RpcOptions()
    namespaces: tuple[RpcNamespaceSettings, ...] = Field((), description="Options of RPC methods by their namespace.")

    @field_validator("namespaces")
    @classmethod
    def _names_differ(cls, value: tuple[RpcNamespaceSettings, ...]) -> tuple[RpcNamespaceSettings, ...]:
        _check_names(namespace.name for namespace in value)
        return value


class NodeSettings(_Section):
    name: str = Field("", description="Shown in info; made from host and port when empty.")
    shutdown_delay: Duration = Field(
        0.0, description="At the end, how long to serve on while /health/ready says no, until load balancers have seen it."
    )
    shutdown_spread: Duration = Field(
        20.0, description="Then, the longest time over which clients are told to go; up to 500 a second go without delay."
    )
    shutdown_refuse: bool = Field(
        False,
        description="Meanwhile, answer new WebSockets with 503 instead of closing them with 3001: where a balancer then asks "
        "the next node, as in deploy/nginx.",
    )
    shutdown_timeout: Duration = Field(
        3.0, description="Then, how long goodbyes, commands and deliveries under way may take until they are cut off."
    )


class AdmissionSettings(_Section):
    lag_limit: Duration = Field(
        2.0,
        description="How late the event loop may be, over about a second, before new connections are answered 503 until it has "
        "come down to half; 0 sets no limit.",
    )


class PusherSettings(_Section):
    """Where `heliograph pusher` answers, which serves no clients."""

    host: str = Field("127.0.0.1", description="Address where `heliograph pusher` answers /health and /metrics.")
    port: int = Field(8001, ge=0, le=65535, description="Port for it; 0 takes a free one.")


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    format: Literal["auto", "console", "json"] = Field("auto", description="auto is console on a terminal, else json.")


class NotificationSettings(_Section):
    ack_wait: Duration = Field(5.0, description="Default wait for an ack before push.")
    push_wait: Duration = Field(30.0, description="Default wait for an ack before email.")
    ttl: Duration = Field(86400.0, description="Default life of a notification.")
    lease: Duration = Field(30.0, description="How long a worker may hold a step before another takes it over.")
    concurrency: int = Field(
        100, ge=1, le=2000, description="Deliveries under way at once, per carrier; one of ten is kept for critical ones."
    )
    idempotency_ttl: Duration = Field(86400.0, ge=86400, description="How long idempotency keys are kept.")
    retry_base: Duration = Field(0.1, description="First wait after a temporary failure.")
    retry_cap: Duration = Field(30.0, description="Longest wait between tries.")
    retry_limit: int = Field(5, ge=0, le=50, description="Retries after the first try.")
    retry_jitter: Literal["full", "equal", "decorrelated"] = Field("full", description="How waits are spread.")
    retry_budget: float = Field(
        0.2, ge=0, description="Retries for each first try, within a minute and by provider or app; 0 sets no limit."
    )
    retry_budget_least: int = Field(1000, ge=1, description="So many retries within that minute are never too many.")
    skip_open: tuple[Priority, ...] = Field(
        ("critical",),
        description="Priorities that go on to the next route at once while a carrier's breaker is open; others wait for it.",
    )
    timezone: str = Field("UTC", description="IANA zone of users of whom none is known, neither by preference nor by device.")
    digest_title: str = Field("{count} notifications", description="Headline of digests that name none; {count} is how many.")
    categories: tuple[CategorySettings, ...] = Field((), description="Kinds of notifications that need rules of their own.")
    cap: CapSettings = CapSettings()
    quiet_hours: QuietHoursSettings = QuietHoursSettings()
    routing: RoutingSettings = RoutingSettings()
    templates: TemplateSettings = TemplateSettings()
    unsubscribe: UnsubscribeSettings = UnsubscribeSettings()
    clicks: ClickSettings = ClickSettings()
    opens: OpenSettings = OpenSettings()
    inbox_counts: bool = Field(
        True,
        description="Tell users who asked for their inbox, on their personal channel, how many are unseen and unread.",
    )
    retention: Duration = Field(
        2_592_000.0, description="How long finished notifications are kept with their timelines; 0 keeps them for ever."
    )
    deletion_guard: DeletionGuardSettings = DeletionGuardSettings()
    overload: OverloadSettings = OverloadSettings()
    status_webhook: StatusWebhookSettings = StatusWebhookSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    costs: CostSettings = CostSettings()
    habits: HabitSettings = HabitSettings()
    topics: TopicSettings = TopicSettings()
    campaigns: CampaignSettings = CampaignSettings()

    @field_validator("categories")
    @classmethod
    def _category_names_differ(cls, value: tuple[CategorySettings, ...]) -> tuple[CategorySettings, ...]:
        _check_names(category.name for category in value)
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError('must be an IANA zone such as "Europe/Berlin"') from None
        return value


class Settings(_Section):
    """All settings of a process."""

    proxies: tuple[NamedProxySettings, ...] = Field((), description="Backends beside the default ones, by their name.")
    consumers: tuple[ConsumerSettings, ...] = Field((), description="Logs that calls of the API are taken from.")
    roles: tuple[RoleSettings, ...] = Field((), description="Roles; others may be kept in the store by the API.")
    policy: PolicySettings = PolicySettings()
    http: HttpSettings = HttpSettings()
    http_api: HttpApiSettings = HttpApiSettings()
    limits: LimitsSettings = LimitsSettings()
    broker: BrokerSettings = BrokerSettings()
    store: StoreSettings = StoreSettings()
    client: ClientSettings = ClientSettings()
    channel: ChannelSettings = ChannelSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    sse: TransportSettings = TransportSettings()
    http_stream: TransportSettings = TransportSettings()
    uni_sse: OneWayHttpSettings = OneWayHttpSettings()
    uni_http_stream: OneWayHttpSettings = OneWayHttpSettings()
    uni_websocket: TransportSettings = TransportSettings()
    health: HealthSettings = HealthSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    rpc: RpcSettings = RpcSettings()
    node: NodeSettings = NodeSettings()
    admission: AdmissionSettings = AdmissionSettings()
    pusher: PusherSettings = PusherSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    audit: AuditSettings = AuditSettings()
    admin: AdminSettings = AdminSettings()
    overrides: OverrideSettings = OverrideSettings()
    notifications: NotificationSettings = NotificationSettings()
    providers: ProvidersSettings = ProvidersSettings()

    @field_validator("consumers")
    @classmethod
    def _consumer_names_differ(cls, value: tuple[ConsumerSettings, ...]) -> tuple[ConsumerSettings, ...]:
        _check_names(consumer.name for consumer in value)
        return value

    @field_validator("roles")
    @classmethod
    def _role_names_differ(cls, value: tuple[RoleSettings, ...]) -> tuple[RoleSettings, ...]:
        _check_names(role.name for role in value)
        return value

    @field_validator("proxies")
    @classmethod
    def _proxy_names_differ(cls, value: tuple[NamedProxySettings, ...]) -> tuple[NamedProxySettings, ...]:
        _check_names(proxy.name for proxy in value)
        return value

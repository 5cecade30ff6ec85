"""The store: the durable ports on one database, opened and closed as one. Composition roots open it by its address."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from broker.api_keys import ApiKeys
from broker.audit import Audit
from broker.backlog import Backlog
from broker.campaigns import Campaigns
from broker.dead_letters import DeadLetters
from broker.deletion_guards import DeletionGuards
from broker.devices import Devices
from broker.erasure import Erasure
from broker.errors import BadInput
from broker.experiments import Experiments
from broker.frequency import Frequency
from broker.inbox import Inbox
from broker.ledger import Ledger
from broker.overrides import Overrides
from broker.pipeline_reports import PipelineReports
from broker.policies import Policies
from broker.preferences import Preferences
from broker.published_keys import PublishedKeys
from broker.removed_devices import RemovedDevices
from broker.retention import Retention
from broker.revocation_records import RevocationRecords
from broker.roles import Roles
from broker.rules import RuleVersions
from broker.statistics import Statistics
from broker.status_events import StatusEvents
from broker.store.address import PostgresAddress, SqliteAddress, parse_address
from broker.store.api_keys import SqlApiKeys
from broker.store.audit import SqlAudit
from broker.store.audit_trail import Trail
from broker.store.backlog import SqlBacklog
from broker.store.campaigns import SqlCampaigns
from broker.store.database import Database
from broker.store.dead_letters import SqlDeadLetters
from broker.store.deletion_guards import SqlDeletionGuards
from broker.store.devices import SqlDevices
from broker.store.erasure import SqlErasure
from broker.store.experiments import SqlExperiments
from broker.store.frequency import SqlFrequency
from broker.store.habits import Opens
from broker.store.inbox import SqlInbox
from broker.store.ledger import SqlLedger
from broker.store.migration import Revisions, check, migrate, needed_revision, read_revisions
from broker.store.moments import to_micros
from broker.store.overrides import SqlOverrides
from broker.store.pipeline_reports import SqlPipelineReports
from broker.store.policies import SqlPolicies
from broker.store.postgresql import PostgresDatabase, connect_arguments
from broker.store.postgresql_signals import PostgresSignals
from broker.store.preferences import SqlPreferences
from broker.store.published_keys import SqlPublishedKeys
from broker.store.recording import give_all_back
from broker.store.removed_devices import SqlRemovedDevices
from broker.store.retention import SqlRetention
from broker.store.revocation_records import SqlRevocationRecords
from broker.store.roles import SqlRoles
from broker.store.rule_versions import SqlRuleVersions
from broker.store.signals import Signals, Silence
from broker.store.solitude import Solitude
from broker.store.sqlite import SqliteDatabase
from broker.store.statistics import SqlStatistics
from broker.store.status_events import SqlStatusEvents
from broker.store.status_outbox import StatusOutbox
from broker.store.suppression import SqlSuppression
from broker.store.templates import SqlTemplates
from broker.store.token_families import SqlTokenFamilies
from broker.store.topics import SqlTopics
from broker.store.traces import SqlTraces
from broker.store.tracking import SqlTracking
from broker.store.webhook_switch import SqlWebhookSwitch
from broker.suppression import Suppression
from broker.templates import Templates
from broker.token_families import TokenFamilies
from broker.topics import Topics
from broker.traces import Traces
from broker.tracking import Tracking
from broker.webhook_switch import WebhookSwitch
from config.audit_settings import AuditSettings
from config.clock import Clock
from config.settings import StoreSettings

__all__ = ["Store", "open_store", "revisions_of", "upgrade_store"]

_DEFAULTS: Final = StoreSettings()
_AUDIT: Final = AuditSettings()


class Store:
    """An open store. Several processes may have the same one open."""

    ledger: Ledger
    inbox: Inbox
    devices: Devices
    removed_devices: RemovedDevices
    preferences: Preferences
    dead_letters: DeadLetters
    deletion_guards: DeletionGuards
    pipeline_reports: PipelineReports
    status_events: StatusEvents
    webhook_switch: WebhookSwitch
    suppression: Suppression
    retention: Retention
    erasure: Erasure
    templates: Templates
    experiments: Experiments
    frequency: Frequency
    backlog: Backlog
    audit: Audit
    topics: Topics
    campaigns: Campaigns
    statistics: Statistics
    tracking: Tracking
    traces: Traces
    api_keys: ApiKeys
    roles: Roles
    policies: Policies
    overrides: Overrides
    published_keys: PublishedKeys
    rule_versions: RuleVersions
    token_families: TokenFamilies
    revocations: RevocationRecords

    def __init__(
        self,
        database: Database,
        signals: Signals,
        clock: Clock,
        resources: AsyncExitStack,
        *,
        idempotency_ttl_s: float,
        events: frozenset[str],
        audit: AuditSettings = _AUDIT,
        keeps_habits: bool = False,
        timezone: str = "UTC",
    ) -> None:
        self._resources = resources
        trail = Trail(database, clock, is_on=audit.enabled)
        self.audit = chain = SqlAudit(database, clock, trail, audit)
        resources.push_async_callback(chain.close)
        outbox = StatusOutbox(events, clock)
        opens = Opens(is_kept=keeps_habits, timezone=timezone)
        self.ledger = ledger = SqlLedger(database, signals, clock, outbox, opens, idempotency_ttl_s=idempotency_ttl_s)
        self.status_events = SqlStatusEvents(database, clock)
        self.webhook_switch = SqlWebhookSwitch(database, clock, trail)
        self.suppression = SqlSuppression(database, trail)
        self.inbox = SqlInbox(database, clock, outbox, opens, ledger.was_ended)
        self.devices = SqlDevices(database, clock, trail)
        self.removed_devices = SqlRemovedDevices(database, trail)
        self.preferences = SqlPreferences(database, trail)
        self.dead_letters = SqlDeadLetters(database, clock, trail, made_due=ledger.made_due)
        self.deletion_guards = SqlDeletionGuards(database, clock, trail)
        self.pipeline_reports = SqlPipelineReports(database, clock)
        self.retention = SqlRetention(database, clock, idempotency_ttl_s=idempotency_ttl_s)
        self.erasure = SqlErasure(database, chain, trail, ended=ledger.was_ended)
        self.templates = SqlTemplates(database, clock, trail)
        self.experiments = SqlExperiments(database)
        self.frequency = SqlFrequency(database)
        self.backlog = SqlBacklog(database, clock)
        self.topics = SqlTopics(database, clock, trail)
        self.campaigns = SqlCampaigns(database, clock, outbox, ledger, trail, idempotency_ttl_s=idempotency_ttl_s)
        self.statistics = SqlStatistics(database, clock)
        self.tracking = SqlTracking(database, clock, outbox, opens, ledger.was_ended)
        self.traces = SqlTraces(database)
        self.api_keys = SqlApiKeys(database, trail)
        self.roles = SqlRoles(database, trail)
        self.policies = SqlPolicies(database, clock, trail)
        self.overrides = SqlOverrides(database, clock, trail)
        self.published_keys = SqlPublishedKeys(trail)
        self.rule_versions = SqlRuleVersions(database)
        self.token_families = SqlTokenFamilies(database, trail)
        self.revocations = SqlRevocationRecords(database, clock)

    async def close(self) -> None:
        """Finish the commits under way and let go of the database; may come twice. The ports are not used after it."""
        await self._resources.aclose()


async def open_store(
    url: str,
    *,
    clock: Clock,
    idempotency_ttl_s: float = 86400.0,
    events: frozenset[str] = frozenset(),
    settings: StoreSettings = _DEFAULTS,
    audit: AuditSettings = _AUDIT,
    keeps_habits: bool = False,
    timezone: str = "UTC",
) -> Store:
    """Open the store at an address, bringing its tables up to date unless the settings leave that to somebody else.

    Args:
        url: As `broker.store.address.parse_address` reads it; a SQLite file and its folder are made where they are absent.
        idempotency_ttl_s: How long an idempotency key counts as seen.
        events: Which status events are written down for a webhook.
        settings: All but the address.
        audit: How its audit is kept.
        keeps_habits: Whether it is counted when users open what they are told, and for those of no known zone in `timezone`.
    Raises:
        BadInput: Naming `store.url`: the address is wrong, or what it names cannot be used.
        StoreUnavailable: The database did not answer; the same call may succeed later.
    """
    address = parse_address(url)
    prepare = migrate if settings.migrate == "auto" else check
    async with AsyncExitStack() as resources:
        signals: Signals = Silence()
        match address:
            case SqliteAddress(file):
                database: Database = await _open_sqlite(file, clock, resources, prepare)
            case PostgresAddress(server):
                opened = PostgresDatabase(server, settings)
                resources.push_async_callback(opened.close)
                await opened.prepare(prepare)
                signals = postgres = PostgresSignals(
                    connect_arguments(server), clock, connect_timeout_s=settings.connect_timeout
                )
                resources.push_async_callback(signals.close)
                await postgres.tried()
                database = opened
        kept = resources.pop_all()
        return Store(
            database,
            signals,
            clock,
            kept,
            idempotency_ttl_s=idempotency_ttl_s,
            events=events,
            audit=audit,
            keeps_habits=keeps_habits,
            timezone=timezone,
        )


async def upgrade_store(url: str, *, settings: StoreSettings = _DEFAULTS) -> Revisions:
    """Bring the tables at an address up to date; those who do it at the same time take turns.

    Returns:
        Where they stood before.
    Raises:
        BadInput, StoreUnavailable: As `open_store`.
    """

    def upgrade(connection: Connection) -> Revisions:
        before = read_revisions(connection)
        migrate(connection)
        return before

    return await _once(url, upgrade, settings)


async def revisions_of(url: str, *, settings: StoreSettings = _DEFAULTS) -> Revisions:
    """Look where the tables at an address stand, and change nothing; an absent SQLite file has none.

    Raises:
        BadInput, StoreUnavailable: As `open_store`.
    """
    match parse_address(url):
        case SqliteAddress(file) if not await asyncio.to_thread(file.exists):
            return needed_revision()
        case _:
            return await _once(url, read_revisions, settings)


async def _once(url: str, work: Callable[[Connection], Revisions], settings: StoreSettings) -> Revisions:
    """Run one transaction beside whoever else has the store open."""
    match parse_address(url):
        case SqliteAddress(file):
            with _naming_file():
                await asyncio.to_thread(_make_file, file)
            database: SqliteDatabase | PostgresDatabase = SqliteDatabase(file)
        case PostgresAddress(server):
            database = PostgresDatabase(server, settings)
    try:
        return await database.prepare(work)
    finally:
        await database.close()


async def _open_sqlite(
    file: Path, clock: Clock, resources: AsyncExitStack, bring: Callable[[Connection], None]
) -> SqliteDatabase:
    with _naming_file():
        await asyncio.to_thread(_make_file, file)
        solitude = await asyncio.to_thread(Solitude.seek, file)
    resources.callback(solitude.end)
    database = SqliteDatabase(file)
    resources.push_async_callback(database.close)

    def prepare(connection: Connection) -> None:
        bring(connection)
        if solitude.is_alone:
            give_all_back(connection, to_micros(clock.now()))

    await database.prepare(prepare)
    await asyncio.to_thread(solitude.share)
    return database


@contextmanager
def _naming_file() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise BadInput("store.url", f"names a file that cannot be used: {exc.strerror}") from exc


def _make_file(file: Path) -> None:
    """Make what is absent. Blocks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # it will hold addresses and messages; SQLite gives the files beside it the same mode

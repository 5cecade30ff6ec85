"""A node: one process's clients, rooms and duties, put together from an engine and settings.

Whatever an engine brings enters through `deliver`, the one local delivery path; whatever the fleet's API wants done here
enters through `gateway.control`. One timer drives the timing wheel.
"""

import asyncio
import math
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import msgspec

from broker.audit import Witness
from broker.channels import ChannelRules
from broker.control import Forget, NodeInfo
from broker.engines.engine import Engine
from broker.model import Join, Leave, Publication
from broker.overrides import InForce
from broker.overrides import Kind as OverrideKind
from broker.revocation import Revocation
from config.clock import Clock
from config.settings import Settings
from config.tracing import HEADERS, NO_TRACING, Tracing
from gateway.addresses import Addresses
from gateway.admission import DRAINING, Admission, Denial
from gateway.auth.access import Access
from gateway.auth.denials import Denials
from gateway.auth.permissions import Permissions
from gateway.auth.policy_desk import PolicyDesk
from gateway.auth.roles import RoleBook
from gateway.auth.settings_roles import roles_of_settings
from gateway.auth.verifiers import Verifiers
from gateway.command_audit import CommandAudit
from gateway.commands.connect import Connect
from gateway.commands.history import AskHistory
from gateway.commands.presence import AskPresence, AskPresenceStats
from gateway.commands.publish import Publish
from gateway.commands.refresh import Refresh, SubRefresh
from gateway.commands.rpc import Rpc, RpcMethod
from gateway.commands.subscribe import Subscribe
from gateway.commands.unsubscribe import Unsubscribe
from gateway.control import Controlled
from gateway.door import CommandPace, door_of
from gateway.draining import Farewells, choose_share, draining_pace
from gateway.fanout import Turn
from gateway.health import Readiness
from gateway.hub import Hub
from gateway.lag import LoopLag
from gateway.neighbours import Neighbours
from gateway.positions import Positions
from gateway.protocol import disconnects
from gateway.proxy.proxies import Proxies
from gateway.room import Taken
from gateway.rule_watch import RuleWatch
from gateway.session.arrival import Arrival
from gateway.session.client import Client
from gateway.session.command_rate import CommandRate, Judge, command_rate
from gateway.session.entrance import Entrances
from gateway.session.expiry import Expiry
from gateway.session.session import Handler, Session, Terms
from gateway.session.unanswered import Unanswered
from gateway.session.withdrawal import Withdrawal
from gateway.tallies import CommandTally
from gateway.tasks import Tasks
from gateway.tracing.commands import traced_commands
from gateway.tracing.fanout import TracedDelivery
from gateway.transports.transport import Kind, Transport
from gateway.upstream import Upstream
from gateway.wheel import PingRing, Wheel

__all__ = ["Node", "NodeStatistics"]

_TICK_S = 0.1


class NodeStatistics(msgspec.Struct, frozen=True):
    """What a node holds and has done since it started."""

    clients: int
    users: int
    rooms: int
    subscriptions: int
    transports: int
    frames_written: int
    messages_written: int


class Node:
    """One gateway process."""

    # Told of what caches are to let go of (`broker.caching`); of use where there are any.
    on_forget: Callable[[Forget], None] = staticmethod(lambda _command: None)

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        clock: Clock,
        *,
        version: str,
        rpc_methods: Mapping[str, RpcMethod],
        revocation: Revocation | None = None,
        witness: Witness | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.settings, self.engine, self.clock, self.version = settings, engine, clock, version
        self.uid = str(uuid.uuid4())
        self.name = settings.node.name or f"{settings.http.host}:{settings.http.port}"
        self.revocation, self._tracing = revocation or engine.revocation, tracing
        self.tokens = Verifiers(settings.client, self.revocation, clock, kept_claims=settings.policy.claims, fleet=engine.cache)
        self.rules = ChannelRules(settings.channel, settings.client.subscribe_to_user_personal_channel)
        self.permissions = Permissions(settings.client.insecure)
        self.audit = CommandAudit(witness, self.rules)
        self.access = Access(self.permissions, self.rules, roles_of_settings(settings.roles), Denials(clock))
        self.policies = PolicyDesk(self.roles, self.denials, clock, remember=settings.policy.decision_cache)
        # Where somebody reads rules (`gateway.rule_service`): is told of those that have changed.
        self.rule_watch: RuleWatch | None = None
        self.turn = Turn(self._call_soon)
        self.hub = Hub(self.turn)
        self.tasks = Tasks()
        self.is_draining = False
        self.sessions: set[Session] = set()
        self.emulated: dict[str, Session] = {}
        self.neighbours = Neighbours(engine.control, clock)
        self.disconnects_by_code: dict[int, int] = {}
        self.commands = CommandTally()
        self._started_at = self._ticked_at = clock.monotonic()
        self._ticker: asyncio.TimerHandle | None = None
        self._farewells = Farewells(clock)
        client = settings.client
        self.lag = LoopLag(settings.admission.lag_limit)
        self.readiness = Readiness(self.lag, clock, grace_s=settings.health.grace)
        self.readiness.concerns = self.tokens.concerns
        self.admission = Admission(client, self.lag, lambda: len(self.sessions), clock)
        tick_s = min(_TICK_S, client.ping_interval / 10) if client.ping_interval else _TICK_S
        self.wheel = Wheel(clock, tick_s)
        self.addresses = Addresses(settings.http)
        self.door = door_of(settings, engine.limits, self.tasks, self.wheel.after, clock)
        self._pings = PingRing(clock, client.ping_interval, client.pong_timeout, tick_s) if client.ping_interval else None
        self.entrances = self._make_entrances()
        self.proxies = Proxies(settings, clock)
        self._rpc = Rpc(settings.rpc, rpc_methods, self.proxies.rpc, self.access)
        # What the server API's method `rpc` calls.
        self.call_rpc = self._rpc.call
        self._withdrawal = Withdrawal(self.access, self.rules, self.entrances, self.tasks)
        self.expiry = Expiry(client, self.wheel, self.entrances, self.rules, self.proxies, self._withdrawal, self.tasks, clock)
        self.positions = Positions(client, self.hub, engine.history, self.rules, self.entrances, self.wheel, self.tasks, clock)
        self.entrances.heal_with(self.positions.heal)
        self._arrival = self._make_arrival()
        self._watches_lag = client.channel_position_max_time_lag > 0
        self._overriding_rate_per_s = 0.0
        self._terms = self._make_terms()
        self._listen()

    @cached_property
    def kept_headers(self) -> frozenset[str]:
        """Names of headers, in lower case, that are remembered of the request that opens a WebSocket; for most nodes the origin
        alone, which policies may ask for that are set later."""
        user = self.settings.client.user_id_http_header.lower()
        own = {"origin", user} if user else {"origin"}
        return self.proxies.http_names | own | (HEADERS if self._tracing.is_on else set())

    @property
    def roles(self) -> RoleBook:
        """The roles in force."""
        return self.access.roles

    @property
    def denials(self) -> Denials:
        """What was refused, by rule."""
        return self.access.denials

    def start(self) -> None:
        """Begin the node's duties; in the loop that its clients live in."""
        self._ticked_at = self.clock.monotonic()
        self._ticker = asyncio.get_running_loop().call_later(self.wheel.tick_s, self._tick)
        self.positions.start()

    def stop(self) -> None:
        """End them."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def deliver(self, channel: str, message: Publication | Join | Leave) -> None:
        """Take what an engine brings and give it to the room of its channel at the end of this turn."""
        room = self.hub.room(channel)
        if room is None:
            return
        if self.is_draining and not isinstance(message, Publication):
            return  # those still here go as well; telling them of everybody who goes before them is quadratic work
        if self._watches_lag and isinstance(message, Publication):
            self.positions.check_lag(room, message)
        taken = room.take(message)
        if taken is Taken.ADDED:
            self.hub.touch(room)
        elif taken is Taken.GAP:
            self.positions.heal(room)

    def admit(self, address: str = "") -> Denial | None:
        """Let a new WebSocket from an address in, or say why not. One that comes during a drain is let in to be told so, unless
        balancers ask otherwise."""
        if self.is_draining and self.settings.node.shutdown_refuse:
            return self.admission.deny(DRAINING)
        if self.door is not None and (verdict := self.door.knock(address)).is_refused:
            return Denial("address", verdict.retry_after_s, "too many connections from this address\n", status=429)
        return self.admission.ask()

    def obey(self, overrides: InForce) -> None:
        """Hold to what operators say otherwise of this node, until told again; those who are here stay."""
        names = (self.uid, self.name)
        self.admission.obey(overrides, *names)
        refusal = overrides.at_node(OverrideKind.REFUSE_CONNECTIONS, *names)
        # What all nodes refuse is refused wherever a balancer looks, and calls of the API shall still find one.
        self.readiness.is_refusing = refusal is not None and refusal.target != ""
        rate = overrides.at_node(OverrideKind.COMMAND_RATE, *names)
        per_s = 0.0 if rate is None else float(rate.value or 0.0)
        if per_s != self._overriding_rate_per_s:
            self._overriding_rate_per_s = per_s
            self._terms = msgspec.structs.replace(self._terms, rate=self._make_judge(per_s))
            for session in self.sessions:
                session.change_terms(self._terms)

    def open_session(self, transport: Transport) -> Session:
        """Take a new connection whose transport is open."""
        client = Client(str(uuid.uuid4()), transport, self.turn, self._arrival.see_out)
        self.expiry.watch_connecting(client)
        session = Session(client, self._terms)
        self.sessions.add(session)
        if transport.wire.kind is Kind.EMULATED:
            self.emulated[client.session_id] = session
        return session

    def close_session(self, session: Session, code: int) -> None:
        """A transport is down; `code` says with which code we closed it, or 3000 where the peer went."""
        self.sessions.discard(session)
        self.emulated.pop(session.client.session_id, None)
        self.disconnects_by_code[code] = self.disconnects_by_code.get(code, 0) + 1
        session.client.lose()

    def emulate(self, session_id: str, data: bytes) -> None:
        """Hand a frame to a client whose way up is a request of its own; one that has just gone is nobody's fault.

        Args:
            session_id: Of the client.
            data: JSON text of a string that holds the commands, for a client that speaks JSON; else the commands themselves.
        Raises:
            msgspec.DecodeError, UnicodeDecodeError: It has another form.
        """
        session = self.emulated.get(session_id)
        if session is not None:
            is_json = session.client.wire.codec.name == "json"
            session.receive(msgspec.json.decode(data, type=str).encode() if is_json else data)

    @property
    def transports(self) -> Sequence[Transport]:
        """The open transports, connected or not yet, as they are now."""
        return [session.client.transport for session in self.sessions]

    async def drain(self, timeout_s: float, *, spread_s: float = 0.0) -> None:
        """Tell every client to go (3001), the last one within `spread_s`; then wait until they have, at most `timeout_s`."""
        self.is_draining = self.readiness.is_ending = True
        # Also those who have not connected yet: a connect that is under way must not let them in any more.
        leaving = [session.client for session in self.sessions]
        self._farewells.hurry()
        await self._farewells.say(leaving, disconnects.SHUTDOWN, draining_pace(len(leaving), spread_s))
        deadline = self.clock.monotonic() + timeout_s
        while self.sessions and self.clock.monotonic() < deadline:
            await self.clock.sleep(0.02)
        for transport in self.transports:
            transport.abort()
        await self.tasks.drain(max(0.1, deadline - self.clock.monotonic()))

    async def reconsider(self) -> None:
        """Give every client the rights that it has by roles and policies now; subscriptions that it has not any more end."""
        self.access.policies = None if self.policies.is_idle else self.policies
        await self._withdrawal.reconsider(self.hub)

    def hurry(self) -> None:
        """End the spread of a drain that is under way."""
        self._farewells.hurry()

    def shed(self, share: float, spread_s: float) -> None:
        """Send a share of the clients away (3011: they come back, elsewhere where there is an elsewhere), the last one within
        `spread_s`."""
        leaving = choose_share(self.hub.clients(), share, self.clock)
        pace_per_s = len(leaving) / spread_s if spread_s else math.inf
        self.tasks.spawn(self._farewells.say(leaving, disconnects.FORCE_RECONNECT, pace_per_s), "node.shed")

    def describe(self) -> NodeInfo:
        """Tell how this node is."""
        statistics = self.hub.statistics()
        return NodeInfo(
            uid=self.uid,
            name=self.name,
            version=self.version,
            num_clients=statistics.clients,
            num_users=statistics.users,
            num_channels=statistics.rooms,
            num_subs=statistics.subscriptions,
            uptime=int(self.clock.monotonic() - self._started_at),
            process={"pid": os.getpid()},
        )

    def statistics(self) -> NodeStatistics:
        """Count what is here."""
        hub = self.hub.statistics()
        return NodeStatistics(
            clients=hub.clients,
            users=hub.users,
            rooms=hub.rooms,
            subscriptions=hub.subscriptions,
            transports=len(self.sessions),
            frames_written=self.turn.frames_written,
            messages_written=self.turn.messages_written,
        )

    def _controlled(self) -> Controlled:
        limit = self.settings.client.channel_limit
        return Controlled(
            self.hub,
            self.rules,
            self.entrances,
            self.expiry,
            self.revocation,
            self.clock,
            self.describe,
            shed=self.shed,
            emulate=self.emulate,
            channel_limit=limit,
            rules_changed=self._rules_changed,
            forget=lambda command: self.on_forget(command),
        )

    def _rules_changed(self, subject: str, version: int) -> None:
        if self.rule_watch is not None:
            self.rule_watch.tell(subject, version)

    def _listen(self) -> None:
        """Say who takes what the engine brings."""
        tracing, pubsub = self._tracing, self.engine.pubsub
        traced = TracedDelivery(self.deliver, self.hub, self.turn, tracing, node=self.uid) if tracing.is_on else None
        pubsub.on_message(traced or self.deliver)
        pubsub.on_resume(self.positions.check_now)
        self.engine.control.on_command(self._controlled())

    def _make_entrances(self) -> Entrances:
        engine = self.engine
        return Entrances(
            self.hub,
            Upstream(engine.pubsub, self.hub, self.tasks),
            engine.pubsub,
            engine.history,
            engine.presence,
            self.rules,
            recovery_limit=self.settings.client.recovery_max_publication_limit,
        )

    def _make_arrival(self) -> Arrival:
        engine = self.engine
        return Arrival(
            self.settings.client,
            self.hub,
            engine.users,
            engine.control,
            self.entrances,
            self.expiry,
            self._pings,
            self.tasks,
            self.clock,
            None if self.door is None else self.door.users,
        )

    def _make_terms(self) -> Terms:
        client = self.settings.client
        handlers = self.audit.watch(self._make_handlers(), self.settings.audit.grants, self.access.rule_of)
        return Terms(
            handlers=traced_commands(handlers, self._tracing) if self._tracing.is_on else handlers,
            tasks=self.tasks,
            unanswered=Unanswered(client.connect_code_to_unidirectional_disconnect),
            concurrency=client.concurrency,
            rate=self._make_judge(),
            tally=self.commands,
            failed=self.audit.failed,
        )

    def _make_judge(self, overriding_per_s: float = 0.0) -> Judge | None:
        """Make what counts commands: by a rate instead of that of the settings, of which a second's worth may come at once."""
        if overriding_per_s:
            rate: CommandRate | None = CommandRate(overriding_per_s, math.ceil(overriding_per_s), self.clock)
        else:
            rate = command_rate(self.settings.client.command_rate, self.clock)
        per_user = None if self.door is None else self.door.commands
        return rate if per_user is None else CommandPace(per_user, rate)

    def _make_handlers(self) -> Mapping[str, Handler]:
        client, engine, clock = self.settings.client, self.engine, self.clock
        connections, subscriptions = self.tokens.connections, self.tokens.subscriptions
        rules, access, entrances = self.rules, self.access, self.entrances
        return {
            "connect": Connect(
                client,
                rules,
                access,
                connections,
                self.revocation,
                entrances,
                self._arrival,
                self.expiry,
                self._withdrawal,
                self.proxies,
                clock,
                server_version=self.version,
                node_id=self.uid,
            ),
            "subscribe": Subscribe(client, rules, access, subscriptions, entrances, self.expiry, self.proxies, clock),
            "unsubscribe": Unsubscribe(entrances),
            "publish": Publish(rules, access, engine.pubsub, self.proxies),
            "presence": AskPresence(rules, access, engine.presence),
            "presence_stats": AskPresenceStats(rules, access, engine.presence),
            "history": AskHistory(rules, access, engine.history, limit=client.history_max_publication_limit),
            "rpc": self._rpc,
            "refresh": Refresh(connections, entrances, self.expiry, self._withdrawal, clock, never_expires=client.insecure),
            "sub_refresh": SubRefresh(subscriptions, entrances, self.expiry, clock),
        }

    def _call_soon(self, call: object) -> None:
        asyncio.get_running_loop().call_soon(call)  # type: ignore[arg-type]  # the turn's flush

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(self.wheel.tick_s, self._tick)
        now = self.clock.monotonic()
        passed_s, self._ticked_at = now - self._ticked_at, now
        self.lag.note(passed_s - self.wheel.tick_s, passed_s)
        passed = self.wheel.turn()
        if self._pings is not None:
            self._pings.turn(passed)

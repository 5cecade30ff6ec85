"""Whole sessions against the truth: whatever is done in whatever order, over an engine that is slow, late and loses.

What must hold for every client and channel:

- nothing comes before the reply that opens the channel, and nothing after the word that closes it;
- offsets advance; between two of them lies only what the client filters out, so nothing is lost and order is kept;
- nothing comes twice, and everything has the bytes and tags that it was published with, also as a patch;
- `recovered` is true only where nothing is missing, and (where nothing was slow) exactly there;
- a channel is ended for want of state only where history could not have filled the gap;
- connections and subscriptions live as long as their tokens and the grace, and no longer;
- when all is calm, every positioned client stands at the top of its stream.
"""

import json
from itertools import combinations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from msgspec import structs
from structlog.testing import capture_logs

from broker.channels import publish_options
from broker.control import Disconnect, Selector, Subscribe, Unsubscribe
from broker.model import NO_TAGS, Position, Publication, Slice

# User, encoding, and the channels that the connection token subscribes to.
ACCOUNTS = (("ann", "json", ()), ("bob", "protobuf", ()), ("cid", "json", ("forced:one",)), ("dee", "protobuf", ("cache:one",)))
CHANNELS = ("stream:one", "stream:two", "forced:one", "cache:one", "plain:one")
POINTS = ("subscribe", "subscribed", "unsubscribe", "read", "answer", "presence", "connected")

WISHES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["recoverable", "recoverable", "positioned", ""]),
        "has_delta": st.booleans(),
        "has_filter": st.sampled_from([False, False, True]),
        "insists": st.sampled_from([False, False, False, True]),
        "ttl_s": st.sampled_from([0, 0, 0, 0, 0, 8, 20]),
        "back": st.sampled_from(["held", "held", "held", "none", "whole", "lost"]),
    }
)
INDEXES = st.integers(0, 50)
KINDS = st.sampled_from(["", "goal", "foul"])
COUNTS = st.sampled_from([0, 1, 1, 2, 3, 4, 6])
FEW_POINTS = st.sampled_from([frozenset(), *map(frozenset, combinations(POINTS, 1)), *map(frozenset, combinations(POINTS, 2))])
SELDOM = st.sampled_from([False, False, False, True])
MOSTLY = st.sampled_from([True, True, True, False])


class SessionMachine(RuleBasedStateMachine):
    """Four clients in a few channels, and a network and a clock that draws govern."""

    parts = engine_class = line_class = None

    def __init__(self):
        super().__init__()
        self.world = None
        self.is_sound = False
        self.logs = capture_logs()
        self.logged = self.logs.__enter__()

    @initialize(
        check_s=st.sampled_from([5, 25]),
        channels=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=2, unique=True),
        wishes=st.lists(WISHES, min_size=4, max_size=4),
    )
    def begin(self, check_s, channels, wishes):
        self.check_s, self.channels = check_s, channels
        self.world = self.parts.World(self.engine_class, check_s)
        self.world.engine.on_published(self.note_owed)
        self.clients = [self.parts.Client(self.world, self.line_class, *account) for account in ACCOUNTS]
        for client, wish in zip(self.clients, wishes, strict=True):
            if channels[0] not in client.server:
                client.wishes[channels[0]] = self.parts.Wish(**wish)
            client.connect(0, has_delta=wish["has_delta"])

    def channel(self, index):
        return self.channels[index % len(self.channels)]

    @property
    def here(self):
        return [client for client in self.clients if client.line is not None]

    @property
    def away(self):
        return [client for client in self.clients if client.line is None]

    @property
    def inside(self):
        return [(client, channel) for client in self.here for channel in client.wishes]

    @property
    def outside(self):
        return [(client, channel) for client in self.here for channel in self.channels if channel not in client.wishes]

    # What clients do.

    @precondition(lambda self: self.away)
    @rule(index=INDEXES, ttl_s=st.sampled_from([0, 0, 0, 8, 20]), has_delta=st.booleans())
    def come(self, index, ttl_s, has_delta):
        self.away[index % len(self.away)].connect(ttl_s, has_delta=has_delta)

    @precondition(lambda self: self.outside)
    @rule(index=INDEXES, wish=WISHES)
    def subscribe(self, index, wish):
        client, channel = self.outside[index % len(self.outside)]
        client.subscribe(channel, self.parts.Wish(**wish))

    @precondition(lambda self: self.inside)
    @rule(index=INDEXES)
    def unsubscribe(self, index):
        client, channel = self.inside[index % len(self.inside)]
        del client.wishes[channel]
        client.ask("unsubscribe", channel)

    @precondition(lambda self: self.here)
    @rule(index=INDEXES)
    def vanish(self, index):
        client = self.here[index % len(self.here)]
        with self.world.running():
            client.line.hang_up()
        client.line = None

    @precondition(lambda self: self.here)
    @rule(index=INDEXES, missed=COUNTS, meanwhile=COUNTS, kind=KINDS, points=FEW_POINTS, is_late=SELDOM, loses=SELDOM)
    def blink(self, index, missed, meanwhile, kind, points, is_late, loses):
        """The network breaks for a moment, in which the channels go on, and perhaps while the client comes back."""
        client, engine, channel = self.here[index % len(self.here)], self.world.engine, self.channel(index)
        self.vanish(index)
        self.publish_many(channel, kind, missed)
        engine.slow = points
        engine.be_late(is_late)
        client.connect(0, has_delta=index % 2 == 0)
        for number in range(meanwhile):
            engine.to_lose += loses and number == 0
            self.publish_many(channel, kind, 1)
            if engine.waiting:
                with self.world.running():
                    engine.release(0)
                self.world.turn(3)
        engine.slow = frozenset()
        engine.be_late(False)

    @precondition(lambda self: self.here)
    @rule(count=COUNTS, kind=KINDS, seconds=st.sampled_from([21, 61]))
    def sleep(self, count, kind, seconds):
        """Everybody goes for so long that publications expire, or streams are forgotten; then life goes on."""
        while self.here:
            self.vanish(0)
        self.pass_time(seconds)
        for channel in self.channels:
            self.publish_many(channel, kind, count)
        while self.away:
            self.come(0, 0, count % 2 == 0)

    @precondition(lambda self: self.here)
    @rule(index=INDEXES, ttl_s=st.sampled_from([0, 8, 20]))
    def refresh(self, index, ttl_s):
        self.here[index % len(self.here)].refresh(ttl_s)

    @precondition(lambda self: self.inside)
    @rule(index=INDEXES, ttl_s=st.sampled_from([-1, 8, 20]))
    def refresh_subscription(self, index, ttl_s):
        client, channel = self.inside[index % len(self.inside)]
        token = client.token(ttl_s, channel=channel)
        client.ask("sub_refresh", channel, token=token, expire_at=self.world.now() + ttl_s)

    @precondition(lambda self: self.here)
    @rule(index=INDEXES)
    def publish_as_client(self, index):
        client = self.here[index % len(self.here)]
        client.ask("publish", self.channel(index), data=json.loads(self.world.next_data()))

    # What backends do.

    @rule(index=INDEXES, kind=KINDS, count=st.sampled_from([1, 1, 2, 4, 6]), is_kept=MOSTLY, ends_turn=st.booleans())
    def publish(self, index, kind, count, is_kept, ends_turn):
        self.publish_many(self.channel(index), kind, count, is_kept=is_kept, ends_turn=ends_turn)

    def publish_many(self, channel, kind, count, *, is_kept=True, ends_turn=False):
        options = self.world.truths[channel].options
        how = publish_options(options, skip_history=not is_kept)
        for _ in range(count):
            tags = {"kind": kind} if kind else NO_TAGS
            publication = Publication(self.world.next_data(), tags=tags, delta=options.delta_publish)
            self.world.do(self.world.engine.publish(channel, publication, how))
            if ends_turn:
                self.world.turn()
                self.judge()

    def note_owed(self, channel, entry, *, comes_at_once):
        """Whoever is in the channel by now is to get it; without a position only what pub/sub brings at once is sure."""
        for client in self.here:
            place = client.places.get(channel)
            if place and place.wants(entry) and (place.is_positioned or comes_at_once or channel.startswith("plain")):
                place.owed.append(entry.number)

    @rule(index=INDEXES)
    def remove_history(self, index):
        self.world.do(self.world.engine.remove(self.channel(index)))

    @precondition(lambda self: self.here)
    @rule(index=INDEXES, word=st.sampled_from(["subscribe", "unsubscribe", "disconnect"]))
    def command_from_the_server(self, index, word):
        client, channel = self.here[index % len(self.here)], self.channel(index // 4)
        who = Selector(client.user)
        order = {
            "subscribe": Subscribe(who, channel),
            "unsubscribe": Unsubscribe(who, channel),
            "disconnect": Disconnect(who, 3503, "force disconnect"),
        }
        client.allowed.add((word, "" if word == "disconnect" else channel))
        self.world.do(self.world.engine.control.send(order[word]))

    # What the network and time do.

    @rule(index=INDEXES, count=st.sampled_from([1, 1, 2]), kind=KINDS, then=st.sampled_from(["", "", "remove", "expire"]))
    def lose(self, index, count, kind, then):
        """Pub/sub loses publications, and history perhaps as well."""
        self.world.engine.to_lose += count
        self.publish_many(self.channel(index), kind, count)
        if then == "remove":
            self.remove_history(index)
        elif then == "expire":
            self.pass_time(21)

    @rule(is_late=st.booleans())
    def be_late(self, is_late):
        self.world.engine.be_late(is_late)

    @precondition(lambda self: any(self.world.engine.under_way.values()))
    @rule(count=st.sampled_from([1, 2, 9]))
    def let_through(self, count):
        with self.world.running():
            for channel in self.channels:
                self.world.engine.let_through(channel, count)

    @rule(points=st.sets(st.sampled_from(POINTS), max_size=3))
    def be_slow(self, points):
        self.world.engine.slow = frozenset(points)

    @precondition(lambda self: self.world.engine.waiting)
    @rule(index=INDEXES)
    def answer(self, index):
        with self.world.running():
            self.world.engine.release(index)
        self.world.turn(3)

    @rule(count=st.sampled_from([1, 3]))
    def turn(self, count):
        self.world.turn(count)

    @rule(seconds=st.sampled_from([1, 3, 7, 21, 61]))
    def pass_time(self, seconds):
        for _ in range(seconds):
            self.world.pass_second()
            self.judge()
            for client in self.clients:
                client.judge_expiries()

    def calm(self):
        """Let everything come to its end; then nobody may be owed anything."""
        engine = self.world.engine
        engine.slow, engine.is_late, engine.to_lose = frozenset(), False, 0
        self.settle()
        for _ in range(2 * self.check_s + 2):
            self.world.pass_second()
            self.settle()
        for client in self.clients:
            client.judge_expiries()
            client.judge_calm()
        assert len(self.world.node.tasks) == 0
        assert all(room.held is None for room in self.world.node.hub.rooms())

    def settle(self):
        for _ in range(100):
            self.world.turn(5)
            with self.world.running():
                for channel in self.world.truths:
                    self.world.engine.let_through(channel, 100)
                while self.world.engine.waiting:
                    self.world.engine.release(0)
            self.judge()
            self.world.turn(5)
            self.judge()
            if not (self.world.engine.waiting or any(client.asked for client in self.here)):
                return
        raise AssertionError("a command is never answered")

    @invariant()
    def judge(self):
        if self.world is None:
            return
        self.is_sound = False
        for client in self.clients:
            client.read()
        assert self.world.complaints == []
        assert [entry for entry in self.logged if entry["log_level"] == "error"] == []
        self.is_sound = True

    def teardown(self):
        try:
            if self.is_sound:
                self.calm()
        finally:
            self.logs.__exit__(None, None, None)
            if self.world is not None:
                self.world.close()


def run(parts, engine_class=None, line_class=None, **options):
    """Run the machine over an engine and a network."""

    class Machine(SessionMachine):
        pass

    Machine.parts = parts
    Machine.engine_class, Machine.line_class = engine_class or parts.GovernedEngine, line_class or parts.Line
    options = {"deadline": None, "report_multiple_bugs": False, "suppress_health_check": list(HealthCheck), **options}
    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=40, database=None, **options))


def test_any_interleaving(parts):
    run(parts, max_examples=250, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_interleavings(parts):
    run(parts, max_examples=1000)


class Fault:
    """Turns up now and then."""

    calls = 0

    def is_due(self):
        self.calls += 1
        return self.calls % 3 == 0


class Repeats(Fault):
    """Pub/sub delivers twice what is in no stream, so that no offset tells."""

    def bring(self, channel, message):
        super().bring(channel, message)
        if self.is_due():
            super().bring(channel, message)


class Loses(Fault):
    """Pub/sub loses what is in no stream, and nobody has said that it may."""

    def bring(self, channel, message):
        if not self.is_due():
            super().bring(channel, message)


class Swaps(Fault):
    """Pub/sub delivers a publication after the next one."""

    def bring(self, channel, message):
        for late in self.__dict__.pop("late", ()):
            super().bring(channel, message)
            message = late
        if self.is_due():
            self.late = (message,)
        else:
            super().bring(channel, message)


class Unnumbered(Fault):
    """Pub/sub leaves the offset away."""

    def bring(self, channel, message):
        if isinstance(message, Publication) and self.is_due():
            message = structs.replace(message, offset=0, epoch="")
        super().bring(channel, message)


class Agrees(Fault):
    """History answers in whatever epoch it is asked, as if that one had never ended."""

    async def tell(self, channel, asked):
        since = asked["since"]
        if since is None or since.epoch in ("", "_"):
            return await super().tell(channel, asked)
        read = await super().tell(channel, {**asked, "since": Position(since.offset, "")})
        publications = tuple(structs.replace(publication, epoch=since.epoch) for publication in read.publications)
        return Slice(publications, Position(read.top.offset, since.epoch))


class Lags(Fault):
    """History has not heard of the last publication yet."""

    async def tell(self, channel, asked):
        read = await super().tell(channel, asked)
        if not read.top.offset:
            return read
        top = Position(read.top.offset - 1, read.top.epoch)
        return Slice(tuple(entry for entry in read.publications if entry.offset <= top.offset), top)


class Skips(Fault):
    """History leaves a hole: what follows the position that it is asked for."""

    async def tell(self, channel, asked):
        read = await super().tell(channel, asked)
        if asked["since"] is None:
            return read
        return Slice(read.publications[1:], read.top)


class DropsFrames(Fault):
    """The gateway forgets to write to one client."""

    def write(self, frame):
        if not self.is_due():
            super().write(frame)


class WritesTwice(Fault):
    """The gateway writes to one client twice."""

    def write(self, frame):
        super().write(frame * (1 + self.is_due()))


ENGINES = [Repeats, Loses, Swaps, Unnumbered, Agrees, Lags, Skips]
LINES = [DropsFrames, WritesTwice]


@pytest.mark.parametrize("fault", [*ENGINES, *LINES])
def test_a_fault_is_found(parts, fault):
    """The machine is worth its time: over an engine that lies, or a wire that does, it fails."""
    engine_class = type("Engine", (fault, parts.GovernedEngine), {}) if fault in ENGINES else parts.GovernedEngine
    line_class = type("FaultyLine", (fault, parts.Line), {}) if fault in LINES else parts.Line
    with pytest.raises(AssertionError):
        run(parts, engine_class, line_class, max_examples=150, derandomize=True, phases=[Phase.generate])

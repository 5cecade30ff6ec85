"""A node over an engine that a test governs, with a model of all that was ever published, and a loop that turns when told."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import jwt
import pytest

from broker.channels import ChannelRules, history_meta_ttl_s
from broker.engines.memory.engine import MemoryEngine
from broker.engines.memory.presence import MemoryPresence, MemoryUserPresence
from broker.model import Position, Publication, Published, PublishOptions, Slice
from config.clock import ManualClock
from config.settings import ChannelOptions, Settings
from gateway.node import Node

SECRET = "secret-of-the-machine-0123456789abcdef"
GRACE_S = 5
RECOVERY_LIMIT = 3
LATE_AT_MOST_S = 15

_OPEN = {"allow_subscribe_for_client": True, "allow_publish_for_client": True, "allow_tags_filter": True}
_KEPT = {**_OPEN, "history_size": 4, "history_ttl": "20s", "history_meta_ttl": "60s"}
_DELTA = {"allowed_delta_types": ["fossil"], "delta_publish": True}
NAMESPACES = [
    {"name": "stream", **_KEPT, **_DELTA, "allow_positioning": True, "allow_recovery": True},
    {"name": "forced", **_KEPT, **_DELTA, "force_recovery": True, "presence": True},
    {"name": "cache", **_KEPT, "force_recovery": True, "force_recovery_mode": "cache", "auto_cache_recover": True},
    {"name": "plain", **_OPEN},
]


def settings_of(check_s: int) -> Settings:
    client = {
        "token": {"hmac_secret_key": SECRET},
        "ping_interval": "0s",
        "pong_timeout": "0s",
        "expired_close_delay": f"{GRACE_S}s",
        "expired_sub_close_delay": f"{GRACE_S}s",
        "presence_update_interval": f"{check_s}s",
        "channel_position_check_delay": f"{check_s}s",
        "recovery_max_publication_limit": RECOVERY_LIMIT,
        "subscribe_to_user_personal_channel": {"enabled": False},
    }
    return Settings.model_validate({"client": client, "channel": {"namespaces": NAMESPACES}})


class Entry(NamedTuple):
    """A publication as it was published: which one in its channel, and the number that its data shows."""

    order: int
    number: int
    data: bytes
    kind: str


@dataclass
class Life:
    """One epoch of a stream: everything that was in it, and from which offset on it is still kept."""

    epoch: str
    entries: list[Entry] = field(default_factory=list)
    gone: int = 0
    expires_at: float = 0.0
    forget_at: float = 0.0

    @property
    def top(self) -> int:
        return len(self.entries)


class Truth:
    """What became of a channel: its lives, what was never in a stream, and what pub/sub lost."""

    def __init__(self, options: ChannelOptions) -> None:
        self.options = options
        self.lives: list[Life] = []
        # By their numbers: those in streams, those that never were, and those that pub/sub lost.
        self.kept: dict[int, Entry] = {}
        self.unkept: dict[int, Entry] = {}
        self.lost: set[int] = set()

    @property
    def count(self) -> int:
        return len(self.kept) + len(self.unkept)

    def life(self, epoch: str) -> Life:
        found = [life for life in self.lives if life.epoch == epoch]
        assert found, f"nobody has made the epoch {epoch}"
        return found[0]

    def age(self, now: float) -> None:
        """Let go what has expired."""
        if self.lives and now >= self.lives[-1].expires_at:
            self.lives[-1].gone = self.lives[-1].top

    def use(self, epoch: str, now: float) -> Life:
        """Somebody read or wrote the stream, and was told this epoch."""
        if not self.lives or now >= self.lives[-1].forget_at:
            assert all(life.epoch != epoch for life in self.lives)
            self.lives.append(Life(epoch))
        self.age(now)
        life = self.lives[-1]
        assert life.epoch == epoch
        life.forget_at = now + history_meta_ttl_s(self.options)
        return life

    def append(self, entry: Entry, position: Position, now: float) -> None:
        life = self.use(position.epoch, now)
        life.entries.append(entry)
        self.kept[entry.number] = entry
        assert life.top == position.offset
        life.gone = max(life.gone, life.top - self.options.history_size)
        life.expires_at = now + self.options.history_ttl


class GovernedEngine:
    """The memory engine behind a network: calls wait and deliveries are late or lost where a test says so.

    It plays PubSub and History itself. `bring` and `tell` are the seams for engines that lie.
    """

    def __init__(self, clock: ManualClock, truths: dict[str, Truth]) -> None:
        self.clock, self.truths = clock, truths
        self.memory = MemoryEngine(clock)
        self.memory.pubsub.on_message(self._arrive)
        self.pubsub = self.history = self
        self.presence, self.users = _SlowPresence(self.pause), _SlowUsers(self.pause)
        self.control, self.limits, self.revocation = self.memory.control, self.memory.limits, self.memory.revocation
        self.cache = self.memory.cache
        self.slow: frozenset[str] = frozenset()
        self.waiting: list[asyncio.Future[None]] = []
        self.is_late = self.was_late = False
        self.under_way: defaultdict[str, deque[Any]] = defaultdict(deque)
        self.to_lose = 0
        self._deliver: Any = None
        self._note: Any = None

    def on_published(self, note: Any) -> None:
        """Say who is told of each publication, and whether pub/sub brings it at once."""
        self._note = note

    def be_late(self, is_late: bool) -> None:
        """Keep deliveries back from now on, or no longer."""
        self.is_late = is_late
        self.was_late |= is_late

    @property
    def was_orderly(self) -> bool:
        """Whether every delivery has come, and at once."""
        return not self.was_late and not any(truth.lost for truth in self.truths.values())

    async def pause(self, point: str) -> None:
        if point in self.slow:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]

    def on_message(self, deliver: Any) -> None:
        self._deliver = deliver

    def on_resume(self, call: Any) -> None:
        """What is lost here is lost in silence."""

    async def subscribe(self, channel: str) -> None:
        await self.pause("subscribe")
        await self.memory.pubsub.subscribe(channel)
        await self.pause("subscribed")

    async def unsubscribe(self, channel: str) -> None:
        await self.pause("unsubscribe")
        await self.memory.pubsub.unsubscribe(channel)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        comes_at_once = not (self.is_late or self.under_way[channel] or self.to_lose)
        published = await self.memory.pubsub.publish(channel, publication, options)
        truth, tags = self.truths[channel], publication.tags
        entry = Entry(truth.count, json.loads(publication.data)["n"], publication.data, tags.get("kind", ""))
        if options.keeps:
            truth.append(entry, published.position, self.clock.monotonic())
        else:
            truth.unkept[entry.number] = entry
        self._note(channel, entry, comes_at_once=comes_at_once)
        return published

    async def publish_membership(self, channel: str, message: Any) -> None:
        await self.memory.pubsub.publish_membership(channel, message)

    async def read(self, channel: str, **asked: Any) -> Slice:
        await self.pause("read")
        top = (await self.memory.history.read(channel, since=None, limit=0, meta_ttl_s=asked["meta_ttl_s"])).top
        self.truths[channel].use(top.epoch, self.clock.monotonic())
        read = await self.tell(channel, asked)
        await self.pause("answer")
        return read

    async def remove(self, channel: str) -> None:
        await self.memory.history.remove(channel)
        for life in self.truths[channel].lives:
            life.gone = life.top

    def _arrive(self, channel: str, message: Any) -> None:
        if self.to_lose and isinstance(message, Publication):
            self.to_lose -= 1
            self.truths[channel].lost.add(json.loads(message.data)["n"])
        elif self.is_late or self.under_way[channel]:
            self.under_way[channel].append((self.clock.monotonic(), message))
        else:
            self.bring(channel, message)

    def let_through(self, channel: str, count: int) -> None:
        """Deliver the oldest of what is under way."""
        for _ in range(min(count, len(self.under_way[channel]))):
            self.bring(channel, self.under_way[channel].popleft()[1])

    def let_old_through(self) -> None:
        """Deliver what has been under way too long: nothing outlives its stream on the way."""
        too_old = self.clock.monotonic() - LATE_AT_MOST_S
        for channel, messages in self.under_way.items():
            self.let_through(channel, sum(since <= too_old for since, _ in messages))

    def release(self, index: int) -> None:
        """Let one of the calls that wait go on."""
        waited = self.waiting.pop(index % len(self.waiting))
        if not waited.done():
            waited.set_result(None)

    def bring(self, channel: str, message: Any) -> None:
        """Give the node a message."""
        self._deliver(channel, message)

    async def tell(self, channel: str, asked: dict[str, Any]) -> Slice:
        """Answer a read."""
        return await self.memory.history.read(channel, **asked)


class _SlowPresence(MemoryPresence):
    def __init__(self, pause: Any) -> None:
        super().__init__()
        self._pause = pause

    async def add(self, channel: str, info: Any) -> None:
        await self._pause("presence")
        await super().add(channel, info)


class _SlowUsers(MemoryUserPresence):
    def __init__(self, pause: Any) -> None:
        super().__init__()
        self._pause = pause

    async def connected(self, user: str, client: str) -> None:
        await self._pause("connected")
        await super().connected(user, client)


class World:
    """A node, its engine, the truth, and an event loop that turns when it is told to."""

    grace_s, recovery_limit = GRACE_S, RECOVERY_LIMIT

    def __init__(self, engine_class: type[GovernedEngine] = GovernedEngine, check_s: int = 5) -> None:
        self.clock = ManualClock()
        self.loop = asyncio.new_event_loop()
        self.complaints: list[str] = []
        self.loop.set_exception_handler(lambda _loop, context: self.complaints.append(str(context)))
        settings = settings_of(check_s)
        rules = ChannelRules(settings.channel, settings.client.subscribe_to_user_personal_channel)
        self.truths = {
            f"{namespace['name']}:{name}": Truth(rules.options(f"{namespace['name']}:x"))
            for namespace in NAMESPACES
            for name in ("one", "two")
        }
        self.engine = engine_class(self.clock, self.truths)
        with self.running():
            self.node = Node(settings, self.engine, self.clock, version="test", rpc_methods={})
            self.node.positions.start()
        self.numbers = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Act as a callback of the loop does; the turn goes on until `turn`."""
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def turn(self, count: int = 1) -> None:
        """Let the loop turn."""
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def do(self, work: Any) -> None:
        """Begin something that may have to wait."""
        with self.running():
            self.node.tasks.run(work, "machine")

    def pass_second(self) -> None:
        self.clock.move(1)
        with self.running():
            self.engine.let_old_through()
            self.node.wheel.turn()
        self.turn(3)
        for truth in self.truths.values():
            truth.age(self.clock.monotonic())

    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def token(self, user: str, **claims: Any) -> str:
        return jwt.encode({"sub": user, **claims}, SECRET, "HS256")

    @property
    def is_quiet(self) -> bool:
        """Whether calls are answered at once, and nothing is on its way."""
        engine = self.engine
        return not (engine.slow or engine.is_late or any(engine.under_way.values()) or len(self.node.tasks))

    def top(self, channel: str) -> tuple[str, int]:
        """Tell epoch and offset of the last publication."""
        lives = self.truths[channel].lives
        return (lives[-1].epoch, lives[-1].top) if lives else ("", 0)

    def is_recoverable(self, channel: str, is_asked: bool, position: tuple[int, str] | None) -> bool:
        """Tell whether the stream, as it is now, can give what lies after a position."""
        truth, now = self.truths[channel], self.clock.monotonic()
        truth.age(now)
        life = truth.lives[-1] if truth.lives and now < truth.lives[-1].forget_at else Life("")
        if channel.startswith("cache"):
            return life.top > 0 and (life.gone < life.top or position == (life.top, life.epoch))
        if position is None or not (channel.startswith("forced") or (channel.startswith("stream") and is_asked)):
            return False
        is_same = position[1] in ("", life.epoch)
        return is_same and life.gone <= position[0] <= life.top and life.top - position[0] <= RECOVERY_LIMIT

    def next_data(self) -> bytes:
        """Make a payload that pays as a patch of another, with characters that a patch may cut through."""
        self.numbers += 1
        signs = "аб€🎈"[self.numbers % 4] * 3
        return json.dumps({"n": self.numbers, "text": f"{'the same again: é ' * 4}{signs}"}, ensure_ascii=False).encode()

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.turn(3)
        self.loop.close()


@pytest.fixture
def world_parts() -> SimpleNamespace:
    """What the world of a machine is made of."""
    return SimpleNamespace(World=World, GovernedEngine=GovernedEngine)

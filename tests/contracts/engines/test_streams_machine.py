"""PubSub and History together against a plain model, whatever comes in whatever order."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from broker.errors import PositionLost
from broker.model import Position, Publication, PublishOptions
from config.clock import ManualClock

CHANNELS = st.sampled_from(["news", "chat"])
SECONDS = st.sampled_from([1, 4, 5, 20, 100])
# Ends above the longest end of publications: settings forbid a position that is forgotten before them.
META_SECONDS = st.sampled_from([100, 150])
LIMITS = st.sampled_from([-1, 0, 1, 2, 5])


class ModelStream:
    """One life of a stream: every publication it ever had, and where the kept ones begin."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.all: list[bytes] = []
        self.gone = 0
        self.version = (0, "")
        self.expires_at = self.forget_at = 0

    @property
    def top(self) -> Position:
        return Position(len(self.all), self.epoch)

    @property
    def kept(self) -> list[tuple[int, bytes]]:
        return [(offset, self.all[offset - 1]) for offset in range(self.gone + 1, len(self.all) + 1)]

    def accepts(self, version: int, version_epoch: str) -> bool:
        if version == 0 or version > self.version[0]:
            return True
        return version_epoch != "" and version_epoch != self.version[1]

    def slice(self, since: int | None, limit: int, reverse: bool) -> list[tuple[int, bytes]]:
        part = self.kept
        if reverse:
            part.reverse()
            if since is not None:
                part = [entry for entry in part if entry[0] < since] if self.gone < since - 1 <= len(self.all) else []
        elif since is not None:
            part = [entry for entry in part if entry[0] > since]
        return part if limit < 0 else part[:limit]


class StreamMachine(RuleBasedStateMachine):
    """The engine agrees with lists that keep everything."""

    def __init__(self, engine_case: Any) -> None:
        super().__init__()
        self.clock, self.case = ManualClock(), engine_case
        self.runner = asyncio.Runner()
        self.engine = self.run(engine_case.open(self.clock))
        self.now = 0
        self.streams: dict[str, ModelStream] = {}
        self.epochs: set[str] = set()
        self.answers: dict[tuple[str, str], tuple[int, Position]] = {}
        self.subscribed: set[str] = set()
        self.delivered: list[tuple[str, bytes, int]] = []
        self.expected: list[tuple[str, bytes, int]] = []
        self.payloads = 0
        self.engine.pubsub.on_message(lambda channel, message: self.delivered.append((channel, message.data, message.offset)))
        self.run(self.engine.start())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.engine.close())
        self.runner.close()

    def living(self, channel: str, epoch: str) -> ModelStream:
        """The model's stream, made anew where the old one has been forgotten; a new one must have a fresh epoch."""
        stream = self.streams.get(channel)
        if stream is None or self.now >= stream.forget_at:
            assert epoch not in self.epochs
            stream = self.streams[channel] = ModelStream(epoch)
            self.epochs.add(epoch)
        elif self.now >= stream.expires_at:
            stream.gone = len(stream.all)
        return stream

    @rule(channel=CHANNELS)
    def subscribe(self, channel: str) -> None:
        self.run(self.engine.pubsub.subscribe(channel))
        self.subscribed.add(channel)

    @rule(channel=CHANNELS)
    def unsubscribe(self, channel: str) -> None:
        self.run(self.engine.pubsub.unsubscribe(channel))
        self.subscribed.discard(channel)

    @rule(
        channel=CHANNELS,
        size=st.integers(0, 4),
        ttl_s=SECONDS,
        meta_ttl_s=META_SECONDS,
        key=st.sampled_from(["", "", "k1", "k2"]),
        key_ttl_s=SECONDS,
        version=st.sampled_from([(0, ""), (0, ""), (1, ""), (2, ""), (1, "a"), (2, "a"), (1, "b")]),
    )
    def publish(
        self, channel: str, size: int, ttl_s: int, meta_ttl_s: int, key: str, key_ttl_s: int, version: tuple[int, str]
    ) -> None:
        self.payloads += 1
        data = b"%d" % self.payloads
        options = PublishOptions(size, ttl_s, meta_ttl_s, key, key_ttl_s, *version)
        published = self.run(self.engine.pubsub.publish(channel, Publication(data), options))
        answer = self.answers.get((channel, key))
        if key and answer and self.now < answer[0]:
            assert (published.position, published.suppressed) == (answer[1], True)
            return
        is_new, position = True, Position(0, "")
        if size:
            stream = self.living(channel, published.position.epoch)
            stream.forget_at = self.now + meta_ttl_s
            if is_new := stream.accepts(*version):
                stream.all.append(data)
                stream.gone = max(stream.gone, len(stream.all) - size)
                stream.version, stream.expires_at = version, self.now + ttl_s
            position = stream.top
        assert (published.position, published.suppressed) == (position, not is_new)
        if key:
            self.answers[channel, key] = (self.now + key_ttl_s, position)
        if is_new and channel in self.subscribed:
            self.expected.append((channel, data, position.offset))

    @rule(
        channel=CHANNELS,
        back=st.none() | st.integers(-2, 8),
        epoch=st.sampled_from(["", "own", "own", "own", "_"]),
        limit=LIMITS,
        reverse=st.booleans(),
        meta_ttl_s=META_SECONDS,
    )
    def read(self, channel: str, back: int | None, epoch: str, limit: int, reverse: bool, meta_ttl_s: int) -> None:
        """Read since a place near the top, under its own epoch as far as the model knows it, under none, or a wrong one."""
        known = self.streams.get(channel)
        own = known.epoch if known and self.now < known.forget_at else ""
        since = None
        if back is not None:
            since = Position(max(0, len(known.all) - back) if known else 0, own if epoch == "own" else epoch)
        read = self.engine.history.read
        if since is not None and since.epoch == "_":
            try:
                self.run(read(channel, since=since, limit=limit, reverse=reverse, meta_ttl_s=meta_ttl_s))
            except PositionLost:
                since = None  # what it left behind is looked at by the plain read that follows
            assert since is None
        past = self.run(read(channel, since=since, limit=limit, reverse=reverse, meta_ttl_s=meta_ttl_s))
        stream = self.living(channel, past.top.epoch)
        stream.forget_at = self.now + meta_ttl_s
        assert past.top == stream.top
        expected = stream.slice(None if since is None else since.offset, limit, reverse)
        assert [(publication.offset, publication.data) for publication in past.publications] == expected
        assert all(publication.epoch == stream.epoch for publication in past.publications)

    @rule(channel=CHANNELS)
    def remove(self, channel: str) -> None:
        self.run(self.engine.history.remove(channel))
        if stream := self.streams.get(channel):
            stream.gone = len(stream.all)

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self.run(self.case.let_pass(self.engine, self.clock, seconds))
        self.now += seconds

    @invariant()
    def what_was_delivered_is_what_was_published(self) -> None:
        self.run(self.case.settle(self.engine))
        assert self.delivered == self.expected


def test_streams_agree_with_a_plain_model(engine_case):
    run_state_machine_as_test(
        lambda: StreamMachine(engine_case),
        settings=settings(
            max_examples=engine_case.examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""What only the memory engine promises of streams: no suspension, and memory that follows what is alive."""

import pytest

from broker.engines.memory.deadlines import SWEEP
from broker.engines.memory.streams import Streams, StreamStatistics
from broker.model import ClientInfo, Join, Position, Publication, PublishOptions
from config.clock import ManualClock

KEPT = PublishOptions(history_size=3, history_ttl_s=10.0, history_meta_ttl_s=100.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def streams(clock: ManualClock) -> Streams:
    return Streams(clock)


def step(work):
    """Run a coroutine to its end without a loop; it fails where the coroutine suspends."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


def test_no_call_suspends_and_delivery_has_happened_when_publish_returns(streams):
    delivered = []
    streams.on_message(lambda channel, message: delivered.append((channel, message)))
    step(streams.subscribe("news"))
    position = step(streams.publish("news", Publication(b"1"), KEPT)).position
    assert delivered == [("news", Publication(b"1", 1, position.epoch))]
    step(streams.publish_membership("news", Join(ClientInfo("42", "c1"))))
    assert len(delivered) == 2
    assert step(streams.read("news", since=None, limit=-1)).top == position
    step(streams.remove("news"))
    step(streams.unsubscribe("news"))


def test_publish_may_be_called_from_within_a_delivery(streams):
    offsets = []

    def answer(channel, message):
        offsets.append(message.offset)
        if message.offset < 3:
            step(streams.publish(channel, Publication(b"again"), KEPT))

    streams.on_message(answer)
    step(streams.subscribe("news"))
    step(streams.publish("news", Publication(b"1"), KEPT))
    assert offsets == [1, 2, 3]


def test_an_epoch_is_eight_letters(streams):
    for number in range(50):
        epoch = step(streams.read(f"ch{number}", since=None, limit=0)).top.epoch
        assert len(epoch) == 8
        assert epoch.isascii()
        assert epoch.isalpha()


def test_without_anybody_to_take_messages_publishing_still_keeps(streams):
    step(streams.subscribe("news"))
    step(streams.publish("news", Publication(b"1"), KEPT))
    step(streams.publish_membership("news", Join(ClientInfo("42", "c1"))))
    assert step(streams.read("news", since=None, limit=-1)).top.offset == 1


def test_a_publish_without_history_leaves_nothing_behind(streams):
    step(streams.publish("news", Publication(b"1"), PublishOptions()))
    assert streams.statistics() == StreamStatistics(streams=0, publications=0, answers=0, deadlines=0, subscribed=0)


def test_dead_channels_are_swept_while_others_live(streams, clock):
    """Every publish takes away more than it adds; what is left follows from what is alive."""
    for number in range(1000):
        step(streams.publish(f"dead{number}", Publication(b"1"), KEPT))
    assert streams.statistics().publications == 1000
    clock.move(10)
    for _ in range(1000 // SWEEP + 1):
        step(streams.publish("live", Publication(b"1"), KEPT))
    assert streams.statistics().publications == 3  # live's
    assert streams.statistics().streams == 1001
    clock.move(90)
    for _ in range(1000 // SWEEP + 1):
        step(streams.publish("live", Publication(b"1"), KEPT))
    assert streams.statistics() == StreamStatistics(streams=1, publications=3, answers=0, deadlines=2, subscribed=0)


def test_a_flood_of_new_channels_stays_bounded(streams, clock):
    """A thousand channels per second, each used once: no more is held than one life's worth of them."""
    options = PublishOptions(
        history_size=1, history_ttl_s=1.0, history_meta_ttl_s=2.0, idempotency_key="k", idempotency_ttl_s=1.0
    )
    for number in range(20_000):
        step(streams.publish(f"ch{number}", Publication(b"1"), options))
        clock.move(0.001)
    held = streams.statistics()
    assert held.streams <= 2001
    assert held.publications <= 1001
    assert held.answers <= 1001
    assert held.deadlines <= 4003


def test_a_channel_that_expires_and_comes_back_leaves_no_notes_behind(streams, clock):
    for _ in range(1000):
        step(streams.publish("news", Publication(b"1"), KEPT))
        clock.move(11)
    assert streams.statistics().deadlines <= 2
    for _ in range(1000):
        step(streams.publish("news", Publication(b"1"), KEPT))
        clock.move(101)
    assert streams.statistics().deadlines <= 2


def test_a_channel_that_comes_back_before_the_sweep_took_it_drops_its_old_notes(streams, clock):
    for number in range(20):
        step(streams.publish(f"ch{number:02}", Publication(b"1"), KEPT))
    clock.move(100)
    for _ in range(20):
        step(streams.publish("ch19", Publication(b"1"), KEPT))  # its old notes are due last
    assert streams.statistics() == StreamStatistics(streams=1, publications=3, answers=0, deadlines=2, subscribed=0)


def test_a_busy_channel_costs_no_notes(streams, clock):
    for _ in range(1000):
        step(streams.publish("news", Publication(b"1"), KEPT))
        step(streams.read("news", since=None, limit=0))
        clock.move(0.5)
    assert streams.statistics().deadlines == 2


def test_a_sweep_does_not_touch_what_was_prolonged(streams, clock):
    step(streams.publish("news", Publication(b"1"), KEPT))
    clock.move(9)
    step(streams.publish("news", Publication(b"2"), KEPT))
    clock.move(9)
    step(streams.publish("other", Publication(b"1"), KEPT))  # sweeps at a moment when the first note is due
    past = step(streams.read("news", since=None, limit=-1))
    assert [publication.data for publication in past.publications] == [b"1", b"2"]


def test_a_ttl_that_was_shortened_holds_on_reading(streams, clock):
    step(streams.publish("news", Publication(b"1"), PublishOptions(history_size=3, history_ttl_s=1000.0)))
    step(streams.publish("news", Publication(b"2"), PublishOptions(history_size=3, history_ttl_s=5.0)))
    clock.move(5)
    assert step(streams.read("news", since=None, limit=-1)).publications == ()


def test_clear_forgets_everything(streams):
    streams.on_message(lambda channel, message: None)
    step(streams.subscribe("news"))
    first = step(streams.publish("news", Publication(b"1"), PublishOptions(3, 10.0, idempotency_key="k"))).position
    streams.clear()
    assert streams.statistics() == StreamStatistics(streams=0, publications=0, answers=0, deadlines=0, subscribed=0)
    again = step(streams.publish("news", Publication(b"1"), PublishOptions(3, 10.0, idempotency_key="k")))
    assert again.position == Position(1, again.position.epoch)
    assert again.position.epoch != first.epoch

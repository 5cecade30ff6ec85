"""Decisions carried out: one question about presence per batch, publications, and what happens when either fails."""

import msgspec
import pytest
from structlog.testing import capture_logs

from broker.channels import ChannelRules
from broker.engines.memory.presence import MemoryUserPresence
from broker.errors import EngineUnavailable
from broker.notification import Entry, Outcome, Provider, Route, State
from config.settings import ChannelSettings, NotificationSettings, PersonalChannelSettings
from pushers.leases import Held
from pushers.live import LiveRoute
from pushers.planner import Planner
from pushers.policies import Policies
from pushers.retry import RetryPolicy


class PubSub:
    """Keeps what is published, or raises what it was told to."""

    def __init__(self):
        self.published, self.error = [], None

    async def publish(self, channel, publication, options):
        if self.error is not None:
            raise self.error
        self.published.append(channel)


class Users(MemoryUserPresence):
    """The memory engine's, counting the questions; or away."""

    def __init__(self):
        super().__init__()
        self.asked, self.is_away = [], False

    async def online(self, users):
        self.asked.append(users)
        if self.is_away:
            raise EngineUnavailable("away")
        return await super().online(users)


@pytest.fixture
def shop(clock):
    pubsub, users, held, ended = PubSub(), Users(), Held(), set()
    live = LiveRoute(pubsub, ChannelRules(ChannelSettings(), PersonalChannelSettings(enabled=True)))
    planner = Planner(
        live,
        users,
        policies=Policies(NotificationSettings()),
        reachable=frozenset(Provider),
        policy=RetryPolicy(max_retries=2),
        held=held,
        is_ended=ended.__contains__,
        clock=clock,
    )
    return planner, pubsub, users, held, ended


def of_user(step, notification, user, **more):
    return step(notification(id=f"n-of-{user}", user=user), id=f"s-of-{user}", **more)


async def test_presence_is_asked_once_for_all_that_it_matters_for(shop, step, notification):
    planner, pubsub, users, _, _ = shop
    await users.connected("ann", "c1")
    passed = of_user(step, notification, "cid", entries=(Entry("live", Outcome.OFFLINE, notification().created_at),))
    steps = [of_user(step, notification, "ann"), of_user(step, notification, "bob"), passed]
    decided = {done.step.id: done for done in await planner.decide(steps)}
    assert users.asked == [frozenset({"ann", "bob"})]
    assert pubsub.published == ["#ann"]
    assert decided["s-of-ann"].next_plan_at is not None
    assert decided["s-of-bob"].finish is State.FAILED


async def test_presence_is_not_asked_where_nobody_could_be_connected(shop, step, notification):
    planner, _, users, _, _ = shop
    [done] = await planner.decide([step(notification(routes=(Route.PUSH,)))])
    assert users.asked == []
    assert done.finish is State.FAILED


async def test_an_engine_that_does_not_say_who_is_connected_delays_only_the_live_route(shop, step, notification, device):
    planner, _, users, _, _ = shop
    users.is_away = True
    pushed = step(notification(routes=(Route.PUSH,)), id="s-push", devices=(device(),))
    decided = {done.step.id: done for done in await planner.decide([step(), pushed])}
    assert decided["step-1"].entries[0].outcome is Outcome.RETRY
    assert len(decided["s-push"].sends) == 1
    users.is_away = False
    [done] = await planner.decide([step()])
    assert done.entries[0].outcome is Outcome.OFFLINE


async def test_a_publication_that_fails_is_tried_again(shop, step):
    planner, pubsub, users, _, _ = shop
    await users.connected("ann", "c1")
    pubsub.error = EngineUnavailable("away")
    [done] = await planner.decide([step()])
    assert [entry.outcome for entry in done.entries] == [Outcome.RETRY]
    assert done.next_plan_at is not None


async def test_nothing_is_published_for_what_ended_after_its_claim(shop, step):
    planner, pubsub, users, held, ended = shop
    await users.connected("ann", "c1")
    claimed = step()
    held.take(claimed)
    ended.add(claimed.notification.id)
    assert await planner.decide([claimed]) == []
    assert pubsub.published == []
    assert len(held) == 0


async def test_an_error_of_ours_puts_its_own_decision_back_and_no_other(shop, step, notification):
    planner, pubsub, users, _, _ = shop
    await users.connected("ann", "c1")
    pubsub.error = RuntimeError("a bug")
    with capture_logs() as logs:
        decided = {
            done.step.id: done
            for done in await planner.decide([of_user(step, notification, "ann"), of_user(step, notification, "bob")])
        }
    broken = decided["s-of-ann"]
    assert (broken.entries[0].route, broken.entries[0].outcome) == ("", Outcome.RETRY)
    assert broken.next_plan_at is not None
    assert decided["s-of-bob"].finish is State.FAILED
    assert [entry["event"] for entry in logs] == ["plan.broke"]


@pytest.mark.parametrize(("was_taken", "state"), [(False, State.FAILED), (True, State.EXHAUSTED)])
async def test_a_decision_that_always_breaks_is_given_up(shop, step, notification, clock, was_taken, state):
    planner, _, _, _, _ = shop
    taken = (Entry("push", Outcome.ACCEPTED, clock.now()),) if was_taken else ()
    broken = tuple(Entry("", Outcome.RETRY, clock.now()) for _ in range(2))
    # No router can decide without a time to live.
    unusable = msgspec.structs.replace(notification(routes=(Route.PUSH,)), expires_at=None)
    with capture_logs():
        [done] = await planner.decide([step(unusable, entries=taken + broken)])
    assert done.finish is state
    assert done.entries[0].outcome is Outcome.GAVE_UP


async def test_large_batches_leave_the_loop_to_others(shop, step, notification):
    planner, _, _, _, _ = shop
    steps = [of_user(step, notification, f"user-{number}") for number in range(250)]
    assert len(await planner.decide(steps)) == 250

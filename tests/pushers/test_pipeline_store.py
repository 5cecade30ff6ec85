"""The component on the real store: what the fake of the ledger promises must hold with rows and transactions too."""

import asyncio
from datetime import timedelta

import pytest

from broker.devices import check_registration
from broker.notification import Content, Draft, Lane, Provider, Route, State
from broker.store.store import open_store
from pushers.outcome import DropDevice, Retry

ROUTES = (Route.LIVE, Route.PUSH, Route.EMAIL)


class Bench:
    """A started pipeline on a SQLite file; a wait is reads of that file while a little time passes."""

    def __init__(self, rig, store):
        self.rig, self.store = rig, store
        rig.ledger = store.ledger

    async def notify(self, *users, routes=ROUTES, ack_wait_s=5.0, push_wait_s=30.0, lane=Lane.NORMAL):
        draft = Draft(users or ("ann",), Content(title="Hi"), lane, routes, ack_wait_s, push_wait_s, 86400.0)
        return [accepted.id for accepted in await self.store.ledger.accept(draft)]

    async def register(self, provider, token, user="ann"):
        await self.store.devices.register(check_registration(user, provider, token))

    async def until(self, id_, holds):
        while not holds(status := await self.store.ledger.status(id_)):
            await self.tick()
        return status

    async def tick(self):
        """Let the store answer, and a little time pass: the pipeline looks again now and then."""
        await self.store.ledger.next_due()
        await self.rig.clock.advance(0.02)

    async def ended(self, id_):
        status = await self.until(id_, lambda status: status.notification.state is not State.PENDING)
        return status.notification.state, [(entry.provider or entry.route, entry.outcome) for entry in status.entries]


@pytest.fixture
async def bench(rig, store_file, clock):
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    yield Bench(rig, store)
    await rig.kill()
    await store.close()


async def test_push_then_mail(bench):
    await bench.register("fcm", "fcm-token-0123456789")
    await bench.register("email", "ann@example.org")
    await bench.rig.start()
    [id_] = await bench.notify(push_wait_s=30.0)
    await bench.until(id_, lambda status: len(status.entries) == 2)
    assert bench.rig.calls(Provider.EMAIL) == []
    await bench.rig.advance(30.0)
    assert await bench.ended(id_) == (State.EXHAUSTED, [("live", "offline"), ("fcm", "accepted"), ("email", "accepted")])


async def test_an_ack_wins(bench):
    await bench.register("fcm", "fcm-token-0123456789")
    await bench.rig.connect()
    await bench.rig.start()
    [id_] = await bench.notify()
    await bench.until(id_, lambda status: status.entries)
    await bench.store.ledger.acknowledge(id_, "ann")
    await bench.rig.advance(60.0)
    state, outcomes = await bench.ended(id_)
    assert state is State.ACKNOWLEDGED
    assert [outcome for _, outcome in outcomes] == ["published", "acknowledged"]
    assert bench.rig.calls(Provider.FCM) == []


async def test_a_retry_and_a_dead_address(bench):
    await bench.register("fcm", "fcm-token-0123456789")
    await bench.register("apns", "ab" * 32)
    bench.rig.providers[Provider.FCM].script = [Retry("503")]
    bench.rig.providers[Provider.APNS].script = [DropDevice("Unregistered", as_of=bench.rig.clock.now() + timedelta(seconds=1))]
    await bench.rig.start()
    [id_] = await bench.notify(routes=(Route.PUSH,))
    await bench.until(id_, lambda status: len(status.entries) == 2)
    state, outcomes = await bench.ended(id_)
    assert state is State.EXHAUSTED
    assert sorted(outcomes) == [("apns", "unregistered"), ("fcm", "accepted"), ("fcm", "retry")]
    assert [device.provider for device in await bench.store.devices.of_user("ann")] == [Provider.FCM]


async def test_all_survive_a_crash_and_none_is_sent_after_its_ack(bench):
    users = tuple(f"user-{number}" for number in range(300))
    for user in users:
        await bench.register("fcm", f"fcm-token-of-{user}", user)
    provider = bench.rig.providers[Provider.FCM]
    provider.hang()
    await bench.rig.start("w-1")
    ids = await bench.notify(*users, routes=(Route.PUSH,))
    while len(provider.calls) < 90:  # all places but those kept for critical ones
        await bench.tick()
    await bench.rig.kill()
    begun = {id_ for _, id_, _ in provider.calls}
    seen = next(id_ for id_ in ids if id_ not in begun)
    user_of = dict(zip(ids, users, strict=True))
    await bench.store.ledger.acknowledge(seen, user_of[seen])
    provider.answer()
    bench.rig.clock.move(31.0)
    await bench.rig.start("w-2")
    states = [(await bench.ended(id_))[0] for id_ in ids]
    assert states.count(State.EXHAUSTED) == 299
    again = [id_ for _, id_, _ in provider.calls]
    assert seen not in again
    assert all(again.count(id_) <= 2 for id_ in ids)


async def test_stop_gives_everything_back(bench):
    await bench.register("fcm", "fcm-token-0123456789")
    provider = bench.rig.providers[Provider.FCM]
    provider.hang()
    pipeline = await bench.rig.start("w-1", stop_timeout_s=0.0)
    [id_] = await bench.notify(routes=(Route.PUSH,))
    while not provider.calls:
        await bench.tick()
    await asyncio.wait_for(pipeline.stop(), 30)
    provider.answer()
    await bench.rig.start("w-2")
    assert await bench.ended(id_) == (State.EXHAUSTED, [("fcm", "accepted")])

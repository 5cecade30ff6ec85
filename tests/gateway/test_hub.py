"""The hub agrees with plain sets, whatever the order of comings and goings."""

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.hub import HubStatistics
from gateway.session.states import Event
from gateway.session.subscription import Grant, Source

USERS = ("", "ann", "bob")
CHANNELS = ("a", "b", "c")
GRANTS = (Grant(Source.CLIENT_ALLOWED), Grant(Source.CLIENT_ALLOWED, emits_membership=True, wants_membership=True))


class HubMachine(RuleBasedStateMachine):
    """Clients come, join rooms by various grants, leave, and go; a set of pairs is the model."""

    world = None
    numbers = st.integers(0, 20)

    def __init__(self):
        super().__init__()
        self.hub = self.world.node.hub
        self.clients, self.pairs = [], {}

    def pick(self, number):
        return self.clients[number % len(self.clients)]

    @rule(user=st.sampled_from(USERS))
    def come(self, user):
        client = self.world.client().session.client
        client.user = user
        client.move(Event.ACCEPTED)
        self.hub.add(client)
        self.clients.append(client)

    @precondition(lambda self: self.clients)
    @rule(number=numbers, channel=st.sampled_from(CHANNELS), grant=st.sampled_from(GRANTS))
    def join(self, number, channel, grant):
        client = self.pick(number)
        if (client, channel) in self.pairs:
            return
        room, is_new = self.hub.open_room(channel)
        assert is_new == all(channel != known for _, known in self.pairs)
        subscription = self.hub.join(client, room, grant)
        assert client.subscriptions[channel] is subscription
        self.pairs[client, channel] = subscription

    @precondition(lambda self: self.clients)
    @rule(number=numbers, channel=st.sampled_from(CHANNELS))
    def leave(self, number, channel):
        client = self.pick(number)
        subscription = self.hub.leave(client, channel)
        assert subscription is self.pairs.pop((client, channel), None)
        if subscription is not None:
            is_last = all(channel != known for _, known in self.pairs)
            assert self.hub.close_room(subscription.room) == is_last

    @precondition(lambda self: self.clients)
    @rule(number=numbers)
    def go(self, number):
        client = self.clients.pop(number % len(self.clients))
        held = {channel for known, channel in self.pairs if known is client}
        assert {subscription.channel for subscription in self.hub.remove(client)} == held
        for channel in held:
            subscription = self.pairs.pop((client, channel))
            self.hub.close_room(subscription.room)
        assert self.hub.remove(client) == []

    @invariant()
    def counts_agree(self):
        channels = [channel for _, channel in self.pairs]
        users = {client.user for client in self.clients}
        expected = HubStatistics(len(self.clients), len(users), len(set(channels)), len(self.pairs))
        assert self.hub.statistics() == expected
        assert self.hub.channels() == {channel: channels.count(channel) for channel in set(channels)}

    @invariant()
    def everybody_is_found(self):
        for user in USERS:
            of_user = [client for client in self.clients if client.user == user]
            assert self.hub.find(user) == of_user
            assert self.hub.connections_of(user) == len(of_user)
            for client in of_user:
                assert self.hub.find(user, client.id) == [client]
            assert self.hub.find(user, "nobody") == []
        assert list(self.hub.clients()) == self.clients


def test_hub(world):
    async def run():
        limits = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))

        class Machine(HubMachine):
            def __init__(self):
                self.world = world()
                super().__init__()

        run_state_machine_as_test(Machine, settings=limits)

    asyncio.run(run())

"""Who is judged for a missing pong, and who could not have answered yet."""

import pytest

from config.clock import ManualClock
from gateway.wheel import PingRing


class Peer:
    """Answers a ping once the loop has turned, as a pong does that lies in the socket; or never."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers, self.awaits, self.found_silent, self.pings = answers, False, 0, 0

    def ping(self):
        self.awaits = True
        self.pings += 1

    def check_pong(self):
        self.found_silent += self.awaits

    def loop_turns(self):
        if self.answers:
            self.awaits = False


def ring_with(peers, *, timeout_s=8.0):
    ring = PingRing(ManualClock(), 25, timeout_s, 0.1)
    for peer in peers:
        ring.add(peer)
    return ring


def run(ring, peers, ticks, step=1):
    for _ in range(ticks // step):
        ring.turn(step)
        for peer in peers:
            peer.loop_turns()


@pytest.mark.parametrize("stall", [2, 79, 80, 81, 100, 200, 249, 250, 600])
@pytest.mark.parametrize("before", [130, 200, 255, 330])
def test_a_stall_costs_nobody_who_answers(stall, before):
    peers = [Peer() for _ in range(200)]
    ring = ring_with(peers)
    run(ring, peers, before)
    ring.turn(1)
    ring.turn(stall)  # the pongs of the tick before are still unread
    for peer in peers:
        peer.loop_turns()
    run(ring, peers, 600)
    assert sum(peer.found_silent for peer in peers) == 0


@pytest.mark.parametrize("stall", [1, 100, 249, 600])
def test_a_stall_saves_nobody_who_is_silent(stall):
    peers = [Peer(answers=False) for _ in range(200)]
    ring = ring_with(peers)
    run(ring, peers, 130)
    ring.turn(stall)
    run(ring, peers, 360)
    assert all(peer.found_silent for peer in peers)


def test_a_node_that_is_always_late_finds_the_silent_ones_too():
    peers = [Peer(answers=False)]
    ring = ring_with(peers)
    run(ring, peers, 400, step=3)
    assert peers[0].found_silent


@pytest.mark.parametrize("timeout_s", [24.9, 24.95, 25.0, 40.0])
def test_a_timeout_near_the_interval_judges_before_the_next_ping(timeout_s):
    peers = [Peer(), Peer(answers=False)]
    ring = ring_with(peers, timeout_s=timeout_s)
    run(ring, peers, 800)
    assert not peers[0].found_silent
    assert peers[1].found_silent


async def test_without_a_timeout_nobody_is_judged(world):
    world = world(client={"pong_timeout": "0s"})
    client = world.connected()
    world.pass_time(100)
    assert {} in client.read()
    assert client.closed is None


async def test_clients_survive_a_stall_right_after_their_ping(world):
    world = world()
    client = world.connected()
    while {} not in client.read():
        world.pass_time(0.1)
    world.clock.move(10)
    world.node._tick()
    world.node._ticker.cancel()
    assert client.closed is None
    client.send({})
    world.pass_time(0.1)
    assert client.closed is None

"""Devices that were called gone can be restored for a month, and are let go then (N-24)."""

from datetime import timedelta

from pushers.device_purge import device_purge


class Removed:
    """The port RemovedDevices, as far as the duty asks it."""

    def __init__(self, count):
        self.left, self.asked = count, []

    async def purge(self, *, before, limit):
        self.asked.append((before, limit))
        gone = min(limit, self.left)
        self.left -= gone
        return gone


async def test_old_ones_go_piece_by_piece_with_pauses_between(clock):
    removed = Removed(1200)
    duty = device_purge(removed, clock, undo_within_s=30 * 86400.0)
    assert [await duty.work() for _ in range(4)] == [0.2, 0.2, 300.0, 300.0]
    assert removed.left == 0
    assert removed.asked == [(clock.now() - timedelta(days=30), 500)] * 4

"""When subscriptions are judged again as minutes turn."""

from datetime import UTC, datetime

import pytest

from config.clock import ManualClock
from gateway.auth.denials import Denials
from gateway.auth.policy import Policy
from gateway.auth.policy_desk import PolicyDesk
from gateway.auth.policy_document import PolicyForm, RuleForm, check
from gateway.auth.roles import RoleBook
from gateway.policy_minutes import PolicyMinutes
from gateway.tasks import Tasks
from gateway.wheel import Wheel

NIGHT = RuleForm("night", "deny", ("subscribe",), condition='time.clock < "06:00"')


class Looks:
    """Judges again, which takes so many seconds by itself; the seconds of the hour at which it began are noted."""

    def __init__(self):
        self.clock, self.takes_s, self.began = ManualClock(datetime(2026, 1, 1, 11, 0, tzinfo=UTC)), 0.0, []
        self.start = self.clock.now()
        self.wheel, self.tasks = Wheel(self.clock, 0.25), Tasks()  # ticks that add up
        desk = PolicyDesk(RoleBook({}), Denials(self.clock), self.clock, remember=0)
        desk.enforce(Policy(check(PolicyForm((NIGHT,)), ()), 1))
        self.minutes = PolicyMinutes(desk, self.wheel, self.tasks, self.clock, self.look)

    async def look(self):
        began = self.clock.now()
        self.began.append((began - self.start).total_seconds())
        self.clock.move(self.takes_s)
        self.minutes.mind(began)

    def turn(self, seconds):
        for _ in range(round(seconds / self.wheel.tick_s)):
            self.clock.move(self.wheel.tick_s)
            self.wheel.turn()


@pytest.fixture
def looks():
    return Looks()


async def test_each_minute_is_looked_at_once_as_it_turns(looks):
    looks.clock.move(30)
    await looks.look()
    looks.turn(151)
    assert looks.began == [30, 60.25, 120.25, 180.25], "late by a tick at most, and never early"


async def test_a_minute_that_turns_during_a_look_is_looked_at_after_it(looks):
    looks.clock.move(59.75)
    looks.takes_s = 5
    await looks.look()
    looks.takes_s = 0
    looks.turn(60)
    assert looks.began == [59.75, 65, 120.25]

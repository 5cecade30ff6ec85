"""Campaigns agree with a plain model, in whatever order users come and go, pages are told or lost, and operators interfere."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.campaigns import Audience, CampaignEvent, CampaignState, NewCampaign, following
from broker.notification import DEFAULT_ROUTES, Content, Draft, Lane, Terms
from broker.routing import RoutePolicy
from broker.store.store import Store, open_store
from config.clock import ManualClock

RATES = st.sampled_from([0.0, 0.25, 2.0])  # users per second; with powers of two the model stays exact
ENDS = (CampaignState.DONE, CampaignState.CANCELLED)
USERS = [f"u{number}" for number in range(12)]
DRAFT = Draft((), Content("Tide"), Lane.NORMAL, DEFAULT_ROUTES, 5.0, 5.0, 1e6, terms=Terms(RoutePolicy()))


class CampaignMachine(RuleBasedStateMachine):
    empty_store: Path

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        shutil.copy(self.empty_store, Path(self.folder.name) / "h.db")
        self.store = self.open()
        self.run(self.store.topics.create("news"))
        self.state, self.has_begun = CampaignState.SCHEDULED, False
        self.left_s = 0.0  # until the next page is due; below 0 it is late
        self.subscribed: set[str] = set()
        self.place = ""
        self.told: list[str] = []  # by the pages, as the model has it
        self.ended: set[str] = set()
        self.found: Counter[str] = Counter()  # by claims

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def open(self) -> Store:
        store: Store = self.run(open_store(f"sqlite:///{Path(self.folder.name) / 'h.db'}", clock=self.clock))
        return store

    @initialize(users=st.sets(st.sampled_from(USERS), min_size=4), per_s=RATES, begins=st.booleans())
    def create(self, users: set[str], per_s: float, *, begins: bool) -> None:
        self.run(self.store.topics.subscribe("news", sorted(users)))
        self.subscribed, self.rate_per_s = users, per_s
        self.id = self.run(self.store.campaigns.create(NewCampaign(Audience(("news",)), DRAFT, per_s)))
        if begins:
            self.begin()

    # Rules are picked evenly: what is done for the sake of pages is one rule or two, so that pages are told.

    @rule(user=st.sampled_from(USERS))
    def come_or_go(self, user: str) -> None:
        topics = self.store.topics
        self.run((topics.unsubscribe if user in self.subscribed else topics.subscribe)("news", [user]))
        self.subscribed ^= {user}

    @rule(acts=st.lists(st.sampled_from(["pause", "resume", "begin"]), min_size=1, max_size=3))
    def steer(self, acts: list[str]) -> None:
        for act in acts:
            getattr(self, act)()

    def begin(self) -> None:
        begun = self.run(self.store.campaigns.begin(self.id))
        assert begun == (self.state is CampaignState.SCHEDULED)
        if begun:
            self.has_begun = True
            self.state = following(self.state, CampaignEvent.BEGIN)

    @rule(limits=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def tell(self, limits: list[int]) -> None:
        for limit in limits:
            self.tell_page(limit)

    def tell_page(self, limit: int) -> None:
        expansion = self.run(self.store.campaigns.expand(self.id, limit=limit))
        if self.state is not CampaignState.RUNNING or self.left_s > 0:
            assert expansion is None
            return
        ahead = sorted(user for user in self.subscribed if user > self.place)
        page = ahead[:limit]
        assert expansion.expanded == len(page)
        self.told += page
        self.place = page[-1] if page else self.place
        worth_s = len(page) / self.rate_per_s if self.rate_per_s else 0.0
        self.left_s = max(self.left_s, -worth_s) + worth_s
        # A full page does not know whether anybody follows.
        assert expansion.is_last == (len(page) < limit)
        if expansion.is_last:
            self.state = following(self.state, CampaignEvent.FINISH)

    def pause(self) -> None:
        self.state = following(self.state, CampaignEvent.PAUSE)
        assert self.run(self.store.campaigns.pause(self.id)) is self.state

    def resume(self) -> None:
        event = CampaignEvent.RESUME if self.has_begun else CampaignEvent.RESCHEDULE
        if self.state is CampaignState.PAUSED:
            self.left_s = 0.0
        self.state = following(self.state, event)
        assert self.run(self.store.campaigns.resume(self.id)) is self.state

    @rule(per_s=RATES)
    def set_rate(self, per_s: float) -> None:
        if self.state not in ENDS:
            if self.left_s > 0:
                self.left_s *= self.rate_per_s / per_s if per_s else 0.0
            self.rate_per_s = per_s
        assert self.run(self.store.campaigns.set_rate(self.id, per_s)).rate_per_s == self.rate_per_s

    @precondition(lambda self: len(self.told) >= 3)
    @rule()
    def cancel(self) -> None:
        self.state = following(self.state, CampaignEvent.CANCEL)
        assert self.run(self.store.campaigns.cancel(self.id)) is self.state
        while self.run(self.store.campaigns.call_off(self.id)):
            pass
        self.ended = set(self.told)

    @rule()
    def claim(self) -> None:
        until = self.clock.now() + timedelta(days=1)
        for step in self.run(self.store.ledger.claim("w", {Lane.NORMAL: 3}, lease_until=until)):
            assert step.notification.user not in self.ended
            self.found[step.notification.user] += 1

    @rule()
    def count(self) -> None:
        self.clock.move(30)
        self.left_s -= 30
        self.run(self.store.campaigns.tally(limit=100, within_s=1e6))

    @rule()
    def die_and_come_back(self) -> None:
        self.run(self.store.close())
        self.store = self.open()
        self.found.clear()  # a process that is alone takes every step back

    @invariant()
    def is_due_when_the_rate_says(self) -> None:
        at = self.clock.now() + timedelta(seconds=self.left_s)
        waits = self.state in (CampaignState.SCHEDULED, CampaignState.RUNNING)
        assert [one.due_at for one in self.run(self.store.campaigns.due())] == ([at] if waits else [])

    @invariant()
    def agrees(self) -> None:
        campaign = self.run(self.store.campaigns.status(self.id))
        assert (campaign.state, campaign.expanded, campaign.skipped) == (self.state, len(self.told), 0)
        assert sum(campaign.states.values()) == len(self.told)
        assert len(set(self.told)) == len(self.told)
        assert set(self.found) <= set(self.told)
        assert set(self.found.values()) <= {1}

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.fixture(scope="module", autouse=True)
def _tables(empty_store: Path) -> None:
    CampaignMachine.empty_store = empty_store


TestCampaigns = CampaignMachine.TestCase
TestCampaigns.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

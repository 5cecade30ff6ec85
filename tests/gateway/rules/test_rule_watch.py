"""How a node notices that rules have changed."""

import pytest

from broker.errors import StoreUnavailable
from broker.rules import Subject
from config.clock import ManualClock
from gateway.rule_age_metrics import RuleAgeCollector
from gateway.rule_watch import RuleWatch


class Versions:
    def __init__(self, numbers):
        self.numbers = numbers

    async def versions(self):
        if self.numbers is None:
            raise StoreUnavailable("gone fishing")
        return self.numbers


@pytest.fixture
def read():
    """What was read, in order."""
    return []


@pytest.fixture
def broken():
    """What cannot be read now."""
    return []


@pytest.fixture
def readers(read, broken):
    def reader(subject):
        async def read_it():
            if subject in broken:
                raise ValueError(f"{subject} cannot be read")
            read.append(subject)

        return read_it

    return {subject: reader(subject) for subject in Subject}


async def test_rules_that_cannot_be_read_hold_up_no_others(read, broken, readers):
    broken.append(Subject.API_KEYS)
    watch = RuleWatch(Versions(dict.fromkeys(Subject, 1)), readers, ManualClock())
    with pytest.raises(ValueError, match="api_keys cannot be read"):
        await watch.check()
    assert read == [Subject.ROLES, Subject.POLICY, Subject.OVERRIDES]
    broken.clear()
    await watch.check()
    assert read == [Subject.ROLES, Subject.POLICY, Subject.OVERRIDES, Subject.API_KEYS], "what was read is not read again"


async def test_the_age_of_rules_is_since_they_were_held_against_the_store(broken, readers):
    clock, store = ManualClock(), Versions(dict.fromkeys(Subject, 1))
    watch = RuleWatch(store, readers, clock)
    tells = RuleAgeCollector(watch.ages)

    def ages():
        return {sample.labels["subject"]: sample.value for metric in tells.collect() for sample in metric.samples}

    assert ages() == {}, "nothing was read yet"
    await watch.check()
    clock.move(30)
    assert ages() == dict.fromkeys(("api_keys", "overrides", "policy", "roles"), 30)
    broken.append(Subject.ROLES)
    store.numbers = {**store.numbers, Subject.ROLES: 2, Subject.POLICY: 2}
    with pytest.raises(ValueError, match="roles cannot be read"):
        await watch.check()
    assert ages() == {"api_keys": 0, "overrides": 0, "policy": 0, "roles": 30}, "those in force are still the old ones"
    store.numbers = None
    clock.move(5)
    with pytest.raises(StoreUnavailable):
        await watch.check()
    assert ages() == {"api_keys": 5, "overrides": 5, "policy": 5, "roles": 35}

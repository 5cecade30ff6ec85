"""How a node notices that rules have changed."""

import pytest

from broker.rules import Subject
from config.clock import ManualClock
from gateway.rule_watch import RuleWatch


class Versions:
    def __init__(self, numbers):
        self.numbers = numbers

    async def versions(self):
        return self.numbers


async def test_rules_that_cannot_be_read_hold_up_no_others():
    read, broken = [], [Subject.API_KEYS]

    def reader(subject):
        async def read_it():
            if subject in broken:
                raise ValueError(f"{subject} cannot be read")
            read.append(subject)

        return read_it

    watch = RuleWatch(Versions(dict.fromkeys(Subject, 1)), {subject: reader(subject) for subject in Subject}, ManualClock())
    with pytest.raises(ValueError, match="api_keys cannot be read"):
        await watch.check()
    assert read == [Subject.ROLES, Subject.POLICY, Subject.OVERRIDES]
    broken.clear()
    await watch.check()
    assert read == [Subject.ROLES, Subject.POLICY, Subject.OVERRIDES, Subject.API_KEYS], "what was read is not read again"

"""Every outcome has its class: a new one is not forgotten by whatever counts failures."""

from broker.notification import Outcome
from broker.outcome_classes import CLASSES, FAILURES, TOLD, OutcomeClass


def test_every_outcome_has_a_class() -> None:
    assert set(CLASSES) == set(Outcome)


def test_every_class_has_an_outcome_and_failures_are_three() -> None:
    assert set(CLASSES.values()) == set(OutcomeClass)
    assert [one.value for one in FAILURES] == ["user", "system", "business"]
    assert sorted(TOLD) == ["accepted", "published"]

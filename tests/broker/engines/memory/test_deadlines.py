from broker.engines.memory.deadlines import Deadlines


def test_notes_come_out_earliest_first_and_only_when_due():
    deadlines = Deadlines()
    for deadline, key in ((30.0, "c"), (10.0, "a"), (20.0, "b")):
        deadlines.note(deadline, key)
    assert deadlines.pop_due(9.9) is None
    assert deadlines.pop_due(20.0) == (10.0, "a")
    assert deadlines.pop_due(20.0) == (20.0, "b")
    assert deadlines.pop_due(20.0) is None
    assert len(deadlines) == 1


def test_a_key_may_be_noted_more_than_once():
    deadlines = Deadlines()
    deadlines.note(1.0, "a")
    deadlines.note(1.0, "a")
    assert [deadlines.pop_due(1.0), deadlines.pop_due(1.0), deadlines.pop_due(1.0)] == [(1.0, "a"), (1.0, "a"), None]

"""Which steps are held, under which lease."""

from pushers.leases import Held


def test_a_step_that_is_claimed_again_is_not_begun_again_but_gets_its_newest_lease(step):
    held = Held()
    old, new = step(lease="old"), step(lease="new")
    assert held.take(old)
    assert not held.take(new)
    assert held.current(old) is new
    assert len(held) == 1


def test_a_step_that_is_being_written_is_not_held(step):
    held = Held()
    held.take(step(lease="old"))
    held.drop(step(lease="old"))
    assert held.take(step(lease="new")), "this is what the step has become"


def test_what_could_not_be_written_is_held_again_unless_it_began_another_life(step):
    held = Held()
    old = step(lease="old")
    held.take(old)
    held.drop(old)
    assert held.restore(old)
    held.drop(old)
    held.take(step(lease="new"))
    assert not held.restore(old)


def test_only_what_lasts_is_renewed(step):
    held = Held()
    held.take(step(id="a"))
    assert held.lasting() == []
    held.take(step(id="b"))
    assert [found.id for found in held.lasting()] == ["a"]
    held.drop(step(id="a"))
    assert [found.id for found in held.lasting()] == ["b"]

"""Names of keys: no two lead to one, and those of a channel lie in one slot."""

from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from broker.engines.redis.keys import Keys

KEYS = Keys("p")
NAMES = st.text(st.sampled_from("ab:{}1i"), min_size=0, max_size=6)


def keys_of(channel, entry):
    return [KEYS.meta(channel), KEYS.publications(channel), KEYS.topic(channel), KEYS.answer(channel, entry)]


@given(NAMES, NAMES)
@example("}", "k")
@example("", "")
def test_the_keys_of_a_channel_lie_in_one_slot(channel, entry):
    assert len({key_slot(key.encode()) for key in keys_of(channel, entry)}) == 1


@given(NAMES, NAMES, NAMES, NAMES)
@example("a", "b}c", "a}b", "c")
def test_no_two_names_lead_to_one_key(channel, entry, other_channel, other_entry):
    if (channel, entry) != (other_channel, other_entry):
        assert KEYS.answer(channel, entry) != KEYS.answer(other_channel, other_entry)
    if channel != other_channel:
        assert not set(keys_of(channel, entry)) & set(keys_of(other_channel, other_entry))


def test_kinds_are_apart_and_all_keys_have_the_prefix():
    keys = [*keys_of("news", "k"), KEYS.plain("node", "x")]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("p:") for key in keys)

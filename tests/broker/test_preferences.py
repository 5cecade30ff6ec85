"""The rules of preferences, and which of several decides."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadInput
from broker.notification import ROUTES, Preference
from broker.preferences import ANY, check_preferences, is_enabled


@pytest.mark.parametrize("route", [*ROUTES, ANY])
@pytest.mark.parametrize("category", ["news", "*", "x" * 64, "Grüße an alle"])
def test_a_category_and_a_route_are_taken(category, route):
    preference = Preference(category, route, enabled=False)
    assert check_preferences(iter([preference])) == (preference,)


def test_at_least_one_is_needed():
    with pytest.raises(BadInput) as raised:
        check_preferences([])
    assert raised.value.field == "preferences"


@pytest.mark.parametrize(
    ("bad", "field", "word"),
    [
        (Preference("", "push", enabled=True), "category", "1 to 64 characters"),
        (Preference("x" * 65, "push", enabled=True), "category", "1 to 64 characters"),
        (Preference("news", "", enabled=True), "route", "live, push, email, sms, webhook"),
        (Preference("news", "fax", enabled=True), "route", "live, push, email, sms, webhook"),
        (Preference("news", "PUSH", enabled=True), "route", "live, push, email, sms, webhook"),
        (Preference("news", "apns", enabled=True), "route", "live, push, email, sms, webhook"),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_a_broken_rule_names_the_entry_and_its_field(bad, field, word, index):
    preferences = [Preference("news", "push", enabled=True)] * index + [bad]
    with pytest.raises(BadInput) as raised:
        check_preferences(preferences)
    assert raised.value.field == f"preferences[{index}].{field}"
    assert word in raised.value.rule


# The order in which preferences decide about ("news", "push"), the most exact one at first.
ORDER = [("news", "push"), ("news", ANY), (ANY, "push"), (ANY, ANY)]


def test_without_a_word_a_route_is_open():
    assert is_enabled([], "news", "push")


@pytest.mark.parametrize("enabled", list(itertools.product([None, True, False], repeat=4)))
def test_the_most_exact_preference_decides(enabled):
    said = [
        Preference(category, route, enabled=word)
        for (category, route), word in zip(ORDER, enabled, strict=True)
        if word is not None
    ]
    expected = said[0].enabled if said else True
    assert is_enabled(said, "news", "push") is expected
    assert is_enabled(reversed(said), "news", "push") is expected


def test_preferences_of_other_categories_and_routes_do_not_count():
    others = [
        Preference("chat", ANY, enabled=False),
        Preference("news", "email", enabled=False),
        Preference(ANY, "live", enabled=False),
    ]
    assert is_enabled(others, "news", "push")


@given(st.text(max_size=70), st.text(max_size=8) | st.sampled_from([*ROUTES, ANY]), st.booleans())
def test_what_passes_can_be_judged(category, route, enabled):
    try:
        [preference] = check_preferences([Preference(category, route, enabled=enabled)])
    except BadInput:
        return
    assert is_enabled([preference], category, route) is enabled

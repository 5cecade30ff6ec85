"""Every rule on the fields of a request to notify: what passes, what is refused in which words, and what is filled in."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from broker.errors import BadInput
from broker.notification import DEFAULT_ROUTES, Lane, Route
from config.settings import NotificationSettings
from gateway.notify.draft import draft_of
from gateway.notify.messages import NotifyRequest

DEFAULTS = NotificationSettings()
MONTH_S = 30 * 86400


def draft(**fields):
    return draft_of(NotifyRequest(**{"user": "42", "title": "Hello", **fields}), DEFAULTS, "trace")


def test_defaults_are_filled_in():
    made = draft()
    assert made.users == ("42",)
    assert made.lane is Lane.NORMAL
    assert made.routes == DEFAULT_ROUTES
    assert (made.ack_wait_s, made.push_wait_s, made.ttl_s) == (5, 30, 86400)
    assert made.correlation_id == "trace"
    assert msgspec.json.encode(made.content) == b'{"title":"Hello"}'


def test_every_field_arrives():
    made = draft(
        body="text\nof two lines",
        data=Raw(b'{"a": 1}'),
        category="chat",
        priority="critical",
        routes=["email", "live"],
        ack_wait_s=0.5,
        push_wait_s=0,
        ttl_s=60,
        collapse_key="key",
        link="app://open/1",
        image="https://images.example/1.png",
    )
    content = made.content
    assert (content.title, content.body, bytes(content.data)) == ("Hello", "text\nof two lines", b'{"a":1}')
    assert (content.category, content.collapse_key) == ("chat", "key")
    assert (content.link, content.image) == ("app://open/1", "https://images.example/1.png")
    assert made.lane is Lane.CRITICAL
    assert made.routes == (Route.EMAIL, Route.LIVE)
    assert (made.ack_wait_s, made.push_wait_s, made.ttl_s) == (0.5, 0, 60)


@pytest.mark.parametrize("priority", ["critical", "high", "normal", "bulk"])
def test_the_priority_names_the_lane(priority):
    assert draft(priority=priority).lane.name.lower() == priority


def test_many_users_keep_their_order():
    users = [f"user-{number}" for number in range(1000)]
    assert draft(user=UNSET, users=users).users == tuple(users)


REFUSED = [
    ({"user": UNSET}, "user", "exactly one of user, users and topic must be given"),
    ({"users": ["43"]}, "user", "exactly one of user, users and topic must be given"),
    ({"user": ""}, "user", "must be 1 to 255 characters"),
    ({"user": "x" * 256}, "user", "must be 1 to 255 characters"),
    ({"user": UNSET, "users": []}, "users", "must hold 1 to 1000 users"),
    ({"user": UNSET, "users": [str(number) for number in range(1001)]}, "users", "must hold 1 to 1000 users"),
    ({"user": UNSET, "users": ["1", ""]}, "users[1]", "must be 1 to 255 characters"),
    ({"user": UNSET, "users": ["1", "2", "x" * 256]}, "users[2]", "must be 1 to 255 characters"),
    ({"user": UNSET, "users": ["1", "2", "1"]}, "users", "must not name a user twice"),
    ({"title": ""}, "title", "one of title, body, data, template and variants must not be empty"),
    ({"title": "", "data": Raw(b"null")}, "title", "one of title, body, data, template and variants must not be empty"),
    ({"title": "x" * 1025}, "title", "must be at most 1024 characters"),
    ({"body": "x" * 16385}, "body", "must be at most 16384 characters"),
    ({"category": "x" * 65}, "category", "must be at most 64 characters"),
    ({"collapse_key": "x" * 256}, "collapse_key", "must be at most 255 characters"),
    ({"link": "x" * 2049}, "link", "must be at most 2048 characters"),
    ({"image": "https://" + "x" * 2041}, "image", "must be at most 2048 characters"),
    ({"idempotency_key": "x" * 256}, "idempotency_key", "must be at most 255 characters"),
    ({"category": "a\nb"}, "category", "must not hold control characters"),
    ({"collapse_key": "a\r\nTopic: b"}, "collapse_key", "must not hold control characters"),
    ({"link": " JavaScript:alert(1)"}, "link", "must not be a script: use https or an address of your app"),
    ({"link": "app://\x00"}, "link", "must not hold control characters"),
    ({"image": "https://a\n"}, "image", "must not hold control characters"),
    ({"idempotency_key": "\x7f"}, "idempotency_key", "must not hold control characters"),
    ({"image": "http://a/b.png"}, "image", "must be an https address"),
    ({"image": "a.png"}, "image", "must be an https address"),
    ({"data": Raw(b"[1]")}, "data", "must be a JSON object"),
    ({"data": Raw(b"1")}, "data", "must be a JSON object"),
    ({"data": Raw(b'"text"')}, "data", "must be a JSON object"),
    ({"data": Raw(b'{"a":"%b"}' % (b"x" * 16384))}, "data", "must be at most 16384 bytes"),
    ({"data": Raw(b'{"a":"\xff"}')}, "data", "must be UTF-8"),
    ({"data": Raw(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")}, "data", "is nested too deep"),
    ({"routes": []}, "routes", "must hold at least one route"),
    ({"routes": ["live", "fax"]}, "routes[1]", "must be one of live, push, email, sms, webhook"),
    ({"routes": ["*"]}, "routes[0]", "must be one of live, push, email, sms, webhook"),
    ({"routes": ["push", "push"]}, "routes", "must not name a route twice"),
    *(
        ({field: value}, field, f"must be from 0 to {MONTH_S} seconds")
        for field in ("ack_wait_s", "push_wait_s", "ttl_s")
        for value in (-1, -0.001, MONTH_S + 1, math.inf, math.nan)
    ),
]


@pytest.mark.parametrize(("fields", "field", "rule"), REFUSED)
def test_what_is_refused_names_the_field_and_the_rule(fields, field, rule):
    with pytest.raises(BadInput) as caught:
        draft(**fields)
    assert (caught.value.field, caught.value.rule) == (field, rule)


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "x" * 255},
        {"user": "ünï"},
        {"title": "x" * 1024},
        {"title": "two\nlines"},
        {"title": "", "body": "x" * 16384},
        {"title": "", "data": Raw(b"{}")},
        {"category": "x" * 64},
        {"collapse_key": "x" * 255},
        {"link": "x" * 2048},
        {"image": "https://" + "x" * 2040},
        {"idempotency_key": "x" * 255},
        {"data": Raw(b'{"a":"%b"}' % (b"x" * 16376))},
        {"ttl_s": 0, "ack_wait_s": 0, "push_wait_s": 0},
        {"ttl_s": MONTH_S, "ack_wait_s": MONTH_S, "push_wait_s": MONTH_S},
    ],
)
def test_the_edges_pass(fields):
    assert draft(**fields)


def test_data_is_kept_on_one_line_with_its_numbers_as_they_are():
    made = draft(data=Raw(b'{\n "n": 1.10000000000000000001,\r\n\t"text": "a  b\\n"\n}'))
    assert bytes(made.content.data) == b'{"n":1.10000000000000000001,"text":"a  b\\n"}'


texts = st.text(max_size=5)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user": texts,
            "users": st.lists(texts, max_size=3),
            "title": texts,
            "body": texts,
            "data": st.binary(max_size=10).map(Raw),
            "category": texts,
            "routes": st.lists(st.sampled_from(["live", "push", "email", "x"]), max_size=3),
            "ack_wait_s": st.floats(),
            "image": texts,
        },
    )
)
def test_anything_becomes_a_draft_or_bad_input(fields):
    try:
        made = draft_of(NotifyRequest(**fields), DEFAULTS, "")
    except (BadInput, msgspec.DecodeError):
        return
    assert made.users
    assert made.routes
    assert b"\n" not in bytes(made.content.data)

"""The methods of campaigns over the API, and `notify` to a topic."""

import pytest

TEXT = {"title": "Tide"}


async def create(desk, audience=None, **more):
    request = {"audience": audience or {"topic": "news"}, "notification": TEXT, **more}
    return (await desk.api.result("campaign_create", **request))["id"]


async def campaign(desk, id):
    return (await desk.api.result("campaign_status", id=id))["campaign"]


async def tell(desk, id):
    """Be the pusher."""
    campaigns = desk.store.campaigns
    await campaigns.begin(id)
    while await campaigns.expand(id, limit=1000) is not None:
        pass


@pytest.fixture
async def topic(desk):
    await desk.api.result("topic_subscribe", topic="news", users=["ann", "bob"])


async def test_a_campaign_is_stored_and_tells_its_audience(desk, topic):
    id = await create(desk, name="Tides", rate_per_s=5, notification={**TEXT, "category": "water", "priority": "bulk"})
    now = desk.world.clock.now().timestamp()
    before = {
        "id": id,
        "state": "scheduled",
        "audience": {"topic": "news"},
        "priority": "bulk",
        "rate_per_s": 5.0,
        "created_at": now,
        "starts_at": now,
        "expanded": 0,
        "skipped": 0,
        "notifications": {},
        "name": "Tides",
        "category": "water",
    }
    assert await campaign(desk, id) == before
    await tell(desk, id)
    after = {"state": "done", "expanded": 2, "notifications": {"pending": 2}, "audience_size": 2}
    assert await campaign(desk, id) == {**before, **after, "begun_at": now, "finished_at": now}


@pytest.mark.parametrize("audience", [{"topic": "news"}, {"topics": ["news", "sport"]}, {"all": True}])
async def test_an_audience_is_told_as_it_was_asked_for(desk, topic, audience):
    await desk.api.result("topic_create", topic="sport")
    assert (await campaign(desk, await create(desk, audience)))["audience"] == audience


async def test_its_time_is_that_of_the_notification(desk, topic):
    send_at = desk.world.clock.now().timestamp() + 3600
    item = await campaign(desk, await create(desk, notification={**TEXT, "send_at": send_at}))
    assert item["starts_at"] == send_at


async def test_notify_to_a_topic_makes_a_campaign(desk, topic):
    request = {"topic": "news", **TEXT, "idempotency_key": "k"}
    answer = await desk.api.result("notify", **request)
    assert answer == {"notifications": [], "campaign": answer["campaign"]}
    assert await desk.api.result("notify", **request) == answer
    await tell(desk, answer["campaign"])
    assert (await campaign(desk, answer["campaign"]))["expanded"] == 2
    assert await desk.api.error("notify", topic="nwes", **TEXT) == (107, "bad request: topic: must be a topic that exists")


async def test_a_repeat_answers_with_the_same_id(desk, topic):
    """N-6"""
    id = await create(desk, idempotency_key="k")
    assert await create(desk, idempotency_key="k") == id
    request = {"audience": {"topic": "news"}, "notification": {"title": "Other"}, "idempotency_key": "k"}
    code, text = await desk.api.error("campaign_create", **request)
    assert (code, text) == (107, "bad request: idempotency_key: was used before with another request")


async def test_moves_answer_with_the_state(desk, topic):
    id = await create(desk)
    for method, state in (("pause", "paused"), ("pause", "paused"), ("resume", "scheduled"), ("cancel", "cancelled")):
        assert await desk.api.result(f"campaign_{method}", id=id) == {"state": state}
    assert await desk.api.result("campaign_resume", id=id) == {"state": "cancelled"}
    for method in ("status", "pause", "resume", "cancel"):
        assert await desk.api.error(f"campaign_{method}", id="none") == (104, "campaign not found")


async def test_a_rate_can_change(desk, topic):
    id = await create(desk, rate_per_s=2.0)
    before = await campaign(desk, id)
    assert await desk.api.result("campaign_update", id=id, rate_per_s=50) == {"campaign": {**before, "rate_per_s": 50.0}}
    assert await campaign(desk, id) == {**before, "rate_per_s": 50.0}
    rule = "bad request: rate_per_s: must be 0, or from 0.001 to 100000"
    for rate in (-1, 1e6, 1e-9):
        assert await desk.api.error("campaign_update", id=id, rate_per_s=rate) == (107, rule)
    assert (await desk.api.error("campaign_update", id=id))[0] == 107
    assert await desk.api.error("campaign_update", id="none", rate_per_s=1) == (104, "campaign not found")


async def test_lists_come_in_pages(desk, topic):
    ids = []
    for _ in range(3):
        ids.insert(0, await create(desk))
        desk.world.clock.move(1)
    first = await desk.api.result("campaign_list", limit=2)
    second = await desk.api.result("campaign_list", limit=2, cursor=first["next_cursor"])
    assert [item["id"] for item in (*first["items"], *second["items"])] == ids
    assert second["next_cursor"] == ""
    await desk.api.result("campaign_pause", id=ids[0])
    assert [item["id"] for item in (await desk.api.result("campaign_list", state="paused"))["items"]] == ids[:1]


NEWS = {"topic": "news"}
TOPICS = "must hold 1 to 10 topics"
ONE_OF = "audience: must have exactly one of topic, topics and all"
NAME = "must be 1 to 255 printable characters"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"audience": {}}, ONE_OF),
        ({"audience": {"all": False}}, ONE_OF),
        ({"audience": {"all": True, "topic": "news"}}, ONE_OF),
        ({"audience": {"topic": "news", "topics": ["news"]}}, ONE_OF),
        ({"audience": {"topic": ""}}, f"audience.topic: {NAME}"),
        ({"audience": {"topic": "nwes"}}, "audience.topic: must be a topic that exists"),
        ({"audience": {"topics": ["news", "nwes"]}}, "audience.topics[1]: must be a topic that exists"),
        ({"audience": {"topics": ["news", "a\n"]}}, f"audience.topics[1]: {NAME}"),
        ({"audience": {"topics": []}}, f"audience.topics: {TOPICS}"),
        ({"audience": {"topics": [f"t{number}" for number in range(11)]}}, f"audience.topics: {TOPICS}"),
        ({"audience": {"topics": ["news", "news"]}}, "audience.topics[1]: is named before"),
        ({"audience": {"segment": "x"}}, "segment"),
        ({"audience": None}, "audience"),
        ({"rate_per_s": -1}, "rate_per_s: must be 0, or from 0.001 to 100000"),
        ({"rate_per_s": 1e6}, "rate_per_s: must be 0, or from 0.001 to 100000"),
        ({"rate_per_s": 1e-9}, "rate_per_s: must be 0, or from 0.001 to 100000"),
        ({"name": "x" * 129}, "name: must be at most 128 printable characters"),
        ({"name": "\x1b[2J"}, "name: must be at most 128 printable characters"),
        ({"idempotency_key": "x" * 256}, "idempotency_key: must be at most 255 printable characters"),
        ({"notification": {}}, "notification.title: one of title, body, data, template and variants must not be empty"),
        ({"notification": {**TEXT, "user": "a"}}, "notification.user: must not be given: the audience says whom it is for"),
        ({"notification": {**TEXT, "users": ["a"]}}, "notification.users: must not be given: the audience says whom"),
        ({"notification": {**TEXT, "topic": "news"}}, "notification.topic: must not be given: the audience says whom"),
        ({"notification": {**TEXT, "idempotency_key": "k"}}, "notification.idempotency_key: must not be given"),
        ({"notification": {**TEXT, "send_at": 1e9}}, "notification.send_at: must not be over"),
        ({"notification": {**TEXT, "send_at": 9e9}}, "notification.send_at: must be within 366 days"),
        ({"notification": {**TEXT, "send_at_local": "25:00"}}, "notification.send_at_local: "),
        ({"notification": {**TEXT, "routes": ["pigeon"]}}, "notification.routes[0]: must be one of"),
        ({"notification": {**TEXT, "priority": "urgent"}}, "notification.priority: must be one of"),
        ({"notification": {"template": {"name": "x"}}}, "notification.template: templates are not available here"),
        (
            {"notification": {**TEXT, "priority": "critical", "escalate": {"after_s": 1, "to_user": "x"}}},
            "notification.escalate: must not be given for an audience: it would tell one person once for each user of it",
        ),
    ],
)
async def test_what_is_refused(desk, topic, request_, message):
    code, text = await desk.api.error("campaign_create", **{"audience": NEWS, "notification": TEXT, **request_})
    assert code == 107
    assert message in text
    assert (await desk.api.result("campaign_list"))["items"] == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"topic": "news", "user": "ann"}, "user: must not be given: the audience says whom it is for"),
        ({"topic": "news", "users": ["ann"]}, "users: must not be given: the audience says whom it is for"),
        ({"topic": ""}, f"topic: {NAME}"),
        ({}, "user: exactly one of user, users and topic must be given"),
        ({"topic": "news", "priority": "critical", "escalate": {"after_s": 1, "to_user": "x"}}, "escalate: must not be given"),
    ],
)
async def test_what_notify_refuses(desk, topic, request_, message):
    code, text = await desk.api.error("notify", **TEXT, **request_)
    assert code == 107
    assert message in text


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"state": "asleep"}, "state: must be one of scheduled, running, paused, done, cancelled"),
        ({"limit": 101}, "limit: must be from 0 to 100"),
    ],
)
async def test_what_a_list_refuses(desk, request_, message):
    assert await desk.api.error("campaign_list", **request_) == (107, f"bad request: {message}")

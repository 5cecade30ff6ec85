"""Devices by filters: which are listed, page by page, and which are removed."""

import pytest

ALL = {"filter": {}}
SOME = {"42": ("fcm", "email"), "43": ("fcm", "apns"), "44": ("email",)}
TOKENS = {"fcm": "fcm-token-of-{}", "email": "{}@mail.example", "apns": "{}" + "0" * 30}


@pytest.fixture
async def ids(desk):
    """Register the devices of three users; gives their ids by user and provider."""
    made = {}
    for user, providers in SOME.items():
        for provider in providers:
            token = TOKENS[provider].format(user)
            answer = await desk.api.result("device_register", user=user, provider=provider, token=token)
            made[user, provider] = answer["id"]
            desk.world.clock.move(1)
    return made


async def listed(desk, **request):
    items = (await desk.api.result("device_list", **request))["items"]
    return {(item["user"], item["provider"]) for item in items}


EVERY = {(user, provider) for user, providers in SOME.items() for provider in providers}


@pytest.mark.parametrize(
    ("filter_", "meant"),
    [
        ({}, EVERY),
        ({"ids": [], "users": [], "providers": [], "platforms": []}, EVERY),
        ({"users": ["42"]}, {("42", "fcm"), ("42", "email")}),
        ({"users": ["43", "44", "nobody", "42\u0000"]}, {("43", "fcm"), ("43", "apns"), ("44", "email")}),
        ({"users": ["42\u0000"]}, set()),
        ({"providers": ["fcm", "apns"]}, {("42", "fcm"), ("43", "fcm"), ("43", "apns")}),
        ({"platforms": ["ios"]}, {("43", "apns")}),
        ({"users": ["42", "43"], "providers": ["fcm"], "platforms": ["android"]}, {("42", "fcm"), ("43", "fcm")}),
        ({"users": ["44"], "providers": ["fcm"]}, set()),
    ],
)
async def test_what_a_filter_means(desk, ids, filter_, meant):
    assert await listed(desk, filter=filter_) == meant
    counted = await desk.api.result("device_list", filter=filter_, include_total_count=True, limit=1)
    assert counted["total_count"] == len(meant)


async def test_ids_narrow_too(desk, ids):
    both = [ids["42", "fcm"], ids["43", "apns"]]
    assert await listed(desk, filter={"ids": both}) == {("42", "fcm"), ("43", "apns")}
    assert await listed(desk, filter={"ids": both, "users": ["43"]}) == {("43", "apns")}
    assert await listed(desk, user="42", filter={"ids": both}) == {("42", "fcm")}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 0, 1000])
async def test_pages_join_without_a_hole(desk, ids, limit):
    seen, request = [], {**ALL, "limit": limit, "include_total_count": True}
    while True:
        page = await desk.api.result("device_list", **request)
        assert page["total_count"] == 5
        assert len(page["items"]) <= (limit or 100)
        seen += [item["id"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        request["cursor"] = page["next_cursor"]
    assert seen == list(ids.values())


async def test_those_listed_are_removed_and_the_others_stay(desk, ids):
    assert await desk.api.result("device_remove", ids=[ids["42", "fcm"], ids["44", "email"], "unknown"]) == {}
    assert await listed(desk, **ALL) == EVERY - {("42", "fcm"), ("44", "email")}


async def test_those_of_users_are_removed(desk, ids):
    assert await desk.api.result("device_remove", users=["42", "43", "nobody"]) == {}
    assert await listed(desk, **ALL) == {("44", "email")}
    assert await desk.api.result("device_remove", users=["42", "43"]) == {}


async def test_ids_and_users_both_have_to_fit(desk, ids):
    request = {"ids": [ids["42", "fcm"], ids["43", "fcm"]], "users": ["43", "44"]}
    assert await desk.api.result("device_remove", **request) == {}
    assert await listed(desk, **ALL) == EVERY - {("43", "fcm")}
    assert await desk.api.result("device_remove", user="43", ids=[ids["42", "fcm"]]) == {}
    assert await listed(desk, **ALL) == EVERY - {("43", "fcm")}


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("device_remove", {}, "id"),
        ("device_remove", {"user": "42"}, "id"),
        ("device_remove", {"ids": [], "users": []}, "id"),
        ("device_remove", {"id": "a", "ids": ["b"]}, "ids"),
        ("device_remove", {"id": "a", "user": "42", "users": ["b"]}, "users"),
        ("device_remove", {"user": "42", "users": ["43"]}, "users"),
        ("device_remove", {"users": [""]}, "users"),
        ("device_remove", {"ids": ["a", ""]}, "ids"),
        ("device_remove", {"ids": ["a"] * 1001}, "ids"),
        ("device_remove", {"id": "a"}, "user"),
        ("device_list", {}, "user"),
        ("device_list", {"user": "42", "filter": {"users": ["42"]}}, "filter.users"),
        ("device_list", {"filter": {"users": [""]}}, "filter.users"),
        ("device_list", {"filter": {"providers": ["fax"]}}, "filter.providers"),
        ("device_list", {"filter": {"topics": ["a"]}}, "filter.topics"),
        ("device_list", {**ALL, "limit": -1}, "limit"),
        ("device_list", {**ALL, "limit": 1001}, "limit"),
    ],
)
async def test_what_is_not_clear_is_refused_and_removes_nothing(desk, ids, method, request_, field):
    code, message = await desk.api.error(method, **request_)
    assert code == 107
    assert message.startswith(f"bad request: {field}: ")
    assert await listed(desk, **ALL) == EVERY


async def test_a_cursor_that_is_none_leads_nowhere(desk, ids):
    assert await desk.api.result("device_list", **ALL, cursor="\u0000") == {"items": []}
    assert await desk.api.result("device_list", **ALL, cursor="~") == {"items": []}


async def test_over_rpc_only_the_users_own_are_meant(desk, ids):
    client = desk.world.connected("42")
    reply = await desk.rpc(client, "devices.list", filter={"ids": list(ids.values())}, include_total_count=True)
    assert [item["user"] for item in reply["rpc"]["data"]["items"]] == ["42", "42"]
    assert reply["rpc"]["data"]["total_count"] == 2
    for request in ({"filter": {"users": ["43"]}},):
        assert (await desk.rpc(client, "devices.list", **request))["error"]["code"] == 107
    assert (await desk.rpc(client, "devices.remove", users=["43"]))["error"]["code"] == 107
    assert await desk.rpc(client, "devices.remove", ids=list(ids.values())) == {"rpc": {"data": {}}}
    assert await listed(desk, **ALL) == {key for key in EVERY if key[0] != "42"}

"""The inbox over the API and over RPC: what a bell needs, and what is refused in which words."""

import pytest


async def ids_of(desk, **asked):
    return [item["id"] for item in (await desk.api.result("inbox_list", user="42", **asked))["items"]]


async def counts(desk, user="42"):
    answer = await desk.api.result("inbox_counts", user=user)
    return answer["unseen"], answer["unread"]


async def test_an_item_is_what_was_told_and_how_it_lies(desk):
    id = await desk.notify("42", body="You", data={"order": 7}, category="orders", link="https://x.test/7", priority="high")
    client = desk.world.connected("42")
    item = {
        "id": id,
        "title": "Hello",
        "body": "You",
        "data": {"order": 7},
        "category": "orders",
        "link": "https://x.test/7",
        "priority": "high",
        "created_at": desk.world.clock.now().timestamp(),
        "seen": False,
        "read": False,
        "archived": False,
    }
    assert (await desk.rpc(client, "inbox.list"))["rpc"]["data"] == {"items": [item]}
    assert (await desk.rpc(client, "inbox.counts"))["rpc"]["data"] == {"unseen": 1, "unread": 1}
    assert (await desk.rpc(client, "inbox.mark", ids=[id], **{"as": "seen"}))["rpc"]["data"] == {"unseen": 0, "unread": 1}
    assert await desk.api.result("inbox_list", user="42") == {"items": [item | {"seen": True}]}
    assert await desk.api.result("inbox_mark", user="42", all=True, **{"as": "read"}) == {"unseen": 0, "unread": 0}
    assert await desk.api.result("inbox_list", user="42") == {"items": [item | {"seen": True, "read": True}]}
    assert await desk.api.result("inbox_mark", user="42", ids=[id], **{"as": "unread"}) == {"unseen": 0, "unread": 1}
    await desk.api.result("inbox_mark", user="42", ids=[id], **{"as": "archived"})
    archived = {"items": [item | {"seen": True, "read": True, "archived": True}]}
    assert await desk.api.result("inbox_list", user="42", filter="archived") == archived
    assert await desk.api.result("inbox_list", user="42") == {"items": []}


async def test_pages(desk):
    ids = []
    for _ in range(5):
        ids.append(await desk.notify("42"))
        desk.world.clock.move(0.01)
    first = await desk.api.result("inbox_list", user="42", limit=3)
    assert [item["id"] for item in first["items"]] == ids[:1:-1]
    second = await desk.api.result("inbox_list", user="42", limit=3, cursor=first["next_cursor"])
    assert [item["id"] for item in second["items"]] == ids[1::-1]
    assert "next_cursor" not in second


async def test_only_a_category(desk):
    id = await desk.notify("42", category="orders")
    await desk.notify("42", category="offers")
    assert await ids_of(desk, category="orders") == [id]
    assert await ids_of(desk, category="news") == []


async def test_marking_as_seen_read_or_archived_acknowledges(desk):
    client = desk.world.connected("42")
    for mark in ("seen", "read", "archived"):
        id = await desk.notify("42")
        await desk.rpc(client, "inbox.mark", ids=[id], **{"as": mark})
        assert await desk.state(id) == "acknowledged"
    id = await desk.notify("42")
    await desk.rpc(client, "inbox.mark", ids=[id], **{"as": "unread"})
    assert await desk.state(id) == "pending"


async def test_what_asks_to_be_left_out_is(desk):
    id = await desk.notify("42", inbox=False)
    assert await counts(desk) == (0, 0)
    assert await ids_of(desk) == []
    assert desk.told == []
    assert await desk.state(id) == "pending"


async def test_one_user_never_sees_or_marks_anothers(desk):
    theirs = await desk.notify("43")
    client = desk.world.connected("42")
    assert (await desk.rpc(client, "inbox.list"))["rpc"]["data"] == {"items": []}
    await desk.rpc(client, "inbox.mark", ids=[theirs], **{"as": "read"})
    await desk.rpc(client, "inbox.mark", all=True, **{"as": "archived"})
    assert await counts(desk, "43") == (1, 1)
    assert await desk.state(theirs) == "pending"


async def test_who_is_told_of_changes(desk):
    id = await desk.notify("42")
    await desk.api.result("notify", users=["7", "8"], title="x")
    await desk.api.result("notification_ack", id=id, user="42")
    await desk.api.result("inbox_mark", user="9", all=True, **{"as": "read"})
    cancelled = await desk.notify("10")
    await desk.api.result("notification_cancel", id=cancelled)
    assert desk.told == ["42", "7", "8", "42", "9", "10", "10"]


WRONG = [
    ("inbox_list", {"user": ""}, "user: must not be empty"),
    ("inbox_list", {"user": "42", "limit": 101}, "limit: must be from 0 to 100"),
    ("inbox_list", {"user": "42", "limit": -1}, "limit: must be from 0 to 100"),
    ("inbox_list", {"user": "42", "filter": "read"}, "filter: must be unseen, unread or archived, or left out"),
    ("inbox_list", {"user": "42", "page": 2}, "page: unknown field"),
    ("inbox_counts", {}, "user: must not be empty"),
    ("inbox_mark", {"user": "42", "all": True}, "as: must be given"),
    ("inbox_mark", {"user": "42", "all": True, "as": "clicked"}, "as: must be one of seen, read, unread, archived"),
    ("inbox_mark", {"user": "42", "as": "read"}, "ids: exactly one of ids and all must be given"),
    ("inbox_mark", {"user": "42", "as": "read", "all": True, "ids": []}, "ids: exactly one of ids and all must be given"),
    ("inbox_mark", {"user": "42", "as": "read", "ids": ["x"] * 1001}, "ids: must not name more than 1000"),
    ("inbox_mark", {"user": "", "as": "read", "all": True}, "user: must not be empty"),
]


@pytest.mark.parametrize(("method", "request_", "message"), WRONG)
async def test_what_is_wrong_is_named(desk, method, request_, message):
    assert await desk.api.error(method, **request_) == (107, f"bad request: {message}")


async def test_who_asks_for_an_inbox_over_rpc_is_to_be_told_of_its_changes(desk):
    client = desk.world.connected("42")
    await desk.api.result("inbox_counts", user="42")
    await desk.rpc(client, "inbox.mark", all=True, **{"as": "seen"})
    assert desk.watching == [], "a backend asks for itself, and who only marks shows no counts"
    await desk.rpc(client, "inbox.counts")
    await desk.rpc(client, "inbox.list")
    assert desk.watching == ["42", "42"]

"""What users did, over the API and over RPC: the rules of acks hold for every mark."""

import pytest

NOBODY = "01890000-0000-7000-8000-000000000000"
MARKS = ("seen", "read", "dismissed", "clicked")


async def marks_of(desk, id):
    return (await desk.api.result("notification_status", id=id))["notification"].get("marks", {})


@pytest.mark.parametrize("mark", MARKS)
async def test_a_mark_over_the_api_ends_it_and_is_kept(desk, mark):
    id = await desk.notify("42")
    moment = desk.world.clock.now().timestamp()
    for _ in range(2):
        assert await desk.api.result(f"notification_{mark}", id=id, user="42") == {}
        desk.world.clock.move(1)
    assert await desk.state(id) == "acknowledged"
    marks = await marks_of(desk, id)
    assert marks[mark] == marks["seen"] == moment
    assert desk.told == ["42"] * 3


@pytest.mark.parametrize("mark", MARKS)
async def test_a_mark_over_rpc_is_the_connected_users(desk, mark):
    id = await desk.notify("42")
    assert await desk.rpc(desk.world.connected("42"), f"notification.{mark}", id=id) == {"rpc": {"data": {}}}
    assert await desk.state(id) == "acknowledged"
    assert mark in await marks_of(desk, id)


@pytest.mark.parametrize("mark", ["ack", *MARKS])
async def test_of_anothers_or_of_nothing_it_is_104_and_changes_nothing(desk, mark):
    id = await desk.notify("42")
    desk.told.clear()
    stranger = desk.world.connected("43")
    for named in (id, NOBODY, "nonsense", ""):
        reply = await desk.rpc(stranger, f"notification.{mark}", id=named)
        assert reply == {"error": {"code": 104, "message": "notification not found"}}
        assert await desk.api.error(f"notification_{mark}", id=named, user="43") == (104, "notification not found")
    assert await desk.state(id) == "pending"
    assert await marks_of(desk, id) == {}
    assert desk.told == []


@pytest.mark.parametrize("mark", MARKS)
async def test_after_a_cancel_it_succeeds_without_effect_on_the_state(desk, mark):
    id = await desk.notify("42")
    await desk.api.result("notification_cancel", id=id)
    assert await desk.api.result(f"notification_{mark}", id=id, user="42") == {}
    assert await desk.state(id) == "cancelled"


async def test_the_user_must_be_named_over_the_api(desk):
    id = await desk.notify("42")
    assert await desk.api.error("notification_read", id=id) == (107, "bad request: user: must not be empty")

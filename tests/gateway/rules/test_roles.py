"""Roles over the API, and what clients may do by them."""

import asyncio

import pytest

PERMISSION_DENIED = {"code": 103, "message": "permission denied"}
SETTINGS = {
    "channel": {"namespaces": [{"name": "docs", "presence": True, "history_size": 9, "history_ttl": "60s"}, {"name": "chat"}]},
    "client": {"token": {"hmac_secret_key": "secret-of-the-tests-0123456789abcdef", "roles_claim": "roles"}},
}


@pytest.fixture
async def node(ruled):
    return await ruled(**SETTINGS)


def ask(client, **command):
    """Send a command; give the error's code, 0 for none."""
    replies = client.send({"id": 7, **command})
    (reply,) = [reply for reply in replies if reply.get("id") == 7]
    return reply.get("error", {}).get("code", 0)


def may(client, channel):
    """Tell what a client may do in a channel, without being subscribed."""
    asked = {"publish": {"data": {}}, "presence": {}, "history": {"limit": 1}, "subscribe": {}}
    return [kind for kind, more in asked.items() if not ask(client, **{kind: {"channel": channel, **more}})]


async def test_a_role_of_the_token_opens_what_it_says(node):
    await node.result("role_set", name="editor", permissions=["publish,subscribe docs:*", "history docs:a"])
    assert may(node.world.connected("ann", roles=["editor"]), "docs:a") == ["publish", "history", "subscribe"]
    assert may(node.world.connected("ann", roles=["editor"]), "docs:b") == ["publish", "subscribe"]
    assert may(node.world.connected("ann", roles=["other"]), "docs:a") == []
    assert may(node.world.connected("ann"), "docs:a") == []


async def test_a_role_of_the_store_does_too(node):
    await node.result("role_set", name="editor", permissions=["publish docs:*"])
    await node.result("role_assign", user="ann", role="editor")
    assert may(node.world.connected("ann"), "docs:a") == ["publish"]
    assert may(node.world.connected("bob"), "docs:a") == []


async def test_a_part_of_the_channels_is_each_users_own(node):
    await node.result("role_set", name="owner", permissions=["publish,subscribe,presence,history docs:{user}/*"])
    client = node.world.connected("ann", roles=["owner"])
    assert may(client, "docs:ann/plan") == ["publish", "presence", "history", "subscribe"]
    assert may(client, "docs:bob/plan") == []


async def test_those_who_are_connected_get_what_is_added(node):
    client, other = node.world.connected("ann", roles=["editor"]), node.world.connected("bob")
    assert may(client, "docs:a") == []
    await node.result("role_set", name="editor", permissions=["publish docs:*"])
    assert may(client, "docs:a") == ["publish"]
    await node.result("role_assign", user="bob", role="editor")
    assert may(other, "docs:a") == ["publish"]
    assert client.closed is other.closed is None


@pytest.mark.parametrize("subs", [{}, {"docs:a": {}}])
async def test_what_is_taken_back_while_somebody_connects_is_not_had(node, subs):
    await node.result("role_set", name="editor", permissions=["publish,subscribe docs:*"])
    await node.result("role_assign", user="ann", role="editor")
    users, taken_back = node.node.engine.users, asyncio.Event()
    connected, users.connected = users.connected, lambda *who: wait_for(taken_back, connected, *who)
    client = node.world.client()
    assert client.send({"id": 1, "connect": {"token": node.world.token("ann"), "subs": subs}}) == []
    await node.result("role_unassign", user="ann", role="editor")
    taken_back.set()
    await asyncio.sleep(0)
    (reply,) = client.read()
    if subs:
        assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    else:
        assert may(client, "docs:a") == []


async def wait_for(event, call, *args):
    await event.wait()
    await call(*args)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("role_remove", {"name": "editor"}),
        ("role_set", {"name": "editor", "permissions": ["publish docs:*"]}),
        ("role_unassign", {"user": "ann", "role": "editor"}),
    ],
)
async def test_what_is_taken_back_ends_subscriptions_and_no_connection(node, method, request_):
    await node.result("role_set", name="editor", permissions=["subscribe docs:*"])
    await node.result("role_assign", user="ann", role="editor")
    client = node.world.connected("ann", caps=[{"channels": ["docs:kept"], "allow": ["sub"]}])
    assert ask(client, subscribe={"channel": "docs:a"}) == ask(client, subscribe={"channel": "docs:kept"}) == 0
    await node.result(method, **request_)
    pushes = [message["push"] for message in client.read() if "push" in message]
    assert [(push["channel"], push["unsubscribe"]["code"]) for push in pushes] == [("docs:a", 2502)]
    assert ask(client, subscribe={"channel": "docs:a"}) == 103
    assert client.closed is None


async def test_a_refreshed_token_says_its_roles_anew(node):
    await node.result("role_set", name="editor", permissions=["publish docs:*"])
    world = node.world
    client = world.connected("ann", roles=["editor"], exp=world.now() + 60)
    client.send({"id": 2, "refresh": {"token": world.token("ann", exp=world.now() + 90)}})
    assert may(client, "docs:a") == []
    client.send({"id": 3, "refresh": {"token": world.token("ann", exp=world.now() + 90, roles=["editor"])}})
    assert may(client, "docs:a") == ["publish"]


async def test_roles_of_the_settings_count_and_cannot_be_changed(ruled):
    node = await ruled(**SETTINGS, roles=[{"name": "reader", "permissions": ["history docs:*"]}])
    assert may(node.world.connected("ann", roles=["reader"]), "docs:a") == ["history"]
    fixed = (107, "bad request: name: is a role of the settings: change it there")
    assert await node.error("role_set", name="reader", permissions=[]) == fixed
    assert await node.error("role_remove", name="reader") == fixed
    await node.result("role_assign", user="bob", role="reader")
    assert may(node.world.connected("bob"), "docs:a") == ["history"]
    listed = await node.result("role_list")
    assert listed == {
        "items": [{"name": "reader", "permissions": ["history docs:*"], "in_settings": True}],
        "assignments": [{"user": "bob", "roles": ["reader"]}],
    }


async def test_lists_are_by_name_and_user(node):
    for name in ("writer", "editor"):
        await node.result("role_set", name=name, permissions=[])
        await node.result("role_assign", user="ann", role=name)
    await node.result("role_assign", user="bob", role="editor")
    listed = await node.result("role_list", user="ann")
    assert [role["name"] for role in listed["items"]] == ["editor", "writer"]
    assert listed["assignments"] == [{"user": "ann", "roles": ["editor", "writer"]}]


@pytest.mark.parametrize(
    ("method", "request_", "error"),
    [
        ("role_set", {"name": "", "permissions": []}, (107, "name: must be 1 to 64")),
        ("role_set", {"name": "a b", "permissions": []}, (107, "name: must be 1 to 64")),
        ("role_set", {"name": "a", "permissions": ["call x"] * 65}, (107, "permissions: must be at most 64")),
        ("role_set", {"name": "a", "permissions": ["call info", "fly y"]}, (107, "permissions[1]: must begin with actions")),
        ("role_set", {"name": "a", "permissions": ["subscribe no:*"]}, (107, "permissions[0]: can fit no channel")),
        ("role_set", {"name": "a", "permissions": ["call info", "call devce_*"]}, (107, "permissions[1]: fits no method")),
        ("role_set", {"name": "a"}, (107, "permissions: must be given")),
        ("role_set", {"name": "a", "permissions": [], "x": 1}, (107, "x: unknown field")),
        ("role_remove", {"name": "a"}, (104, "role not found")),
        ("role_assign", {"user": "", "role": "a"}, (107, "user: must not be empty")),
        ("role_assign", {"user": "ann", "role": "a"}, (104, "role not found")),
        ("role_unassign", {"user": "ann", "role": "a"}, (104, "role not found")),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_name(node, method, request_, error):
    code, message = await node.error(method, **request_)
    assert (code, message.removeprefix("bad request: ")[: len(error[1])]) == error


async def test_rpc_methods_that_need_a_permission(ruled):
    rpc = {
        "proxy": {"enabled": True, "endpoint": "http://127.0.0.1:9"},
        "namespaces": [{"name": "billing", "permission_required": True}],
    }
    node = await ruled(**SETTINGS, rpc=rpc, roles=[{"name": "clerk", "permissions": ["rpc billing:pay*"]}])
    nobody, clerk = node.world.connected("ann"), node.world.connected("bob", roles=["clerk"])
    for method in ("billing:pay", "billing:refund"):
        assert ask(nobody, rpc={"method": method, "data": {}}) == 103
    assert ask(clerk, rpc={"method": "billing:refund", "data": {}}) == 103
    assert node.node.denials.counts == {("rpc.call", "default"): 3}


async def test_a_refusal_names_its_rule_to_the_operator_only(node):
    client = node.world.connected("ann")
    (reply,) = client.send({"id": 2, "publish": {"channel": "docs:a", "data": {}}})
    assert reply["error"] == PERMISSION_DENIED
    assert node.node.denials.counts == {("channel.publish", "default"): 1}


async def test_other_nodes_follow(open_nodes):
    one, two = await open_nodes(2, **SETTINGS)
    client = two.world.connected("ann", roles=["editor"])
    await one.result("role_set", name="editor", permissions=["publish docs:*"])
    await two.hear()
    assert may(client, "docs:a") == ["publish"]
    open_nodes.line.is_cut = True
    await one.result("role_remove", name="editor")
    assert may(client, "docs:a") == ["publish"]
    await two.rules.watch.check()
    assert may(client, "docs:a") == []

"""Policies over the API: set, tried, taken back; and what clients and keys meet."""

import asyncio
import json
import os

import pytest

from broker.audit import AuditFilter
from config.errors import SettingsError

TOKEN = {"hmac_secret_key": "secret-of-the-tests-0123456789abcdef", "roles_claim": "roles"}
SETTINGS = {
    "channel": {
        "namespaces": [
            {
                "name": "docs",
                "presence": True,
                "history_size": 9,
                "history_ttl": "60s",
                "allow_subscribe_for_client": True,
                "allow_publish_for_client": True,
                "allow_presence_for_client": True,
                "allow_history_for_client": True,
            },
            {"name": "shut", "history_size": 9, "history_ttl": "60s", "allow_user_limited_channels": True},
        ]
    },
    "client": {"token": TOKEN},
    "policy": {"claims": ["dept"]},
}
DENIED = {"code": 103, "message": "permission denied"}


@pytest.fixture
async def node(ruled):
    return await ruled(**SETTINGS)


def rule(name, effect="deny", actions=("publish",), **more):
    return {"name": name, "effect": effect, "actions": list(actions), **more}


async def put(node, *rules, method="policy_set", **more):
    return (await node.result(method, policy={"rules": list(rules), **more}))["version"]


def ask(client, **command):
    """Send a command; give the error's code, 0 for none."""
    (reply,) = [reply for reply in client.send({"id": 7, **command}) if reply.get("id") == 7]
    return reply.get("error", {}).get("code", 0)


def may(client, channel):
    asked = {"publish": {"data": {}}, "presence": {}, "history": {"limit": 1}, "subscribe": {}}
    return [kind for kind, more in asked.items() if not ask(client, **{kind: {"channel": channel, **more}})]


@pytest.mark.parametrize("action", ["publish", "presence", "history", "subscribe"])
async def test_what_is_denied_is_103_and_the_operator_sees_the_rule(node, action):
    client = node.world.connected("ann")
    await put(node, rule("hands-off", actions=[action], channels=["docs:*"]))
    assert may(client, "docs:a") == [kind for kind in ("publish", "presence", "history", "subscribe") if kind != action]
    assert node.node.denials.counts == {(f"channel.{action}", "policy:hands-off"): 1}
    assert client.closed is None


async def test_what_is_allowed_adds(node):
    client = node.world.connected("ann", dept="eng")
    assert may(client, "shut:a") == []
    await put(node, rule("eng", "allow", ["publish", "subscribe", "history"], condition='claims.dept == "eng"'))
    assert may(client, "shut:a") == ["publish", "history", "subscribe"]
    assert may(node.world.connected("bob", dept="ops"), "shut:a") == []
    assert may(node.world.connected("bob"), "shut:a") == []


async def test_what_belongs_to_others_stays_closed(node):
    await put(node, rule("all", "allow", ["*"]))
    client = node.world.connected("ann")
    assert may(client, "shut:x#bob") == may(client, "#bob") == []
    assert ask(client, subscribe={"channel": "$shut:a"}) == 103


async def test_connecting_can_be_denied(node):
    world = node.world
    await put(node, rule("no-bob", actions=["connect"], condition='user == "bob" || connection.address == "192.0.2.8"'))
    (reply,) = world.client().send({"id": 1, "connect": {"token": world.token("bob")}})
    assert reply["error"] == DENIED
    assert world.client().connect(token=world.token("ann"))["client"]
    assert node.node.denials.counts == {("client.connect", "policy:no-bob"): 1}


async def test_origin_and_transport_are_seen(node):
    world = node.world
    await put(node, rule("page", condition='connection.origin == "https://a.example" && connection.transport == "websocket"'))
    client = world.client({"origin": "https://a.example"})
    client.connect(token=world.token("ann"))
    assert "publish" not in may(client, "docs:a")
    assert "publish" in may(world.connected("ann"), "docs:b")


async def test_rpc_can_be_denied(ruled):
    async def echo(_user, data):
        return data

    node = await ruled(**SETTINGS, rpc_methods={"echo": echo, "other": echo})
    await put(node, rule("no-echo", actions=["rpc"], methods=["ec*"]))
    client = node.world.connected("ann")
    assert [ask(client, rpc={"method": method, "data": {}}) for method in ("echo", "other")] == [103, 0]


async def test_server_side_subscriptions_are_asked_about_and_the_personal_one_is_not(node):
    world = node.world
    await put(node, rule("shut", actions=["subscribe"]))
    subs = world.client().connect(token=world.token("ann", channels=["docs:a"]), subs={"docs:b": {}}).get("subs", {})
    assert list(subs) == ["#ann"]


async def test_history_that_is_denied_is_not_recovered_either(node):
    await put(node, rule("past", actions=["history"]))
    client = node.world.connected("ann")
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "docs:a", "recoverable": True}})
    assert "recoverable" not in reply["subscribe"]
    await put(node)
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "docs:b", "recoverable": True}})
    assert reply["subscribe"]["recoverable"] is True


async def test_a_change_ends_subscriptions_and_no_connection(node):
    client = node.world.connected("ann")
    await put(node, rule("eng", "allow", ["subscribe"], channels=["shut:*"]))
    for channel in ("docs:a", "docs:b", "shut:a"):
        assert ask(client, subscribe={"channel": channel}) == 0
    await put(node, rule("one", actions=["subscribe"], channels=["docs:a"]))
    ended = {m["push"]["channel"]: m["push"]["unsubscribe"]["code"] for m in client.read() if "push" in m}
    assert ended == {"docs:a": 2502, "shut:a": 2502}
    assert ask(client, subscribe={"channel": "docs:a"}) == 103
    assert client.closed is None and list(client.session.client.subscriptions) == ["#ann", "docs:b"]


class SlowPresence:
    """Presence that takes its time over entries of documents, until it is told to go on."""

    def __init__(self, presence):
        self._presence, self.asked, self.released = presence, asyncio.Event(), asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._presence, name)

    async def add(self, channel, info):
        if channel.startswith("docs:"):
            self.asked.set()
            await self.released.wait()
        await self._presence.add(channel, info)


@pytest.mark.parametrize("by", ["subscribe", "connect"])
async def test_a_change_while_somebody_enters_is_heeded(node, by):
    world = node.world
    node.node.entrances._presence = presence = SlowPresence(world.engine.presence)
    client = world.client() if by == "connect" else world.connected("ann")
    commands = {
        "subscribe": {"id": 7, "subscribe": {"channel": "docs:a"}},
        "connect": {"id": 7, "connect": {"token": world.token("ann", channels=["docs:a"])}},
    }
    client.send(commands[by])
    await presence.asked.wait()
    await put(node, rule("shut", actions=["subscribe"]))
    presence.released.set()
    await node.node.tasks.drain(30)
    (reply,) = [reply for reply in client.read() if reply.get("id") == 7]
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}, "SDKs ask once more"
    assert (await world.engine.presence.stats("docs:a")).clients == 0


async def test_what_a_policy_let_in_with_connect_ends_with_it(node):
    await put(node, rule("lab", "allow", ["subscribe"], channels=["shut:*"]))
    client = node.world.client()
    assert "shut:a" in client.connect(token=node.world.token("ann"), subs={"shut:a": {}})["subs"]
    await put(node)
    (push,) = [message["push"] for message in client.read() if "push" in message]
    assert (push["channel"], push["unsubscribe"]["code"]) == ("shut:a", 2502)


async def test_keys_of_the_store_are_asked_about_and_those_of_the_settings_are_not(node):
    await put(
        node,
        rule(
            "no-news", actions=["call"], channels=["docs:news"], condition='key == "billing" && connection.transport == "api"'
        ),
        rule("listing", actions=["call"], methods=["api_key_*"]),
    )
    key = (await node.result("api_key_create", name="billing", methods=["*"]))["key"]
    assert (await node.error("publish", key, channel="docs:news", data={}))[0] == 103
    assert (await node.error("broadcast", key, channels=["docs:a", "docs:news"], data={}))[0] == 103
    await node.result("publish", key, channel="docs:a", data={})
    assert (await node.error("api_key_list", key))[0] == 103
    await node.result("publish", channel="docs:news", data={})
    await node.result("api_key_list")


async def test_a_policy_may_let_a_key_call_more(node):
    await put(node, rule("more", "allow", ["call"], methods=["info"], condition='"support" in roles'))
    await node.result("role_set", name="support", permissions=["call publish"])
    key = (await node.result("api_key_create", name="desk", role="support"))["key"]
    await node.result("info", key)
    assert (await node.error("api_key_list", key))[0] == 103


async def test_time_is_asked_each_minute(node):
    world = node.world  # its clock stands at midnight
    client = world.connected("ann")
    await put(node, rule("first-minute", condition='time.clock == "00:00"', channels=["docs:*"]))
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    world.clock.move(59)
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    world.clock.move(1)
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 0
    statistics = node.node.policies.statistics()
    assert (statistics.asked, statistics.remembered, statistics.rules) == (3, 1, 1)


async def subscriptions_as_minutes_turn(node):
    """Have ann enter three channels, one of them by the rule of the hour; give what ends with each of two minutes."""
    client = node.world.connected("ann")
    for channel in ("docs:a", "docs:b", "shut:a"):
        assert ask(client, subscribe={"channel": channel}) == 0
    ended = []
    for seconds in (61, 60):
        node.world.pass_time(seconds)
        await node.node.tasks.drain(30)
        ended.append({m["push"]["channel"]: m["push"]["unsubscribe"]["code"] for m in client.read() if "push" in m})
    assert client.closed is None
    return ended


QUIET = {**SETTINGS, "client": {"token": TOKEN, "ping_interval": "0s"}}
HOURS = (
    rule("closing", actions=["subscribe"], channels=["docs:a"], condition='time.clock >= "00:01"'),
    rule("open", "allow", ["subscribe"], channels=["shut:*"], condition='time.clock < "00:02"'),
)


async def test_subscriptions_end_when_the_hour_of_a_rule_comes(ruled):
    node = await ruled(**QUIET)
    await put(node, *HOURS)  # the clock stands at midnight
    assert await subscriptions_as_minutes_turn(node) == [{"docs:a": 2502}, {"shut:a": 2502}]
    assert len(node.node.wheel) == 1, "the next minute is waited for, once"
    await put(node, rule("closing", condition='time.clock >= "00:01"'))
    node.world.pass_time(60)
    assert len(node.node.wheel) == 0, "whatever else rules are about is asked when it is done"


async def test_a_rule_of_the_hour_may_end_no_subscription(ruled):
    node = await ruled(**{**QUIET, "policy": {"recheck_time": False}})
    await put(node, *HOURS)
    assert await subscriptions_as_minutes_turn(node) == [{}, {}]


async def test_what_is_remembered_goes_with_what_it_was_made_of(node):
    client = node.world.connected("ann")
    await put(node, rule("editors", condition='!("editor" in roles)', channels=["docs:*"]))
    asked = {"publish": {"channel": "docs:a", "data": {}}}
    assert [ask(client, **asked) for _ in range(3)] == [103, 103, 103]
    assert node.node.policies.statistics().remembered == 2
    await node.result("role_set", name="editor", permissions=[])
    await node.result("role_assign", user="ann", role="editor")
    assert ask(client, **asked) == 0
    await node.result("role_unassign", user="ann", role="editor")
    assert ask(client, **asked) == 103
    await put(node, rule("editors", condition='user == "bob"', channels=["docs:*"]))
    assert ask(client, **asked) == 0


async def test_memory_can_be_switched_off(ruled):
    node = await ruled(**{**SETTINGS, "policy": {"decision_cache": 0}})
    client = node.world.connected("ann")
    await put(node, rule("x"))
    assert [ask(client, publish={"channel": "docs:a", "data": {}}) for _ in range(2)] == [103, 103]
    assert node.node.policies.statistics().remembered == node.node.policies.statistics().held == 0


async def test_a_trial_only_counts(node):
    client = node.world.connected("ann")
    await put(node, rule("stop", channels=["docs:*"]), rule("open", "allow", channels=["shut:*"]), method="policy_dry_run")
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 0
    assert ask(client, publish={"channel": "shut:a", "data": {}}) == 103
    denials = node.node.denials
    assert denials.trial_counts == {("channel.publish", "policy:stop"): 1, ("channel.publish", "policy:open"): 1}
    assert denials.counts == {("channel.publish", "default"): 1}
    assert (await node.result("policy_get", mode="dry_run"))["mode"] == "dry_run"
    await node.result("policy_dry_run")
    assert ask(client, publish={"channel": "docs:b", "data": {}}) == 0
    assert sum(denials.trial_counts.values()) == 2
    assert node.node.access.policies is None


async def test_versions_are_kept_and_come_back(node):
    client = node.world.connected("ann")
    first = await put(node, rule("a"))
    second = (await node.result("policy_set", policy={}, comment="none"))["version"]
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 0
    third = (await node.result("policy_rollback", version=first))["version"]
    assert (first, second, third) == (1, 2, 3)
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    items = (await node.result("policy_list"))["items"]
    assert [(item["version"], item.get("comment", "")) for item in items] == [(3, "version 1 again"), (2, "none"), (1, "")]
    assert (await node.result("policy_get"))["policy"] == {"rules": [rule("a")]}
    assert (await node.result("policy_get", version=2))["policy"] == {}
    assert [item["version"] for item in (await node.result("policy_list", limit=1))["items"]] == [3]


@pytest.mark.parametrize(
    ("method", "request_", "error"),
    [
        ("policy_set", {}, (107, "policy: must be given")),
        ("policy_set", {"policy": []}, (107, "policy: policy: expected `object`")),
        (
            "policy_set",
            {"policy": {"rules": [rule("a", condition="usr == 1")]}},
            (107, "policy: rules[0].condition: line 1, column 1:"),
        ),
        (
            "policy_set",
            {"policy": {"rules": [rule("a", condition="user ==")]}},
            (107, "policy: rules[0].condition: line 1, column 8:"),
        ),
        (
            "policy_set",
            {"policy": {"rules": [rule("a", condition="claims.level == 1")]}},
            (107, "policy: rules[0].condition: line 1"),
        ),
        (
            "policy_set",
            {"policy": {"rules": [rule("a", actions=["call"], methods=["no"])]}},
            (107, "policy: rules[0].methods[0]: fits no"),
        ),
        ("policy_set", {"policy": {}, "comment": "x" * 501}, (107, "comment: must be at most 500")),
        (
            "policy_dry_run",
            {"policy": {"rules": [rule("a", condition="1")]}},
            (107, "policy: rules[0].condition: line 1, column 1: must be"),
        ),
        ("policy_get", {}, (104, "policy not found")),
        ("policy_get", {"version": 9}, (104, "policy version not found")),
        ("policy_rollback", {"version": 9}, (104, "policy version not found")),
        ("policy_list", {"limit": 0}, (107, "limit: must be a whole number that is at least 1")),
    ],
)
async def test_what_cannot_be_used_is_refused(node, method, request_, error):
    code, message = await node.error(method, **request_)
    assert (code, message.removeprefix("bad request: ")[: len(error[1])]) == error


async def test_one_that_is_refused_leaves_the_old_one_in_force(node):
    client = node.world.connected("ann")
    await put(node, rule("a"))
    await node.error("policy_set", policy={"rules": [rule("a", condition="(")]})
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    assert (await node.result("policy_get"))["version"] == 1


async def test_other_nodes_follow(open_nodes):
    one, two = await open_nodes(2, **SETTINGS)
    client = two.world.connected("ann")
    await put(one, rule("a"))
    await two.hear()
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    open_nodes.line.is_cut = True
    await put(one)
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    await two.rules.watch.check()
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 0
    assert client.closed is None


async def test_a_node_begins_with_what_is_stored(open_nodes):
    (one,) = await open_nodes(1, **SETTINGS)
    await put(one, rule("a", condition='claims.dept == "x"'))
    (two,) = await open_nodes(1, **SETTINGS)
    assert ask(two.world.connected("ann"), publish={"channel": "docs:a", "data": {}}) == 103
    # One that cannot use it must not serve anybody without it.
    with pytest.raises(SettingsError, match=r"policy version 1 of the store: .*unknown claim dept"):
        await open_nodes(1, **{**SETTINGS, "policy": {}})


async def test_a_node_that_cannot_use_a_newer_one_keeps_the_old_one(open_nodes):
    (one,) = await open_nodes(1, **SETTINGS)
    (two,) = await open_nodes(1, **{**SETTINGS, "policy": {}})
    client = two.world.connected("ann")
    await put(one, rule("a"))
    await two.rules.watch.check()
    await put(one, rule("b", condition='claims.dept == "x"'))
    await two.rules.watch.check()
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 103
    assert list(two.node.denials.counts) == [("channel.publish", "policy:a")]


async def test_a_file_decides_and_is_followed(ruled, tmp_path):
    file = tmp_path / "policy.toml"

    def write(text, at):
        file.write_text(text)
        os.utime(file, (at, at))

    write('[[rules]]\nname = "a"\neffect = "deny"\nactions = ["publish"]\n', 1)
    node = await ruled(**{**SETTINGS, "policy": {"file": str(file)}})
    client, asked = node.world.connected("ann"), {"publish": {"channel": "docs:a", "data": {}}}
    assert ask(client, **asked) == 103
    assert (await node.error("policy_set", policy={}))[1].endswith("policy: is a file's (policy.file): change that")
    for text, at in (('[[rules]]\nname = "a"\neffect = "no"\n', 2), ("[[", 3)):
        write(text, at)
        await node.rules._do_duties()
        assert ask(client, **asked) == 103
    file.unlink()
    await node.rules._do_duties()
    assert ask(client, **asked) == 103
    write("rules = []\n", 4)
    await node.rules._do_duties()
    assert ask(client, **asked) == 0
    file.write_text(json.dumps({"rules": []}))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("policy.toml", "[[rules]]\nname = 1", "policy.file: .*: rules.0..*: expected `str`"),
        (
            "policy.json",
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["publish"], "condition": "("}]}',
            "line 1, column",
        ),
        ("absent.toml", None, "policy.file: .*: policy: cannot be read: No such file"),
    ],
)
async def test_a_file_that_cannot_be_used_keeps_a_node_from_starting(ruled, tmp_path, name, text, line):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError) as refused:
        await ruled(**{**SETTINGS, "policy": {"file": str(tmp_path / name)}})
    assert refused.match(line)


async def test_without_rules_nobody_is_asked(node):
    assert node.node.access.policies is None
    await put(node, rule("a"))
    assert node.node.access.policies is node.node.policies
    await put(node)
    assert node.node.access.policies is None


async def test_grants_name_their_rule_in_the_audit(open_nodes):
    (node,) = await open_nodes(1, **SETTINGS, audit={"grants": ["publish", "subscribe", "history"]})
    await node.result("role_set", name="editor", permissions=["publish,subscribe shut:*"])
    await put(node, rule("readers", "allow", ["history"], channels=["shut:*"]))
    client = node.world.connected("ann", roles=["editor"])
    assert may(client, "shut:a") == ["publish", "history", "subscribe"]
    assert ask(client, publish={"channel": "docs:a", "data": {}}) == 0
    await node.store.audit.settle()
    records, _ = await node.store.audit.search(AuditFilter(decision="granted"), limit=10)
    assert [(one.record.act.action, one.record.act.rule) for one in reversed(records)] == [
        ("channel.publish", "role:editor"),
        ("channel.history", "policy:readers"),
        ("channel.subscribe", "capability"),
        ("channel.publish", "option"),
    ]

"""Keys of the API that may do some things only: made, used, replaced, taken back."""

import pytest

from broker.audit import AuditFilter
from broker.errors import StoreUnavailable

DENIED = (103, "permission denied")
NAMESPACES = {"namespaces": [{"name": "docs", "history_size": 10, "history_ttl": "60s"}, {"name": "chat"}]}


@pytest.fixture
async def node(ruled):
    return await ruled(channel=NAMESPACES)


async def make(node, name="billing", **grant):
    return await node.result("api_key_create", name=name, **({"methods": ["publish"]} | grant))


async def test_a_key_may_call_what_it_names_and_nothing_else(node):
    made = await make(node, methods=["publish", "history*"])
    assert made["key"].startswith(f"hgk_{made['id']}_")
    await node.result("publish", made["key"], channel="docs:a", data={})
    await node.result("history", made["key"], channel="docs:a")
    assert await node.error("info", made["key"]) == DENIED
    assert await node.error("api_key_create", made["key"], name="x", methods=["*"]) == DENIED


async def test_keys_of_the_settings_go_on_to_open_everything(node):
    await make(node)
    await node.result("publish", channel="docs:a", data={})
    await node.result("info")


async def test_the_text_is_told_once(node):
    made = await make(node)
    listed = (await node.post("api_key_list")).text
    assert made["key"] not in listed and made["key"].rpartition("_")[2] not in listed
    (item,) = (await node.result("api_key_list"))["items"]
    now = node.world.now()
    assert item == {"id": made["id"], "name": "billing", "created_at": now, "methods": ["publish"]}


@pytest.mark.parametrize(
    "key", ["hgk_", "hgk_{id}_", "hgk_{id}_x", "{key}x", "x{key}", "hgk_0000000000000000_{secret}", "HGK_{rest}"]
)
async def test_what_is_not_the_key_opens_nothing(node, key):
    made = await make(node)
    rest = made["key"].removeprefix("hgk_")
    text = key.format(id=made["id"], key=made["key"], secret=rest.partition("_")[2], rest=rest)
    assert (await node.post("publish", text, channel="docs:a", data={})).status_code == 401


async def test_every_place_of_a_key_counts(node):
    key = (await make(node))["key"]
    body = b'{"channel":"docs:a","data":{}}'
    for headers, query in (
        ({"Authorization": f"apikey {key}"}, ""),
        ({}, f"?api_key={key}"),
        ({"X-API-Key": "no"}, f"?api_key={key}"),
    ):
        response = await node.http.post(f"/api/publish{query}", content=body, headers=headers)
        assert response.status_code == 200, (headers, query)


@pytest.mark.parametrize(
    ("method", "request_", "is_allowed"),
    [
        ("publish", {"channel": "docs:a", "data": {}}, True),
        ("publish", {"channel": "chat:a", "data": {}}, False),
        ("broadcast", {"channels": ["docs:a", "docs:b"], "data": {}}, True),
        ("broadcast", {"channels": ["docs:a", "chat:b"], "data": {}}, False),
        ("broadcast", {"channels": [], "data": {}}, False),
        ("publish", {"channel": "", "data": {}}, False),
        ("info", {}, True),
    ],
)
async def test_every_channel_of_a_call_must_fit(node, method, request_, is_allowed):
    made = await make(node, methods=["*"], channels=["docs:*"])
    answer = (await node.post(method, made["key"], **request_)).json()
    assert (answer.get("error", {}).get("code") != 103) is is_allowed


async def test_each_call_of_a_batch_is_decided_about(node):
    key = (await make(node))["key"]
    commands = [{"publish": {"channel": "docs:a", "data": {}}}, {"info": {}}, {"api_key_list": {}}]
    for parallel in (False, True):
        replies = (await node.post("batch", key, commands=commands, parallel=parallel)).json()["replies"]
        assert [reply.get("error", {}).get("code", 0) for reply in replies] == [0, 103, 103]


async def test_a_role_lets_a_key_call(node):
    await node.result("role_set", name="writer", permissions=["call publish", "call api_key_l*"])
    made = await make(node, methods=[], role="writer")
    await node.result("publish", made["key"], channel="chat:a", data={})
    await node.result("api_key_list", made["key"])
    assert await node.error("info", made["key"]) == DENIED
    await node.result("role_set", name="writer", permissions=["call info"])
    assert await node.error("publish", made["key"], channel="chat:a", data={}) == DENIED
    await node.result("role_remove", name="writer")
    assert await node.error("info", made["key"]) == DENIED


async def test_a_key_ends_at_its_moment(node):
    world = node.world
    made = await make(node, expire_at=world.now() + 60)
    world.clock.move(59)
    await node.result("publish", made["key"], channel="docs:a", data={})
    world.clock.move(1)
    assert (await node.post("publish", made["key"], channel="docs:a", data={})).status_code == 401


async def test_two_secrets_open_while_one_is_replaced(node):
    first = await make(node)
    second = await node.result("api_key_rotate", id=first["id"], grace_s=60)
    assert (second["id"], second["name"]) == (first["id"], "billing")

    async def opens(key):
        return (await node.post("publish", key, channel="docs:a", data={})).status_code == 200

    assert await opens(first["key"]) and await opens(second["key"])
    node.world.clock.move(60)
    assert not await opens(first["key"]) and await opens(second["key"])
    third = await node.result("api_key_rotate", id=first["id"], grace_s=0)
    assert not await opens(second["key"]) and await opens(third["key"])


async def test_a_revoked_key_opens_nothing(node):
    made = await make(node)
    await node.result("api_key_revoke", id=made["id"])
    assert (await node.post("publish", made["key"], channel="docs:a", data={})).status_code == 401
    assert (await node.result("api_key_list"))["items"] == []
    assert await node.error("api_key_revoke", id=made["id"]) == (104, "API key not found")
    assert await node.error("api_key_rotate", id=made["id"]) == (104, "API key not found")


@pytest.mark.parametrize("key_id", ["4711", "", "f" * 16, "é" * 300])
async def test_an_id_that_is_none_is_not_found(node, key_id):
    await make(node)
    assert await node.error("api_key_rotate", id=key_id) == (104, "API key not found")
    assert await node.error("api_key_revoke", id=key_id) == (104, "API key not found")


async def test_when_a_key_was_used_is_kept_to_the_minute(node):
    made = await make(node)
    used_at = node.world.now()
    await node.result("publish", made["key"], channel="docs:a", data={})
    await node.rules.keys.note_uses()
    assert "last_used_at" not in (await node.result("api_key_list"))["items"][0]
    node.world.clock.move(60)
    await node.rules.keys.note_uses()
    assert (await node.result("api_key_list"))["items"][0]["last_used_at"] == used_at


async def test_a_rate_holds_and_is_told(node):
    key = (await make(node, rate_per_s=2.0, burst=3))["key"]
    limits = []
    for _ in range(3):
        response = await node.post("publish", key, channel="docs:a", data={})
        assert response.status_code == 200
        limits.append([response.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")])
    assert limits == [["3", "2", "1"], ["3", "1", "1"], ["3", "0", "2"]]
    refused = await node.post("publish", key, channel="docs:a", data={})
    assert refused.status_code == 429
    assert refused.json() == {"error": {"code": 111, "message": "too many requests"}}
    assert (refused.headers["Retry-After"], refused.headers["RateLimit-Remaining"]) == ("1", "0")
    node.world.clock.move(0.5)
    assert (await node.post("publish", key, channel="docs:a", data={})).status_code == 200
    assert "RateLimit-Limit" not in (await node.post("info")).headers


async def test_a_batch_counts_as_its_calls(node):
    key = (await make(node, rate_per_s=1.0, burst=5))["key"]
    commands = [{"publish": {"channel": "docs:a", "data": {}}}] * 4
    assert (await node.post("batch", key, commands=commands)).headers["RateLimit-Remaining"] == "1"
    assert (await node.post("batch", key, commands=commands)).status_code == 429
    node.world.clock.move(5)
    whole = await node.post("batch", key, commands=commands * 10)
    assert (whole.status_code, whole.text) == (
        400,
        "bad request: commands: must be at most 5 for this key, which may make so many calls at once\n",
    )
    assert (await node.post("batch", key, commands=commands)).headers["RateLimit-Remaining"] == "1", "nothing was spent"


@pytest.mark.parametrize(
    ("grant", "fault"),
    [
        ({"name": ""}, "name: must be 1 to 64 letters"),
        ({"name": "a b"}, "name: must be 1 to 64 letters"),
        ({"name": "x" * 65}, "name: must be 1 to 64 letters"),
        ({"methods": []}, "methods: must name methods, or role a role"),
        ({"methods": ["publish", "notfy"]}, "methods[1]: fits no method that there is"),
        ({"methods": [""]}, "methods[0]: must name what it is about"),
        ({"methods": ["pub*sub*"]}, "methods[0]: fits no method that there is"),
        ({"methods": ["publish"] * 65}, "methods: must be at most 64"),
        ({"channels": ["docs:*", "nowhere:*"]}, "channels[1]: can fit no channel: namespace 'nowhere' is not configured"),
        ({"channels": [""]}, "channels[0]: must name what it is about"),
        ({"channels": ["docs: a"]}, "channels[0]: must hold no blanks"),
        ({"channels": ["docs:{user}"]}, "channels[0]: must have no braces here"),
        ({"channels": ["x" * 257]}, "channels[0]: must be at most 256 characters"),
        ({"role": "nobody"}, "role: is none that there is"),
        ({"expire_at": 1}, "expire_at: must lie in the future"),
        ({"expire_at": 10**15}, "expire_at: must lie in the future"),
        ({"rate_per_s": -1}, "rate_per_s: must be from 0 to 1000000"),
        ({"burst": 5}, "burst: must be from 0 to 1000000, and needs rate_per_s"),
        ({"rate_per_s": 1, "burst": -1}, "burst: must be from 0"),
        ({"method": ["publish"]}, "method: unknown field"),
        ({"name": 7}, "name: must be text"),
    ],
)
async def test_a_key_that_breaks_a_rule_is_refused_by_name(node, grant, fault):
    request = {"name": "billing", "methods": ["publish"], **grant}
    code, message = await node.error("api_key_create", **request)
    assert code == 107
    assert message.startswith(f"bad request: {fault}")
    assert (await node.result("api_key_list"))["items"] == []


async def test_names_differ(node):
    await make(node)
    assert await node.error("api_key_create", name="billing", methods=["publish"]) == (
        107,
        "bad request: name: is that of another key",
    )


@pytest.mark.parametrize("grace_s", [-1, 90 * 86_400 + 1])
async def test_a_grace_has_bounds(node, grace_s):
    made = await make(node)
    code, message = await node.error("api_key_rotate", id=made["id"], grace_s=grace_s)
    assert (code, message.partition(":")[2]) == (107, " grace_s: must be from 0 to 7776000")


@pytest.mark.parametrize("grant", [{"methods": ["api_*", "role_*", "policy_*"]}, {"methods": ["*"], "channels": ["docs:*"]}])
async def test_no_key_hands_out_more_than_it_has(node, grant):
    whole = await make(node, "whole", methods=["*"])
    bounded = (await make(node, "bounded", **grant))["key"]
    for method, request in (
        ("api_key_create", {"name": "more", "methods": ["publish"], "channels": ["docs:*"]}),
        ("api_key_rotate", {"id": whole["id"]}),
        ("role_set", {"name": "mine", "permissions": ["call *"]}),
        ("policy_set", {"policy": {"rules": []}}),
        ("policy_rollback", {"version": 1}),
    ):
        assert await node.error(method, bounded, **request) == DENIED
    assert node.node.denials.counts == {("api.call", "api_key:hands_out"): 5}
    await node.result("api_key_revoke", bounded, id=whole["id"])


async def test_who_has_everything_hands_out_rights_and_so_does_whom_a_policy_lets(node):
    await node.result("role_set", name="root", permissions=["call *"])
    for key in ((await make(node, "whole", methods=["*"]))["key"], (await make(node, "root", role="root", methods=[]))["key"]):
        other = await node.result("api_key_create", key, name=f"of-{key[4:20]}", methods=["publish"])
    rule = {
        "name": "turns",
        "effect": "allow",
        "actions": ["call"],
        "methods": ["api_key_rotate"],
        "condition": "key == 'turner'",
    }
    turner = (await make(node, "turner", methods=["api_key_rotate"]))["key"]
    await node.result("policy_set", policy={"rules": [rule]})
    await node.result("api_key_rotate", turner, id=other["id"])


async def test_a_refusal_is_counted_logged_and_audited(node):
    made = await make(node)
    await node.error("info", made["key"])
    assert node.node.denials.counts == {("api.call", "api_key:methods"): 1}
    await node.store.audit.settle()
    records, _ = await node.store.audit.search(AuditFilter(decision="denied"), limit=5)
    (record,) = (one.record for one in records)
    assert (record.caller.actor.name, record.act.resource, record.act.rule) == ("billing", "api:info", "api_key:methods")


async def test_keys_count_while_the_store_is_away(node):
    made = await make(node)
    await node.store.close()
    with pytest.raises((StoreUnavailable, RuntimeError)):
        await node.rules.watch.check()
    await node.result("publish", made["key"], channel="docs:a", data={})


async def test_another_node_is_told(open_nodes):
    one, two = await open_nodes(2)
    made = await make(one)
    await two.hear()
    assert (await two.post("publish", made["key"], channel="a", data={})).status_code == 200
    await one.result("api_key_revoke", id=made["id"])
    await two.hear()
    assert (await two.post("publish", made["key"], channel="a", data={})).status_code == 401


async def test_a_node_that_is_not_told_finds_it_at_its_next_look(open_nodes):
    one, two = await open_nodes(2)
    open_nodes.line.is_cut = True
    made = await make(one)
    assert (await two.post("publish", made["key"], channel="a", data={})).status_code == 401
    await two.rules.watch.check()
    assert (await two.post("publish", made["key"], channel="a", data={})).status_code == 200

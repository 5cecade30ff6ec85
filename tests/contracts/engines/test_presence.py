"""The ports Presence and UserPresence, sentence by sentence."""

from broker.model import ClientInfo
from broker.presence import PresenceStats

# Presence


async def test_who_was_entered_is_listed_by_client(engine, make_info):
    ann, bob = make_info("ann"), make_info("bob")
    await engine.presence.add("room", ann)
    await engine.presence.add("room", bob)
    assert await engine.presence.members("room") == {ann.client: ann, bob.client: bob}


async def test_channels_are_apart(engine, make_info):
    await engine.presence.add("room", make_info())
    assert await engine.presence.members("other") == {}
    assert await engine.presence.stats("other") == PresenceStats(clients=0, users=0)


async def test_entering_again_replaces(engine, make_info):
    await engine.presence.add("room", make_info("ann", "c1"))
    newer = ClientInfo("ann", "c1", b'{"name":"Anna"}', b"")
    await engine.presence.add("room", newer)
    assert await engine.presence.members("room") == {"c1": newer}


async def test_who_left_is_gone(engine, make_info):
    ann, bob = make_info("ann"), make_info("bob")
    await engine.presence.add("room", ann)
    await engine.presence.add("room", bob)
    await engine.presence.remove("room", ann.client)
    assert await engine.presence.members("room") == {bob.client: bob}
    await engine.presence.remove("room", bob.client)
    assert await engine.presence.members("room") == {}


async def test_leaving_where_one_is_not_is_no_error(engine, make_info):
    await engine.presence.remove("room", "nobody")
    ann = make_info("ann")
    await engine.presence.add("room", ann)
    await engine.presence.remove("room", "nobody")
    assert await engine.presence.members("room") == {ann.client: ann}


async def test_stats_count_clients_and_users(engine, make_info):
    for user in ("ann", "ann", "bob", "", ""):
        await engine.presence.add("room", make_info(user))
    assert await engine.presence.stats("room") == PresenceStats(clients=5, users=3)  # "" is one user


async def test_stats_follow_a_client_that_changes_its_user(engine, make_info):
    await engine.presence.add("room", make_info("ann", "c1"))
    await engine.presence.add("room", make_info("bob", "c1"))
    assert await engine.presence.stats("room") == PresenceStats(clients=1, users=1)


async def test_a_list_once_given_does_not_change(engine, make_info):
    await engine.presence.add("room", make_info("ann", "c1"))
    listed = await engine.presence.members("room")
    await engine.presence.remove("room", "c1")
    assert list(listed) == ["c1"]


# UserPresence


async def test_a_connected_user_is_online(engine):
    await engine.users.connected("ann", "c1")
    assert await engine.users.online(frozenset({"ann", "bob"})) == {"ann"}


async def test_nobody_is_online_at_first(engine):
    assert await engine.users.online(frozenset({"ann"})) == frozenset()
    assert await engine.users.online(frozenset()) == frozenset()


async def test_only_who_was_asked_for_is_told(engine):
    await engine.users.connected("ann", "c1")
    await engine.users.connected("bob", "c2")
    assert await engine.users.online(frozenset({"bob"})) == {"bob"}


async def test_a_user_stays_online_until_the_last_connection_is_gone(engine):
    await engine.users.connected("ann", "c1")
    await engine.users.connected("ann", "c2")
    await engine.users.disconnected("ann", "c1")
    assert await engine.users.online(frozenset({"ann"})) == {"ann"}
    await engine.users.disconnected("ann", "c2")
    assert await engine.users.online(frozenset({"ann"})) == frozenset()


async def test_a_client_counts_once_however_often_it_is_noted(engine):
    await engine.users.connected("ann", "c1")
    await engine.users.connected("ann", "c1")
    await engine.users.disconnected("ann", "c1")
    assert await engine.users.online(frozenset({"ann"})) == frozenset()


async def test_a_client_that_was_never_noted_takes_nobody_offline(engine):
    await engine.users.disconnected("ann", "c9")
    await engine.users.connected("ann", "c1")
    await engine.users.disconnected("ann", "c9")
    assert await engine.users.online(frozenset({"ann"})) == {"ann"}

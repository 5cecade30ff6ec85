"""What only the memory engine promises of presence: empty channels and absent users take no room."""

from broker.engines.memory.presence import MemoryPresence, MemoryUserPresence
from broker.model import ClientInfo


async def test_a_channel_without_members_is_not_held():
    presence = MemoryPresence()
    await presence.add("room", ClientInfo("ann", "c1"))
    await presence.add("room", ClientInfo("ann", "c2"))
    await presence.remove("room", "c1")
    assert len(presence) == 1
    await presence.remove("room", "c2")
    await presence.remove("other", "c2")
    assert len(presence) == 0


async def test_a_user_without_connection_is_not_held():
    users = MemoryUserPresence()
    await users.connected("ann", "c1")
    await users.connected("bob", "c2")
    await users.disconnected("ann", "c1")
    await users.disconnected("ann", "c1")
    assert len(users) == 1
    users.clear()
    assert len(users) == 0

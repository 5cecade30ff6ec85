"""What only the memory engine promises of control: before a node has registered, the fleet is empty."""

from broker.control import Selector, Unsubscribe
from broker.engines.memory.control import MemoryControl


async def test_without_a_node_there_is_nobody_to_tell_or_ask():
    control = MemoryControl()
    await control.send(Unsubscribe(Selector("ann"), "news"))
    assert await control.nodes() == []
    assert await control.channels() == {}

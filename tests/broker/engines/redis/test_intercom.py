"""Between nodes of different versions: what is not known is passed over, and said once."""

import msgspec
import structlog

from broker.control import Selector, Unsubscribe
from broker.engines.redis.messages import Perform, encode

UNSUBSCRIBE = Unsubscribe(Selector("ann"), "news")


async def test_what_a_newer_node_says_is_passed_over_and_said_at_first(join, raw, until, broker_settings):
    one = await join()
    topic = f"{broker_settings.prefix}:node:"
    newer = [
        encode({"type": "dance", "sender": "x"}),
        encode({"type": "perform", "sender": "x", "command": {"type": "dance"}}),
        encode({"type": "ask", "sender": "x", "survey": 1, "question": "weather"}),
        b"\xff\xfe",
        b"",
    ]
    with structlog.testing.capture_logs() as logs:
        for payload in newer:
            await raw.publish(topic, payload)
        await raw.publish(topic, encode(Perform("x", UNSUBSCRIBE)))
        await until(lambda: one.node.performed == [UNSUBSCRIBE])
    assert [entry["event"] for entry in logs] == ["control.not_understood"]


async def test_fields_that_are_not_known_are_passed_over(join, raw, until, broker_settings):
    one = await join()
    message = msgspec.to_builtins(Perform("x", UNSUBSCRIBE)) | {"mood": "good"}
    message["command"]["tempo"] = 3
    await raw.publish(f"{broker_settings.prefix}:node:", encode(message))
    await until(lambda: one.node.performed == [UNSUBSCRIBE])


async def test_a_node_does_not_hear_itself(join, until):
    one, two = await join(), await join()
    await one.fleet.control.send(UNSUBSCRIBE)
    await two.fleet.control.send(UNSUBSCRIBE)
    await until(lambda: len(one.node.performed) >= 2)
    await until(lambda: len(two.node.performed) >= 2)
    await one.fleet.control.nodes()
    assert (len(one.node.performed), len(two.node.performed)) == (2, 2)

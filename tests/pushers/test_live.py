"""What clients get to see, and on which channel."""

import msgspec
import pytest

from broker.channels import ChannelRules
from broker.engines.memory.engine import MemoryEngine
from broker.notification import Content, Lane
from config.settings import ChannelSettings, PersonalChannelSettings
from pushers.live import LiveRoute, encode


def rules(personal=None, **channels):
    return ChannelRules(ChannelSettings(**channels), personal or PersonalChannelSettings(enabled=True))


@pytest.fixture
async def engine(clock):
    engine = MemoryEngine(clock)
    engine.messages = []
    engine.pubsub.on_message(lambda channel, message: engine.messages.append((channel, message)))
    await engine.start()
    yield engine
    await engine.close()


def test_absent_fields_are_left_out(notification):
    told = encode(notification(id="n-1", content=Content(title="Hi")))
    assert told == b'{"notification":{"id":"n-1","title":"Hi","priority":"normal"}}'


def test_every_field_is_told_and_data_is_spliced_as_it_is(notification):
    content = Content("Hi", "You", msgspec.Raw(b'{"a": 1.0}'), "chat", "https://x.io/", "https://x.io/i.png", "k")
    told = encode(notification(id="n-1", content=content, lane=Lane.CRITICAL))
    assert b'"data":{"a": 1.0}' in told
    assert msgspec.json.decode(told)["notification"] == {
        "id": "n-1",
        "title": "Hi",
        "body": "You",
        "data": {"a": 1.0},
        "category": "chat",
        "priority": "critical",
        "link": "https://x.io/",
        "image": "https://x.io/i.png",
    }


def test_it_is_one_line_whatever_the_data_looks_like(notification):
    told = encode(notification(content=Content(data=msgspec.Raw(b'{\r\n  "a": "b\\n"\n}'))))
    assert b"\n" not in told
    assert b"\r" not in told
    assert msgspec.json.decode(told)["notification"]["data"] == {"a": "b\n"}


async def test_it_goes_to_the_personal_channel_once_per_id(engine, notification):
    await engine.pubsub.subscribe("#ann")
    live = LiveRoute(engine.pubsub, rules())
    await live.publish(notification(id="n-1"))
    await live.publish(notification(id="n-1"))
    await live.publish(notification(id="n-2"))
    ids = [msgspec.json.decode(message.data)["notification"]["id"] for _, message in engine.messages]
    assert ids == ["n-1", "n-2"]


async def test_it_is_kept_where_the_channel_keeps_history(engine, notification):
    kept = rules(without_namespace={"history_size": 10, "history_ttl": "60s"})
    await LiveRoute(engine.pubsub, kept).publish(notification())
    assert (await engine.history.read("#ann", since=None, limit=10)).top.offset == 1


async def test_a_namespace_of_personal_channels_is_obeyed(engine, notification):
    personal = PersonalChannelSettings(enabled=True, personal_channel_namespace="personal")
    live = LiveRoute(engine.pubsub, rules(personal, namespaces=[{"name": "personal"}]))
    await engine.pubsub.subscribe("personal:#ann")
    await live.publish(notification())
    assert [channel for channel, _ in engine.messages] == ["personal:#ann"]


@pytest.mark.parametrize(
    ("personal", "user"), [({"enabled": False}, "ann"), ({}, ""), ({"personal_channel_namespace": "nowhere"}, "ann")]
)
def test_without_a_personal_channel_the_route_is_closed(personal, user):
    live = LiveRoute(None, rules(PersonalChannelSettings(**personal)))
    assert not live.is_open(user)


def test_a_colon_in_an_id_is_no_namespace():
    assert LiveRoute(None, rules(PersonalChannelSettings())).is_open("auth0:7f3a")

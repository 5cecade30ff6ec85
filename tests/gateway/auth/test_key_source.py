"""Keys that are published: when they are fetched, and what happens while they cannot be."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from config.clock import ManualClock, settle
from gateway.auth.jwks_client import NotFetched
from gateway.auth.key_metrics import key_concerns, key_metrics
from gateway.auth.key_source import PAUSE_S, KeySource, KeysUnavailable


class Issuer:
    """Publishes what a test puts into `answer`: a document, or what goes wrong."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = b""
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def publish(self, *keys: dict[str, Any]) -> None:
        self.answer = json.dumps({"keys": keys}).encode()

    async def fetch(self) -> bytes:
        self.fetches += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def issuer(make_jwk: Callable[..., Any]) -> Issuer:
    found = Issuer()
    found.publish(make_jwk("ES256", "k1"))
    return found


@pytest.fixture
async def source(issuer: Issuer, clock: ManualClock) -> AsyncIterator[KeySource]:
    found = KeySource("login", issuer.fetch, clock, refresh_s=600)
    yield found
    await found.close()


async def test_fetches_once_for_all_who_wait(source: KeySource, issuer: Issuer) -> None:
    issuer.gate.clear()
    waiting = [asyncio.ensure_future(source.look_for("ES256", "k1")) for _ in range(50)]
    await settle()
    waiting[0].cancel()
    issuer.gate.set()
    await asyncio.gather(*waiting[1:])
    assert issuer.fetches == 1
    assert source.find("ES256", "k1")
    await source.look_for("ES256", "k1")
    assert issuer.fetches == 1


async def test_a_new_kid_is_fetched_and_the_old_one_goes(
    source: KeySource, issuer: Issuer, clock: ManualClock, make_jwk: Callable[..., Any]
) -> None:
    await source.look_for("ES256", "k1")
    clock.move(60)
    issuer.publish(make_jwk("ES256", "k2"))
    await source.look_for("ES256", "k2")
    assert source.find("ES256", "k2")
    assert not source.find("ES256", "k1")


async def test_made_up_kids_cause_one_fetch_in_a_while(source: KeySource, issuer: Issuer, clock: ManualClock) -> None:
    await source.look_for("ES256", "k1")
    waiting = [asyncio.ensure_future(source.look_for("ES256", f"made up {number}")) for number in range(1000)]
    await clock.advance(PAUSE_S - 0.01)
    assert issuer.fetches == 1
    assert not any(one.done() for one in waiting)
    await clock.advance(0.02)
    await asyncio.gather(*waiting)  # nobody there by these names: `open` refuses the tokens
    assert issuer.fetches == 2


@pytest.mark.parametrize(
    "trouble", [NotFetched("does not take connections"), b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}']
)
async def test_keys_are_kept_while_there_are_no_others(  # L-9
    source: KeySource, issuer: Issuer, clock: ManualClock, trouble: bytes | Exception
) -> None:
    await source.look_for("ES256", "k1")
    clock.move(3600)
    issuer.answer = trouble
    with pytest.raises(KeysUnavailable):
        await source.look_for("ES256", "k2")
    assert source.find("ES256", "k1")
    state = source.state()
    assert (state.keys, state.age_s, state.failures) == (1, 3600, 1)
    assert state.error
    assert (state.last.error, state.last.failing_since is None) == (state.error, False)
    [concern] = key_concerns([state])
    assert "those of 3600 s ago are used" in concern


async def test_says_that_it_cannot_know_while_there_never_were_any(source: KeySource, issuer: Issuer) -> None:  # L-9
    issuer.answer = NotFetched("answered 500")
    with pytest.raises(KeysUnavailable):
        await source.look_for("ES256", "k1")
    assert key_concerns([source.state()]) == [
        "keys of issuer login: answered 500, there are none, so that its tokens cannot be judged"
    ]


async def test_fetches_again_unasked_and_sooner_after_a_failure(source: KeySource, issuer: Issuer, clock: ManualClock) -> None:
    running = asyncio.ensure_future(source.run())
    await clock.advance(1)
    assert issuer.fetches == 1
    await clock.advance(600)
    assert issuer.fetches == 2
    issuer.answer = NotFetched("answered 500")
    await clock.advance(600)
    failed = issuer.fetches
    await clock.advance(61)
    assert failed < issuer.fetches <= failed + 5
    issuer.answer = b'{"keys": []}'
    await clock.advance(3600)
    assert issuer.fetches <= failed + 5 + 3600 / 54
    running.cancel()


async def test_what_is_under_way_ends_with_it(source: KeySource, issuer: Issuer) -> None:
    issuer.gate.clear()
    waiting = asyncio.ensure_future(source.look_for("ES256", "k1"))
    await settle()
    await source.close()
    await source.close()
    await waiting
    assert source.find("ES256", "k1") == ()


async def test_metrics_count_what_was_fetched_and_what_was_not(source: KeySource, issuer: Issuer, clock: ManualClock) -> None:
    assert list(key_metrics([])) == []
    await source.look_for("ES256", "k1")
    issuer.answer = NotFetched("answered 500")
    clock.move(10)
    with pytest.raises(KeysUnavailable):
        await source.look_for("ES256", "k2")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in key_metrics([source.state()])
        for sample in metric.samples
    }
    assert samples == {
        ("heliograph_issuer_keys", "login"): 1,
        ("heliograph_issuer_keys_age_seconds", "login"): 10,
        ("heliograph_issuer_key_fetches_total", "login", "fetched"): 1,
        ("heliograph_issuer_key_fetches_total", "login", "failed"): 1,
    }


async def test_says_what_it_holds_when_that_is_something_else(
    source: KeySource, issuer: Issuer, clock: ManualClock, make_jwk: Callable[..., Any]
) -> None:
    told: list[tuple[str, dict[str, str]]] = []
    source.on_change = lambda name, digests: told.append((name, dict(digests)))
    first, other, anonymous = make_jwk("ES256", "k1"), make_jwk("RS256", "k1"), make_jwk("EdDSA", None)
    issuer.answer = NotFetched("answered 500")
    running = asyncio.ensure_future(source.run())
    for keys, named in (
        ((first,), {"k1"}),
        ((first,), None),  # as before
        ((make_jwk("RS256", "k2"), first), {"k1", "k2"}),
        ((first, make_jwk("RS256", "k2")), None),  # in another order
        ((other, make_jwk("RS256", "k2")), {"k1", "k2"}),  # another key by an old name
        ((other | {"alg": "RS256"}, make_jwk("RS256", "k2")), {"k1", "k2"}),  # which may do less
        ((anonymous, first), {"", "k1"}),
        ((), None),  # an empty set changes nothing
        ((make_jwk("ES256", "half \ud800"),), {"half ?"}),
    ):
        before = len(told)
        issuer.publish(*keys)
        await clock.advance(700)
        assert [set(digests) for _, digests in told[before:]] == ([] if named is None else [named]), keys
    assert {name for name, _ in told} == {"login"}
    values = {digest for _, digests in told for digest in digests.values()}
    assert all(len(digest) == 64 for digest in values) and not any(first["x"] in digest for digest in values)
    running.cancel()

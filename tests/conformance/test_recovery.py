"""PROTOCOL.md §5.4: positions, recovery, and no publication lost or doubled, whatever happens at the same time."""

import asyncio

import pytest


@pytest.fixture
async def peer(strict, connected, user):
    return await connected(strict, user)


def fill(server, channel, count, first=1):
    for number in range(first, first + count):
        server.call("publish", channel=channel, data={"n": number})


def offsets(publications):
    return [entry["offset"] for entry in publications]


async def test_p42_the_first_positioned_subscribe(strict, peer, channel):
    """P-42: first positioned subscribe: top offset, epoch, `positioned`; nothing of the past."""
    name = channel("kept")
    fill(strict, name, 3)
    result = await peer.subscribe(name)
    assert result.keys() == {"recoverable", "positioned", "epoch", "offset"}
    assert (result["offset"], result["positioned"], result["recoverable"]) == (3, True, True)
    fill(strict, name, 1, first=4)
    assert (await peer.publication(name))["offset"] == 4


async def test_p43_recover_at_the_top(strict, peer, channel):
    """P-43: recover at top → recovered, no publications; an empty epoch matches."""
    name = channel("kept")
    fill(strict, name, 2)
    epoch = (await peer.subscribe(name))["epoch"]
    for known in (epoch, ""):
        await peer.result(unsubscribe={"channel": name})
        result = await peer.subscribe(name, recover=True, offset=2, epoch=known)
        assert (result["recovered"], result["was_recovering"], result["offset"], result["epoch"]) == (True, True, 2, epoch)
        assert "publications" not in result


async def test_p44_recover_what_was_missed(strict, peer, channel):
    """P-44: recover missed → all, ascending, own offset; the next live one follows on."""
    name = channel("kept")
    fill(strict, name, 5)
    epoch = (await peer.subscribe(name))["epoch"]
    await peer.result(unsubscribe={"channel": name})
    result = await peer.subscribe(name, recover=True, offset=2, epoch=epoch)
    assert (result["recovered"], result["was_recovering"], result["offset"]) == (True, True, 2)
    assert offsets(result["publications"]) == [3, 4, 5]
    fill(strict, name, 1, first=6)
    assert (await peer.publication(name))["offset"] == 6


async def test_p44_the_whole_stream(strict, peer, channel):
    """P-44 with §5.4: from offset 0 without an epoch the whole stream comes."""
    name = channel("kept")
    fill(strict, name, 3)
    result = await peer.subscribe(name, recover=True, offset=0, epoch="")
    assert result["recovered"] is True
    assert offsets(result["publications"]) == [1, 2, 3]


async def test_p45_what_was_evicted(strict, peer, channel):
    """P-45: evicted → recovered false, none; the top instead of the own offset."""
    name = channel("short")
    fill(strict, name, 5)
    epoch = (await peer.subscribe(name))["epoch"]
    await peer.result(unsubscribe={"channel": name})
    result = await peer.subscribe(name, recover=True, offset=2, epoch=epoch)
    assert result["was_recovering"] is True
    assert result["offset"] == 5
    assert result.keys().isdisjoint({"recovered", "publications"})
    await peer.result(unsubscribe={"channel": name})
    assert offsets((await peer.subscribe(name, recover=True, offset=3, epoch=epoch))["publications"]) == [4, 5]


@pytest.mark.parametrize("claim", [{"epoch": "wrong", "offset": 2}, {"epoch": "_", "offset": 2}, {"epoch": "", "offset": 9}])
async def test_p46_another_epoch(strict, peer, channel, claim):
    """P-46: wrong epoch → recovered false; so is an offset above the top."""
    name = channel("kept")
    fill(strict, name, 3)
    result = await peer.subscribe(name, recover=True, **claim)
    assert result["was_recovering"] is True
    assert result["offset"] == 3
    assert result.keys().isdisjoint({"recovered", "publications"})


@pytest.mark.parametrize("claim", [{"epoch": "wrong", "offset": 2}, {"offset": 1}, {"offset": 9}])
async def test_p47_rather_an_error(strict, peer, channel, claim):
    """P-47: `flag & 2` and unrecoverable → 112; nothing stays behind."""
    name = channel("short")
    fill(strict, name, 5)
    assert await peer.error(subscribe={"channel": name, "recover": True, "flag": 3, **claim}) == 112
    result = await peer.subscribe(name, recover=True, flag=3, offset=4)
    assert offsets(result["publications"]) == [5]


async def test_p48_too_many_missed(strict, peer, channel):
    """P-48: more than 300 missed → recovered false; 300 come."""
    name = channel("kept")
    strict.post("batch", {"commands": [{"publish": {"channel": name, "data": n}} for n in range(302)]})
    result = await peer.subscribe(name, recover=True, offset=1)
    assert result["was_recovering"] is True
    assert result.keys().isdisjoint({"recovered", "publications"})
    await peer.result(unsubscribe={"channel": name})
    assert offsets((await peer.subscribe(name, recover=True, offset=2))["publications"]) == list(range(3, 303))


async def test_p49_publications_during_subscribes(strict, connected, peer, user, channel):
    """P-49: publications during subscribe: none lost, none twice, none before the reply."""
    name = channel("kept")
    publisher = await connected(strict, f"{user}-publisher")
    stop = asyncio.Event()

    async def publish():
        number = 0
        while not stop.is_set():
            number += 1
            await publisher.result(publish={"channel": name, "data": {"n": number}})

    publishing = asyncio.create_task(publish())
    got, position = [], {"offset": 0, "epoch": ""}
    for _round in range(30):
        start = len(peer.log)
        result = await peer.subscribe(name, recover=True, **position)
        assert result["recovered"] is True
        got += offsets(result.get("publications", ()))
        while len(got) % 7 or not got:  # some live ones too
            got.append((await peer.publication(name))["offset"])
        await peer.result(unsubscribe={"channel": name})
        while [entry for entry in peer.waiting if "pub" in entry.get("push", {})]:
            got.append((await peer.publication(name))["offset"])
        kinds = ["pub" if "pub" in entry.get("push", {}) else "reply" for entry in peer.log[start:] if entry]
        assert kinds[0] == kinds[-1] == "reply"
        position = {"offset": got[-1], "epoch": result["epoch"]}
    stop.set()
    await publishing
    assert got == list(range(1, len(got) + 1))


async def test_p50_cache_mode(strict, peer, channel):
    """P-50: cache mode delivers the newest one only, without being asked; an empty stream has none."""
    name = channel("cache")
    empty = await peer.subscribe(name)
    assert empty["was_recovering"] is True
    assert empty.keys().isdisjoint({"recovered", "publications"})
    fill(strict, name, 3)
    await peer.result(unsubscribe={"channel": name})
    result = await peer.subscribe(name)
    assert (result["recovered"], offsets(result["publications"])) == (True, [3])
    await peer.result(unsubscribe={"channel": name})
    known = await peer.subscribe(name, recover=True, offset=3, epoch=result["epoch"])
    assert known["recovered"] is True
    assert "publications" not in known


@pytest.mark.parametrize("is_server_side", [False, True])
async def test_p51_a_gap(brief, connected, user, channel, is_server_side):
    """P-51: gap, client-side → 2500; server-side → 3010. Here the stream itself is forgotten, so no history fills the gap."""
    name = channel("fleeting")
    peer = await connected(brief, user, **({"channels": [name]} if is_server_side else {}))
    if not is_server_side:
        await peer.subscribe(name)
    before = peer.log.count({})
    await peer.until(lambda _message: peer.log.count({}) >= before + 2)  # over a second has passed, and with it the stream
    fill(brief, name, 1)
    if is_server_side:
        assert await peer.closed() == (3010, "insufficient state")
    else:
        push = await peer.push("unsubscribe", name)
        assert push["unsubscribe"] == {"code": 2500, "reason": "insufficient state"}
        assert (await peer.subscribe(name))["positioned"] is True

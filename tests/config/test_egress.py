"""Hostile spellings of endpoints, and names that lead inside: none of them may be called."""

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from config.clock import ManualClock
from config.egress import Forbidden, Pins, Unresolved, check_endpoint, is_global_address

ALLOWED = ("fcm.googleapis.com", "push.apple.com", "notify.windows.com")

# By what they try; other tests hand them to those who would call them.
HOSTILE = [url for urls in json.loads((Path(__file__).parent / "hostile_endpoints.json").read_text()).values() for url in urls]

# Hosts that only look like an allowed one.
LOOKALIKES = [
    "https://evilfcm.googleapis.com.evil.example/x",
    "https://xfcm.googleapis.com/x",
    "https://googleapis.com/x",
    "https://fcm.googleapis.com.evil.example/x",
    "https://fcm-googleapis.com/x",
    "https://push.apple.com.evil.example/x",
    "https://notpush.apple.com/x",
]


@pytest.mark.parametrize("allowed", [ALLOWED, ("*",)])
@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_endpoint_is_refused(url: str, allowed: Sequence[str]) -> None:
    with pytest.raises(Forbidden):
        check_endpoint(url, allowed)


@pytest.mark.parametrize("url", LOOKALIKES)
def test_lookalike_is_not_an_allowed_host(url: str) -> None:
    with pytest.raises(Forbidden):
        check_endpoint(url, ALLOWED)
    assert not check_endpoint(url, ("*",)).is_named


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc:DEF-_%2F?x=1", "fcm.googleapis.com"),
        ("https://fcm.googleapis.com:443/x", "fcm.googleapis.com"),
        ("https://fcm.googleapis.com", "fcm.googleapis.com"),
        ("https://web.push.apple.com/QGuT", "web.push.apple.com"),
        ("https://db5p.notify.windows.com/w/?token=BQ%3d", "db5p.notify.windows.com"),
    ],
)
def test_allowed_endpoint(url: str, host: str) -> None:
    endpoint = check_endpoint(url, ALLOWED)
    assert (endpoint.url, endpoint.host, endpoint.origin, endpoint.is_named) == (url, host, f"https://{host}", True)


def test_any_host_is_not_a_named_one() -> None:
    assert not check_endpoint("https://push.example/x", ("*",)).is_named
    assert check_endpoint("https://fcm.googleapis.com/x", ("*", *ALLOWED)).is_named


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "224.0.0.1",
        "224.0.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "not an address",
        "",
    ],
)
def test_address_that_is_not_public(address: str) -> None:
    assert not is_global_address(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_address(address: str) -> None:
    assert is_global_address(address)


class Names:
    """A resolver that answers from a table and counts."""

    def __init__(self, **addresses: Sequence[str] | Exception) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        self.go_on.wait()
        answer = self.addresses[host.partition(".")[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_name_is_pinned_to_all_its_addresses() -> None:
    pins = Pins(ManualClock(), Names(good=["8.8.8.8", "2606:4700::1111"]))
    assert await pins.pin("good.example") == ("good.example:443:8.8.8.8,[2606:4700::1111]",)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::1"]])
async def test_one_inner_address_spoils_the_name(addresses: list[str]) -> None:
    with pytest.raises(Forbidden):
        await Pins(ManualClock(), Names(bad=addresses)).pin("bad.example")


@pytest.mark.parametrize("answer", [OSError("no such name"), UnicodeError("label too long"), []])
async def test_name_without_address(answer: Sequence[str] | Exception) -> None:
    with pytest.raises(Unresolved):
        await Pins(ManualClock(), Names(none=answer)).pin("none.example")


async def test_lookup_is_repeated_after_a_minute_and_then_checked_again() -> None:
    clock, names = ManualClock(), Names(turns=["8.8.8.8"])
    pins = Pins(clock, names)
    await pins.pin("turns.example")
    names.addresses["turns"] = ["127.0.0.1"]
    clock.move(59)
    assert await pins.pin("turns.example") == ("turns.example:443:8.8.8.8",)
    clock.move(2)
    with pytest.raises(Forbidden):
        await pins.pin("turns.example")
    assert names.asked == ["turns.example"] * 2


async def test_calls_at_once_share_a_lookup_and_one_may_leave() -> None:
    names = Names(slow=["8.8.8.8"])
    names.go_on.clear()
    pins = Pins(ManualClock(), names)
    calls = [asyncio.ensure_future(pins.pin("slow.example")) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    names.go_on.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert ended[1] == ended[2] == ("slow.example:443:8.8.8.8",)
    assert names.asked == ["slow.example"]
    await pins.close()

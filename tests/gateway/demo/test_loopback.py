"""Only a Host that names this machine passes."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.loopback import is_loopback_host


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "demo.localhost:1",
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.9.9.9:65535",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_names_of_this_machine_pass(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.example.com",
        "0.0.0.0:8000",
        "10.0.0.1",
        "[::2]:8000",
        "::1",
        "[localhost]",
        "localhost:",
        "localhost:port",
        "127.0.0.1 ",
        "127.0.0.1\r\nX: y",
        "127.0.0.1; script-src *",
        "user@127.0.0.1",
        "2130706433",
    ],
)
def test_anything_else_is_refused(host: str) -> None:
    assert not is_loopback_host(host)


@given(st.ip_addresses(v=4))
def test_an_address_passes_exactly_when_it_is_loopback(address: ipaddress.IPv4Address) -> None:
    assert is_loopback_host(f"{address}:8000") == address.is_loopback


@given(st.text(max_size=40))
def test_arbitrary_text_never_raises(host: str) -> None:
    is_loopback_host(host)

"""Where a peer is, by the connection and by what proxies say: a table of honest and hostile headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.settings import HttpSettings
from gateway.addresses import Addresses, network_of

PROXIES = ("10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1")


def addresses(header="X-Forwarded-For", trusted=PROXIES):
    return Addresses(HttpSettings(trusted_proxies=trusted, forwarded_header=header))


def forwarded(*lines, name=b"x-forwarded-for"):
    return [(b"host", b"a"), *((name, line.encode("latin-1")) for line in lines)]


@pytest.mark.parametrize(
    ("peer", "lines", "told"),
    [
        # Nobody vouches for a peer that is no proxy of ours.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("203.0.113.9", [], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        # One proxy, two, and what the client wrote itself to the left of them.
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.9.9.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),  # several lines are one list
        ("10.0.0.1", ["198.51.100.1, 10.0.0.3", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # all ours: it began there
        # Forms.
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:DB8:0::7]:443"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["\t198.51.100.1 "], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("2001:db8:1::5", ["198.51.100.1"], "198.51.100.1"),
        ("fe80::1%eth0", [], "fe80::1"),
        # What cannot be read ends the reading: the last that was vouched for counts.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
        ("10.0.0.1", ["localhost"], "10.0.0.1"),
        ("10.0.0.1", ["0x7f.1"], "10.0.0.1"),
        ("10.0.0.1", ["2130706433"], "10.0.0.1"),
        ("10.0.0.1", ["010.0.0.5"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4.5"], "10.0.0.1"),
        ("10.0.0.1", ["256.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:99999999"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["[fe80::1%25eth0]:1"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1/24"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1; DROP TABLE"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1\r\nX: 1"], "10.0.0.1"),
        ("10.0.0.1", ["\u00b9.1.1.1"], "10.0.0.1"),  # a digit to some
        ("10.0.0.1", ["for=198.51.100.1"], "10.0.0.1"),  # of the other header
        ("10.0.0.1", ["<script>alert(1)</script>"], "10.0.0.1"),
        ("10.0.0.1", ["9" * 100_000], "10.0.0.1"),
        ("10.0.0.1", [", ".join(["198.51.100.1"] * 5000)], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, " + ", ".join(["10.0.0.2"] * 40)], "10.0.0.2"),  # nobody honest is so far away
        # No address at all.
        ("", ["198.51.100.1"], ""),
        ("/run/socket", [], "/run/socket"),
    ],
)
def test_x_forwarded_for(peer, lines, told):
    assert addresses().of(peer, forwarded(*lines)) == told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["for=198.51.100.1"], "198.51.100.1"),
        (['For="198.51.100.1:4711";proto=https;by=10.0.0.1'], "198.51.100.1"),
        (['proto=https; for="[2001:db8::7]:1"'], "2001:db8::7"),
        (["for=1.1.1.1, for=198.51.100.1;host=a, for=10.0.0.2"], "198.51.100.1"),
        (["for=1.1.1.1", "for=198.51.100.1"], "198.51.100.1"),
        (["for=_hidden"], "10.0.0.1"),
        (["for=unknown"], "10.0.0.1"),
        (["for="], "10.0.0.1"),
        (["by=198.51.100.1"], "10.0.0.1"),
        (["198.51.100.1"], "10.0.0.1"),
        (["xfor=198.51.100.1"], "10.0.0.1"),
        (['for="198.51.100.1'], "10.0.0.1"),
        (['for="1.1.1.1, for=198.51.100.1"'], "10.0.0.1"),  # a string that a client left open does not hide what comes after
        (['for="1.1.1.1, for=198.51.100.1'], "198.51.100.1"),
        (['for="198.51.\\100.1"'], "10.0.0.1"),
    ],
)
def test_forwarded(lines, told):
    assert addresses("Forwarded").of("10.0.0.1", forwarded(*lines, name=b"forwarded")) == told


def test_only_the_header_that_was_chosen_is_read():
    given = [
        (b"forwarded", b"for=1.1.1.1"),
        (b"x-real-ip", b"1.1.1.1"),
        (b"x-client-ip", b"1.1.1.1"),
        (b"true-client-ip", b"1.1.1.1"),
    ]
    assert addresses().of("10.0.0.1", given) == "10.0.0.1"
    assert addresses("Forwarded").of("10.0.0.1", forwarded("1.1.1.1")) == "10.0.0.1"


def test_nobody_is_trusted_unless_named():
    nobody = addresses(trusted=())
    assert not nobody.trusts_anybody
    for peer in ("127.0.0.1", "10.0.0.1", "::1"):
        assert nobody.of(peer, forwarded("198.51.100.1")) == peer


@given(st.lists(st.binary(max_size=60), max_size=4), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_whatever_is_left_of_an_untrusted_hop_changes_nothing(lines, header):
    told = b"for=198.51.100.1" if header == "Forwarded" else b"198.51.100.1"
    name = header.lower().encode()
    given_headers = [*((name, line) for line in lines), (name, told)]
    assert addresses(header).of("10.0.0.1", given_headers) == "198.51.100.1"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValidationError, match="must be addresses or networks"):
        HttpSettings(trusted_proxies=(text,))


@pytest.mark.parametrize(
    ("address", "prefix", "network"),
    [
        ("198.51.100.1", 64, "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"),
        ("2001:db8::6", 128, "2001:db8::6/128"),
        ("nowhere", 64, "nowhere"),
    ],
)
def test_what_an_address_is_counted_by(address, prefix, network):
    assert network_of(address, prefix) == network

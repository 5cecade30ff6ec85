"""Payloads have their size, and give back what was put in."""

import json

from hypothesis import given
from hypothesis import strategies as st

from loadtest.stamps import SMALLEST_BYTES, STAMP, make_payload


@given(st.integers(10**18, 2 * 10**18), st.integers(0, 999), st.integers(1, 10**7), st.integers(SMALLEST_BYTES, 5000))
def test_a_payload_is_json_of_its_size_and_can_be_read_back(time_ns: int, source: int, number: int, size: int) -> None:
    payload = make_payload(time_ns, source, number, size)
    assert len(payload) == size
    assert json.loads(payload) | {"p": ""} == {"t": time_ns, "f": source, "s": number, "p": ""}
    frame = f'{{"push":{{"pub":{{"data":{payload}}}}}}}\n'.encode() * 3
    assert [tuple(map(int, found)) for found in STAMP.findall(frame)] == [(time_ns, source, number)] * 3


def test_the_key_that_is_counted_never_stands_in_a_payload() -> None:
    assert '"pub"' not in make_payload(1, 1, 1, 500)

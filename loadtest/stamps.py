"""The payload of a measured publication: when it was published, by whom, which number, and padding to its size.

`{"t":<Unix time in ns>,"f":<source>,"s":<number>,"p":"…"}`: the time comes first and is wall time, so that other
measuring clients on the machine can read it too.
"""

import re

__all__ = ["SMALLEST_BYTES", "STAMP", "make_payload"]

STAMP = re.compile(rb'"t":(\d+),"f":(\d+),"s":(\d+)')
SMALLEST_BYTES = 64


def make_payload(time_ns: int, source: int, number: int, size_bytes: int) -> str:
    """Write the JSON of one publication, `size_bytes` long (more when the stamp alone is longer)."""
    head = f'{{"t":{time_ns},"f":{source},"s":{number},"p":"'
    return f'{head}{"x" * (size_bytes - len(head) - 2)}"}}'

"""The official clients read the patches: the JavaScript one in both of its encodings, and the Python one."""

import base64
import json
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol.delta import apply, diff

pytestmark = pytest.mark.sdk

SDK = Path(__file__).parents[2] / "sdk"
NODE = Path(sys.executable).with_name("node")

# Reads one list of cases, writes the list of what the client's codec of that encoding makes of each.
READER = """
import { Centrifuge } from 'centrifuge/build/protobuf';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { readFileSync } from 'node:fs';
const binary = new Centrifuge('ws://127.0.0.1:1')._codec;
const json = new JsonCentrifuge('ws://127.0.0.1:1')._codec;
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
const read = ({ base, patch, text }) => {
  const data = text === undefined ? bytes(patch) : text;
  const codec = text === undefined ? binary : json;
  const { newData, newPrevValue } = codec.applyDeltaIfNeeded({ delta: true, data }, bytes(base));
  return { target: Buffer.from(newPrevValue).toString('base64'), value: text === undefined ? null : newData };
};
const cases = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify({ codecs: [binary.name(), json.name()], read: cases.map(read) }));
"""


def read_in_javascript(cases: list[dict[str, str]]) -> list[dict[str, Any]]:
    command = [str(NODE), "--input-type=module", "-e", READER]
    done = subprocess.run(command, cwd=SDK, input=json.dumps(cases), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["codecs"] == ["protobuf", "json"]
    return answer["read"]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def documents(count: int) -> list[Any]:
    """Successive states of one document, with texts of one to four bytes per character."""
    chance = random.Random(count)
    state = [{"id": i, "name": chance.choice(("größe", "жизнь", "東京", "🎈🎈")) * 3, "price": i} for i in range(30)]
    states = []
    for _ in range(count):
        chance.choice(state)["price"] = chance.randrange(10**6)
        chance.choice(state)["name"] = "".join(chance.choices("aбв東🎈", k=12))
        if chance.random() < 0.3:
            state.insert(chance.randrange(20), state.pop())
        states.append(json.loads(json.dumps(state)))
    return states


def binary_pairs() -> list[tuple[bytes, bytes]]:
    chance = random.Random(5)
    noise = chance.randbytes(3000)
    pairs = [(b"", b""), (b"", b"x"), (b"x", b""), (noise, noise), (b"a" * 65536, b"b" + b"a" * 65530)]
    for size in (1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 300, 4095, 4097, 70_000):
        base = chance.randbytes(size)
        cut = chance.randrange(size)
        pairs += [(base, base[cut:] + noise[:cut] + base[:cut]), (base, noise), (noise, base), (base[:cut], base)]
    return pairs


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_javascript_reads_binary_patches():
    pairs = binary_pairs()
    found = read_in_javascript([{"base": b64(base), "patch": b64(diff(base, target))} for base, target in pairs])
    assert [each["target"] for each in found] == [b64(target) for _, target in pairs]


def test_javascript_reads_text_patches():
    states = documents(200)
    cases = []
    for before, after in pairwise(states):
        text = diff(encode(before), encode(after)).decode()
        cases.append({"base": b64(encode(before)), "text": text})
    found = read_in_javascript(cases)
    assert [each["value"] for each in found] == states[1:]
    assert [each["target"] for each in found] == [b64(encode(state)) for state in states[1:]]


@pytest.mark.parametrize(("base", "target"), binary_pairs()[:-4], ids=lambda data: f"{len(data)}B")
def test_python_reads_patches(base, target):
    assert apply_delta(base, diff(base, target)) == target


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.binary(max_size=40))))
def test_python_and_we_read_alike(base, pieces):
    target = b"".join(base[start:end] + new for start, end, new in pieces)
    patch = diff(base, target)
    assert apply_delta(base, patch) == apply(base, patch) == target

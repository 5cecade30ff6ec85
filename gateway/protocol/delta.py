"""Fossil deltas: what turns one payload into the next, as the SDKs that negotiated `fossil` apply it.

The form is that of the delta encoder of Fossil SCM: `<size of target>` and a newline, copies `<n>@<offset in base>,` and
inserts `<n>:<n raw bytes>`, then `<checksum>;`. Integers are base 64, most significant digit first.

A patch is made once per publication and base, in the loop turn that delivers it, so the plan is made for successive states
of one document: what both ends share is found by comparing slices, and only what lies between is looked up block by block.
That search has a budget and gives up when it is spent: the patch gets longer, never wrong. No insert begins or ends inside
a UTF-8 character, so that a patch between texts is a text and can go to a JSON connection; bytes that are no text may break
this, and such a patch goes to no JSON connection.
"""

import re
from typing import Final
from zlib import adler32

__all__ = ["DeltaError", "apply", "diff", "saving_diff"]

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_PAIRS: Final = [bytes((high, low)) for high in _DIGITS for low in _DIGITS]
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}

# A shorter copy saves next to nothing over an insert.
_BLOCK: Final = 16
# The base is indexed at most at so many places: 100 µs.
_MAX_BLOCKS: Final = 1024
# A copy is sought this far beyond the end of the one before it, where successive states of a document mostly go on.
_NEAR: Final = 1024
# What a search may cost, in lookups of one block (0.1 µs each), and what a copy counts for: about 1 ms in all.
_BUDGET: Final = 8192
_COPY_COST: Final = 32

_OPERATION: Final = re.compile(rb"(0|[1-9A-Z_a-z~][0-9A-Z_a-z~]{0,5})([@:;])")
_SIZE: Final = re.compile(rb"(0|[1-9A-Z_a-z~][0-9A-Z_a-z~]{0,5})\n")
_OFFSET: Final = re.compile(rb"(0|[1-9A-Z_a-z~][0-9A-Z_a-z~]{0,5}),")

# Where in the target, how many bytes, from where in the base.
_Copy = tuple[int, int, int]


class DeltaError(ValueError):
    """A patch is malformed, or was not made against this base."""


def diff(base: bytes, target: bytes) -> bytes:
    """Make the patch that turns `base` into `target`; where they share little it is longer than `target`."""
    shared = min(len(base), len(target))
    prefix = _common_prefix(base, 0, target, 0, shared)
    suffix = _common_suffix(base, len(base), target, len(target), shared - prefix)
    end = len(target) - suffix
    copies = [(0, prefix, 0)]
    if end - prefix >= _BLOCK:
        copies += _search(base, target, prefix, end)
    copies.append((end, suffix, len(base) - suffix))
    return _write(target, copies)


def saving_diff(base: bytes, target: bytes) -> bytes | None:
    """Make the same where it is worth sending: None where it is not smaller than `target`."""
    patch = diff(base, target)
    return patch if len(patch) < len(target) else None


def apply(base: bytes, delta: bytes) -> bytes:
    """Turn `base` into the target that `delta` was made for.

    Raises:
        DeltaError: Grammar, bounds, size or checksum do not hold.
    """
    size, at = _number(_SIZE, delta, 0)
    parts, done = [], 0
    while True:
        operation = _OPERATION.match(delta, at)
        if operation is None:
            raise DeltaError(f"no operation at byte {at}")
        count, at = _value(operation[1]), operation.end()
        if operation[2] == b";":
            break
        if operation[2] == b"@":
            offset, at = _number(_OFFSET, delta, at)
            part = base[offset : offset + count]
        else:
            part = delta[at : at + count]
            at += count
        done += count
        if len(part) != count or done > size:
            raise DeltaError(f"an operation exceeds its source or the target's size of {size} bytes")
        parts.append(part)
    target = b"".join(parts)
    if at != len(delta) or done != size or count != _checksum(target):
        raise DeltaError("size, checksum or end of the delta do not hold")
    return target


def _search(base: bytes, target: bytes, start: int, end: int) -> list[_Copy]:
    """Find what of `target[start:end]` stands anywhere in `base`, in the target's order and without overlap."""
    stride = max(_BLOCK, len(base) // _MAX_BLOCKS)
    # Backwards, so that of equal blocks the first one stays: it has the most behind it that may be equal too.
    last = (len(base) - _BLOCK) // stride * stride
    blocks = {base[offset : offset + _BLOCK]: offset for offset in range(last, -1, -stride)}
    copies: list[_Copy] = []
    at, done, cursor, misses, budget = start, start, start, 0, _BUDGET
    while at <= end - _BLOCK and budget > 0:
        block = target[at : at + _BLOCK]
        offset = blocks.get(block)
        if offset is None:
            # The longer nothing is found, the longer the steps: what is new goes by quickly.
            misses += 1
            at += 1 + (misses >> 7)
            budget -= 1
            continue
        near = base.find(block, cursor, cursor + _NEAR)
        if near >= 0:
            offset = near
        before = _common_suffix(base, offset, target, at, min(offset, at - done))
        beyond = at + _BLOCK, offset + _BLOCK
        after = _common_prefix(base, beyond[1], target, beyond[0], min(len(base) - beyond[1], end - beyond[0]))
        copies.append((at - before, before + _BLOCK + after, offset - before))
        at = done = beyond[0] + after
        cursor = beyond[1] + after
        misses = 0
        budget -= _COPY_COST
    return copies


def _write(target: bytes, copies: list[_Copy]) -> bytes:
    parts, done = [_digits(len(target)), b"\n"], 0
    for at, size, offset in copies:
        skipped = _continuation(target, at)
        end = _character(target, at + size)
        copied = end - at - skipped
        copy = b"%b@%b," % (_digits(copied), _digits(offset + skipped)) if copied > 0 else b""
        if copied <= len(copy):
            continue  # cheaper as a part of the insert around it
        if at + skipped > done:
            parts += _digits(at + skipped - done), b":", target[done : at + skipped]
        parts.append(copy)
        done = end
    if done < len(target):
        parts += _digits(len(target) - done), b":", target[done:]
    parts += _digits(_checksum(target)), b";"
    return b"".join(parts)


def _continuation(text: bytes, at: int) -> int:
    """How many bytes from `at` on belong to a character that began before it: at most 3, also where it is no text."""
    count = 0
    while count < 3 and at + count < len(text) and text[at + count] & 0xC0 == 0x80:
        count += 1
    return count


def _character(text: bytes, at: int) -> int:
    """The beginning of the character that `at` stands in: at most 3 bytes back, also where it is no text."""
    for begin in range(at, max(at - 4, -1), -1):
        if begin == len(text) or text[begin] & 0xC0 != 0x80:
            return begin
    return at


def _common_prefix(a: bytes, a_start: int, b: bytes, b_start: int, limit: int) -> int:
    """How many bytes are equal from the two places on, at most `limit`."""
    # Equal stretches are passed over by comparing them, in growing windows, so that the cost follows the answer; the exact
    # place in the first unequal window is the lowest bit of its difference as a number.
    size, window = 0, 64
    while size < limit:
        window = min(window * 4, limit - size)
        x = a[a_start + size : a_start + size + window]
        y = b[b_start + size : b_start + size + window]
        if x != y:
            return size + _lowest_byte(int.from_bytes(x, "little") ^ int.from_bytes(y, "little"))
        size += window
    return size


def _common_suffix(a: bytes, a_end: int, b: bytes, b_end: int, limit: int) -> int:
    """How many bytes are equal before the two places, at most `limit`."""
    size, window = 0, 64
    while size < limit:
        window = min(window * 4, limit - size)
        x = a[a_end - size - window : a_end - size]
        y = b[b_end - size - window : b_end - size]
        if x != y:
            return size + _lowest_byte(int.from_bytes(x, "big") ^ int.from_bytes(y, "big"))
        size += window
    return size


def _lowest_byte(number: int) -> int:
    """The place of the lowest byte that is not zero."""
    return ((number & -number).bit_length() - 1) >> 3


def _checksum(target: bytes) -> int:
    """The sum of the target's big-endian words of 32 bits, the last one padded with zeros, modulo 2³²."""
    total = 0
    for start in range(0, len(target), 1024):
        part = target[start : start + 1024]
        # By columns of bytes; a column of at most 256 sums up to less than the modulus of Adler-32, whose lower half is then
        # its sum, in C: three times as fast as `sum` over bytes or over the words of a `struct`, which cost the same.
        total += (adler32(part[::4], 0) & 0xFFFF) << 24
        total += (adler32(part[1::4], 0) & 0xFFFF) << 16
        total += (adler32(part[2::4], 0) & 0xFFFF) << 8
        total += adler32(part[3::4], 0) & 0xFFFF
    return total & 0xFFFFFFFF


def _digits(number: int) -> bytes:
    digits = _PAIRS[number & 4095]
    while number := number >> 12:
        digits = _PAIRS[number & 4095] + digits
    return digits.lstrip(b"0") or b"0"


def _number(pattern: re.Pattern[bytes], delta: bytes, at: int) -> tuple[int, int]:
    """Read a number with what ends it; the number and the place behind."""
    match = pattern.match(delta, at)
    if match is None:
        raise DeltaError(f"no number at byte {at}")
    return _value(match[1]), match.end()


def _value(digits: bytes) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _VALUES[digit]
    return value

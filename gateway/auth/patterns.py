"""Patterns of channel names, matched in a time that grows with the length of the name and no faster.

Who signs tokens writes the patterns, but who holds one chooses the names. The standard library's `re` tries alternatives one
after the other, so that a careless pattern such as `(a+)+b` and a name of thirty letters would stop the whole node. Here all
alternatives are followed at once (Thompson's construction), and the sets that were reached before are remembered.

The language is what such patterns are made of, as RE2 reads it: literals, `.`, classes, `\\d \\w \\s` (ASCII) and their
opposites, groups without names, `|`, `* + ? {m,n}` (also lazy, which for a whole match is the same), `^` and `$`. What needs
to look around or back is refused.
"""

from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["PATTERN_MAX_CHARS", "BadPattern", "Regex", "Wildcard"]

PATTERN_MAX_CHARS: Final = 256

_STATES_MAX: Final = 512
_REMEMBERED_MAX: Final = 4096
_REPEATS_MAX: Final = 256
_DEPTH_MAX: Final = 50

_Test = Callable[[str], bool]
_DIGITS: Final = frozenset("0123456789")
_WORD: Final = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPACE: Final = frozenset(" \t\n\r\f\v")
_CLASSES: Final = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}


class BadPattern(ValueError):
    """The text is no pattern, or not one of this language; says what is wrong without quoting it."""


class Wildcard:
    """A name in which `*` stands for any run of characters, also of none, and everything else for itself."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > PATTERN_MAX_CHARS:
            raise BadPattern(f"a pattern must be at most {PATTERN_MAX_CHARS} characters")
        self._lay(pattern.split("*"))

    @classmethod
    def filled(cls, pattern: str, place: str, value: str) -> "Wildcard":
        """Make one with a value where the pattern has a place for it; a `*` in the value stands for itself."""
        filled = cls.__new__(cls)
        filled._lay([part.replace(place, value) for part in pattern.split("*")])
        return filled

    @property
    def begin(self) -> str:
        """What every name that fits begins with."""
        return self._begin

    def _lay(self, parts: list[str]) -> None:
        self._begin, *middle = parts
        self._is_literal = not middle
        self._end = middle.pop() if middle else ""
        self._middle = [part for part in middle if part]

    def matches(self, name: str) -> bool:
        """Tell whether the whole name fits."""
        if self._is_literal:
            return name == self._begin
        at, end = len(self._begin), len(name) - len(self._end)
        if at > end or not name.startswith(self._begin) or not name.endswith(self._end):
            return False
        # The leftmost place of each part leaves the most room for those behind it.
        for part in self._middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class Regex:
    """A regular expression that the whole name must fit.

    Raises:
        BadPattern: It is none, or too large.
    """

    def __init__(self, pattern: str) -> None:
        self._program = _compile(pattern)
        self._begin = self._closure((0,), at_begin=True)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, name: str) -> bool:
        """Tell whether the whole name fits."""
        states = self._begin
        for character in name:
            step = (states, character)
            following = self._steps.get(step)
            if following is None:
                if len(self._steps) >= _REMEMBERED_MAX:
                    self._steps.clear()
                following = self._steps[step] = self._follow(states, character)
            if not following:
                return False
            states = following
        return self._is_end(states, at_begin=not name)

    def begins_with(self, character: str) -> bool:
        """Tell whether whatever fits begins with this character, because the pattern says so in each of its branches."""
        tests = [test for at in self._begin if (test := self._program.tests[at]) is not None]
        others = [chr(code) for code in range(128) if chr(code) != character]
        return all(test(character) and not any(map(test, others)) for test in tests)

    def _follow(self, states: frozenset[int], character: str) -> frozenset[int]:
        ahead = [at + 1 for at in states if (test := self._program.tests[at]) is not None and test(character)]
        return self._closure(ahead)

    def _closure(self, states: Iterable[int], *, at_begin: bool = False, at_end: bool = False) -> frozenset[int]:
        """Add what can be reached without reading; assertions that do not hold here lead nowhere."""
        reached: set[int] = set()
        waiting = list(states)
        while waiting:
            at = waiting.pop()
            if at in reached:
                continue
            reached.add(at)
            if (self._program.needs_begin[at] and not at_begin) or (self._program.needs_end[at] and not at_end):
                continue
            waiting += self._program.jumps[at]
        return frozenset(reached)

    def _is_end(self, states: frozenset[int], *, at_begin: bool) -> bool:
        return len(self._program.tests) - 1 in self._closure(states, at_begin=at_begin, at_end=True)


class _Program:
    """States in a row; the last one is the end. A state has a test that leads to the next one, or jumps."""

    def __init__(self) -> None:
        self.tests: list[_Test | None] = []
        self.jumps: list[list[int]] = []
        self.needs_begin: list[bool] = []
        self.needs_end: list[bool] = []

    def add(self, test: _Test | None = None, *jumps: int, needs_begin: bool = False, needs_end: bool = False) -> int:
        """Append a state and tell its place."""
        if len(self.tests) >= _STATES_MAX:
            raise BadPattern("a pattern must be simpler")
        self.tests.append(test)
        self.jumps.append(list(jumps))
        self.needs_begin.append(needs_begin)
        self.needs_end.append(needs_end)
        return len(self.tests) - 1


# A part of a pattern, which writes itself behind what a program holds; repetitions write it several times.
_Part = Callable[[_Program], None]


def _compile(pattern: str) -> _Program:
    if len(pattern) > PATTERN_MAX_CHARS:
        raise BadPattern(f"a pattern must be at most {PATTERN_MAX_CHARS} characters")
    reader = _Reader(pattern)
    whole = reader.alternatives()
    if not reader.is_at_end:
        raise BadPattern("a pattern has a ) without its (")
    program = _Program()
    whole(program)
    program.add()
    return program


class _Reader:
    """Reads a pattern by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._text)

    def alternatives(self) -> _Part:
        choices = [self._sequence()]
        while self._take("|"):
            choices.append(self._sequence())
        return choices[0] if len(choices) == 1 else _choice(choices)

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while not self.is_at_end and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._atom()))

        def write(program: _Program) -> None:
            for part in parts:
                part(program)

        return write

    def _atom(self) -> _Part:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return _character(self._class())
            case ".":
                return _character(lambda one: one != "\n")
            case "^":
                return lambda program: _assertion(program, needs_begin=True)
            case "$":
                return lambda program: _assertion(program, needs_end=True)
            case "\\":
                return _character(_member_of(self._escaped()))
            case "*" | "+" | "?" | "{":
                raise BadPattern("a pattern repeats nothing")
            case _:
                return _character(character.__eq__)

    def _group(self) -> _Part:
        if self._take("?") and not self._take(":"):
            raise BadPattern("a pattern has a group of a kind that is not known here")
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise BadPattern("a pattern must be simpler")
        inner = self.alternatives()
        if not self._take(")"):
            raise BadPattern("a pattern has a ( without its )")
        self._depth -= 1
        return inner

    def _repeated(self, part: _Part) -> _Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        self._take("?")  # lazy: whether the whole fits does not depend on it
        if not self.is_at_end and self._text[self._at] in "*+?{":
            raise BadPattern("a pattern repeats a repetition")
        least, most = bounds
        return lambda program: _repeat(program, part, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        if not self._take("{"):
            return None
        end = self._text.find("}", self._at)
        least, comma, most = self._text[self._at : max(end, self._at)].partition(",")
        self._at = end + 1
        if end < 0 or not _is_number(least) or (most and not _is_number(most)):
            raise BadPattern("a pattern has a { that begins no repetition")
        bounds = int(least), (int(most) if most else None) if comma else int(least)
        if bounds[0] > _REPEATS_MAX or (bounds[1] is not None and not bounds[0] <= bounds[1] <= _REPEATS_MAX):
            raise BadPattern(f"a pattern must repeat at most {_REPEATS_MAX} times")
        return bounds

    def _class(self) -> _Test:
        is_opposite = self._take("^")
        members: set[str] = set()
        ranges: list[tuple[str, str]] = []
        opposites: list[frozenset[str]] = []
        is_first = True
        while is_first or not self._take("]"):
            is_first = False
            begin = self._next()
            if begin == "[" and self._text.startswith((":", ".", "="), self._at):
                raise BadPattern("a pattern has a class of a kind that is not known here")
            if begin == "\\":
                escaped, is_negative = self._escaped()
                if len(escaped) > 1 or is_negative:
                    opposites.append(escaped) if is_negative else members.update(escaped)
                    continue
                (begin,) = escaped
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                ranges.append((begin, self._range_end(begin)))
            else:
                members.add(begin)

        def test(one: str) -> bool:
            is_member = (
                one in members or any(low <= one <= high for low, high in ranges) or any(one not in kind for kind in opposites)
            )
            return is_member is not is_opposite

        return test

    def _range_end(self, begin: str) -> str:
        end = self._next()
        if end == "\\":
            escaped, is_negative = self._escaped()
            end = "" if is_negative or len(escaped) > 1 else next(iter(escaped))
        if end < begin:
            raise BadPattern("a pattern has a range that ends before it begins")
        return end

    def _escaped(self) -> tuple[frozenset[str], bool]:
        """Read what stands behind a backslash: characters, and whether all others are meant."""
        character = self._next()
        if (kind := _CLASSES.get(character.lower())) is not None:
            return kind, character.isupper()
        if character in _CONTROLS:
            return frozenset(_CONTROLS[character]), False
        if character.isalnum() or not character.isascii():
            raise BadPattern("a pattern has an escape that is not known here")
        return frozenset(character), False

    def _next(self) -> str:
        if self.is_at_end:
            raise BadPattern("a pattern ends in the middle")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, wanted: str) -> bool:
        if not self._text.startswith(wanted, self._at):
            return False
        self._at += len(wanted)
        return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _member_of(escaped: tuple[frozenset[str], bool]) -> _Test:
    members, is_opposite = escaped
    return lambda one: (one in members) is not is_opposite


def _character(test: _Test) -> _Part:
    def write(program: _Program) -> None:
        program.add(test)

    return write


def _assertion(program: _Program, *, needs_begin: bool = False, needs_end: bool = False) -> None:
    at = program.add(needs_begin=needs_begin, needs_end=needs_end)
    program.jumps[at].append(at + 1)


def _choice(choices: list[_Part]) -> _Part:
    def write(program: _Program) -> None:
        fork = program.add()
        ends = []
        for choice in choices:
            program.jumps[fork].append(len(program.tests))
            choice(program)
            ends.append(program.add())
        for end in ends:
            program.jumps[end].append(len(program.tests))

    return write


def _repeat(program: _Program, part: _Part, least: int, most: int | None) -> None:
    for _ in range(least):
        part(program)
    if most is None:
        fork = program.add()
        program.jumps[fork].append(fork + 1)
        part(program)
        program.jumps[program.add()].append(fork)
        program.jumps[fork].append(len(program.tests))
        return
    forks = []
    for _ in range(most - least):
        forks.append(program.add())
        program.jumps[forks[-1]].append(forks[-1] + 1)
        part(program)
    for fork in forks:
        program.jumps[fork].append(len(program.tests))

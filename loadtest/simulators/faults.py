"""Misbehaviour on purpose: rules say which calls meet which fault; deciding is a pure function of rules, counts and call.

A rule's counters run over all calls that its `provider` and `address` match, whether or not an earlier rule has fired, so
that adding a rule never changes when another one fires.
"""

from collections.abc import Iterable, Sequence

import msgspec

__all__ = [
    "Action",
    "Call",
    "CloseConnection",
    "Delay",
    "FaultSchedule",
    "GoAway",
    "LimitStreams",
    "ResetStream",
    "Respond",
    "Rule",
    "Silence",
    "SplitBody",
    "decide",
    "withholds_answer",
]


class _Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", omit_defaults=True):
    pass


class Respond(_Action, frozen=True, tag="respond"):
    """Answer with this. `body` None lets the provider word `reason` its own way; "" is an answer without a body."""

    status: int
    reason: str = ""
    body: str | None = None
    headers: dict[str, str] = {}


class Delay(_Action, frozen=True, tag="delay"):
    """Handle the call at once, answer so much later."""

    seconds: float


class Silence(_Action, frozen=True, tag="silence"):
    """Never answer."""


class ResetStream(_Action, frozen=True, tag="reset_stream"):
    """Send RST_STREAM instead of an answer; 8 is CANCEL, 7 REFUSED_STREAM. Without HTTP/2 the connection is dropped."""

    code: int = 8


class GoAway(_Action, frozen=True, tag="goaway"):
    """Send GOAWAY, answer what lies at or below its last stream id, then close.

    `includes_call`: the last stream id is this call's own, which is answered then; otherwise it lies just below.
    """

    code: int = 0
    includes_call: bool = False
    debug: str = ""


class CloseConnection(_Action, frozen=True, tag="close"):
    """Drop the TCP connection without a word, or right after the answer's headers."""

    after_headers: bool = False


class SplitBody(_Action, frozen=True, tag="split"):
    """Answer as usual, with the body in pieces of this size, each a DATA frame of its own."""

    size_bytes: int = 1


class LimitStreams(_Action, frozen=True, tag="limit_streams"):
    """Announce another SETTINGS_MAX_CONCURRENT_STREAMS, then answer as usual. It stays until the next such fault."""

    streams: int


Action = Respond | Delay | Silence | ResetStream | GoAway | CloseConnection | SplitBody | LimitStreams


def withholds_answer(action: Action) -> bool:
    """Whether the caller never sees a status: the provider may then have taken the message or not, as the rule says."""
    match action:
        case Silence() | ResetStream():
            return True
        case GoAway(includes_call=includes_call):
            return not includes_call
        case CloseConnection(after_headers=after_headers):
            return not after_headers
        case _:
            return False


class Call(msgspec.Struct, frozen=True):
    """What rules are matched against; `address` is the token, endpoint or mailbox."""

    provider: str
    address: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls meet `action`. Empty conditions match everything; all given ones must hold.

    `nth` is one call, counted from 1; `every` each k-th; `first` the first n. `taken` says that the provider accepts the
    message and records it before it misbehaves: what the caller cannot know.
    """

    action: Action
    provider: str = ""
    address: str = ""
    nth: int = 0
    every: int = 0
    first: int = 0
    taken: bool = False

    def matches(self, call: Call) -> bool:
        """Whether this rule counts `call`."""
        return self.provider in ("", call.provider) and self.address in call.address

    def fires_at(self, count: int) -> bool:
        """Whether the `count`-th matching call, from 1, is hit."""
        return (
            (not self.nth or count == self.nth)
            and (not self.every or count % self.every == 0)
            and (not self.first or count <= self.first)
        )


def decide(rules: Sequence[Rule], counts: Sequence[int], call: Call) -> tuple[Rule | None, tuple[int, ...]]:
    """Pick the first rule that fires for `call`, and count it; `counts` holds the matches of each rule so far."""
    after = tuple(count + rule.matches(call) for rule, count in zip(rules, counts, strict=True))
    fired = (rule for rule, before, count in zip(rules, counts, after, strict=True) if count > before and rule.fires_at(count))
    return next(fired, None), after


class FaultSchedule:
    """The rules in force and their counts. Empty at the start: everything behaves."""

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()
        self._counts: tuple[int, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules

    @property
    def is_empty(self) -> bool:
        return not self._rules

    def set(self, rules: Iterable[Rule]) -> None:
        """Replace all rules; counting begins anew."""
        self._rules = tuple(rules)
        self._counts = (0,) * len(self._rules)

    def add(self, *rules: Rule) -> None:
        """Put rules behind those in force, whose counts go on."""
        self._rules += rules
        self._counts += (0,) * len(rules)

    def clear(self) -> None:
        self.set(())

    def next(self, call: Call) -> Rule | None:
        """Decide about one call and count it."""
        if not self._rules:
            return None
        rule, self._counts = decide(self._rules, self._counts, call)
        return rule

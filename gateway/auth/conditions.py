"""Conditions of policies: CEL, checked before it counts and bounded in what it may cost.

The library (Google's C++ implementation) checks types against the attributes that are declared here, so that a misspelt one is
refused when a policy is set and not found out when it should have denied something. What it would accept and this does not:

* `matches`: a regular expression may be made of what a client sends. Patterns of channels and methods stand beside conditions.
* Macros within macros, and `map` and `filter`: `all`, `exists` and `exists_one` over the roles, over a claim or over a list in
  the text cost no more than these are long, and roles and claims are bounded by the size of a token.
* Claims that the settings do not keep, and claims by a name that is put together.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.auth.condition_tree import Node, Tree, read_tree

__all__ = ["ATTRIBUTES", "TEXT_MAX", "TIME", "BadCondition", "Condition", "Language"]

TEXT_MAX: Final = 2048
_NODES_MAX: Final = 400
_RUN: Final = 10

TIME: Final = ("time.clock", "time.weekday", "time.date", "time.hour")
# What a condition may ask for, and its type. The names are whole: `connection` alone is none.
ATTRIBUTES: Final[Mapping[str, str]] = {
    "user": "STRING",
    "roles": "STRINGS",
    "claims": "CLAIMS",
    "key": "STRING",
    "action": "STRING",
    "channel": "STRING",
    "method": "STRING",
    "connection.address": "STRING",
    "connection.networks": "STRINGS",
    "connection.transport": "STRING",
    "connection.origin": "STRING",
    "time.clock": "STRING",
    "time.weekday": "STRING",
    "time.date": "STRING",
    "time.hour": "INT",
}

_LOGIC: Final = frozenset({"_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false", "@in", "_in_", "_[_]"})
_COMPARISONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_SUMS: Final = frozenset({"_+_", "_-_", "-_", "_*_", "_/_", "_%_"})
_FUNCTIONS: Final = frozenset({"size", "startsWith", "endsWith", "contains", "string", "int", "double", "dyn"})
_ALLOWED: Final = _LOGIC | _COMPARISONS | _SUMS | _FUNCTIONS
_ERROR: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")


class BadCondition(ValueError):
    """A condition cannot be used: where, and why. It is the operator's own text that is quoted."""

    def __init__(self, reason: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason, self.line, self.column = reason, line, column


class Condition(msgspec.Struct, frozen=True):
    """One that passed, with the attributes that it asks for."""

    text: str
    program: Any
    attributes: frozenset[str]

    @property
    def asks_time(self) -> bool:
        """Whether its value changes without anybody doing anything."""
        return not self.attributes.isdisjoint(TIME)


class Language:
    """CEL with the attributes of policies.

    Args:
        claims: Names of the claims that are kept.
        networks: Names of the networks that the policy declares.
    """

    def __init__(self, claims: Collection[str], networks: Collection[str]) -> None:
        self._claims, self._networks = frozenset(claims), frozenset(networks)
        self._made: Any = None

    def read(self, text: str) -> Condition:
        """Check a condition.

        Raises:
            BadCondition: Saying where and why.
        """
        if len(text) > TEXT_MAX:
            raise BadCondition(f"must be at most {TEXT_MAX} characters")
        program = self._compile(text)
        if (kind := program.return_type().name()) != "BOOL":
            raise BadCondition(f"must be true or false, and is {kind.lower()}: compare it with something")
        tree = read_tree(program.serialize(), text)
        self._check(tree)
        asked = frozenset(node.name for node in tree.walk() if node.kind == "ident") & ATTRIBUTES.keys()
        return Condition(text, program, asked)

    def any_of(self, conditions: Sequence[Condition]) -> Any:
        """Make a program that is true where one of the conditions is.

        One that fails is passed over where another is true (cel-spec, "Logical Operators"), and fails the whole else.

        Raises:
            BadCondition: They are nested too deeply together.
        """
        return self._compile(" || ".join(f"({one.text}\n)" for one in conditions))

    def first_of_runs(self, conditions: Sequence[Condition]) -> Any:
        """Make a program that tells of each ten conditions which one is true first: its number from 1, counted over all, or 0.

        It fails where one of the conditions does, unless one before it in its run is true. One row of all would be asked no
        faster, and is nested more deeply than the library reads.

        Raises:
            BadCondition: They are nested too deeply together.
        """
        texts = [f"({one.text}\n) ? {number} : " for number, one in enumerate(conditions, 1)]
        runs = ["".join(texts[begin : begin + _RUN]) + "0" for begin in range(0, len(texts), _RUN)]
        return self._compile(f"[{', '.join(runs)}]")

    def activation(self, values: Mapping[str, Any]) -> Any:
        """Hand over what the attributes are; a value that CEL does not know makes conditions that ask for it fail.

        Raises:
            RuntimeError: A text is none.
        """
        return self._environment.Activation(values)

    @property
    def _environment(self) -> Any:
        # Made when it is needed: a policy without rules loads no library.
        if self._made is None:
            self._made = _environment()
        return self._made

    def _compile(self, text: str) -> Any:
        try:
            return self._environment.compile(text)
        except RuntimeError as exc:
            found = _ERROR.search(str(exc))
            if found is None:
                raise BadCondition("is nested too deeply") from None
            line, column, reason = found.groups()
            raise BadCondition(reason.replace(" (in container '')", ""), max(1, int(line)), max(1, int(column))) from None
        except (TypeError, UnicodeError):  # half a surrogate pair cannot be handed over
            raise BadCondition("is no text") from None

    def _check(self, tree: Tree) -> None:
        nodes = sorted(tree.walk(), key=lambda node: node.place)
        if len(nodes) > _NODES_MAX:
            raise BadCondition(f"must be made of at most {_NODES_MAX} parts, and is of {len(nodes)}")
        claims = set()
        for node in nodes:
            fault = self._fault(node)
            if fault:
                raise BadCondition(fault, *tree.line_and_column(node))
            if node.kind in ("select", "call") and node.inner and _is_claims(node.inner[0]):
                claims.add(id(node.inner[0]))
        for node in nodes:
            if _is_claims(node) and id(node) not in claims:
                reason = "claims must be followed by the name of one, such as claims.department"
                raise BadCondition(reason, *tree.line_and_column(node))

    def _fault(self, node: Node) -> str:
        match node.kind:
            case "call":
                return self._fault_of_call(node)
            case "select" if _is_claims(node.inner[0]) and node.name not in self._claims:
                return f"unknown claim {node.name}: policy.claims does not keep it"
            case "comprehension":
                return _fault_of_macro(node)
            case "struct":
                return "maps cannot be made here"
            case _:
                return ""

    def _fault_of_call(self, node: Node) -> str:
        if node.name == "matches":
            return "matches is not allowed: use startsWith, endsWith, contains, or the rule's patterns"
        if node.name not in _ALLOWED:
            return f"{node.name} is not allowed here"
        if node.inner and _is_claims(node.inner[0]):
            if node.name != "_[_]" or node.inner[1].kind != "const":
                return "claims must be followed by the name of one, such as claims.department"
            if node.inner[1].name not in self._claims:
                return f"unknown claim {node.inner[1].name}: policy.claims does not keep it"
        if node.name in ("@in", "_in_") and node.inner[1].name == "connection.networks":
            wanted = node.inner[0]
            if wanted.kind == "const" and wanted.name not in self._networks:
                return f"unknown network {wanted.name}: the policy declares none of this name"
        return ""


def _fault_of_macro(node: Node) -> str:
    over, start = node.inner[0], node.inner[1]
    if start.kind == "list":
        return "map and filter are not allowed: use all, exists or exists_one"
    is_bounded = over.kind == "list" or (over.kind == "ident" and over.name in ("roles", "connection.networks"))
    if not is_bounded and not (over.kind == "select" and _is_claims(over.inner[0])):
        return "a macro must go over roles, over a claim or over a list that is written out: its cost has no bound otherwise"
    waiting = list(node.inner)
    while waiting:
        inner = waiting.pop()
        if inner.kind == "comprehension":
            return "a macro within a macro is not allowed: its cost has no bound"
        waiting += inner.inner
    return ""


def _is_claims(node: Node) -> bool:
    return node.kind == "ident" and node.name == "claims"


@lru_cache(maxsize=1)
def _environment() -> Any:
    # Here, so that a process without policies does not load the library.
    from cel_expr_python import cel

    kinds = {
        "STRING": cel.Type.STRING,
        "INT": cel.Type.INT,
        "STRINGS": cel.Type.List(cel.Type.STRING),
        "CLAIMS": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    }
    return cel.NewEnv(variables={name: kinds[kind] for name, kind in ATTRIBUTES.items()})

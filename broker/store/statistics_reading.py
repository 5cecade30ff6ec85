"""Numbers of counted hours, added up by what is grouped by."""

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from broker.errors import BadInput
from broker.notification import Lane
from broker.statistics import MAX_GROUPS, Dimension, Group, StatisticsQuery
from broker.store.statistics_table import COUNTED_HOURS, STATISTICS_HOURS
from broker.tallies import Key, Scope, Tally

__all__ = ["CountedHour", "Sums", "hours_of", "read_counted"]

# The values of what is grouped by.
Name = tuple[str | int, ...]

_DAY_S: Final = 86400
_H: Final = STATISTICS_HOURS.c
_C: Final = COUNTED_HOURS.c
_DECODER: Final = msgspec.json.Decoder(Tally)
_COLUMNS: Final = tuple(STATISTICS_HOURS.c[name] for name in Key._fields)
_HOURS: Final = (
    select(*_COLUMNS, _H.body)
    .where(_H.scope == bindparam("of_scope"), _H.hour >= bindparam("since"), _H.hour < bindparam("until"))
    .order_by(*_COLUMNS)
)
_COUNTED: Final = (
    select(_C.hour, _C.counted_at, _C.due_at, _C.accepted)
    .where(_C.hour >= bindparam("since"), _C.hour < bindparam("until"))
    .order_by(_C.hour)
)

_PARTS: Final[dict[Dimension, Callable[[Key], str | int]]] = {
    Dimension.CATEGORY: lambda key: key.category,
    Dimension.PRIORITY: lambda key: Lane(key.lane).name.lower(),
    Dimension.EXPERIMENT: lambda key: key.experiment,
    Dimension.VARIANT: lambda key: key.variant,
    Dimension.ROUTE: lambda key: key.route,
    Dimension.PROVIDER: lambda key: key.provider,
    Dimension.HOUR: lambda key: key.hour // 1_000_000,
    Dimension.DAY: lambda key: key.hour // 1_000_000 // _DAY_S * _DAY_S,
}


class CountedHour(msgspec.Struct, frozen=True):
    """When an hour was counted, None while it is for the first time; when it will be again; how many notifications it holds."""

    hour: int
    counted_at: int | None
    due_at: int | None
    accepted: int


class Sums:
    """What a query asks for, as far as it has been added up."""

    def __init__(self, query: StatisticsQuery) -> None:
        asked = {*query.by, *query.filters}
        self.scope = Scope.PROVIDER if Dimension.PROVIDER in asked else Scope.ROUTE if Dimension.ROUTE in asked else Scope.WHOLE
        self._parts = [_PARTS[dimension] for dimension in query.by]
        self._wanted = [(_PARTS[dimension], value) for dimension, value in query.filters.items()]
        self._sums: dict[Name, Tally] = {}

    def name_of(self, key: Key) -> Name | None:
        """Tell the group of a key; None for what is not asked for."""
        if key.scope != self.scope or any(part(key) != value for part, value in self._wanted):
            return None
        return tuple(part(key) for part in self._parts)

    def add(self, name: Name, tally: Tally) -> None:
        """Add to a group.

        Raises:
            BadInput: There are too many groups.
        """
        found = self._sums.get(name)
        if found is None:
            if len(self._sums) == MAX_GROUPS:
                raise BadInput("by", f"makes more than {MAX_GROUPS} groups: ask for less time, or by less")
            found = self._sums[name] = Tally()
        found.add(tally)

    def groups(self) -> list[Group]:
        """Give the groups, in the order of their names."""
        return [Group(name, self._sums[name]) for name in sorted(self._sums)]


def hours_of(connection: Connection, since: int, until: int) -> list[CountedHour]:
    """List the hours that were counted, or are being counted, in their order."""
    rows = connection.execute(_COUNTED, {"since": since, "until": until})
    return [CountedHour(row.hour, row.counted_at, row.due_at, row.accepted) for row in rows]


def read_counted(connection: Connection, sums: Sums, since: int, until: int) -> list[tuple[Name, Tally]]:
    """Read the numbers of counted hours, each with its group."""
    asked = {"of_scope": int(sums.scope), "since": since, "until": until}
    found = []
    for *key, body in connection.execute(_HOURS, asked):
        if (name := sums.name_of(Key(*key))) is not None:
            found.append((name, _DECODER.decode(body)))
    return found

"""The table of what was picked of experiments."""

from typing import Final

from sqlalchemy import Column, Float, Index, Integer, Table, Text, text

from broker.store.schema import METADATA

__all__ = ["EXPERIMENT_PICKS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

EXPERIMENT_PICKS: Final = Table(
    "experiment_picks",
    METADATA,
    Column("experiment", _TEXT, primary_key=True),
    Column("variant", _TEXT, nullable=False),  # empty: still to be found
    Column("after", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Index("experiment_picks_undecided", "experiment", sqlite_where=text("variant = ''"), postgresql_where=text("variant = ''")),
    sqlite_with_rowid=False,
)

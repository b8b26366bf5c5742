"""Rows and partitions as they are given, checked before anything is sent.

Belongs here: columns, types, membership of a partition. Does not belong here: what only the
server can tell (nulls in a key, two rows of one key).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ngsim_assets.storage.errors import InvalidPartition, SchemaMismatch
from ngsim_assets.storage.schema import Table


def check_partition(table: Table, partition: Mapping[str, str]) -> None:
    """InvalidPartition unless every identity column, and no other, has a value."""
    if set(partition) != set(table.identity):
        raise InvalidPartition(table.name, partition, "does not name the identity columns")


def check_columns(table: Table, rows: pl.DataFrame) -> None:
    """SchemaMismatch unless the frame has the table's columns in their types, in any order."""
    faults = [f"no column {name}" for name in table.schema if name not in rows.columns]
    faults += [f"unknown column {name}" for name in rows.columns if name not in table.schema]
    faults += [
        f"column {name} is {dtype}, not {table.schema[name]}"
        for name, dtype in rows.schema.items()
        if name in table.schema and dtype != table.schema[name]
    ]
    if faults:
        raise SchemaMismatch(table.name, faults)


def check_membership(table: Table, partition: Mapping[str, str], rows: pl.DataFrame) -> None:
    """InvalidPartition unless every row is of the partition."""
    for name, value in partition.items():
        column = rows.get_column(name)
        text = column if column.dtype == pl.String() else column.cast(pl.String)
        if text.null_count() or not (text == value).all():
            raise InvalidPartition(table.name, partition, f"rows have another {name}")

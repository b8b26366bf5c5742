"""One version of a table as values: its files and its columns.

Belongs here: reading them off an opened Delta table. Does not belong here: opening one, commits
(delta.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from ngsim_assets.storage.encoding import RESOLUTION, UNIT
from ngsim_assets.storage.evolution import StoredColumn, StoredColumns
from ngsim_assets.storage.manifest import DataFile

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Snapshot:
    """Files of one version of a table, in order of their rows, and the columns they have.

    A file may lack columns that were added after it was written.
    """

    version: int
    files: tuple[DataFile, ...]
    stored: StoredColumns

    def of(self, partition: Mapping[str, str] | None) -> tuple[DataFile, ...]:
        """Files whose partition columns agree with `partition`."""
        wanted = (partition or {}).items()
        return tuple(file for file in self.files if wanted <= file.partition.items())


def snapshot_of(delta: DeltaTable) -> Snapshot:
    """The version that is open."""
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    columns = delta.metadata().partition_columns
    files = [
        DataFile(
            path=unquote(row["path"]),
            partition={name: str(row[f"partition.{name}"]) for name in columns},
            rows=row["num_records"] or 0,
            bytes=row["size_bytes"],
        )
        for row in actions.select(
            "path", "size_bytes", "num_records", *(f"partition.{name}" for name in columns)
        ).iter_rows(named=True)
    ]
    files.sort(key=lambda file: file.order)
    return Snapshot(delta.version(), tuple(files), stored_columns(delta))


def stored_columns(delta: DeltaTable) -> StoredColumns:
    """The columns of the version that is open, with what the log tells of them."""
    schema = pa.schema(delta.schema())
    types = pl.DataFrame(schema.empty_table()).schema
    return StoredColumns(
        {field.name: _stored(types[field.name], field.metadata or {}) for field in schema},
        tuple(delta.metadata().partition_columns),
    )


def null_counts(delta: DeltaTable) -> dict[str, int]:
    """Nulls by column, as far as the log counts them."""
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    return {
        name.removeprefix("null_count."): int(actions[name].sum() or 0)
        for name in actions.columns
        if name.startswith("null_count.")
    }


def _stored(dtype: pl.DataType, told: Mapping[bytes, bytes]) -> StoredColumn:
    if UNIT.encode() not in told:
        return StoredColumn(dtype)
    resolution = told.get(RESOLUTION.encode(), b"").decode()
    return StoredColumn(
        dtype,
        told[UNIT.encode()].decode() or None,
        float(resolution) if resolution else None,
        is_described=True,
    )

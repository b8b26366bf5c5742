"""What the lake holds and where it comes from, as tables: the listings of the catalog.

Belongs here: rows of each listing. Does not belong here: SQL (catalog.py), what was delivered
(the landing zone tells that; the catalog is handed such listings as frames).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import polars as pl

from ngsim_assets.storage.lineage import Made, Origins, Source
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table, documentation_of
from ngsim_assets.storage.versions import DataVersionManager

Listing = Callable[[], pl.DataFrame]
"""Makes a listing when it is asked for: some read the whole history."""

_TIME = pl.Datetime("us", "UTC")
_MADE = {
    "table_name": pl.String(),
    "partition": pl.String(),
    "version": pl.Int64(),
    "written": _TIME,
    "run_id": pl.String(),
}
_TABLES = {
    "table_name": pl.String(),
    "description": pl.String(),
    "version": pl.Int64(),
    "rows": pl.Int64(),
    "files": pl.Int64(),
    "bytes": pl.Int64(),
    "partitions": pl.Int64(),
    "partition_by": pl.List(pl.String()),
    "sort_by": pl.List(pl.String()),
}
_COLUMNS = {
    "table_name": pl.String(),
    "column_name": pl.String(),
    "type": pl.String(),
    "unit": pl.String(),
    "resolution": pl.Float64(),
    "nullable": pl.Boolean(),
    "description": pl.String(),
}
_FILES = {
    "table_name": pl.String(),
    "partition": pl.String(),
    "path": pl.String(),
    "rows": pl.Int64(),
    "bytes": pl.Int64(),
    "sha256": pl.String(),
    "version": pl.Int64(),
    "run_id": pl.String(),
    "code_version": pl.String(),
    "written": _TIME,
}
_VERSIONS = {
    "table_name": pl.String(),
    "version": pl.Int64(),
    "semantic": pl.String(),
    "written": _TIME,
    "operation": pl.String(),
    "change": pl.String(),
    "partition": pl.String(),
    "rows": pl.Int64(),
    "rows_before": pl.Int64(),
    "bytes": pl.Int64(),
    "run_id": pl.String(),
    "code_version": pl.String(),
    "live": pl.Boolean(),
    "readable": pl.Boolean(),
    "restored": pl.Int64(),
}
_LINEAGE = {
    **_MADE,
    "operation": pl.String(),
    "live": pl.Boolean(),
    "rows": pl.Int64(),
    "code_version": pl.String(),
    "parameters": pl.String(),
    "source_kind": pl.String(),
    "source": pl.String(),
    "source_partition": pl.String(),
    "source_version": pl.Int64(),
    "source_rows": pl.Int64(),
    "sha256": pl.String(),
    "path": pl.String(),
    "member": pl.String(),
    "data_files": pl.List(pl.String()),
}
_ROLLED_BACK = {
    **_MADE,
    "rows": pl.Int64(),
    "restored": pl.Int64(),
    "held": pl.Boolean(),
    "held_against": pl.List(pl.String()),
}


def listings(storage: ParquetStorage, tables: Sequence[Table]) -> dict[str, Listing]:
    """Listings of a lake by name: tables, columns, files, versions, lineage, rolled_back."""

    @cache
    def origins() -> Origins:
        return Origins(storage, tables)

    return {
        "tables": lambda: _described(storage, tables),
        "columns": lambda: _documented(tables),
        "files": lambda: _listed(storage, tables, origins()),
        "versions": lambda: _versions(storage, tables),
        "lineage": lambda: _lineage(tables, origins()),
        "rolled_back": lambda: _rolled_back(tables, origins()),
    }


def _described(storage: ParquetStorage, tables: Iterable[Table]) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for table in tables:
        files = storage.files(table)
        snapshot = storage.log(table).current()
        rows.append(
            {
                "table_name": table.name,
                "description": table.description,
                "version": snapshot.version if snapshot else None,
                "rows": sum(file.rows for file in files),
                "files": len(files),
                "bytes": sum(file.bytes for file in files),
                "partitions": len(storage.partitions(table)),
                "partition_by": list(table.partition_by),
                "sort_by": list(table.sort_by),
            }
        )
    return pl.DataFrame(rows, schema=_TABLES)


def _documented(tables: Iterable[Table]) -> pl.DataFrame:
    rows = [
        {"table_name": table.name, "column_name": row["column"], **row}
        for table in tables
        for row in documentation_of(table)
    ]
    return pl.DataFrame(rows, schema=_COLUMNS)


def _listed(storage: ParquetStorage, tables: Iterable[Table], origins: Origins) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for table in tables:
        made = {one.key: one for one in origins.live(table) if one.is_recorded}
        for file in storage.files(table):
            key = "|".join(file.partition[name] for name in table.identity)
            rows.append(
                {
                    "table_name": table.name,
                    "partition": key,
                    "path": str(_path(storage, table, file.path)),
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    **(
                        {
                            "version": made[key].version,
                            "run_id": made[key].provenance.run_id,
                            "code_version": made[key].provenance.code_version,
                            "written": made[key].timestamp,
                        }
                        if key in made
                        else {}
                    ),
                }
            )
    return pl.DataFrame(rows, schema=_FILES)


def _versions(storage: ParquetStorage, tables: Iterable[Table]) -> pl.DataFrame:
    manager = DataVersionManager(storage)
    rows = [
        {
            "table_name": table.name,
            "version": version.number,
            "semantic": version.semantic,
            "written": version.timestamp,
            "operation": version.operation,
            "change": version.change,
            "partition": "|".join(version.partition.values()),
            "rows": version.rows,
            "rows_before": version.rows_before,
            "bytes": version.bytes,
            "run_id": version.run_id,
            "code_version": version.code_version,
            "live": version.live,
            "readable": version.readable,
            "restored": version.restored,
        }
        for table in tables
        for version in manager.versions(table)
    ]
    return pl.DataFrame(rows, schema=_VERSIONS)


def _lineage(tables: Iterable[Table], origins: Origins) -> pl.DataFrame:
    """A line for every source of all that is live and of what that was made from."""
    live = (made for table in tables for made in origins.live(table))
    rows = [
        {**_of(made), **source}
        for made, sources in origins.back(live)
        for source in _sources(made, sources)
    ]
    frame = pl.DataFrame(rows, schema=_LINEAGE)
    return frame.sort("table_name", "partition", "version", "source", maintain_order=True)


def _sources(made: Made, sources: Sequence[Source]) -> list[dict[str, object]]:
    """What rows were made from: delivered files, partitions of tables, or nothing that is told."""
    delivered = [
        {
            "source_kind": "file",
            "source": file.name,
            "source_rows": file.rows,
            "sha256": file.sha256,
            "path": file.path,
            "member": file.member,
        }
        for file in made.provenance.files
    ]
    built = [
        {
            "source_kind": _kind(made, source),
            "source": source.made.table if source.made else None,
            "source_partition": source.made.key if source.made else None,
            "source_version": source.made.version if source.made else None,
            "source_rows": source.made.rows if source.made else None,
            "data_files": list(source.hashes),
        }
        for source in sources
    ]
    return delivered + built or [{}]


def _kind(made: Made, source: Source) -> str:
    if source.made is not None:
        return "table"
    return "unknown" if made.partition else "lake"  # what is of no partition is of all there is


def _of(made: Made) -> dict[str, object]:
    parameters = json.dumps(made.provenance.parameters, ensure_ascii=False)
    return {
        **_place(made),
        "operation": made.operation,
        "live": made.live,
        "rows": made.rows,
        "code_version": made.provenance.code_version,
        "parameters": parameters if made.is_recorded else None,
    }


def _rolled_back(tables: Iterable[Table], origins: Origins) -> pl.DataFrame:
    """Live partitions that a rollback put back, and whether they are held against newer input."""
    rows = [
        {
            **_place(made),
            "rows": made.rows,
            "restored": made.restored,
            "held": bool(made.held_against),
            "held_against": list(made.held_against),
        }
        for table in tables
        for made in origins.live(table)
        if made.operation == "rollback"
    ]
    return pl.DataFrame(rows, schema=_ROLLED_BACK)


def _place(made: Made) -> dict[str, object]:
    return {
        "table_name": made.table,
        "partition": made.key,
        "version": made.version if made.is_recorded else None,
        "written": made.timestamp,
        "run_id": made.provenance.run_id if made.is_recorded else None,
    }


def _path(storage: ParquetStorage, table: Table, relative: str) -> Path:
    return (storage.root / table.name / relative).resolve()


def typed(rows: Sequence[Mapping[str, object]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows as a listing, typed whether or not there are any."""
    return pl.DataFrame(rows, schema=pl.Schema(schema), orient="row")

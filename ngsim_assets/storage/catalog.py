"""The lake as DuckDB sees it: one view per table over its current version, and what it holds.

Belongs here: SQL over lists of live files. DuckDB needs its delta extension for nothing: the
log is read here, the views name plain Parquet files. Does not belong here: any domain's query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl

from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder
from ngsim_assets.storage.errors import writing
from ngsim_assets.storage.manifest import DataFile, Version
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table, documentation_of

if TYPE_CHECKING:
    import duckdb

_TYPES: dict[pl.DataType, str] = {
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Float64(): "DOUBLE",
    pl.Boolean(): "BOOLEAN",
    pl.Date(): "DATE",
    pl.String(): "VARCHAR",
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
    "written": pl.Datetime("us", "UTC"),
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


def connect(storage: ParquetStorage, tables: Iterable[Table]) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with a view per table: rows can be read through it, not changed.

    Beside the tables there are `catalog.tables`, `catalog.columns` and `catalog.files`. Views
    are of the version that is current now: `refresh` moves them on. Times are shown in UTC.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    refresh(connection, storage, tables)
    return connection


def refresh(
    connection: duckdb.DuckDBPyConnection, storage: ParquetStorage, tables: Iterable[Table]
) -> None:
    """Point every view at the current version of its table, all at once."""
    tables = list(tables)
    frames = {
        "tables": _described(storage, tables),
        "columns": _documented(tables),
        "files": _listed(storage, tables),
    }
    connection.execute("BEGIN")
    try:
        connection.execute("CREATE SCHEMA IF NOT EXISTS catalog")
        for name, frame in frames.items():
            connection.register("listing", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
            connection.execute(f"CREATE OR REPLACE TABLE catalog.{name} AS FROM listing")
            connection.unregister("listing")
        for table in tables:
            view = f"CREATE OR REPLACE VIEW {_quoted(table.name)} AS {_rows(storage, table)}"
            connection.execute(view)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def write_catalog(path: Path, storage: ParquetStorage, tables: Iterable[Table]) -> None:
    """Put the same views into a DuckDB file that any DuckDB client opens.

    The file at `path` is replaced as a whole; who has it open keeps the old one. Its views
    name the data files by absolute path, as of now. DuckDB names a database after its file:
    in one called catalog.duckdb the listings are `catalog.catalog.files` and so on, in any
    other `catalog.files`. Raises DiskFull, ReadOnlyLake.
    """
    import duckdb

    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with writing(path):
            make_folder(path.parent)
            with duckdb.connect() as connection:
                connection.execute(f"ATTACH {_text(str(temporary))} AS target; USE target")
                refresh(connection, storage, tables)
                connection.execute("USE memory; DETACH target")
            sync_file(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _rows(storage: ParquetStorage, table: Table) -> str:
    """SELECT of the table's rows: its columns, in order and type."""
    nothing = ", ".join(
        f"NULL::{_sql_type(dtype)} AS {_quoted(name)}" for name, dtype in table.schema.items()
    )
    nothing = f"SELECT {nothing} WHERE false"
    files = storage.files(table)
    if not files:
        return nothing
    paths = ", ".join(
        _text(str((storage.root / table.name / file.path).resolve())) for file in files
    )
    hive = ", ".join(
        f"{_text(name)}: {_sql_type(table.schema[name])}" for name in table.partition_by
    )
    options = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ""
    # every name and path below is quoted above
    if not storage.has_columns(table) or _differ_in_columns(files, storage.history(table)):
        # opens every file, so only where it must; the empty half adds what no file has yet
        options += ", union_by_name = true"
        return f"{nothing} UNION ALL BY NAME SELECT * FROM read_parquet([{paths}]{options})"  # noqa: S608
    columns = ", ".join(_quoted(name) for name in table.schema.names())
    return f"SELECT {columns} FROM read_parquet([{paths}]{options})"  # noqa: S608


def _differ_in_columns(files: Iterable[DataFile], history: Sequence[Version]) -> bool:
    """Whether some of the files were written before the table was given its newest column."""
    widened = max((v.version for v in history if v.operation == "add column"), default=-1)
    written = {v.write: v.version for v in history}
    return any(written.get(file.write, -1) < widened for file in files)


def _described(storage: ParquetStorage, tables: Iterable[Table]) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for table in tables:
        files = storage.files(table)
        history = storage.history(table)
        rows.append(
            {
                "table_name": table.name,
                "description": table.description,
                "version": history[0].version if history else None,
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


def _listed(storage: ParquetStorage, tables: Iterable[Table]) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for table in tables:
        written = {v.write: v for v in storage.history(table) if v.operation == "replace"}
        for file in storage.files(table):
            version = written.get(file.write)
            rows.append(
                {
                    "table_name": table.name,
                    "partition": "|".join(file.partition[name] for name in table.identity),
                    "path": str((storage.root / table.name / file.path).resolve()),
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "version": version.version if version else None,
                    "run_id": version.provenance.run_id if version else None,
                    "code_version": version.provenance.code_version if version else None,
                    "written": version.timestamp if version else None,
                }
            )
    return pl.DataFrame(rows, schema=_FILES)


def _sql_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.List):
        return f"{_sql_type(pl.Series(dtype=dtype).explode().dtype)}[]"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMPTZ" if dtype.time_zone else "TIMESTAMP"
    return _TYPES[dtype]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

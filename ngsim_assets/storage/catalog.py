"""The lake as DuckDB sees it: a view per table, of now or of then, and listings of what it holds.

Belongs here: SQL over lists of files. DuckDB needs its delta extension for nothing: the log is
read here, the views name plain Parquet files. Does not belong here: what the listings say
(listings.py), any domain's query.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder
from ngsim_assets.storage.errors import DamagedFile, StorageError, writing
from ngsim_assets.storage.evolution import Picked
from ngsim_assets.storage.lineage import records_about
from ngsim_assets.storage.listings import Listing, listings
from ngsim_assets.storage.manifest import DataFile, Lineage
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.snapshots import Snapshot

if TYPE_CHECKING:
    import duckdb

NOT_YET = -1
"""In place of a version: the time before the table's first."""

_TYPES: dict[pl.DataType, str] = {
    pl.Int8(): "TINYINT",
    pl.Int16(): "SMALLINT",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Float32(): "FLOAT",
    pl.Float64(): "DOUBLE",
    pl.Boolean(): "BOOLEAN",
    pl.Date(): "DATE",
    pl.String(): "VARCHAR",
}


@dataclass(frozen=True)
class Catalog:
    """What a DuckDB over a lake shows.

    Attributes:
        tables: each is a view of its name.
        more: listings beside the lake's own, by name: `catalog.<name>`.
        at: by name of a view, the table it shows and the version of it (or NOT_YET). A view of a
            table's own name takes the place of the current one, which is then to be found in the
            schema `now`.
    """

    storage: ParquetStorage
    tables: Sequence[Table]
    more: Mapping[str, Listing] = field(default_factory=dict[str, Listing])
    at: Mapping[str, tuple[Table, int]] = field(default_factory=dict[str, "tuple[Table, int]"])

    @property
    def listings(self) -> dict[str, Listing]:
        """Every listing by name."""
        return {**listings(self.storage, self.tables), **self.more}

    @property
    def views(self) -> dict[str, tuple[Table, int | None]]:
        """Every view by name: its table and the version it shows, None for the current one."""
        current: dict[str, tuple[Table, int | None]] = {t.name: (t, None) for t in self.tables}
        now = {f"now.{name}": current[name] for name in self.at if name in current}
        return {**current, **self.at, **now}


def connect(
    storage: ParquetStorage,
    tables: Iterable[Table],
    *,
    more: Mapping[str, Listing] | None = None,
    at: Mapping[str, tuple[Table, int]] | None = None,
    sql: str = "",
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with a view per table: rows can be read through it, not changed.

    Beside the tables there are listings: `catalog.tables`, `.columns`, `.files`, `.versions`,
    `.lineage` and `.rolled_back`. Views are of the version that is current now: `refresh` moves
    them on. Times are shown in UTC.

    Args:
        more, at: see `Catalog`. An older version has the columns it had, NULL for those that
            the model has got since.
        sql: what is to be asked. If given, only what it names is made, which is quicker.

    Raises UnknownVersion, VacuumedVersion, DamagedFile, MigrationNeeded for what `sql` names; of
    all else a view fails with that message when it is asked.
    """
    import duckdb

    catalog = Catalog(storage, list(tables), more or {}, at or {})
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    _fill(connection, catalog, _named_in(connection, sql, catalog) if sql else None)
    return connection


def refresh(
    connection: duckdb.DuckDBPyConnection,
    storage: ParquetStorage,
    tables: Iterable[Table],
    *,
    more: Mapping[str, Listing] | None = None,
) -> None:
    """Point every view at the current version of its table, all at once."""
    _fill(connection, Catalog(storage, list(tables), more or {}))


def write_catalog(
    path: Path,
    storage: ParquetStorage,
    tables: Iterable[Table],
    *,
    more: Mapping[str, Listing] | None = None,
) -> None:
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
                refresh(connection, storage, tables, more=more)
                connection.execute("USE memory; DETACH target")
            sync_file(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(
    connection: duckdb.DuckDBPyConnection, catalog: Catalog, only: Collection[str] | None = None
) -> None:
    """Make the views and listings, or those of them that are named, all at once."""
    views, made = catalog.views, catalog.listings
    names = [*views, *(f"catalog.{name}" for name in made)] if only is None else only
    # first everything that is asked of the lake, which may fail, then one short transaction
    rows: dict[str, str] = {}
    for name in names:
        if name not in views:
            continue
        try:
            rows[name] = _rows(catalog.storage, *views[name])
        except StorageError as error:
            if only is not None:
                raise
            rows[name] = _failing(views[name][0], error)
    frames = {name: made[name.removeprefix("catalog.")]() for name in names if name not in views}
    connection.execute("BEGIN")
    try:
        connection.execute("CREATE SCHEMA IF NOT EXISTS catalog")
        if any(name.startswith("now.") for name in rows):
            connection.execute("CREATE SCHEMA IF NOT EXISTS now")
        for name, frame in frames.items():
            connection.register("listing", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM listing")
            connection.unregister("listing")
        for name, select in rows.items():
            place = f"now.{_quoted(name[4:])}" if name.startswith("now.") else _quoted(name)
            connection.execute(f"CREATE OR REPLACE VIEW {place} AS {select}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _named_in(connection: duckdb.DuckDBPyConnection, sql: str, catalog: Catalog) -> set[str] | None:
    """Views and listings that a statement names; None if it may be about all of them."""
    import duckdb

    known = {*catalog.views, *(f"catalog.{name}" for name in catalog.listings)}
    try:
        named = {name.replace('"', "") for name in connection.get_table_names(sql, qualified=True)}
    except duckdb.Error:
        return None
    return named if named and named <= known else None


def _rows(storage: ParquetStorage, table: Table, version: int | None) -> str:
    """SELECT of the rows of a version: its columns, in order and type."""
    log = storage.log(table)
    if version == NOT_YET:
        return _nothing(table.schema)
    snapshot = log.current() if version is None else log.at(version)
    if snapshot is None:
        return _nothing(table.schema)
    files = storage.files(table, version=version)
    view = log.view_as_it_was(snapshot) if version is not None else log.view(snapshot)
    if not files:
        return _nothing(view.schema)
    types = snapshot.stored.schema
    hive = {name: types[name] for name in snapshot.stored.partition_by}
    located = [(storage.root / table.name / file.path).resolve() for file in files]
    _check_first(table, located[0])
    paths = ", ".join(_text(str(path)) for path in located)
    folders = ", ".join(f"{_text(name)}: {_sql_type(dtype)}" for name, dtype in hive.items())
    options = f", hive_partitioning = true, hive_types = {{{folders}}}" if hive else ""
    columns = ", ".join(_selected(column, types) for column in view.columns)
    # every name and path here is quoted
    if not _have_columns(storage, table, snapshot, files):
        # opens every file, so only where it must; the empty half adds what no file has
        given = f"{_nothing(types)} UNION ALL BY NAME SELECT * FROM"
        return (
            f"SELECT {columns} FROM ({given} read_parquet([{paths}]{options},"  # noqa: S608
            " union_by_name = true))"
        )
    return f"SELECT {columns} FROM read_parquet([{paths}]{options})"  # noqa: S608


def _failing(table: Table, error: StorageError) -> str:
    """SELECT that says what is wrong with one table when it is asked: the others are served."""
    return f"{_nothing(table.schema)} OR error({_text(str(error))}) IS NULL"


def _check_first(table: Table, path: Path) -> None:
    """DamagedFile if the file that a view takes its columns from cannot be read."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DamagedFile(table.name, path, reason.splitlines()[0]) from error


def _nothing(schema: Mapping[str, pl.DataType]) -> str:
    columns = ", ".join(
        f"NULL::{_sql_type(dtype)} AS {_quoted(name)}" for name, dtype in schema.items()
    )
    return f"SELECT {columns} WHERE false"


def _selected(column: Picked, types: Mapping[str, pl.DataType]) -> str:
    name = _quoted(column.name)
    if not column.source:
        return f"NULL::{_sql_type(column.dtype)} AS {name}"
    if types[column.source] != column.dtype:  # wider: every value fits unchanged
        return f"{_quoted(column.source)}::{_sql_type(column.dtype)} AS {name}"
    return name if column.source == column.name else f"{_quoted(column.source)} AS {name}"


def _have_columns(
    storage: ParquetStorage, table: Table, snapshot: Snapshot, files: Sequence[DataFile]
) -> bool:
    """Whether all files have every column: the newest column may be younger than they are."""
    sought = {file.write for file in files}
    if "" not in sought and snapshot.stored.columns.keys() <= _first_columns(storage, table):
        return True
    for record in storage.log(table).records(snapshot.version):
        sought -= set(_written(record.lineage)) if record.lineage else set()
        if not sought:
            return True
        if record.schema is not None:
            return False
    return False


def _first_columns(storage: ParquetStorage, table: Table) -> set[str]:
    """Columns the table was created with, none if that cannot be read."""
    try:
        schema = storage.log(table).record(0).schema
    except DamagedFile:
        return set()
    return {field["name"] for field in json.loads(schema)["fields"]} if schema else set()


def _written(lineage: Lineage) -> Iterator[str]:
    """Writes whose files came with a commit: a rollback or a confirmation names older ones."""
    if lineage.operation in {"replace", "append", "migrate"}:
        yield from (record.write for record in records_about(lineage))


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

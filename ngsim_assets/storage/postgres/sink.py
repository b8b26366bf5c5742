"""Frames of declared tables into PostgreSQL, a partition at a time, all of it or nothing.

Belongs here: batches, what becomes of a partition's rows. Does not belong here: connections
(connecting.py), columns (homes.py, forms.py), what is compared (comparing.py).

A batch is sent by COPY into a temporary table, then brought in by one INSERT ... ON CONFLICT of
the rows that differ; into a partition without rows it is sent straight. A ledger gets the
batch's id in the same transaction. A writer that dies, a connection that is cut: the partition
has its old rows or its new ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import polars as pl
from pydantic import SecretStr

from ngsim_assets.storage.postgres import forms
from ngsim_assets.storage.postgres.checking import (
    check_columns,
    check_membership,
    check_partition,
)
from ngsim_assets.storage.postgres.comparing import Comparison, compare
from ngsim_assets.storage.postgres.connecting import Server
from ngsim_assets.storage.postgres.errors import BadIdentity, RowsRefused
from ngsim_assets.storage.postgres.homes import BATCHES, Home, home_of, names, prepare
from ngsim_assets.storage.schema import Table

if TYPE_CHECKING:
    import psycopg.sql

SCHEMA = "ngsim"
SLICE_ROWS = 50_000
"""Rows that are text at the same time."""

Rows = pl.DataFrame | Callable[[], Iterable[pl.DataFrame]]
"""A frame, or a function that gives the same frames in the same order whenever it is called."""


@dataclass(frozen=True)
class Written:
    """What became of one batch.

    Attributes:
        batch: its id: a hash of table, partition, columns and rows.
        repeated: it had been written before and nothing was done; the counts are those of then.
        rows: rows of the batch; of these `inserted` were new, `changed` had other values.
        deleted: rows that were in the partition and not in the batch that replaced it.
    """

    batch: str
    repeated: bool
    rows: int
    inserted: int
    changed: int
    deleted: int


class PostgresSink:
    """Tables in one schema of a PostgreSQL server.

    A process uses a sink from one thread; several processes may write at once, also the same
    partition, one after the other then.
    """

    def __init__(
        self,
        dsn: SecretStr | None,
        *,
        schema: str = SCHEMA,
        retries: int = 5,
        first_wait: float = 0.5,
        slice_rows: int = SLICE_ROWS,
    ) -> None:
        """`retries`, `first_wait`: attempts after a transient failure, seconds before the first."""
        self._server = Server(dsn, schema=schema, retries=retries, first_wait=first_wait)
        self._homes: dict[str, Home] = {}
        self._slice_rows = slice_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._server.close()

    def prepare(self, table: Table, key: Sequence[str]) -> tuple[str, ...]:
        """Have the table in the database as the model has it; the steps that were needed.

        `key` tells rows of a partition apart; the columns that name a partition are added to it.
        """
        home = home_of(table, key)
        steps = self._server.attempt(
            table.name, lambda connection: prepare(connection, self._server, home)
        )
        self._homes[table.name] = home
        return steps

    def write(
        self,
        table: Table,
        partition: Mapping[str, str],
        rows: Rows,
        *,
        replaces: bool = False,
        version: str = "",
        is_told_by_version: bool = False,
        again: bool = False,
    ) -> Written:
        """Bring rows into a partition: new ones inserted, others changed where values differ.

        Args:
            table: a table that was prepared.
            partition: value of every identity column; all rows have it.
            rows: what is written; read twice, in slices.
            replaces: the partition has these rows and no others afterwards.
            version: what tells apart two batches of the same rows, such as the lake's version.
            is_told_by_version: the same version means the same rows: they are read once, and not
                at all where the ledger has that version.
            again: write a batch that the ledger has already, after rows were changed by hand.
        """
        home = self._home(table)
        check_partition(table, partition)
        slices = self._slices(home, partition, rows)
        batch = _Batch(home, dict(partition), slices, replaces, version, is_told_by_version)
        name = batch.name()
        return self._server.attempt(
            table.name,
            lambda connection: _write(connection, self._server, batch, name, again=again),
        )

    def compare(
        self, table: Table, partition: Mapping[str, str], rows: Rows, *, sample: int = 20
    ) -> Comparison:
        """Whether a partition has exactly these rows; at most `sample` keys of each difference."""
        home = self._home(table)
        check_partition(table, partition)
        slices = self._slices(home, partition, rows)
        return self._server.attempt(
            table.name,
            lambda connection: compare(
                connection,
                self._server,
                home,
                partition,
                slices,
                sample=sample,
                slice_rows=self._slice_rows,
            ),
        )

    def _home(self, table: Table) -> Home:
        home = self._homes.get(table.name)
        if home is None or home.table != table:
            raise BadIdentity(table.name, "it was not prepared, so nothing tells its rows apart")
        return home

    def _slices(self, home: Home, partition: Mapping[str, str], rows: Rows) -> Slices:
        def slices() -> Iterator[pl.DataFrame]:
            for frame in (rows,) if isinstance(rows, pl.DataFrame) else rows():
                check_columns(home.table, frame)
                for part in frame.iter_slices(self._slice_rows):
                    check_membership(home.table, partition, part)
                    yield forms.sent(home.table.name, home.forms, part)

        return slices


class Slices(Protocol):
    """Rows as they are sent, a slice at a time, from the start whenever it is called."""

    def __call__(self) -> Iterator[pl.DataFrame]: ...


@dataclass(frozen=True)
class _Batch:
    home: Home
    partition: dict[str, str]
    slices: Slices
    replaces: bool
    version: str
    is_told_by_version: bool

    @property
    def place(self) -> str:
        return json.dumps(self.partition, sort_keys=True)

    def name(self) -> str:
        """The batch's id, the same in every process for the same rows in the same order."""
        digest = self._digest()
        if not self.is_told_by_version:
            for rows in self.slices():
                digest.update(forms.csv_of(rows))
        return digest.hexdigest()

    def send(self, copy: psycopg.Copy, name: str) -> int:
        """Send every row; RowsRefused where they are not the rows that the id was made of."""
        digest = self._digest()
        count = 0
        for rows in self.slices():
            lines = forms.csv_of(rows)
            copy.write(lines)
            count += rows.height
            if not self.is_told_by_version:
                digest.update(lines)
        if digest.hexdigest() != name:
            raise RowsRefused(
                self.home.table.name,
                "read a second time they were others",
                "give a frame, or a function that gives the same rows whenever it is called",
            )
        return count

    def _digest(self) -> hashlib._Hash:
        columns = {name: form.sql for name, form in self.home.forms.items()}
        head = [self.home.table.name, self.place, columns, self.replaces, self.version]
        head += ["told by version"] if self.is_told_by_version else []
        return hashlib.sha256(json.dumps(head).encode())


def _write(
    connection: psycopg.Connection,
    server: Server,
    batch: _Batch,
    name: str,
    *,
    again: bool,
) -> Written:
    from psycopg import sql

    table = batch.home.table.name
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        [f"ngsim_assets {server.schema} {table} {batch.place}"],
    )
    before = None if again else _written_before(connection, server, batch, name)
    if before is not None:
        return before
    if _is_empty(connection, server, batch):
        # nothing to be weighed against: the rows go where they belong, under the same lock
        rows = _copy(connection, server.table(table), batch, name)
        inserted, changed, deleted = rows, 0, 0
    else:
        stage = sql.Identifier("pg_temp", "ngsim_stage")
        connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE ngsim_stage (LIKE {}) ON COMMIT DROP").format(
                server.table(table)
            )
        )
        rows = _copy(connection, stage, batch, name)
        # refuses two rows of one key, also where both are as the row that is there
        key = names(batch.home.within_partition)
        connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(stage, key))
        connection.execute(sql.SQL("ANALYZE {} ({})").format(stage, key))
        deleted = _delete_gone(connection, server, batch, stage) if batch.replaces else 0
        inserted, changed = _bring_in(connection, server, batch.home, stage)
    written = Written(name, False, rows, inserted, changed, deleted)
    _record(connection, server, batch, written)
    return written


def _is_empty(connection: psycopg.Connection, server: Server, batch: _Batch) -> bool:
    from psycopg import sql

    within, values = batch.home.within(batch.partition)
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
        server.table(batch.home.table.name), within
    )
    return connection.execute(statement, values).fetchone() == (False,)


def _copy(
    connection: psycopg.Connection,
    place: psycopg.sql.Identifier,
    batch: _Batch,
    name: str,
) -> int:
    """Send the batch into a table; how many rows it has."""
    from psycopg import sql

    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL {})").format(
        place, names(tuple(batch.home.forms)), sql.Literal(forms.MISSING)
    )
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        return batch.send(copy, name)


def _written_before(
    connection: psycopg.Connection, server: Server, batch: _Batch, name: str
) -> Written | None:
    """The batch as the ledger has it, if the partition still owes its rows to it.

    A batch that replaces says what the whole partition is: it counts only as the latest one.
    """
    from psycopg import sql

    statement = sql.SQL(
        "SELECT batch, rows, inserted, changed, deleted FROM {}"
        " WHERE table_name = %s AND partition = %s AND (batch = %s OR %s)"
        " ORDER BY number DESC LIMIT 1"
    ).format(server.table(BATCHES))
    row = connection.execute(
        statement, [batch.home.table.name, batch.place, name, batch.replaces]
    ).fetchone()
    if row is None or row[0] != name:
        return None
    return Written(name, True, *row[1:])


def _delete_gone(
    connection: psycopg.Connection, server: Server, batch: _Batch, stage: psycopg.sql.Identifier
) -> int:
    from psycopg import sql

    same = sql.SQL(" AND ").join(
        sql.SQL("stage.{0} = home.{0}").format(sql.Identifier(name)) for name in batch.home.key
    )
    there, values = batch.home.within(batch.partition)
    statement = sql.SQL(
        "DELETE FROM {} AS home WHERE {} AND NOT EXISTS (SELECT FROM {} AS stage WHERE {})"
    ).format(server.table(batch.home.table.name), there, stage, same)
    return connection.execute(statement, values).rowcount


def _bring_in(
    connection: psycopg.Connection, server: Server, home: Home, stage: psycopg.sql.Identifier
) -> tuple[int, int]:
    """Rows inserted and rows changed."""
    from psycopg import sql

    place = server.table(home.table.name)
    clash = sql.SQL("DO NOTHING")
    if home.values:
        clash = sql.SQL("DO UPDATE SET {}").format(
            sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in home.values
            )
        )
    # rows that are as they should be are left out before the INSERT, which locks what it meets;
    # xmax is 0 in a row that this statement made, its own number in one that it changed
    statement = sql.SQL(
        "WITH done AS (INSERT INTO {place} AS home ({columns}) SELECT {sent} FROM {stage} AS stage"
        " LEFT JOIN {place} AS there ON {same}"
        " WHERE there.{first} IS NULL OR ({given}) IS DISTINCT FROM ({found})"
        " ON CONFLICT ({key}) {clash} RETURNING home.xmax = 0 AS is_new)"
        " SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM done"
    ).format(
        place=place,
        columns=names(tuple(home.forms)),
        sent=names(tuple(home.forms), "stage"),
        stage=stage,
        same=sql.SQL(" AND ").join(
            sql.SQL("stage.{0} = there.{0}").format(sql.Identifier(name)) for name in home.key
        ),
        first=sql.Identifier(home.key[0]),
        given=names(home.values or home.key, "stage"),
        found=names(home.values or home.key, "there"),
        key=names(home.key),
        clash=clash,
    )
    row = connection.execute(statement).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def _record(connection: psycopg.Connection, server: Server, batch: _Batch, done: Written) -> None:
    """Put the batch on record; those before it that it makes void go."""
    from psycopg import sql

    ledger = server.table(BATCHES)
    void = sql.SQL(
        "DELETE FROM {} WHERE table_name = %s AND partition = %s AND (batch = %s OR %s)"
    ).format(ledger)
    place = [batch.home.table.name, batch.place]
    connection.execute(void, [*place, done.batch, batch.replaces])
    entry = sql.SQL(
        "INSERT INTO {} (table_name, partition, batch, version, replaced, rows, inserted, changed,"
        " deleted) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    ).format(ledger)
    counts = [done.rows, done.inserted, done.changed, done.deleted]
    connection.execute(entry, [*place, done.batch, batch.version, batch.replaces, *counts])

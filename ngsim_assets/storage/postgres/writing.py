"""A batch of rows into its table: sent, weighed against what is there, put on record.

A batch is sent by COPY into a temporary table, then brought in by one statement that changes only
rows that differ; into a partition without rows it is sent straight. A ledger gets the batch's id
in the same transaction. A writer that dies, a connection that is cut: the partition has its old
rows or its new ones.

Belongs here: batches, the statements that write, their order. Does not belong here: connections
(connecting.py), columns (homes.py, forms.py), what is asked for (sink.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import polars as pl

from ngsim_assets.storage.postgres import forms
from ngsim_assets.storage.postgres.connecting import Server
from ngsim_assets.storage.postgres.errors import RowsRefused
from ngsim_assets.storage.postgres.homes import BATCHES, Home, composed, names

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql as psycopg_sql


@dataclass(frozen=True)
class Written:
    """What became of one batch.

    Attributes:
        batch: its id: a hash of table, partition, columns and rows, or the version in their place.
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


class Slices(Protocol):
    """Rows as they are sent, a slice at a time, from the start whenever it is called."""

    def __call__(self) -> Iterator[pl.DataFrame]: ...


@dataclass
class Batch:
    """Rows for one partition.

    Attributes:
        name: its id, the same in every process for the same rows in the same order; `read` has it.
        kept: all of it as it is sent, and how many rows that is, if it has no more than `small`
            bytes; None where it is read again to be sent.
    """

    home: Home
    partition: dict[str, str]
    slices: Slices
    replaces: bool
    version: str
    is_told_by_version: bool
    small: int
    name: str = ""
    kept: tuple[bytes, int] | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The partition as the ledger names it."""
        return json.dumps(self.partition, sort_keys=True)

    @property
    def told(self) -> dict[str, object]:
        """Values that statements take."""
        return {
            **self.home.within_values(self.partition),
            "table": self.home.table.name,
            "place": self.place,
            "batch": self.name,
            "version": self.version,
            "replaces": self.replaces,
        }

    def read(self) -> None:
        """Name it; by its rows, which are read for that, unless its version tells them."""
        digest = self._digest()
        kept: list[bytes] | None = []
        count = size = 0
        for rows in () if self.is_told_by_version else self.slices():
            lines = forms.csv_of(self.home.table.name, rows)
            digest.update(lines)
            count, size = count + rows.height, size + len(lines)
            kept = [*kept, lines] if kept is not None and size <= self.small else None
        self.name = digest.hexdigest()
        if kept is not None and not self.is_told_by_version:
            self.kept = (b"".join(kept), count)

    def send(self, copy: psycopg.Copy) -> int:
        """Send every row; RowsRefused where they are not the rows that the id was made of."""
        if self.kept is not None:
            copy.write(self.kept[0])
            return self.kept[1]
        digest = self._digest()
        count = 0
        for rows in self.slices():
            lines = forms.csv_of(self.home.table.name, rows)
            copy.write(lines)
            count += rows.height
            if not self.is_told_by_version:
                digest.update(lines)
        if digest.hexdigest() != self.name:
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


@dataclass(frozen=True)
class _Stage:
    """A temporary table, and what is said about it.

    Attributes:
        make: makes it. copy: fills it. full: what is to be done then, nothing if empty.
        bring_in: its rows into their table, and the batch on record; by whether it replaces.
    """

    make: bytes
    copy: bytes
    full: bytes
    bring_in: dict[bool, bytes]


class Statements:
    """What is said to the server about one table, put together once.

    A large batch goes over a temporary table of its own, whose index is made when it is full; small
    ones over one that the connection keeps, empty between transactions.

    Attributes:
        turn: names what writers of a partition wait for, with the partition behind it.
        state: whether the partition has rows, whether the small stage is there, and the batch as
            the ledger has it, if the partition still owes its rows to it: one that replaces says
            what the whole partition is, so it counts only as the latest one.
        copy: fills a partition that has no rows. record: puts that on record.
    """

    def __init__(self, server: Server, home: Home) -> None:
        from psycopg import sql

        self._home = home
        self._place = server.table(home.table.name)
        self._ledger = server.table(BATCHES)
        self.turn = f"ngsim_assets {server.schema} {home.table.name} "
        kept = _kept_name(server, home)
        self.state = _bytes(
            "SELECT EXISTS (SELECT FROM {place} WHERE {within}), to_regclass({kept}) IS NOT NULL,"
            " before.* FROM (VALUES (true)) AS always LEFT JOIN (SELECT batch, rows, inserted,"
            " changed, deleted FROM {ledger} WHERE table_name = %(table)s AND partition = %(place)s"
            " AND (batch = %(batch)s OR %(replaces)s) ORDER BY number DESC LIMIT 1) AS before"
            " ON true",
            place=self._place,
            within=home.within(),
            ledger=self._ledger,
            kept=sql.Literal(f"pg_temp.{kept}"),
        )
        self.copy = self._copy(self._place)
        self.record = {
            replaces: _bytes(
                "WITH {void} {record}",
                void=self._void(replaces),
                record=self._record("%(rows)s", "0", "0"),
            )
            for replaces in (False, True)
        }
        index = "CREATE UNIQUE INDEX ON {stage} ({key})"
        make = "CREATE TEMPORARY TABLE {stage} (LIKE {place}) ON COMMIT "
        self.small = self._stage(kept, make + "DELETE ROWS; " + index, "")
        self.large = self._stage("ngsim_stage", make + "DROP", index + "; ANALYZE {stage} ({key})")

    def _stage(self, name: str, make: str, full: str) -> _Stage:
        from psycopg import sql

        stage = sql.Identifier("pg_temp", name)
        parts = {
            "stage": stage,
            "place": self._place,
            # refuses two rows of one key, also where both are as the row that is there
            "key": names(self._home.within_partition),
        }
        return _Stage(
            _bytes(make, **parts),
            self._copy(stage),
            _bytes(full, **parts),
            {replaces: self._bring_in(stage, replaces) for replaces in (False, True)},
        )

    def _copy(self, place: psycopg_sql.Identifier) -> bytes:
        from psycopg import sql

        return _bytes(
            "COPY {place} ({columns}) FROM STDIN (FORMAT csv, NULL {null})",
            place=place,
            columns=names(tuple(self._home.forms)),
            null=sql.Literal(forms.MISSING),
        )

    def _bring_in(self, stage: psycopg_sql.Identifier, replaces: bool) -> bytes:
        from psycopg import sql

        home = self._home
        clash = sql.SQL("DO NOTHING")
        if home.values:
            clash = sql.SQL("DO UPDATE SET {}").format(
                sql.SQL(", ").join(
                    sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                    for name in home.values
                )
            )
        same = sql.SQL(" AND ").join(
            sql.SQL("stage.{0} = there.{0}").format(sql.Identifier(name)) for name in home.key
        )
        gone = composed(
            "DELETE FROM {place} AS there WHERE {within} AND NOT EXISTS"
            " (SELECT FROM {stage} AS stage WHERE {same}) RETURNING true",
            place=self._place,
            within=home.within(),
            stage=stage,
            same=same,
        )
        # rows that are as they should be are left out before the INSERT, which locks what it
        # meets; xmax is 0 in a row that this statement made, its own number in one it changed
        return _bytes(
            "WITH gone AS ({gone}), done AS (INSERT INTO {place} AS home ({columns})"
            " SELECT {sent} FROM {stage} AS stage LEFT JOIN {place} AS there ON {same}"
            " WHERE there.{first} IS NULL OR ({given}) IS DISTINCT FROM ({found})"
            " ON CONFLICT ({key}) {clash} RETURNING home.xmax = 0 AS is_new), {void} {record}",
            gone=gone if replaces else sql.SQL("SELECT WHERE false"),
            place=self._place,
            columns=names(tuple(home.forms)),
            sent=names(tuple(home.forms), "stage"),
            stage=stage,
            same=same,
            first=sql.Identifier(home.key[0]),
            given=names(home.values or home.key, "stage"),
            found=names(home.values or home.key, "there"),
            key=names(home.key),
            clash=clash,
            void=self._void(replaces),
            record=self._record(
                "(SELECT count(*) FROM done WHERE is_new)",
                "(SELECT count(*) FROM done WHERE NOT is_new)",
                "(SELECT count(*) FROM gone)",
            ),
        )

    def _void(self, replaces: bool) -> psycopg_sql.Composable:
        """Takes batches off the record that a batch which replaces makes void."""
        from psycopg import sql

        if not replaces:
            return sql.SQL("void AS (SELECT)")
        return sql.SQL(
            "void AS (DELETE FROM {} WHERE table_name = %(table)s AND partition = %(place)s"
            " AND batch <> %(batch)s)"
        ).format(self._ledger)

    def _record(self, inserted: str, changed: str, deleted: str) -> psycopg_sql.Composable:
        """Puts a batch on record, as the latest one; the counts of it."""
        columns = ("version", "replaced", "rows", "inserted", "changed", "deleted", "written_at")
        newer = ", ".join(f"{name} = excluded.{name}" for name in columns)
        return composed(
            "INSERT INTO {ledger} (table_name, partition, batch, version, replaced, rows, inserted,"
            " changed, deleted) SELECT %(table)s, %(place)s, %(batch)s, %(version)s, %(replaces)s,"
            f" %(rows)s, {inserted}, {changed}, {deleted} ON CONFLICT (table_name, partition,"
            f" batch) DO UPDATE SET number = DEFAULT, {newer} RETURNING inserted, changed, deleted",
            ledger=self._ledger,
        )


def write(
    connection: psycopg.Connection, said: Statements, batch: Batch, *, again: bool
) -> Written:
    """Bring a batch in, unless the ledger has it; `again`: even then."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [said.turn + batch.place]
    )
    told = batch.told
    found = connection.execute(said.state, told).fetchone()
    has_rows, has_stage, before, *counts = found or (False, False, None)
    if before == batch.name and not again:
        return Written(batch.name, True, *counts)
    if has_rows:
        stage = said.large if batch.kept is None else said.small
        if stage is said.large or not has_stage:
            connection.execute(stage.make, prepare=False)
        rows = _copied(connection, stage.copy, batch)
        if stage.full:
            connection.execute(stage.full, prepare=False)
        record = stage.bring_in[batch.replaces]
    else:
        # nothing to be weighed against: the rows go where they belong, under the same lock
        rows = _copied(connection, said.copy, batch)
        record = said.record[batch.replaces]
    done = connection.execute(record, {**told, "rows": rows}).fetchone()
    return Written(batch.name, False, rows, *(done or (0, 0, 0)))


def _copied(connection: psycopg.Connection, command: bytes, batch: Batch) -> int:
    """Send the batch; how many rows it has."""
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        return batch.send(copy)


def _kept_name(server: Server, home: Home) -> str:
    """Name of the table for small batches: another one where the table would be another one."""
    columns = {name: form.sql for name, form in home.forms.items()}
    told = [server.schema, home.table.name, columns, sorted(home.table.required), home.key]
    return f"ngsim_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"


def _bytes(text: str, **parts: psycopg_sql.Composable) -> bytes:
    return composed(text, **parts).as_bytes(None)

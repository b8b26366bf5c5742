"""Frames of declared tables into PostgreSQL, a partition at a time, all of it or nothing.

Belongs here: what a caller may ask for, and checking what is given. Does not belong here:
connections (connecting.py), columns (homes.py, forms.py), what becomes of a batch (writing.py),
what is compared (comparing.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

import polars as pl
import polars.selectors as cs
from pydantic import SecretStr

from ngsim_assets.storage.postgres import forms
from ngsim_assets.storage.postgres.checking import (
    check_columns,
    check_membership,
    check_partition,
)
from ngsim_assets.storage.postgres.comparing import Comparison, compare
from ngsim_assets.storage.postgres.connecting import Server
from ngsim_assets.storage.postgres.errors import BadIdentity
from ngsim_assets.storage.postgres.homes import Home, home_of, prepare
from ngsim_assets.storage.postgres.writing import Batch, Slices, Statements, Written, write
from ngsim_assets.storage.schema import Table

__all__ = ["Comparison", "PostgresSink", "Rows", "Written"]

SCHEMA = "ngsim"
SLICE_ROWS = 50_000
"""Rows that are text at the same time."""
SLICE_BYTES = 32 * 2**20
"""Bytes of text in them, where so many rows would have more."""
SMALL = 4 * 2**20
"""Bytes of a batch that is made once and kept until it is sent."""

Rows = pl.DataFrame | Callable[[], Iterable[pl.DataFrame]]
"""A frame, or a function that gives the same frames in the same order whenever it is called."""


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
        small: int = SMALL,
    ) -> None:
        """A sink that connects when it is first used.

        Args:
            retries, first_wait: attempts after a transient failure, seconds before the first.
            slice_rows: rows that are text at the same time.
            small: bytes of a batch that are kept from naming it to sending it.
        """
        self._server = Server(dsn, schema=schema, retries=retries, first_wait=first_wait)
        self._homes: dict[str, Home] = {}
        self._statements: dict[str, Statements] = {}
        self._slice_rows = slice_rows
        self._small = small

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
        self._statements[table.name] = Statements(self._server, home)
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
            rows: what is written, read in slices: twice, unless they are few.
            replaces: the partition has these rows and no others afterwards.
            version: what tells apart two batches of the same rows, such as the lake's version.
            is_told_by_version: the same version means the same rows: they are read once, and not
                at all where the ledger has that version.
            again: write a batch that the ledger has already, after rows were changed by hand.
        """
        home = self._home(table)
        check_partition(table, partition)
        slices = self._slices(home, partition, rows)
        batch = Batch(
            home, dict(partition), slices, replaces, version, is_told_by_version, self._small
        )
        batch.read()
        statements = self._statements[table.name]
        return self._server.attempt(
            table.name, lambda connection: write(connection, statements, batch, again=again)
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
                slice_bytes=SLICE_BYTES,
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
                for part in frame.iter_slices(_few(frame, self._slice_rows)):
                    check_membership(home.table, partition, part)
                    yield forms.sent(home.forms, part)

        return slices


def _few(frame: pl.DataFrame, most: int) -> int:
    """How many rows make a slice; what is not text is short."""
    lengths = frame.select(cs.string().str.len_bytes().sum()).rows()
    size = sum(length or 0 for row in lengths for length in row)
    return max(1, min(most, frame.height * SLICE_BYTES // max(size, 1)))

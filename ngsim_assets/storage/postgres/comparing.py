"""Rows here beside rows in the database: how many, whether they are the same, which are not.

Belongs here: the content hash and the keys that differ. Does not belong here: any writing.

Rows are read back from the database and hashed here, by the function that hashes the rows they
are compared with: a value that was spoilt on its way there is seen, whichever way spoilt it. The
content hash is the sum of two 64-bit hashes of each row, so the order of rows plays no part; it
is good within one release of polars and is not kept. Only where hashes differ are keys looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import polars.selectors as cs

from ngsim_assets.storage.postgres import forms
from ngsim_assets.storage.postgres.connecting import Server
from ngsim_assets.storage.postgres.homes import Home

if TYPE_CHECKING:
    import psycopg

Key = tuple[object, ...]
_SEEDS = (0x5EED, 0xC0FFEE)
_HASH = "row hash"


@dataclass(frozen=True)
class Comparison:
    """A partition in both homes.

    Attributes:
        table, partition: which.
        key: the columns of a key, in its order.
        rows_here, rows_there: rows given and rows in the database.
        content_here, content_there: their content hashes.
        missing, surplus, changed: rows only here, only there, in both with other values.
        missing_keys, surplus_keys, changed_keys: the first of them, in the key's order.
    """

    table: str
    partition: Mapping[str, str]
    key: tuple[str, ...]
    rows_here: int
    rows_there: int
    content_here: str
    content_there: str
    missing: int = 0
    surplus: int = 0
    changed: int = 0
    missing_keys: tuple[Key, ...] = ()
    surplus_keys: tuple[Key, ...] = ()
    changed_keys: tuple[Key, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether both homes have the same rows."""
        return (self.rows_here, self.content_here) == (self.rows_there, self.content_there)

    def sentence(self) -> str:
        """The outcome for people."""
        place = f"{self.table} {'|'.join(self.partition.values())}".strip()
        if self.agrees:
            return f"{place}: the same {self.rows_here:,} rows in both"
        return (
            f"{place}: {self.rows_here:,} rows here, {self.rows_there:,} in PostgreSQL;"
            f" {self.missing:,} missing there, {self.surplus:,} only there,"
            f" {self.changed:,} with other values"
        )


def compare(
    connection: psycopg.Connection,
    server: Server,
    home: Home,
    partition: Mapping[str, str],
    here: Callable[[], Iterator[pl.DataFrame]],
    *,
    sample: int,
    slice_rows: int,
    slice_bytes: int,
) -> Comparison:
    """Compare rows as they are sent with a partition, all read from one state of the database."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def there() -> Iterator[pl.DataFrame]:
        return _read(connection, server, home, partition, slice_rows, slice_bytes)

    rows_here, content_here = _content(here())
    rows_there, content_there = _content(there())
    found = Comparison(
        home.table.name,
        dict(partition),
        home.key,
        rows_here,
        rows_there,
        content_here,
        content_there,
    )
    if found.agrees:
        return found
    return _differences(found, _keys(home, here()), _keys(home, there()), sample)


def _read(
    connection: psycopg.Connection,
    server: Server,
    home: Home,
    partition: Mapping[str, str],
    slice_rows: int,
    slice_bytes: int,
) -> Iterator[pl.DataFrame]:
    """Rows of a partition as they would be sent."""
    statement = home.reading(server.table(home.table.name))
    values = home.within_values(partition)
    with connection.cursor() as cursor, cursor.copy(statement, values) as copy:
        # the server sends a message per row, so a slice never ends inside one
        lines: list[bytes] = []
        size = 0
        for line in copy:
            lines.append(bytes(line))
            size += len(line)
            if len(lines) == slice_rows or size >= slice_bytes:
                yield _sent(home, lines)
                lines, size = [], 0
        yield _sent(home, lines)


def _sent(home: Home, lines: list[bytes]) -> pl.DataFrame:
    rows = forms.frame_of(home.table, home.forms, b"".join(lines))
    return forms.sent(home.forms, rows)


def _content(slices: Iterator[pl.DataFrame]) -> tuple[int, str]:
    rows = 0
    sums = [0, 0]
    for frame in slices:
        rows += frame.height
        for place, seed in enumerate(_SEEDS):
            sums[place] += int(np.sum(_hashes(frame, seed).to_numpy(), dtype=np.uint64))
    return rows, "".join(f"{total % 2**64:016x}" for total in sums)


def _hashes(frame: pl.DataFrame, seed: int) -> pl.Series:
    # 0.0 is added because PostgreSQL takes -0.0 and 0.0 for the same value
    return frame.with_columns(cs.float() + 0.0).hash_rows(seed)


def _keys(home: Home, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """Keys of all rows, each with its row's hash."""
    return pl.concat(
        frame.select(*home.key, _hashes(frame, _SEEDS[0]).alias(_HASH)) for frame in slices
    )


def _differences(
    found: Comparison, here: pl.DataFrame, there: pl.DataFrame, sample: int
) -> Comparison:
    key = list(found.key)
    missing = here.join(there, on=key, how="anti")
    surplus = there.join(here, on=key, how="anti")
    both = here.join(there, on=key, suffix=" there")
    changed = both.filter(pl.col(_HASH) != pl.col(f"{_HASH} there"))

    def first(rows: pl.DataFrame) -> tuple[Key, ...]:
        return tuple(rows.select(key).sort(key).head(sample).rows())

    return replace(
        found,
        missing=missing.height,
        surplus=surplus.height,
        changed=changed.height,
        missing_keys=first(missing),
        surplus_keys=first(surplus),
        changed_keys=first(changed),
    )

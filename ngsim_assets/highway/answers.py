"""Answers as files: CSV or Parquet, told by the ending.

Belongs here: how a table of an answer becomes a file or text. Does not belong here: what is
asked (questions.py, traffic_questions.py), tables of the lake (storage).
"""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import polars.selectors as cs

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import write_atomically

LIST_MARK = ";"
"""Between the values of a list in a cell of CSV, which has no lists."""


class UnknownTableFormat(NgsimAssetsError):
    """A file whose ending says nothing of a table."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} is no table", "end the name in .csv or .parquet")


def check_ending(path: Path | None) -> None:
    """UnknownTableFormat where `path` is neither CSV nor Parquet: before the work, not after."""
    if path is not None and path.suffix not in {".csv", ".parquet"}:
        raise UnknownTableFormat(path)


def write_table(path: Path, rows: pl.DataFrame) -> None:
    """Write `rows` to `path`, creating its folders."""
    check_ending(path)
    if path.suffix == ".csv":
        write_atomically(path, csv(rows))
        return
    encoded = io.BytesIO()
    rows.write_parquet(encoded)
    write_atomically(path, encoded.getvalue())


def csv(rows: pl.DataFrame) -> str:
    """`rows` as CSV; the values of a list in one cell, LIST_MARK between them."""
    lists = cs.list()
    return rows.with_columns(lists.cast(pl.List(pl.String)).list.join(LIST_MARK)).write_csv()

"""One vehicle's column is read without the rest: by the readers' plans and by bytes really read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import pytest
from pydantic import Field

from ngsim_assets.storage import catalog
from ngsim_assets.storage.parquet import ParquetStorage, WriteOptions
from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, START, Sample

SESSIONS = ("first", "second", "third")
ROWS = 60_000
STEPS = 50
GROUP = 2_048


def _rows(seed: int) -> pl.DataFrame:
    """Rows that do not compress, sorted by thing: what is not read cannot hide in a few bytes."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "thing": np.repeat(np.arange(ROWS // STEPS, dtype=np.int32), STEPS),
            "step": np.tile(np.arange(STEPS), ROWS // STEPS),
            "place": random.normal(size=ROWS) * 100,
            "exact": random.normal(size=ROWS),
            "feet": random.integers(0, 10**8, ROWS).astype(np.int32),
            "east": random.integers(0, 10**11, ROWS),
            "name": pl.Series(random.integers(0, 10**9, ROWS)).cast(pl.String),
        }
    ).with_columns(
        day=pl.lit(date(2005, 6, 15)),
        kind=pl.lit("auto"),
        time=pl.lit(START) + pl.duration(seconds=pl.col("thing")),
        seen=pl.lit(value=True),
        since=pl.lit(None, pl.Date),
        rules=pl.lit([], pl.List(pl.String)),
        lanes=pl.lit([], pl.List(pl.Int32)),
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> ParquetStorage:
    """Three recordings of thirty row groups each."""
    storage = ParquetStorage(tmp_path_factory.mktemp("lake"), WriteOptions(row_group_rows=GROUP))
    for seed, session in enumerate(SESSIONS):
        storage.replace(SAMPLES, {**HERE, "session": session}, [_rows(seed)])
    return storage


def _scans(lake: ParquetStorage) -> dict[str, pl.LazyFrame]:
    return {
        "ours": lake.scan(SAMPLES),
        "delta": pl.scan_delta(str(lake.root / SAMPLES.name)),
    }


@pytest.mark.parametrize("reader", ["ours", "delta"])
def test_polars_plans_to_read_one_file_and_two_columns(lake: ParquetStorage, reader: str) -> None:
    scan = _scans(lake)[reader]
    plan = (
        scan.filter(pl.col("session") == "second", pl.col("thing") == 17).select("place").explain()
    )
    assert plan.count(".parquet") == 1
    assert "session=second" in plan
    assert re.search(r"PROJECT 3/16 COLUMNS", plan)
    assert re.search(r'SELECTION: .*col\("thing"\) == 17', plan)
    assert "FILTER" not in plan, "the predicate is part of the scan"


def _analysed(lake: ParquetStorage, sql: str, table: Table = SAMPLES) -> str:
    with catalog.connect(lake, [table]) as connection:
        return str(connection.sql(f"EXPLAIN ANALYZE {sql}").fetchall()[0][1])


def test_duckdb_reads_one_file_and_one_row_group(lake: ParquetStorage) -> None:
    plan = _analysed(lake, "SELECT place FROM samples WHERE session = 'second' AND thing = 17")
    assert "Projections: place " in plan
    assert "Filters: thing = 17" in plan
    assert "Scanning Files: 1/3" in plan
    assert "Row Groups Scanned: 1 / 30" in plan


@pytest.mark.parametrize(
    "condition",
    [
        "thing = 17",
        "thing BETWEEN 17 AND 18",
        "time < TIMESTAMPTZ '2005-06-15 14:50:02+00'",
        "thing = 17 AND day = DATE '2005-06-15'",
    ],
)
def test_row_groups_are_found_by_what_rows_are_sorted_by(
    lake: ParquetStorage, condition: str
) -> None:
    plan = _analysed(lake, f"SELECT place FROM samples WHERE {condition}")  # noqa: S608
    assert "Row Groups Scanned: 3 / 90" in plan


@pytest.mark.parametrize(
    "condition",
    [
        "feet < -1",
        "east < -1",
        "place > 1e6",
        "exact > 1e6",
        "name = 'none has it'",
        "time < TIMESTAMPTZ '2000-01-01 00:00:00+00'",
        "since IS NOT NULL",
        "NOT seen",
    ],
)
def test_every_plain_column_has_bounds(lake: ParquetStorage, condition: str) -> None:
    """A condition that no row fulfils reads no row group, whichever column it is about."""
    plan = _analysed(lake, f"SELECT step FROM samples WHERE {condition}")  # noqa: S608
    assert re.search(r"Row Groups Scanned: 0 / 90|Empty Result", plan), plan


class WeighedSample(Sample):
    """One sample of one thing."""

    weight: Annotated[float | None, Field(description="New."), Column(pl.Float64(), "kg")]


def test_files_of_before_a_new_column_are_pruned_as_well(tmp_path: Path) -> None:
    storage = ParquetStorage(tmp_path, WriteOptions(row_group_rows=GROUP))
    wider = Table(
        SAMPLES.name, WeighedSample, SAMPLES.partition_by, SAMPLES.identity, SAMPLES.sort_by
    )
    rows = _rows(0)
    for session in SESSIONS[:2]:
        storage.replace(SAMPLES, {**HERE, "session": session}, [rows])
    storage.replace(wider, {**HERE, "session": "third"}, [rows.with_columns(weight=1.0)])
    condition = "session = 'second' AND thing = 17"
    plan = _analysed(storage, f"SELECT place, weight FROM samples WHERE {condition}", wider)  # noqa: S608
    assert "Scanning Files: 1/3" in plan
    assert "Row Groups Scanned: 1 / 30" in plan


MEASURE = """
import json, sys
from pathlib import Path
import polars as pl
from ngsim_assets.storage import catalog
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets_tests.storage.tables import SAMPLES

storage = ParquetStorage(Path(sys.argv[1]))
columns = SAMPLES.schema.names()
one = (pl.col("session") == "second") & (pl.col("thing") == 17)
connection = catalog.connect(storage, [SAMPLES])

def question(scan):
    return {
        "all": scan.select(columns),
        "recording": scan.filter(pl.col("session") == "second").select(columns),
        "column": scan.select("place"),
        "vehicle": scan.filter(one).select(columns),
        "vehicle and column": scan.filter(one).select("place"),
    }

ours = question(storage.scan(SAMPLES))
delta = question(pl.scan_delta(str(storage.root / SAMPLES.name)))
where = {"recording": "session = 'second'", "vehicle": "session = 'second' AND thing = 17"}
asked = {
    name: f"SELECT {'place' if 'column' in name else '*'} FROM samples"
    f" WHERE {where.get(name.removesuffix(' and column'), 'true')}"
    for name in ours
}

def bytes_read():
    # counts what system calls read, from the disk or the page cache; memory maps do not count
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

def measured(ask):
    before = bytes_read()
    rows = ask()
    return [rows, bytes_read() - before]

ours["column"].explain(), delta["column"].explain(), connection.sql("SELECT 1").fetchall()
print(json.dumps({
    "ours": {name: measured(lambda: frame.collect().height) for name, frame in ours.items()},
    "delta": {name: measured(lambda: frame.collect().height) for name, frame in delta.items()},
    "duckdb": {
        name: measured(lambda: connection.execute(sql).to_arrow_table().num_rows)
        for name, sql in asked.items()
    },
}))
"""


@pytest.fixture(scope="module")
def measured(lake: ParquetStorage) -> dict[str, dict[str, tuple[int, int]]]:
    """Rows and bytes by reader and question, in a process that does nothing else."""
    if not Path("/proc/self/io").exists():
        pytest.skip("this system does not count what a process reads")
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(lake.root)], capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


READERS = pytest.mark.parametrize("reader", ["ours", "delta", "duckdb"])
Measured = dict[str, dict[str, tuple[int, int]]]


@READERS
def test_bytes_are_counted(measured: Measured, lake: ParquetStorage, reader: str) -> None:
    """Reading everything reads every byte: nothing passes by the counter."""
    rows, read = measured[reader]["all"]
    assert rows == len(SESSIONS) * ROWS
    assert read >= 0.95 * sum(file.bytes for file in lake.files(SAMPLES))


@READERS
@pytest.mark.parametrize(
    ("asked", "rows", "most"),
    [
        ("recording", ROWS, 0.36),
        ("column", len(SESSIONS) * ROWS, 0.35),
        ("vehicle", STEPS, 0.12),
        ("vehicle and column", STEPS, 0.08),
    ],
)
def test_what_is_not_asked_for_is_not_read(
    measured: Measured, reader: str, asked: str, rows: int, most: float
) -> None:
    found, read = measured[reader][asked]
    assert found == rows
    assert read < most * measured[reader]["all"][1]

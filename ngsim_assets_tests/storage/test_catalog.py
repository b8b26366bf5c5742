"""The lake in SQL: views of the current version, typed, and the catalog of what there is."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.storage import catalog
from ngsim_assets.storage.parquet import ParquetStorage, Provenance
from ngsim_assets.storage.schema import Table
from ngsim_assets_tests.storage.tables import (
    HERE,
    SAMPLES,
    THERE,
    Sample,
    logical,
    samples,
)

EMPTY = Table("empty_samples", Sample, (), ())


def test_a_view_is_the_table(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    with catalog.connect(lake, [SAMPLES, EMPTY]) as connection:
        rows = connection.sql("FROM samples ORDER BY thing, step").pl()
        assert_frame_equal(rows, logical(samples()), check_exact=True)
        assert connection.sql("FROM empty_samples").pl().schema == EMPTY.schema
        (shown,) = connection.sql("SELECT min(time)::VARCHAR FROM samples").fetchall()
        assert shown == ("2005-06-15 14:50:00+00",)
        with pytest.raises(duckdb.Error):
            connection.execute("DELETE FROM samples")


def test_a_view_stays_until_it_is_refreshed(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    with catalog.connect(lake, [SAMPLES]) as connection:
        lake.replace(SAMPLES, HERE, [samples(shift=100)])
        lake.replace(SAMPLES, THERE, [samples(site="there")])
        assert connection.sql("SELECT max(step), count(*) FROM samples").fetchall() == [(3, 12)]
        catalog.refresh(connection, lake, [SAMPLES])
        assert connection.sql("SELECT max(step), count(*) FROM samples").fetchall() == [(103, 24)]


def test_only_files_of_the_partition_are_opened(lake: ParquetStorage) -> None:
    for session in ("first", "second", "third"):
        lake.replace(SAMPLES, {**HERE, "session": session}, [samples(session=session)])
    with catalog.connect(lake, [SAMPLES]) as connection:
        plan = connection.sql(
            "SELECT * FROM samples WHERE session = 'second' AND thing = 2"
        ).explain()
    assert "Scanning Files: 2/6" in plan


def test_the_catalog_says_what_there_is(lake: ParquetStorage) -> None:
    commit = lake.replace(SAMPLES, HERE, [samples()], Provenance("run 1", "7"))
    with catalog.connect(lake, [SAMPLES, EMPTY]) as connection:
        (one, nothing) = connection.sql("FROM catalog.tables").pl().to_dicts()
        files = connection.sql("FROM catalog.files").pl().to_dicts()
        feet = (
            connection.sql(
                "FROM catalog.columns WHERE table_name = 'samples' AND column_name = 'feet'"
            )
            .pl()
            .to_dicts()
        )
    assert (one["version"], one["rows"], one["files"], one["partitions"]) == (1, 12, 2, 1)
    assert one["partition_by"] == ["day", "site", "kind", "session"]
    assert (nothing["version"], nothing["rows"]) == (None, 0)
    assert feet[0] == {
        "table_name": "samples",
        "column_name": "feet",
        "type": "Decimal(precision=9, scale=3)",
        "unit": "ft",
        "resolution": None,
        "nullable": True,
        "description": "Narrow.",
    }
    for row, file in zip(files, commit.files, strict=True):
        assert row == {
            "table_name": "samples",
            "partition": "here|first",
            "path": str(lake.root / "samples" / file.path),
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "version": 1,
            "run_id": "run 1",
            "code_version": "7",
            "written": commit.timestamp,
        }


def test_a_catalog_file_serves_any_client(lake: ParquetStorage, tmp_path: Path) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    path = tmp_path / "it's here" / "ngsim.duckdb"
    catalog.write_catalog(path, lake, [SAMPLES, EMPTY])
    with duckdb.connect(path, read_only=True) as connection:
        lake.replace(SAMPLES, HERE, [samples(5)])
        catalog.write_catalog(path, lake, [SAMPLES, EMPTY])
        assert connection.sql("SELECT count(*) FROM samples").fetchall() == [(12,)]
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM samples").fetchall() == [(20,)]
        assert connection.sql("SELECT sum(rows) FROM catalog.files").fetchall() == [(20,)]
    assert [file.name for file in path.parent.iterdir()] == ["ngsim.duckdb"]


def test_a_file_called_catalog_can_be_attached_under_another_name(
    lake: ParquetStorage, tmp_path: Path
) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    path = tmp_path / "catalog.duckdb"
    catalog.write_catalog(path, lake, [SAMPLES])
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS ours (READ_ONLY)")
        assert connection.sql("SELECT count(*) FROM ours.samples").fetchall() == [(12,)]
        assert connection.sql("SELECT sum(rows) FROM ours.catalog.files").fetchall() == [(12,)]
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM samples").fetchall() == [(12,)]
        assert connection.sql("SELECT sum(rows) FROM catalog.catalog.files").fetchall() == [(12,)]

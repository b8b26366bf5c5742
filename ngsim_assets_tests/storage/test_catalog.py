"""The lake in SQL: views of the current version, typed, and the catalog of what there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import deltalake
import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import Field

from ngsim_assets.storage import catalog
from ngsim_assets.storage.errors import (
    DamagedFile,
    MigrationNeeded,
    UnknownVersion,
    VacuumedVersion,
)
from ngsim_assets.storage.parquet import ParquetStorage, Provenance, SourceFile
from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.storage.tables import (
    HERE,
    SAMPLES,
    THERE,
    Sample,
    logical,
    samples,
)

EMPTY = Table("empty_samples", Sample, (), ())
SUMMARY = replace(SAMPLES, name="summary")


class WeighedSample(Sample):
    """One sample of one thing."""

    weight: Annotated[float | None, Field(description="New."), Column(pl.Float64(), "kg")]


class CountedSample(Sample):
    """One sample of one thing."""

    weight: Annotated[int | None, Field(description="New."), Column(pl.Int32(), "kg")]


WEIGHED = replace(SAMPLES, model=WeighedSample)
COUNTED = replace(SAMPLES, model=CountedSample)


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


class TestListings:
    """What the lake says of itself."""

    def test_lineage_leads_from_table_to_table_to_the_file(self, lake: ParquetStorage) -> None:
        file = SourceFile("a.txt", "ab12", "/somewhere/a.txt", rows=12)
        raw = lake.replace(SAMPLES, HERE, [samples()], Provenance("run 1", "1", files=(file,)))
        made = Provenance("run 2", "7", {"limit": 2.0}, raw.content, {"samples": 12})
        lake.replace(SUMMARY, HERE, [samples(2, shift=1)], made)
        with catalog.connect(lake, [SAMPLES, SUMMARY]) as connection:
            first, *second = connection.sql("FROM catalog.lineage").pl().to_dicts()
        assert {name: first[name] for name in ("source_kind", "source", "sha256", "path")} == {
            "source_kind": "file",
            "source": "a.txt",
            "sha256": "ab12",
            "path": "/somewhere/a.txt",
        }
        assert (first["table_name"], first["version"], first["run_id"]) == ("samples", 1, "run 1")
        (line,) = second
        assert (line["source_kind"], line["source"]) == ("table", "samples")
        assert (line["source_partition"], line["source_version"]) == ("here|first", 1)
        assert line["data_files"] == list(raw.content)
        assert (line["code_version"], line["parameters"]) == ("7", '{"limit": 2.0}')
        assert line["live"]

    def test_what_live_rows_were_made_from_is_told_when_it_is_live_no_more(
        self, lake: ParquetStorage
    ) -> None:
        raw = lake.replace(SAMPLES, HERE, [samples()], Provenance("run 1", sources=("content",)))
        lake.replace(SUMMARY, HERE, [samples(2, shift=1)], Provenance("run 2", sources=raw.content))
        lake.replace(SAMPLES, HERE, [samples(5)], Provenance("run 3"))
        with catalog.connect(lake, [SAMPLES, SUMMARY]) as connection:
            lines = connection.sql(
                "SELECT table_name, version, live, source_kind, source_version FROM catalog.lineage"
            ).fetchall()
        assert lines == [
            ("samples", 1, False, "unknown", None),
            ("samples", 2, True, None, None),
            ("summary", 1, True, "table", 1),
        ]

    def test_rows_of_another_program_are_told_to_have_no_record(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()])
        rows = lake.scan(SAMPLES).with_columns(session=pl.lit("second")).collect()
        deltalake.write_deltalake(str(lake.root / "samples"), rows, mode="append")
        with catalog.connect(lake, [SAMPLES]) as connection:
            lines = connection.sql(
                "SELECT partition, operation, run_id, source_kind FROM catalog.lineage"
            ).fetchall()
        assert lines == [("here|first", "replace", "", None), ("here|second", "", None, None)]

    def test_versions_and_what_was_rolled_back(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()], Provenance(sources=("old",)))
        lake.replace(SAMPLES, HERE, [samples(5)], Provenance(sources=("new",)))
        lake.restore(SAMPLES, HERE, 1, Provenance("undo"), held_against=("new",))
        with catalog.connect(lake, [SAMPLES]) as connection:
            versions = connection.sql(
                "SELECT version, semantic, operation, live, restored FROM catalog.versions"
            ).fetchall()
            (held,) = connection.sql("FROM catalog.rolled_back").pl().to_dicts()
        assert versions[:2] == [
            (3, "v1.2.1", "rollback", True, 1),
            (2, "v1.2.0", "replace", False, None),
        ]
        assert (held["restored"], held["held"], held["held_against"]) == (1, True, ["new"])
        assert (held["version"], held["run_id"], held["rows"]) == (3, "undo", 12)

    def test_more_listings_can_be_handed_in(self, lake: ParquetStorage, tmp_path: Path) -> None:
        more = {"deliveries": lambda: pl.DataFrame({"name": ["a.txt"]})}
        catalog.write_catalog(tmp_path / "ngsim.duckdb", lake, [SAMPLES], more=more)
        with duckdb.connect(tmp_path / "ngsim.duckdb", read_only=True) as connection:
            assert connection.sql("FROM catalog.deliveries").fetchall() == [("a.txt",)]
            names = connection.sql("SELECT table_name FROM duckdb_tables()").fetchall()
        assert {name for (name,) in names} >= {"versions", "lineage", "files", "rolled_back"}


class TestThen:
    """Views of older versions."""

    def test_a_view_shows_the_version_asked_for(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()])
        lake.replace(SAMPLES, HERE, [samples(5)])
        lake.replace(SAMPLES, THERE, [samples(site="there")])
        at = {"samples": (SAMPLES, 1), "samples@2": (SAMPLES, 2)}
        with catalog.connect(lake, [SAMPLES], at=at) as connection:
            counts = [
                connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0]  # noqa: S608
                for name in ("samples", '"samples@2"', "now.samples")
            ]
        assert counts == [12, 20, 32]

    def test_before_the_table_there_are_no_rows(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()])
        at = {"samples": (SAMPLES, catalog.NOT_YET)}
        with catalog.connect(lake, [SAMPLES], at=at) as connection:
            assert connection.sql("FROM samples").pl().schema == SAMPLES.schema
            assert connection.sql("SELECT count(*) FROM now.samples").fetchall() == [(12,)]

    def test_columns_that_came_later_are_null(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()])
        lake.replace(WEIGHED, HERE, [samples().with_columns(weight=2.5)])
        lake.replace(WEIGHED, THERE, [samples(site="there").with_columns(weight=1.5)])
        lake.restore(WEIGHED, HERE, 1)
        total = "SELECT sum(weight), count(weight), count(*) FROM samples"
        before, since = {"samples": (WEIGHED, 1)}, {"samples": (WEIGHED, 3)}
        with catalog.connect(lake, [WEIGHED], at=before) as connection:
            assert connection.sql(total).fetchall() == [(None, 0, 12)]
            # rolled back to files of before the column, beside files of after it
            now = total.replace("samples", "now.samples")
            assert connection.sql(now).fetchall() == [(18.0, 12, 24)]
        with catalog.connect(lake, [WEIGHED], at=since) as connection:
            assert connection.sql(total).fetchall() == [(30.0, 12, 12)]

    def test_a_version_whose_files_were_removed_is_refused(self, lake: ParquetStorage) -> None:
        lake.replace(SAMPLES, HERE, [samples()])
        lake.replace(SAMPLES, HERE, [samples(5)])
        for file in lake.files(SAMPLES, version=1):
            (lake.root / "samples" / file.path).unlink()
        asked = "FROM samples"
        with pytest.raises(VacuumedVersion, match="version 1"):
            catalog.connect(lake, [SAMPLES], at={"samples": (SAMPLES, 1)}, sql=asked)
        with pytest.raises(UnknownVersion, match="version 9"):
            catalog.connect(lake, [SAMPLES], at={"samples": (SAMPLES, 9)}, sql=asked)
        with catalog.connect(lake, [SAMPLES], at={"samples": (SAMPLES, 1)}) as connection:
            assert connection.sql("SELECT count(*) FROM now.samples").fetchall() == [(20,)]
            with pytest.raises(duckdb.Error, match="version 1"):
                connection.sql(asked).fetchall()


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("SELECT * FROM samples JOIN catalog.files ON true", {"samples", "catalog.files"}),
        ("FROM samples", {"samples"}),
        ('FROM "samples"', {"samples"}),
        ('FROM "samples@v1.0.0"', {"samples@v1.0.0"}),
        ("WITH samples AS (SELECT 1) FROM samples, now.samples", {"now.samples"}),
        ("DESCRIBE samples", {"samples"}),
        ("SHOW ALL TABLES", None),
        ("FROM information_schema.tables", None),
        ("SELECT 1; FROM samples", None),
        ("FROM nothing", None),
        ("not SQL", None),
    ],
)
def test_only_what_is_asked_for_is_made(
    lake: ParquetStorage, sql: str, made: set[str] | None
) -> None:
    """Listings read the whole history: who asks for rows does not wait for it."""
    lake.replace(SAMPLES, HERE, [samples()])
    at = {"samples": (SAMPLES, 1), "samples@v1.0.0": (SAMPLES, 1)}
    with catalog.connect(lake, [SAMPLES, EMPTY], at=at, sql=sql) as connection:
        views = connection.sql(
            "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
            " UNION ALL SELECT schema_name, table_name FROM duckdb_tables()"
        ).fetchall()
    names = {name if schema == "main" else f"{schema}.{name}" for schema, name in views}
    if made is None:
        assert names > {"samples", "empty_samples", "catalog.lineage", "now.samples"}
    else:
        assert names == made


@pytest.mark.parametrize("broken", ["damaged", "gone"])
def test_a_damaged_table_does_not_take_the_others_with_it(
    lake: ParquetStorage, tmp_path: Path, broken: str
) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SUMMARY, HERE, [samples(2)])
    first = lake.root / "samples" / lake.files(SAMPLES)[0].path
    first.write_bytes(b"no Parquet") if broken == "damaged" else first.unlink()
    catalog.write_catalog(tmp_path / "ngsim.duckdb", lake, [SAMPLES, SUMMARY])
    with duckdb.connect(tmp_path / "ngsim.duckdb", read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM summary").fetchall() == [(8,)]
        with pytest.raises(duckdb.Error, match=f"cannot read {first}"):
            connection.sql("FROM samples").fetchall()
    with pytest.raises(DamagedFile, match=f"cannot read {first}"):
        catalog.connect(lake, [SAMPLES, SUMMARY], sql="FROM samples")


def test_a_table_that_needs_a_migration_says_so(lake: ParquetStorage) -> None:
    lake.replace(WEIGHED, HERE, [samples().with_columns(weight=2.5)])
    lake.replace(SUMMARY, HERE, [samples(2)])
    with catalog.connect(lake, [COUNTED, SUMMARY]) as connection:
        assert connection.sql("SELECT count(*) FROM summary").fetchall() == [(8,)]
        with pytest.raises(duckdb.Error, match="column weight is Float64 kg in the lake"):
            connection.sql("SELECT weight FROM samples").fetchall()
    with pytest.raises(MigrationNeeded):
        catalog.connect(lake, [COUNTED], sql="FROM samples")

"""Migration: every value as it was, one commit, and everything that was known still known."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ngsim_assets.storage.errors import (
    DamagedFile,
    MigrationNeeded,
    MigrationRefused,
    SchemaMismatch,
)
from ngsim_assets.storage.migration import migrate, migration_plan
from ngsim_assets.storage.parquet import ParquetStorage, Provenance, WriteOptions
from ngsim_assets.storage.schema import Column
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.storage import evolved
from ngsim_assets_tests.storage.migrators import PRELOADED, TALL, migrate_until_killed
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, logical, samples

FROM = Provenance("run 1", "7", {"limit": 0.5}, ("abc",), {"read": 12})
ORDER = ("site", "session", "thing", "step")

EVERYTHING = evolved.changed(
    without=("name", "seen"),
    renamed={"title": "name"},
    title=Column(pl.String()),
    thing=Column(pl.Int64()),
    step=Column(pl.Int32()),
    feet=Column(pl.Decimal(12, 4), "ft"),
    weight=Column(pl.Float64(), "kg"),
)
"""Renamed, widened, narrowed, added, dropped."""


@pytest.fixture
def old(lake: ParquetStorage) -> ParquetStorage:
    """Two partitions of samples; one was confirmed by a later run."""
    lake.replace(SAMPLES, HERE, [samples()], Provenance("run 0", "6", {}, ("abc",), {}))
    lake.replace(SAMPLES, HERE, [samples()], FROM)
    lake.replace(SAMPLES, THERE, [samples(site="there")], FROM)
    lake.replace(SAMPLES, {**THERE, "session": "emptied"}, [], FROM)
    return lake


def test_everything_at_once_in_one_commit(old: ParquetStorage) -> None:
    before = old.scan(SAMPLES).collect()
    last = old.history(SAMPLES)[0].version
    plan = migration_plan(old, EVERYTHING)
    assert {step.column: step.action for step in plan.changes} == {
        "title": "rename",
        "thing": "widen",
        "step": "convert",
        "feet": "widen",
        "weight": "add",
        "seen": "drop",
    }
    done = migrate(old, EVERYTHING, drop=["seen"], run_id="run 9")
    assert (done.changed, done.version, done.rows, done.partitions) == (True, last + 1, 24, 2)
    after = old.scan(EVERYTHING).collect()
    expected = (
        before.drop("seen").rename({"name": "title"}).with_columns(weight=pl.lit(None, pl.Float64))
    )
    types = EVERYTHING.schema
    assert_frame_equal(
        after, expected.select(pl.col(name).cast(dtype) for name, dtype in types.items())
    )
    assert old.verify(EVERYTHING) == []
    assert not migrate(old, EVERYTHING).changed  # nothing left to do
    assert old.replace(EVERYTHING, HERE, [after.filter(site="here")]).rows == 12


def test_what_was_known_of_each_partition_is_known_still(old: ParquetStorage) -> None:
    before = old.current(SAMPLES, HERE)
    done = migrate(old, TALL)
    for lake in (old, ParquetStorage(old.root)):
        after = lake.current(TALL, HERE)
        assert before is not None
        assert after is not None
        assert after.provenance == before.provenance == FROM
        assert after.content == before.content == tuple(file.sha256 for file in before.files)
        assert after.version == done.version
        assert {file.sha256 for file in after.files} != set(before.content)
        emptied = lake.current(TALL, {**THERE, "session": "emptied"})
        assert emptied is not None
        assert (emptied.rows, emptied.provenance) == (0, FROM)
    newest = old.history(TALL)[0]
    assert (newest.operation, newest.rows, newest.partition) == ("migrate", 24, {})
    assert [step["column"] for step in newest.provenance.parameters["steps"]]  # type: ignore[index]
    # the same rows again are no new version, and what is built from them stays as it is
    again = old.replace(TALL, HERE, [old.scan(TALL, HERE).collect()], Provenance(code_version="8"))
    assert not again.changed
    assert again.content == before.content


def test_a_migration_is_a_new_major_version(old: ParquetStorage) -> None:
    manager = DataVersionManager(old)
    first = manager.versions(SAMPLES)[0].semantic
    migrate(old, TALL)
    assert DataVersionManager(old).versions(TALL)[0].semantic != first
    assert str(DataVersionManager(old).versions(TALL)[0].semantic).startswith("v2.")


def test_old_versions_are_read_as_they_were(old: ParquetStorage) -> None:
    before = old.scan(SAMPLES).collect().sort(ORDER)
    version = old.history(SAMPLES)[0].version
    migrate(old, EVERYTHING, drop=["seen"])
    then = old.scan(EVERYTHING, version=version).collect().sort(ORDER)
    assert then["seen"].to_list() == before["seen"].to_list()  # the model has it no more
    assert then.columns[-1] == "seen"
    assert then.schema["step"] == pl.Int64()  # narrower now: as it was
    assert then.schema["thing"] == pl.Int64()  # wider now: the same values
    assert then["title"].to_list() == before["name"].to_list()
    assert then["weight"].null_count() == 24  # there was none such
    assert_frame_equal(old.scan(SAMPLES, version=version).collect().sort(ORDER), before)
    folder = old.root / "samples"
    assert_frame_equal(
        pl.scan_delta(str(folder), version=version).collect().sort(ORDER).select(before.columns),
        before,
    )
    assert old.scan(EVERYTHING, version=version + 1).collect().schema == EVERYTHING.schema


@pytest.mark.parametrize("table", [EVERYTHING, evolved.FLAT], ids=["columns", "folders"])
def test_other_readers_read_the_new_table(old: ParquetStorage, table) -> None:
    migrate(old, table, drop=["seen"] if table is EVERYTHING else [])
    folder = old.root / "samples"
    names = table.schema.names()
    ours = old.scan(table).collect().sort(ORDER)
    delta = DeltaTable(folder)
    assert_frame_equal(pl.scan_delta(str(folder)).collect().sort(ORDER).select(names), ours)
    arrow = pl.DataFrame(delta.to_pyarrow_table())
    assert_frame_equal(arrow.sort(ORDER).select(names), ours)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql(
            "SELECT * FROM read_parquet(?, hive_partitioning = true)", params=[delta.file_uris()]
        ).pl()
    assert_frame_equal(
        rows.sort(ORDER).select(names), ours, check_dtypes=False, check_column_order=False
    )
    assert delta.metadata().partition_columns == list(table.partition_by)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (evolved.NARROWED, r"column east: 6 of 8 values .* here\|first .* for example 10000\.371"),
        (evolved.RETYPED, "values of String have no one form as Int32"),
        (evolved.UNITED, "ft is not m"),
        (evolved.COARSER, "column place: . of 8 values"),
        (evolved.SHORT, r"column seen .* would be lost \(`ngsim migrate samples --drop"),
        (evolved.BY_THING, "thing names no partition there"),
    ],
    ids=["narrowed", "retyped", "another unit", "coarser", "a column less", "other partitions"],
)
def test_what_would_lose_something_is_refused_and_leaves_nothing(
    old: ParquetStorage, table, fault: str
) -> None:
    before = old.history(SAMPLES)
    files = set(old.root.rglob("*.parquet"))
    with pytest.raises(MigrationRefused, match=fault):
        migrate(old, table)
    assert old.history(SAMPLES) == before
    assert set(old.root.rglob("*.parquet")) == files
    assert list((old.root / "samples" / "_writing").iterdir()) == []


def test_a_table_can_start_again(old: ParquetStorage) -> None:
    last = old.history(SAMPLES)[0].version
    done = migrate(old, evolved.RETYPED, restart=True)
    assert (done.restarted, done.version) == (True, last + 1)
    assert old.scan(evolved.RETYPED).collect().is_empty()
    assert old.current(evolved.RETYPED, HERE) is None  # to be built
    rows = samples().with_columns(
        pl.col("thing").alias("name"), pl.col("time").dt.replace_time_zone(None)
    )
    assert old.replace(evolved.RETYPED, HERE, [rows]).rows == 12
    then = old.scan(evolved.RETYPED, version=last).collect().sort(ORDER)
    assert then.schema["name"] == pl.String()
    assert then.filter(site="here").select(SAMPLES.schema.names()).equals(logical(samples()))


def test_nulls_where_the_model_allows_none_any_more_are_counted_and_left(
    old: ParquetStorage,
) -> None:
    strict = evolved.required("name")
    plan = migration_plan(old, strict)
    assert plan.nulls == {"name": 16}
    assert not plan.is_needed
    assert old.scan(strict).collect()["name"].null_count() == 16
    assert not migrate(old, strict).changed


def test_a_rollback_does_not_reach_behind_a_change_of_unit(old: ParquetStorage) -> None:
    last = old.history(SAMPLES)[0].version
    migrate(old, evolved.UNITED, restart=True)
    old.replace(evolved.UNITED, HERE, [samples(shift=2)])
    with pytest.raises(SchemaMismatch, match=r"column feet was .* ft, is .* m"):
        old.restore(evolved.UNITED, HERE, last)


def test_damage_is_not_carried_over(old: ParquetStorage) -> None:
    path = old.root / "samples" / old.files(SAMPLES, THERE)[0].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = len(list(old.root.rglob("*.parquet")))
    with pytest.raises(DamagedFile, match=path.name):
        migrate(old, TALL)
    assert len(list(old.root.rglob("*.parquet"))) == before


def test_writers_of_the_old_form_are_taken_along_or_refused(old: ParquetStorage) -> None:
    other = ParquetStorage(old.root)
    late = {**HERE, "session": "late"}

    def writes_meanwhile(done: int, total: int) -> None:
        del total
        if done == 0:
            other.replace(SAMPLES, HERE, [samples(shift=5)], FROM)

    migrate(old, TALL, progress=writes_meanwhile)
    assert old.scan(TALL, HERE).collect()["step"].min() == 5  # written while it ran
    assert old.scan(TALL).collect().height == 24

    def chunks() -> Iterator[pl.DataFrame]:
        yield samples(session="late").cast({"thing": pl.Int64})
        migrate(other, SAMPLES)

    with pytest.raises(MigrationNeeded, match="column thing"):
        old.replace(TALL, late, chunks())
    assert other.scan(SAMPLES, late).collect().is_empty()
    assert len(list(other.root.rglob("*/session=late/*.parquet"))) == 0


def test_of_two_migrations_at_once_one_does_it(old: ParquetStorage) -> None:
    start = Barrier(2)

    def run(_: int) -> bool:
        lake = ParquetStorage(old.root)
        waiting = [start]

        def together(done: int, total: int) -> None:
            del done, total
            if waiting:
                waiting.pop().wait(20)

        return migrate(lake, TALL, progress=together).changed

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(run, range(2))) == [False, True]
    assert [version.operation for version in old.history(TALL)].count("migrate") == 1
    assert old.scan(TALL).collect().height == 24
    old.sweep(TALL)
    named = {
        file.path
        for version in old.history(TALL)
        for file in old.files(TALL, version=version.version)
    }
    assert len(list(old.root.rglob("*.parquet"))) == len(named)


def test_killed_anywhere_it_is_the_old_table_or_the_new(lake: ParquetStorage) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    for number in range(4):
        lake.replace(SAMPLES, {**HERE, "session": f"s{number}"}, [samples(session=f"s{number}")])
    expected = lake.scan(SAMPLES).collect().sort(ORDER)
    chance = random.Random(2005)  # noqa: S311
    for _ in range(5):
        started = context.Event()
        child = context.Process(target=migrate_until_killed, args=(lake.root, started))
        child.start()
        assert started.wait(30)
        time.sleep(chance.uniform(0, 0.2))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join(60)
        stored = lake.stored_columns(SAMPLES)
        assert stored is not None
        table = next(
            table for table in (SAMPLES, TALL)
            if table.schema["thing"] == stored.columns["thing"].dtype
        )  # fmt: skip
        assert stored.schema == table.schema
        found = lake.scan(table).collect().sort(ORDER)
        assert_frame_equal(
            found.select(pl.col(name).cast(dtype) for name, dtype in expected.schema.items()),
            expected,
        )
        assert lake.verify(table) == []
    migrate(lake, SAMPLES)
    lake.sweep(SAMPLES)
    named = {
        file.path
        for version in lake.history(SAMPLES)
        for file in lake.files(SAMPLES, version=version.version)
    }
    on_disk = {str(p.relative_to(lake.root / "samples")) for p in lake.root.rglob("*.parquet")}
    assert on_disk == named


def test_memory_is_bounded_by_a_file(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=1))
    lake.replace(SAMPLES, HERE, [samples(1, 50, shift=50 * n) for n in range(12)])
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))
        written = len(list(tmp_path.rglob("*.parquet"))) - 12
        assert done - written <= lake.options.threads + 1  # read, and not written yet

    migrate(lake, TALL, progress=watch)
    assert seen[0] == (0, 12)
    assert seen[-1] == (12, 12)
    assert [file.rows for file in lake.files(TALL)] == [50] * 12  # a file for a file

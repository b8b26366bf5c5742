"""Replacing a partition: what is read is what was written, once, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from ngsim_assets.storage.errors import InvalidPartition, SchemaMismatch, UnknownVersion
from ngsim_assets.storage.parquet import ParquetStorage, Provenance, WriteOptions
from ngsim_assets_tests.storage.tables import (
    HERE,
    PHYSICAL,
    SAMPLES,
    THERE,
    logical,
    samples,
)

_FLOATS = st.floats(-1e7, 1e7, allow_nan=False)
_VALUES = {
    "place": _FLOATS,
    "exact": st.floats(allow_nan=False, allow_infinity=False),
    "feet": st.integers(-999_999_999, 999_999_999),
    "east": st.integers(-(10**12) + 1, 10**12 - 1),
    "name": st.text(max_size=5),
    "kind": st.sampled_from(["auto", "truck", "motorcycle"]),
    "site": st.just("here"),
    "session": st.just("first"),
}
_CHUNKS = st.lists(
    dataframes(
        [
            column(
                name,
                dtype=dtype,
                strategy=_VALUES.get(name),
                allow_null=name not in {"site", "session", "day", "kind"},
            )
            for name, dtype in PHYSICAL.items()
        ],
        min_size=0,
        max_size=12,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chunks=_CHUNKS, file_rows=st.integers(1, 30), group_rows=st.integers(1, 10))
def test_what_is_read_is_what_was_written(
    chunks: list[pl.DataFrame], file_rows: int, group_rows: int
) -> None:
    # a day a Hive folder can be named after in every reader
    chunks = [chunk.with_columns(day=pl.date(2005, 6, 15)) for chunk in chunks]
    with TemporaryDirectory() as folder:
        options = WriteOptions(file_rows=file_rows, row_group_rows=group_rows)
        lake = ParquetStorage(Path(folder), options)
        first = lake.replace(SAMPLES, HERE, chunks)
        read = lake.scan(SAMPLES).collect()
        again = lake.replace(SAMPLES, HERE, chunks)
    written = logical(pl.concat(chunks))
    for kind in ("auto", "truck", "motorcycle"):  # order holds within a folder
        of_kind = pl.col("kind") == kind
        assert_frame_equal(read.filter(of_kind), written.filter(of_kind), check_exact=True)
    assert read.height == written.height == first.rows
    assert read.schema == SAMPLES.schema
    assert again.files == first.files
    assert again.version == first.version
    assert not again.changed


def test_only_the_named_partition_changes(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    other = lake.scan(SAMPLES, THERE).collect()
    commit = lake.replace(SAMPLES, HERE, [samples(2, shift=5)])
    assert (commit.changed, commit.version, commit.rows) == (True, 3, 8)
    assert_frame_equal(lake.scan(SAMPLES, THERE).collect(), other)
    assert lake.scan(SAMPLES, HERE).collect()["thing"].max() == 2  # the truck's folder went too
    assert lake.partitions(SAMPLES) == [HERE, THERE]
    assert {file.partition["kind"] for file in lake.files(SAMPLES, HERE)} == {"auto"}


def test_partition_columns_may_come_from_the_key_alone(lake: ParquetStorage) -> None:
    rows = samples().drop("site", "session", "day")
    lake.replace(SAMPLES, {**HERE, "day": "2005-06-15"}, [rows])
    assert_frame_equal(
        lake.scan(SAMPLES).collect().sort("thing", "step"), logical(samples()), check_exact=True
    )


def test_the_same_values_in_another_form_are_the_same_bytes(lake: ParquetStorage) -> None:
    rows = samples()
    first = lake.replace(SAMPLES, HERE, [rows])
    forms = rows.with_columns(
        pl.col("kind").cast(pl.Categorical),
        pl.col("name").cast(pl.Enum(["other", "thing 2", "thing 4"])),
        (pl.col("feet").cast(pl.Decimal(9, 3)) / 1000).cast(pl.Decimal(9, 3)),
        pl.col("thing").cast(pl.Int16),
        pl.col("step").cast(pl.Int32),
    )
    assert not lake.replace(SAMPLES, HERE, [forms]).changed
    mixed = lake.replace(SAMPLES, HERE, [rows.head(4), forms.slice(4, 4), rows.tail(4)])
    assert mixed.files == first.files


def test_frames_are_files_in_order(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=8))
    rows = samples(12)
    lake.replace(SAMPLES, HERE, rows.iter_slices(16))
    frames = list(lake.frames(SAMPLES, HERE, ["thing", "day"]))
    assert [frame.columns for frame in frames] == [["thing", "day"]] * len(frames)
    assert sorted(thing for frame in frames for thing in frame["thing"].unique()) == [*range(1, 13)]
    assert list(lake.frames(SAMPLES, THERE)) == []


def test_physical_frames_hold_decimals_as_integers(lake: ParquetStorage) -> None:
    rows = samples(12).with_columns(
        pl.when(pl.col("step") % 3 > 0).then(pl.col("feet", "east") - 20_000)
    )
    lake.replace(SAMPLES, HERE, [rows])
    read = pl.concat(lake.frames(SAMPLES, HERE, physical=True)).sort("thing", "step")
    assert read.schema == PHYSICAL
    assert read.select("feet", "east").equals(rows.select("feet", "east"))
    frames = lake.frames(SAMPLES, HERE, ["place", "east", "site"], physical=True)
    assert {tuple(frame.schema.items()) for frame in frames} == {
        (("place", pl.Float64()), ("east", pl.Int64()), ("site", pl.String()))
    }


def test_no_more_chunks_are_held_than_threads(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=1))
    asked: list[int] = []
    written: list[int] = []

    def chunks() -> Iterator[pl.DataFrame]:
        for number in range(12):
            asked.append(number)
            written.append(len(list(tmp_path.rglob("*.parquet"))))
            yield samples(1, shift=number)

    lake.replace(SAMPLES, HERE, chunks())
    # one file per chunk: whatever was asked for and is no file yet is in memory
    assert max(a - w for a, w in zip(asked, written, strict=True)) <= lake.options.threads


def test_an_emptied_partition_is_empty_and_on_record(lake: ParquetStorage) -> None:
    assert lake.current(SAMPLES, HERE) is None
    assert lake.scan(SAMPLES).collect().schema == SAMPLES.schema
    nothing = lake.replace(SAMPLES, HERE, [samples().clear()], Provenance(run_id="a"))
    assert (nothing.rows, nothing.changed) == (0, False)
    lake.replace(SAMPLES, HERE, [samples()])
    emptied = lake.replace(SAMPLES, HERE, [], Provenance(run_id="b"))
    assert (emptied.rows, emptied.changed, emptied.files) == (0, True, ())
    assert lake.scan(SAMPLES).collect().is_empty()
    assert lake.partitions(SAMPLES) == []
    again = lake.replace(SAMPLES, HERE, [], Provenance(run_id="c"))
    assert (again.version, again.provenance.run_id) == (emptied.version, "b")
    current = lake.current(SAMPLES, HERE)
    assert current is not None
    assert (current.rows, current.version) == (0, emptied.version)


def test_versions_can_be_read_again(lake: ParquetStorage) -> None:
    first = lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SAMPLES, HERE, [samples(shift=9)])
    old = lake.scan(SAMPLES, version=first.version).collect()
    assert_frame_equal(old.sort("thing", "step"), logical(samples()), check_exact=True)
    assert lake.scan(SAMPLES, version=0).collect().is_empty()
    for version in (3, -1):
        with pytest.raises(UnknownVersion, match=f"no version {version}"):
            lake.scan(SAMPLES, version=version)


def test_provenance_is_kept_and_follows_the_last_run_that_made_the_rows(
    lake: ParquetStorage,
) -> None:
    first = Provenance("run 1", "1", {"limit": 0.5, "lanes": [1, 2]}, ("abc",), {"read": 12})
    second = Provenance("run 2", "1", first.parameters, ("abc",), {"read": 12})
    third = Provenance("run 3", "2", first.parameters, ("abc",), {"read": 12})
    commit = lake.replace(SAMPLES, HERE, [samples()], first)
    assert lake.replace(SAMPLES, HERE, [samples()], second).provenance == first  # nothing is new
    confirmed = lake.replace(SAMPLES, HERE, [samples()], third)  # other code, the same rows
    assert (confirmed.provenance, confirmed.changed) == (third, False)
    assert confirmed.version == commit.version
    # another process sees the same
    assert ParquetStorage(lake.root).current(SAMPLES, HERE) == confirmed
    assert [
        (version.version, version.operation, version.provenance.run_id, version.rows)
        for version in lake.history(SAMPLES)
    ] == [(2, "confirm", "run 3", 12), (1, "replace", "run 1", 12), (0, "create table", "", None)]
    assert lake.history(SAMPLES)[1].partition == HERE


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (pl.col("exact").cast(pl.String), "column exact is String, not Float64"),
        (pl.col("step").cast(pl.Float64), "column step is Float64, not Int64"),
        (pl.col("thing").cast(pl.Int64), "column thing is Int64, not Int32"),
        (pl.col("time").dt.replace_time_zone(None), r"column time is Datetime\(.* not Datetime\("),
        (pl.col("feet").cast(pl.Decimal(9, 2)), r"column feet is Decimal\(.*2\)"),
        (pl.lit(1).alias("speed"), "unknown column speed"),
        (pl.lit(None, pl.String).alias("kind"), "partition column kind has nulls"),
        (pl.lit(float("nan")).alias("exact"), "column exact has NaN or infinity"),
        (pl.lit(float("-inf")).alias("place"), "column place has NaN or infinity"),
        (pl.lit(10**9).cast(pl.Int64).alias("feet"), "column feet has values of more than 9"),
        (pl.lit("there").alias("site"), "column site holds there beside here"),
    ],
)
def test_rows_that_do_not_fit_are_refused_whole(
    lake: ParquetStorage, change: pl.Expr, complaint: str
) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    with pytest.raises(SchemaMismatch, match=complaint):
        lake.replace(SAMPLES, HERE, [samples(shift=1), samples().with_columns(change)])
    assert lake.scan(SAMPLES).collect().sort("thing", "step").equals(logical(samples()))
    assert len(list(lake.root.rglob("*.parquet"))) == len(lake.files(SAMPLES))


def test_every_fault_is_named_at_once(lake: ParquetStorage) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        lake.replace(SAMPLES, HERE, [samples().drop("name", "seen").with_columns(x=1)])
    assert caught.value.faults == (
        "unknown column x",
        "column name is missing",
        "column seen is missing",
    )


def test_nulls_under_not_a_number_are_nulls(lake: ParquetStorage) -> None:
    hidden = samples().with_columns(
        exact=pl.when(pl.col("thing") > 1).then(1.0 / (pl.col("thing") - 2)).otherwise(None)
    )
    rows = hidden.with_columns(
        exact=pl.when(pl.col("exact").is_finite()).then("exact"), place=pl.lit(-0.0)
    )
    lake.replace(SAMPLES, HERE, [rows])
    read = lake.scan(SAMPLES).collect().sort("thing", "step")
    assert read["exact"].null_count() == rows["exact"].null_count() == 8
    assert str(read["place"][0]) == "0.0"


@pytest.mark.parametrize(
    ("partition", "complaint"),
    [
        ({"site": "here"}, "session is not given"),
        ({**HERE, "lane": "1"}, "lane is no partition column"),
        ({"site": "../x", "session": "first"}, "site cannot be '../x'"),
        ({"site": "", "session": "a b"}, "site cannot be ''; session cannot be 'a b'"),
    ],
)
def test_partitions_that_name_no_folder_are_refused(
    lake: ParquetStorage, partition: dict[str, str], complaint: str
) -> None:
    with pytest.raises(InvalidPartition, match=complaint):
        lake.replace(SAMPLES, partition, [])
    assert not lake.root.exists()


def test_a_failing_source_leaves_nothing_behind(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])

    def chunks() -> Iterator[pl.DataFrame]:
        yield samples(100)
        raise PermissionError("cannot read the delivery")

    with pytest.raises(PermissionError, match="delivery"):
        lake.replace(SAMPLES, HERE, chunks())
    assert len(list(lake.root.rglob("*.parquet"))) == len(lake.files(SAMPLES)) == 2
    assert list((lake.root / "samples" / "_writing").iterdir()) == []

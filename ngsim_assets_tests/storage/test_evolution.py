"""A lake and a model that differ: read where no value changes by it, refused everywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ngsim_assets.storage import catalog
from ngsim_assets.storage.errors import MigrationNeeded, MigrationRefused, SchemaMismatch
from ngsim_assets.storage.migration import migrate
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.storage import evolved
from ngsim_assets_tests.storage.tables import GRID, HERE, SAMPLES, THERE, logical, samples

BY_PLACE = ("day", "site", "kind", "session", "thing", "step")


def read(lake: ParquetStorage, table: Table, *, version: int | None = None) -> pl.DataFrame:
    """Rows in an order of their own, whatever the folders are."""
    return lake.scan(table, version=version).collect().sort(*BY_PLACE)


@pytest.fixture
def old(lake: ParquetStorage) -> ParquetStorage:
    """A lake of the samples as they are."""
    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    return lake


def test_a_new_column_is_null_in_old_rows_and_added_by_the_first_write(
    lake: ParquetStorage,
) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    assert lake.scan(evolved.WEIGHED).select("weight").collect()["weight"].null_count() == 12
    with catalog.connect(lake, [evolved.WEIGHED]) as connection:
        assert connection.sql("SELECT count(weight), count(*) FROM samples").fetchall() == [(0, 12)]
    rows = samples(site="there").with_columns(weight=pl.lit(2.5))
    lake.replace(evolved.WEIGHED, THERE, [rows])
    after = lake.scan(evolved.WEIGHED).collect()
    assert after.schema == evolved.WEIGHED.schema
    assert after.filter(site="there")["weight"].to_list() == [2.5] * 12
    assert after.filter(site="here")["weight"].null_count() == 12
    with catalog.connect(lake, [evolved.WEIGHED]) as connection:
        view = connection.sql("SELECT * FROM samples").pl()
    assert view.schema == evolved.WEIGHED.schema
    assert view["weight"].null_count() == 12


def test_a_lake_wider_than_the_code_is_read_and_not_written(lake: ParquetStorage) -> None:
    lake.replace(evolved.WEIGHED, HERE, [samples().with_columns(weight=1.0)])
    version = lake.history(SAMPLES)[0].version
    assert_frame_equal(read(lake, SAMPLES), logical(samples()).sort(*BY_PLACE))
    with pytest.raises(MigrationNeeded, match=r"weight is in the lake only.*ngsim migrate samples"):
        lake.replace(SAMPLES, HERE, [samples(shift=1)])
    assert lake.history(SAMPLES)[0].version == version


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        (evolved.RENAMED, {"title": "name"}),
        (evolved.WIDENED, {"thing": "thing", "feet": "feet", "lanes": "lanes"}),
        (evolved.SHORT, {}),
        (evolved.COARSER, {"place": "place"}),
        (evolved.FLAT, {}),
    ],
    ids=["renamed", "widened", "a column less", "coarser", "other folders"],
)
def test_what_no_value_changes_by_is_read_and_takes_a_migration_to_write(
    old: ParquetStorage, table: Table, kept: dict[str, str]
) -> None:
    before = read(old, SAMPLES)
    after = read(old, table)
    assert after.schema == table.schema
    for name in table.schema.names():
        was = before[kept.get(name, name)]
        assert after[name].to_list() == was.to_list(), name
    assert old.scan(table, HERE).collect().height == 12
    with pytest.raises(MigrationNeeded, match=r"^table samples .* lake.*`ngsim migrate"):
        old.replace(table, HERE, [after.filter(site="here")])
    assert old.history(SAMPLES)[0].version == 2


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (evolved.NARROWED, "column step is Int64 in the lake, Int32 in the model; column east is"),
        (evolved.RETYPED, "column name is String in the lake, Int32 in the model; column time is"),
        (evolved.UNITED, r"column feet is Decimal.* ft in the lake, .* m in the model"),
    ],
    ids=["narrowed", "retyped", "another unit"],
)
def test_what_a_value_could_change_by_is_neither_read_nor_written(
    old: ParquetStorage, table: Table, fault: str
) -> None:
    for use in (
        lambda: old.scan(table),
        lambda: list(old.frames(table, HERE)),
        lambda: old.replace(table, HERE, []),
    ):
        with pytest.raises(MigrationNeeded, match=fault):
            use()
    same = [name for name in table.schema.names() if table.schema[name] == SAMPLES.schema[name]]
    same = [name for name in same if name != "feet"]
    assert sum(frame.height for frame in old.frames(table, HERE, same)) == 12
    assert old.history(SAMPLES)[0].version == 2


def test_a_finer_grid_is_a_note_and_the_coarser_code_may_not_write_any_more(
    old: ParquetStorage,
) -> None:
    fine = samples().with_columns(place=pl.lit(GRID / 4))
    old.replace(evolved.FINER, HERE, [fine])
    assert set(old.scan(evolved.FINER, HERE).collect()["place"]) == {GRID / 4}
    assert set(old.scan(SAMPLES, HERE).collect()["place"]) == {GRID / 4}  # read as it is
    with pytest.raises(MigrationNeeded, match=r"place is Float64 m in steps of 0\.0002441"):
        old.replace(SAMPLES, HERE, [samples()])


def test_other_partitions_than_the_folders_tell_are_refused(old: ParquetStorage) -> None:
    assert read(old, evolved.BY_THING).height == 24
    assert old.scan(evolved.BY_THING, {"thing": "2"}).collect().height == 8
    with pytest.raises(MigrationNeeded, match="partitioned by day, site, kind, session, the model"):
        list(old.frames(evolved.BY_THING, {"thing": "2"}))
    with pytest.raises(MigrationNeeded, match="the model by thing"):
        old.partitions(evolved.BY_THING)
    with pytest.raises(MigrationNeeded, match="the model by thing"):
        old.replace(evolved.BY_THING, {"thing": "2"}, [])


def test_tables_of_earlier_releases_tell_no_unit_and_are_taken_as_they_are(
    old: ParquetStorage,
) -> None:
    log = old.root / "samples" / "_delta_log" / f"{0:020}.json"
    text = log.read_text()
    told = re.compile(r'\\"metadata\\":{[^}]*}')
    log.write_text(told.sub(r'\\"metadata\\":{}', text))
    assert not any(field.metadata for field in DeltaTable(log.parents[1]).schema().fields)
    fresh = ParquetStorage(old.root)
    assert fresh.replace(SAMPLES, HERE, [samples(shift=1)]).changed
    assert fresh.scan(evolved.UNITED).collect().height == 24


def test_a_column_that_a_migration_took_away_is_not_taken_for_a_new_one(
    old: ParquetStorage,
) -> None:
    migrate(old, evolved.SHORT, drop=["seen"])
    with pytest.raises(MigrationNeeded, match=r"column seen .* a migration dropped it"):
        old.scan(SAMPLES)
    migrate(old, evolved.changed(without=("seen", "name"), renamed={"title": "name"},
                                 title=Column(pl.String())))  # fmt: skip
    with pytest.raises(MigrationNeeded, match=r"column name .* renamed it to title"):
        old.scan(evolved.SHORT)
    again = migrate(old, evolved.changed(without=("name",), title=Column(pl.String())))
    assert [step.action for step in again.plan.changes] == ["add again"]
    assert old.scan(evolved.RENAMED).collect()["seen"].null_count() == 24


_MOMENT = datetime(2005, 6, 15, 14, 50, 1, 234567, tzinfo=UTC)
_NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-300, 300),
    st.floats(width=32),
    st.floats(-1000, 1000).map(lambda value: round(value, 3)),
)
_GIVEN: dict[pl.DataType, st.SearchStrategy[object]] = {
    **dict.fromkeys(
        [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt32(), pl.UInt64()],
        _NUMBERS,
    ),
    pl.Float32(): _NUMBERS,
    pl.Float64(): _NUMBERS,
    pl.Decimal(9, 3): st.decimals(-9999, 9999, places=3),
    pl.Decimal(9, 2): st.decimals(-9999, 9999, places=2),
    pl.Decimal(12, 3): st.decimals(-(10**8), 10**8, places=3),
    pl.String(): st.sampled_from(["3", "3.7", "", "2005-06-15", "true", "x"]),
    pl.Categorical(): st.sampled_from(["3", "x"]),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.just(date(2005, 6, 15)),
    pl.Datetime("us", "UTC"): st.just(_MOMENT),
    pl.Datetime("us"): st.just(_MOMENT.replace(tzinfo=None)),
    pl.Datetime("ms", "UTC"): st.just(_MOMENT),
    pl.Datetime("us", "America/Los_Angeles"): st.just(_MOMENT),
    pl.List(pl.Int32()): st.lists(st.integers(-5, 5), max_size=2),
    pl.List(pl.Int64()): st.lists(st.integers(-(2**40), 2**40), max_size=2),
    pl.List(pl.String()): st.lists(st.sampled_from(["3", "x"]), max_size=2),
    pl.Null(): st.none(),
}
_STORED = ("thing", "step", "exact", "feet", "east", "name", "seen", "since", "time", "lanes")


def _is_same(given: object, stored: object) -> bool:
    """Whether a value is the same; of a decimal and a float, whether it is the nearest one."""
    if isinstance(given, pl.Series) or isinstance(stored, pl.Series):
        return (
            isinstance(given, pl.Series)
            and isinstance(stored, pl.Series)
            and (given.to_list() == stored.to_list())
        )
    if isinstance(given, Decimal) != isinstance(stored, Decimal) and isinstance(
        given if isinstance(stored, Decimal) else stored, float
    ):
        return float(str(given)) == float(str(stored))
    is_flag = isinstance(given, bool) == isinstance(stored, bool)
    return is_flag and given == stored and (isinstance(given, str) == isinstance(stored, str))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), column=st.sampled_from(_STORED), kind=st.sampled_from(list(_GIVEN)))
def test_of_any_type_a_value_is_stored_as_it_is_or_refused(
    data: st.DataObject, column: str, kind: pl.DataType
) -> None:
    drawn = data.draw(st.lists(st.none() | _GIVEN[kind], min_size=3, max_size=3))
    given = pl.Series(column, drawn, strict=False).cast(kind, strict=False)
    rows = samples(1, 3).with_columns(given)
    with TemporaryDirectory() as folder:
        lake = ParquetStorage(Path(folder))
        try:
            lake.replace(SAMPLES, HERE, [rows])
        except SchemaMismatch as error:
            assert f"column {column} " in error.problem  # noqa: PT017
            assert lake.scan(SAMPLES).collect().is_empty()
            return
        stored = lake.scan(SAMPLES).collect()[column].to_list()
    decimal = SAMPLES.schema[column]
    for value, found in zip(given.to_list(), stored, strict=True):
        if isinstance(value, int) and isinstance(decimal, pl.Decimal):
            value = Decimal(value).scaleb(-decimal.scale)  # noqa: PLW2901  # units of the last place
        assert _is_same(value, found), f"{value!r} as {kind} became {found!r}"


def _lakes(kind: pl.DataType) -> st.SearchStrategy[list[object]]:
    return st.lists(st.none() | _KINDS[kind], min_size=1, max_size=3)


_KINDS: dict[pl.DataType, st.SearchStrategy[object]] = {
    pl.Int32(): st.integers(-(2**31), 2**31 - 1) | st.integers(-9, 9),
    pl.Int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9),
    pl.Float64(): st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-9, 9).map(float)
    | st.integers(-9999, 9999).map(lambda value: value / 1000),
    **{
        pl.Decimal(digits, scale): st.decimals(-9999, 9999, places=scale)
        for digits, scale in ((9, 3), (12, 3), (12, 5), (18, 0))
    },
    pl.String(): st.sampled_from(["3", "x", ""]),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.just(date(2005, 6, 15)),
    pl.Datetime("us", "UTC"): st.just(_MOMENT),
    pl.List(pl.Int32()): st.lists(st.integers(-5, 5), max_size=2),
    pl.List(pl.Int64()): st.lists(st.integers(-(2**40), 2**40), max_size=2),
}


@settings(max_examples=25, deadline=None)
@given(data=st.data(), before=st.sampled_from(list(_KINDS)), after=st.sampled_from(list(_KINDS)))
def test_from_any_type_to_any_other_a_value_stays_the_same_or_is_refused(
    data: st.DataObject, before: pl.DataType, after: pl.DataType
) -> None:
    values = pl.Series("value", data.draw(_lakes(before)), dtype=before)
    rows = samples(1, len(values)).with_columns(values)
    tables = [evolved.changed(value=Column(kind)) for kind in (before, after)]

    def tried(use: Callable[[], object]) -> bool:
        try:
            use()
        except (SchemaMismatch, MigrationRefused) as error:
            assert "column value" in error.problem  # noqa: PT017
            return False
        found = lake.scan(tables[1]).collect()["value"]
        assert found.dtype == after
        assert all(map(_is_same, values, found)), f"{values.to_list()} became {found.to_list()}"
        return True

    with TemporaryDirectory() as folder:
        lake = ParquetStorage(Path(folder))
        lake.replace(tables[0], HERE, [rows])
        readable = tried(lambda: lake.scan(tables[1]).collect())
        migrated = tried(lambda: migrate(lake, tables[1]))
        assert migrated or not readable
        old = lake.scan(tables[0], version=1).collect()["value"]
        assert old.dtype == before
        assert all(map(_is_same, values, old))

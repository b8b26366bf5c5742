"""What lies on the disk: encodings, size, statistics, and what they let a reader skip."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ngsim_assets.highway.model import RAW_TRAJECTORIES
from ngsim_assets.storage.encoding import Compression
from ngsim_assets.storage.errors import UnusableCompression
from ngsim_assets.storage.parquet import ParquetStorage, WriteOptions
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, logical, samples

_US_101 = {"highway_id": "us-101", "recording": "2005-06-15T0750", "date": "2005-06-15"}
_CSV_BYTES_PER_ROW = 124
"""A row of the unified export with its 25 columns (measured on 12 M simulated rows)."""


def _encodings(path: Path) -> dict[str, set[str]]:
    footer = pq.read_metadata(path)
    columns = [footer.row_group(0).column(index) for index in range(footer.num_columns)]
    return {column.path_in_schema: set(column.encodings) for column in columns}


def test_every_kind_of_column_has_the_encoding_that_suits_it(lake: ParquetStorage) -> None:
    file = lake.replace(SAMPLES, HERE, [samples()]).files[0]
    path = lake.root / "samples" / file.path
    encodings = _encodings(path)
    for name in ("thing", "step", "time", "feet", "east", "since"):
        assert "DELTA_BINARY_PACKED" in encodings[name], name
    for name in ("place", "exact"):
        assert "BYTE_STREAM_SPLIT" in encodings[name], name
    for name in ("name", "rules.list.element"):
        assert "RLE_DICTIONARY" in encodings[name], name
    stored = {column.name: column.physical_type for column in pq.read_metadata(path).schema}
    assert (stored["feet"], stored["east"]) == ("INT32", "INT64")


def test_delta_schema_is_the_logical_schema(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    delta = DeltaTable(lake.root / "samples")
    types = {field.name: getattr(field.type, "type", field.type) for field in delta.schema().fields}
    assert list(types) == SAMPLES.schema.names()
    assert (types["feet"], types["time"], types["day"]) == ("decimal(9,3)", "timestamp", "date")
    assert "array" in str(types["rules"]).lower()
    assert delta.metadata().description == "One sample of one thing."


@pytest.mark.parametrize("compression", get_args(Compression))
def test_any_compression_reads_the_same_everywhere(
    tmp_path: Path, compression: Compression
) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(compression=compression))
    lake.replace(SAMPLES, HERE, [samples()])
    expected = logical(samples())
    assert lake.scan(SAMPLES).collect().sort("thing", "step").equals(expected)
    files = [str(tmp_path / "samples" / file.path) for file in lake.files(SAMPLES)]
    by_duckdb = duckdb.read_parquet(files, hive_partitioning=True).order("thing, step").pl()
    by_arrow = pl.DataFrame(pq.ParquetFile(files[0]).read())
    for name in set(expected.columns) - {"day"}:
        assert by_duckdb[name].to_list() == expected[name].to_list(), name
        if name in by_arrow.columns:
            autos = expected.filter(kind="auto")
            assert by_arrow[name].to_list() == autos[name].to_list(), name


@pytest.mark.parametrize(
    ("compression", "level", "levels"),
    [("snappy", 3, "none"), ("gzip", 12, "0 to 9"), ("zstd", 23, "-7 to 22")],
)
def test_a_level_that_the_codec_lacks_is_refused(
    compression: Compression, level: int, levels: str
) -> None:
    with pytest.raises(UnusableCompression, match=f"levels of {compression}: {levels}"):
        WriteOptions(compression=compression, level=level)


def _recording(vehicles: int, frames: int, seed: int = 0) -> pl.DataFrame:
    """Raw rows as the unified export delivers them, sorted: smooth drives, noisy in the 0.01 ft."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)
    phase = random.uniform(0, 2 * np.pi, (vehicles, 3))
    speed = random.uniform(25, 50, (vehicles, 1)) + sum(
        random.uniform(1, 4, (vehicles, 1)) * np.sin(2 * np.pi * time / period + phase[:, [at]])
        for at, period in enumerate((150, 220, 410))
    )
    noise = random.normal(0, 0.005, (2, vehicles, frames))
    along = np.cumsum(speed * 0.1, axis=1) + noise[0]
    lane = random.integers(1, 6, (vehicles, 1))
    across = 12 * lane - 6 + 0.8 * np.sin(2 * np.pi * time / 160 + phase[:, [0]]) + noise[1]
    spacing = 60 + 10 * np.sin(2 * np.pi * time / 300 + phase[:, [1]]) + 0 * speed
    number = np.arange(1, vehicles + 1)[:, None]
    frame = np.sort(random.integers(10, 9000, vehicles))[:, None] + time
    same = np.zeros((vehicles, frames))
    values = {
        "vehicle_id": number + same,
        "frame_id": frame,
        "total_frames": frames + same,
        "global_time": 1118846978900 + 100 * frame,
        "local_x": across * 1000,
        "local_y": along * 1000,
        "global_x": (6451137.641 + 0.8 * across + 0.6 * along) * 1000,
        "global_y": (1873344.962 - 0.6 * across + 0.8 * along) * 1000,
        "v_length": 100 * random.choice([14.5, 15.0, 16.4, 18.0], (vehicles, 1)) + same,
        "v_width": 100 * random.choice([6.0, 6.4, 7.0], (vehicles, 1)) + same,
        "v_class": 2 + same,
        "v_vel": speed * 100,
        "v_acc": np.gradient(speed, 0.1, axis=1) * 100,
        "lane_id": lane + same,
        "preceding": np.maximum(number - 5, 0) + same,
        "following": number + 5 + same,
        "space_headway": spacing * 100,
        "time_headway": spacing / speed * 100,
        "source_row": random.integers(1, 12_000_000, (vehicles, frames)),
    }
    columns: dict[str, pl.Series | None] = {}
    for name, dtype in RAW_TRAJECTORIES.schema.items():
        whole = pl.Int64() if isinstance(dtype, pl.Decimal) and dtype.precision > 9 else pl.Int32()
        physical = whole if isinstance(dtype, pl.Decimal) else dtype
        if name in values:
            columns[name] = pl.Series(np.rint(values[name]).ravel().astype(np.int64)).cast(physical)
        elif name not in _US_101:
            columns[name] = pl.Series([None], dtype=physical).new_from_index(0, same.size)
    rows = pl.DataFrame(columns)
    return rows.with_columns(location=pl.lit("us-101"), source_file=pl.lit("rows.csv"))


def test_a_raw_recording_takes_a_tenth_of_its_csv(lake: ParquetStorage) -> None:
    rows = _recording(vehicles=300, frames=590)
    commit = lake.replace(RAW_TRAJECTORIES, _US_101, [rows])
    assert commit.bytes / commit.rows <= 0.10 * _CSV_BYTES_PER_ROW


def test_other_readers_of_delta_see_the_same(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SAMPLES, HERE, [samples(5)])
    folder = str(lake.root / "samples")
    expected = logical(samples(5))
    by_polars = pl.scan_delta(folder).collect().select(expected.columns)
    assert by_polars.sort("thing", "step").equals(expected)
    by_arrow = pl.DataFrame(DeltaTable(folder).to_pyarrow_table()).select(expected.columns)
    assert by_arrow.sort("thing", "step").equals(expected)


def test_the_log_tells_which_file_may_hold_a_vehicle(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=100, row_group_rows=50))
    rows = samples(20, 50)
    lake.replace(SAMPLES, HERE, rows.iter_slices(250))
    delta = DeltaTable(tmp_path / "samples")
    for predicate, files in (
        ("thing = 7 AND kind = 'auto'", 1),
        ("thing = 700", 0),
        ("feet > 1000", 0),
        ("place < 6.0 AND kind = 'auto'", 1),
        ("name = 'thing 4' AND kind = 'auto'", 2),  # also the file of 'thing 10' to 'thing 8'
        ("since < '2000-01-01'", 0),
        ("time > '2005-06-15T14:50:04.901Z'", 0),
        ("time >= '2005-06-15T14:50:04.900Z' AND kind = 'auto'", 4),
    ):
        assert len(delta.file_uris(file_pruning_predicate=predicate)) == files, predicate


def test_one_vehicle_is_read_without_the_rest(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=400, row_group_rows=100))
    rows = samples(40, 50).with_columns(kind=pl.lit("auto"))
    commit = lake.replace(SAMPLES, HERE, rows.iter_slices(400))
    kept = 0
    for file in commit.files:  # spoil every row group that cannot hold vehicle 11, all pages of it
        path = tmp_path / "samples" / file.path
        content = bytearray(path.read_bytes())
        footer = pq.read_metadata(path)
        for group in range(footer.num_row_groups):
            columns = [footer.row_group(group).column(at) for at in range(footer.num_columns)]
            vehicle = next(one for one in columns if one.path_in_schema == "thing").statistics
            if vehicle.min <= 11 <= vehicle.max:
                kept += 1
                continue
            for column in columns:
                start = min(column.dictionary_page_offset or 2**60, column.data_page_offset)
                end = start + column.total_compressed_size
                content[start:end] = b"\xff" * (end - start)
        path.write_bytes(content)
    assert (len(commit.files), kept) == (5, 1)
    one = lake.scan(SAMPLES).filter(pl.col("thing") == 11)
    assert one.collect().equals(logical(rows).filter(pl.col("thing") == 11))
    with pytest.raises((pl.exceptions.ComputeError, OSError)):
        lake.scan(SAMPLES).collect()


def test_nulls_stay_where_they_are_across_row_groups(tmp_path: Path) -> None:
    """Slices of a frame share its bitmaps of nulls, from any bit on."""
    nullable = ["place", "exact", "feet", "east", "name", "seen", "rules", "lanes", "since"]
    rows = samples(things=7, steps=731)
    random = np.random.default_rng(11)
    rows = rows.with_columns(
        pl.when(pl.Series(random.random(rows.height) < 0.7)).then(name).alias(name)
        for name in nullable
    )[3:-5]
    lake = ParquetStorage(tmp_path, WriteOptions(row_group_rows=1009))
    lake.replace(SAMPLES, HERE, [rows])
    back = lake.scan(SAMPLES, HERE).collect().sort("thing", "step")
    for name in nullable:
        assert back[name].is_null().to_list() == rows[name].is_null().to_list(), name
    assert back.equals(logical(rows))

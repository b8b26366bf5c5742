"""Written files are bytewise like delivered ones, and reading them gives the same rows."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.formats import FREEWAY_COLUMNS, RAW_PHYSICAL, largest_of
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.faults import LABELS
from ngsim_assets.highway.simulation.row_printer import CannotWrite
from ngsim_assets.highway.simulation.write_source import LayoutName, write_rows, write_source
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.source import members, read_batches


@pytest.fixture(scope="module")
def recording() -> pl.DataFrame:
    return simulate(Scenario(minutes=0.4, seed=6)).recording


def reread(path: Path) -> pl.DataFrame:
    return pl.concat(read_batches(members(path)[0])).sort("source_row")


def row(**values: object) -> pl.DataFrame:
    """One row of us-101, other columns null."""
    absent = dict.fromkeys(RAW_PHYSICAL)
    return pl.DataFrame([absent | {"location": "us-101"} | values], schema=RAW_PHYSICAL)


# row of the unified export as delivered (Peachtree, vehicle 352), and its numbers
PEACHTREE = row(
    vehicle_id=352,
    frame_id=3379,
    total_frames=1156,
    global_time=1163368200,
    local_x=-4623,
    local_y=4566,
    global_x=2230503114,
    global_y=1375537934,
    v_length=1500,
    v_width=650,
    v_class=2,
    v_vel=3396,
    v_acc=0,
    lane_id=1,
    o_zone=121,
    d_zone=201,
    int_id=0,
    section_id=1,
    direction=4,
    movement=1,
    preceding=0,
    following=455,
    space_headway=0,
    time_headway=999999,
    location="peachtree",
)


def test_export_is_printed_as_delivered(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_source(PEACHTREE, path, "export")
    assert path.read_bytes() == (
        b"\xef\xbb\xbfVehicle_ID,Frame_ID,Total_Frames,Global_Time,Local_X,Local_Y,Global_X,"
        b"Global_Y,v_length,v_Width,v_Class,v_Vel,v_Acc,Lane_ID,O_Zone,D_Zone,Int_ID,Section_ID,"
        b"Direction,Movement,Preceding,Following,Space_Headway,Time_Headway,Location\r\n"
        b'352,3379,"1,156",1163368200,-4.623,4.566,2230503.114,1375537.934,15,6.5,2,33.96,0,1,'
        b'121,201,0,1,4,1,0,455,0,"9,999.99",peachtree\r\n'
    )


def test_real_export_comes_back_byte_for_byte(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "ngsim" / "peachtree_socrata_export_10000_rows.csv"
    path = tmp_path / "rows.csv"
    write_source(reread(source), path, "export")
    assert path.read_bytes() == source.read_bytes()


def test_text_has_fixed_decimals_in_padded_cells_and_crlf(
    recording: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "trajectories.txt"
    write_source(recording, path, "text")
    lines = path.read_bytes().split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == recording.height
    assert {len(line) for line in lines} == {148}
    cells = lines[0].split()
    assert len(cells) == len(FREEWAY_COLUMNS)
    assert [len(cell.partition(b".")[2]) for cell in cells] == (
        [0] * 4 + [3] * 4 + [1, 1, 0, 2, 2, 0, 0, 0, 2, 2]
    )


def test_api_quotes_everything(tmp_path: Path) -> None:
    path = tmp_path / "page.csv"
    write_source(PEACHTREE, path, "api")
    header, line = path.read_bytes().splitlines()
    assert header.startswith(b'"vehicle_id","frame_id"')
    assert line.startswith(b'"352","3379","1156","1163368200","-4.623"')
    assert line.endswith(b'"9999.99","peachtree"')


@pytest.mark.parametrize("layout", get_args(LayoutName))
@pytest.mark.parametrize("shuffle", [None, 3])
def test_reading_gives_what_was_written(
    recording: pl.DataFrame, tmp_path: Path, layout: LayoutName, shuffle: int | None
) -> None:
    path = tmp_path / "source"
    written = write_source(recording, path, layout, shuffle=shuffle)
    assert written.source_row is not None
    assert written.rows == recording.height
    rows = reread(path)
    columns = [c for c in RAW_PHYSICAL if layout in ("export", "api") or c in FREEWAY_COLUMNS]
    expected = recording.with_columns(written.source_row).sort("source_row")
    assert rows.select("source_row", *columns).equals(expected.select("source_row", *columns))
    assert rows["source_text"].null_count() == rows.height
    in_order = rows.select("vehicle_id", "frame_id").equals(
        recording.select("vehicle_id", "frame_id")
    )
    assert in_order == (shuffle is None)


def number(column: str) -> st.SearchStrategy[int | None]:
    largest = largest_of(column)
    return st.none() | st.integers(-largest, largest) | st.integers(-1_500, 1_500)


physical_rows = st.fixed_dictionaries(
    {name: number(name) for name in RAW_PHYSICAL if name != "location"}
    | {"location": st.sampled_from(list(SITES))}
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(physical_rows, min_size=1, max_size=6), layout=st.sampled_from(["export", "api"])
)
def test_any_number_a_table_can_hold_survives(
    tmp_path: Path, rows: list[dict[str, object]], layout: LayoutName
) -> None:
    # a file none of whose rows says who was where is refused: begin with one that does
    frame = pl.concat([PEACHTREE, pl.DataFrame(rows, schema=RAW_PHYSICAL)])
    path = tmp_path / "rows.csv"
    write_source(frame, path, layout)
    assert reread(path).select(list(RAW_PHYSICAL)).equals(frame)


def test_gzip_is_the_same_rows_and_the_same_bytes_each_time(
    recording: pl.DataFrame, tmp_path: Path
) -> None:
    plain, packed, again = (tmp_path / name for name in ("a.txt", "a.txt.gz", "b.txt.gz"))
    write_source(recording, plain, "text")
    write_source(recording, packed, "text")
    write_source(recording, again, "text")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == again.read_bytes()


def test_streamed_frames_are_one_file(recording: pl.DataFrame, tmp_path: Path) -> None:
    whole, streamed = tmp_path / "whole.csv", tmp_path / "streamed.csv"
    write_source(recording, whole, "export")
    written = write_rows(recording.iter_slices(1_000), streamed, "export")
    assert written.rows == recording.height
    assert streamed.read_bytes() == whole.read_bytes()


def test_labels_are_told_their_line(recording: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    labels = pl.DataFrame(
        {
            "row": [0, 5, None],
            "source_row": [1, 6, None],
            "vehicle_id": [1, 1, 2],
            "frame_id": [1, 6, 3],
            "fault": ["unreadable_cell", "lane_flip", "short_gap"],
            "column": ["v_vel", "lane_id", None],
        },
        schema=LABELS,
    )
    written = write_source(recording, path, "export", shuffle=1, labels=labels)
    stored = pl.read_parquet(tmp_path / "rows.csv.labels.parquet")
    assert stored.schema == LABELS
    assert written.source_row is not None
    lines = [written.source_row[0], written.source_row[5], None]
    assert stored["source_row"].to_list() == lines
    spoiled = reread(path).filter(pl.col("source_text").is_not_null())
    assert spoiled["source_row"].to_list() == lines[:1]
    assert "***" in spoiled["source_text"][0]


def test_empty_cells_cannot_be_told_apart_by_blanks(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as refused:
        write_source(PEACHTREE.with_columns(v_acc=pl.lit(None, pl.Int32)), tmp_path / "a.txt")
    assert refused.value.column == "v_acc"
    assert list(tmp_path.iterdir()) == []

"""Files into batches: every published format gives the same rows, whatever the chunks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ngsim_assets.highway import errors
from ngsim_assets.highway.formats import BATCH_SCHEMA, DELIVERED, LAYOUTS, REQUIRED, decimals_of
from ngsim_assets.highway.source import EXCEL_ROWS, SourceMember, members, read_batches, survey
from ngsim_assets_tests.highway.rendering import (
    any_spelling,
    decimal_text,
    expected,
    grouped,
    rows_of,
)

FREEWAY_ROW = (
    b"2 13 437 1118846980200 16.467 35.381 6451137.641 1873344.962 14.5 4.9 2 40.00 0.00 2 0 0 0 0"
)
SMALL_HEADER = b"Vehicle_ID,Frame_ID,Global_Time,Local_X,Local_Y\n"
SMALL_ROW = b"2,13,1118846980200,16.467,35.381\n"

per_file = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path: Path, **options: int) -> pl.DataFrame:
    (member,) = members(path)
    frames = list(read_batches(member, **options))  # pyright: ignore[reportArgumentType]
    return pl.concat(frames)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def published(layout_name: str, rows: Sequence[dict[str, object]]) -> bytes:
    """Rows as this layout prints them."""
    layout = LAYOUTS[layout_name]
    lines = [layout.separator.join(layout.headers)] if layout.has_header else []
    for row in rows:
        line: list[str] = []
        for column in layout.columns:
            value = row[column]
            text = "" if value is None else str(value)
            if isinstance(value, int):
                text = decimal_text(value, decimals_of(column), layout.decimals.get(column))
                if column in layout.thousands and len(grouped(text)) > len(text):
                    text = f'"{grouped(text)}"'
            if layout.quoted:
                text = f'"{text}"'
            line.append(text.rjust(layout.widths.get(column, 0)))
        lines.append(layout.separator.join(line))
    text = "".join(line + layout.line_end for line in lines)
    return (b"\xef\xbb\xbf" if layout.bom else b"") + text.encode()


@per_file
@given(data=st.data())
@pytest.mark.parametrize("layout_name", LAYOUTS)
def test_published_formats_give_the_rows_that_were_written(
    tmp_path: Path, layout_name: str, data: st.DataObject
) -> None:
    layout = LAYOUTS[layout_name]
    rows = data.draw(rows_of(layout.columns))
    for row in rows:
        for column, printed in layout.decimals.items():
            step = 10 ** (decimals_of(column) - printed)
            value = row[column]
            if isinstance(value, int):
                row[column] = abs(value) // step * step * (1 if value > 0 else -1)
        if layout.separator == " ":
            row.update({column: 0 for column in layout.columns if row[column] is None})
    path = write(tmp_path / "anything.dat", published(layout_name, rows))
    assert_frame_equal(read(path), expected(rows, 2 if layout.has_header else 1))


@settings(per_file, max_examples=25)
@given(data=st.data())
def test_any_spelling_order_and_choice_of_columns_gives_the_same_rows(
    tmp_path: Path, data: st.DataObject
) -> None:
    optional = [column for column in DELIVERED if column not in REQUIRED]
    chosen = data.draw(st.lists(st.sampled_from(optional), unique=True))
    columns = data.draw(st.permutations([*REQUIRED, *chosen]))
    rows = data.draw(rows_of(columns))
    separator = data.draw(st.sampled_from((",", ";", " ", "\t")))
    chance = Random(data.draw(st.integers(0, 2**32)))  # noqa: S311
    of_cells = " " if separator == "\t" else separator
    line_end = data.draw(st.sampled_from(("\n", "\r\n", "\n\n", "\r\n \r\n")))
    spelled = data.draw(st.sampled_from((str.upper, str.lower, str.title)))
    lines = [separator.join(spelled(column) for column in columns)]
    lines += [
        separator.join(any_spelling(column, row[column], of_cells, chance) for column in columns)
        for row in rows
    ]
    bom = data.draw(st.sampled_from(("", "\ufeff")))
    last = data.draw(st.sampled_from(("", line_end)))
    path = write(tmp_path / "f", (bom + line_end.join(lines) + last).encode())
    wanted = expected(rows)
    apart = line_end.count("\n")
    wanted = wanted.with_columns(
        source_row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64) * apart + 1
    )
    assert_frame_equal(read(path), wanted)


def test_chunks_cut_anywhere_give_the_same_rows(tmp_path: Path) -> None:
    content = b"".join(
        (
            b"\xef\xbb\xbf" + SMALL_HEADER.replace(b"\n", b",Location\r\n"),
            b'2,13,"1,118,846,980,200",16.467,35.381,us-101\r\n',
            b"\r\nbad\r\n",
            b"3,,1118846980200,1.5,-2,unknown\n" * 2,
            b" \n4,1,1118846980200,1,2,i-80\n5,2,11188",
        )
    )
    path = write(tmp_path / "f.csv", content)
    whole = read(path)
    assert whole["source_row"].to_list() == [2, 4, 5, 6, 8, 9]
    assert whole["source_text"].null_count() == 2
    for chunk_bytes in range(1, len(content) + 2):
        assert_frame_equal(read(path, chunk_bytes=chunk_bytes, threads=1 + chunk_bytes % 3), whole)


def test_batches_have_the_rows_asked_for_in_order(tmp_path: Path) -> None:
    lines = [f"{i},13,1118846980200,16.467,35.381\n".encode() for i in range(1, 2501)]
    path = write(tmp_path / "f.csv", SMALL_HEADER + b"".join(lines))
    for chunk_bytes in (700, 5_000, 1_000_000):
        member = SourceMember(path)
        batches = list(read_batches(member, batch_rows=1000, chunk_bytes=chunk_bytes))
        assert [batch.height for batch in batches] == [1000, 1000, 500]
        joined = pl.concat(batches)
        assert joined["vehicle_id"].to_list() == list(range(1, 2501))
        assert joined["source_row"].to_list() == list(range(2, 2502))
        assert joined.schema == BATCH_SCHEMA


def test_every_byte_is_handed_on_once_and_progress_ends_at_the_total(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", SMALL_HEADER + SMALL_ROW * 20_000)
    digest = hashlib.sha256()
    progress: list[tuple[int, int]] = []
    batches = read_batches(
        SourceMember(path),
        on_bytes=digest.update,
        on_progress=lambda done, total: progress.append((done, total)),
        chunk_bytes=50_000,
    )
    assert sum(batch.height for batch in batches) == 20_000
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert progress == sorted(progress)
    assert progress[-1] == (path.stat().st_size, path.stat().st_size)


def test_reading_can_be_given_up(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", SMALL_HEADER + SMALL_ROW * 5_000)
    batches = read_batches(SourceMember(path), batch_rows=10, chunk_bytes=1_000)
    assert next(batches).height == 10
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    path.unlink()


def test_truncated_last_line_is_a_bad_row(tmp_path: Path) -> None:
    cut = b"2 14 437 1118846980300 16.447 39.3"
    frame = read(write(tmp_path / "f.txt", FREEWAY_ROW + b"\r\n" + cut))
    assert frame["source_text"].to_list() == [None, cut.decode()]
    assert frame["frame_id"].to_list() == [13, 14]
    assert frame["local_x"].to_list() == [16467, 16447]
    assert frame["local_y"].to_list() == [35381, None]


def test_a_bad_row_never_stops_a_file(tmp_path: Path) -> None:
    junk = [
        b"<html>",
        b"1,2,3",
        b"\0\1\2",
        b"a,b,c,d,e",
        b",,,,",
        b"x" * 100_000,
        b'"',
        SMALL_HEADER,
    ]
    lines = [SMALL_ROW.strip(), *(line.strip() for line in junk), SMALL_ROW.strip()]
    frame = read(
        write(tmp_path / "f.csv", SMALL_HEADER + b"\n".join(lines) + b"\n"), chunk_bytes=999
    )
    assert frame.height == len(lines)
    assert frame["vehicle_id"].to_list() == [2] + [None] * len(junk) + [2]
    # a row of empty cells is read as it stands: it has no values
    assert frame["source_text"].is_null().to_list() == [True] + [
        line == b",,,," for line in junk
    ] + [True]


def test_far_more_lines_than_rows_of_that_size_are_read_to_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", SMALL_HEADER + SMALL_ROW + b"x\n" * 100_000 + SMALL_ROW)
    frame = read(path)
    assert frame.height == 100_002
    assert frame["source_row"].to_list() == list(range(2, 100_004))
    assert frame["vehicle_id"].drop_nulls().to_list() == [2, 2]


@per_file
@given(
    tail=st.binary(max_size=300),
    head=st.sampled_from((b"", SMALL_HEADER + SMALL_ROW, FREEWAY_ROW + b"\n")),
)
def test_any_bytes_are_rows_or_a_typed_error(tmp_path: Path, head: bytes, tail: bytes) -> None:
    path = write(tmp_path / "f", head + tail)
    with suppress(errors.SourceError):
        assert read(path, chunk_bytes=16).schema == BATCH_SCHEMA


@pytest.mark.parametrize("rows", [EXCEL_ROWS - 1, EXCEL_ROWS - 2])
def test_the_limit_of_a_spreadsheet_is_noticed_at_the_end(tmp_path: Path, rows: int) -> None:
    path = write(tmp_path / "f.csv", SMALL_HEADER + SMALL_ROW * rows)
    batches = read_batches(SourceMember(path))
    assert [next(batches).height for _ in range(5)] == [250_000] * 4 + [rows - 1_000_000]
    if rows == EXCEL_ROWS - 1:
        with pytest.raises(errors.CutAtExcelLimit, match="exactly 1,048,575 rows, the limit of a"):
            next(batches)
    else:
        assert list(batches) == []


def test_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(errors.SourceIsDirectory, match="is a directory"):
        members(tmp_path)
    with pytest.raises(errors.SourceUnreadable, match="cannot be read: No such file"):
        members(tmp_path / "absent.csv")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.SourceUnreadable, match="not a regular file"):
        members(tmp_path / "pipe")


def test_real_peachtree_export(real_data: Path) -> None:
    path = real_data / "ngsim" / "peachtree_socrata_export_10000_rows.csv"
    frame = read(path)
    assert frame.height == 10_000
    assert frame["source_text"].null_count() == 10_000
    assert frame.drop("source_text").null_count().sum_horizontal().item() == 0
    assert frame.row(0, named=True) == {
        "vehicle_id": 352,
        "frame_id": 3380,
        "total_frames": 1156,
        "global_time": 1163368300,
        "local_x": -5359,
        "local_y": 0,
        "global_x": 2230502921,
        "global_y": 1375532938,
        "v_length": 1500,
        "v_width": 650,
        "v_class": 2,
        "v_vel": 3396,
        "v_acc": 0,
        "lane_id": 1,
        "o_zone": 121,
        "d_zone": 201,
        "int_id": 0,
        "section_id": 1,
        "direction": 4,
        "movement": 1,
        "preceding": 0,
        "following": 455,
        "space_headway": 0,
        "time_headway": 0,
        "location": "peachtree",
        "source_row": 2,
        "source_text": None,
    }
    origin = frame.select(t0=pl.col("global_time") - 100 * pl.col("frame_id"), v="vehicle_id")
    assert sorted(origin["t0"].unique()) == [1163018600, 1163030300]
    assert origin.unique().height == 229
    reference = pl.read_csv(path, infer_schema_length=0)
    for column, header in (("local_y", "Local_Y"), ("space_headway", "Space_Headway")):
        values = reference[header].str.replace_all(",", "").cast(pl.Float64)
        scaled = frame[column] / 10 ** decimals_of(column)
        assert_frame_equal(
            scaled.to_frame("value"), values.to_frame("value"), check_exact=False, abs_tol=1e-9
        )


def test_real_us101_and_i80_excerpt(real_data: Path) -> None:
    frame = read(real_data / "ngsim" / "us101_i80_excerpt_feet.csv")
    assert frame.height == 10_596
    assert frame["source_text"].null_count() == 10_596
    assert dict(frame["location"].value_counts().iter_rows()) == {"us-101": 6782, "i-80": 3814}
    assert frame.select("lane_id", "v_width").null_count().row(0) == (10_596, 10_596)
    last = frame.row(-1, named=True)
    assert (last["local_y"], last["global_x"], last["v_vel"]) == (1219805, 6451980451, 4745)
    assert last["source_row"] == 10_597


def test_survey_of_a_plain_file_is_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", SMALL_HEADER + SMALL_ROW)
    assert survey(path).members == (SourceMember(path),)
    assert survey(path).ignored == ()
    assert (SourceMember(path).name, SourceMember(path).member) == ("f.csv", None)

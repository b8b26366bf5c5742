"""Cells and lines: what each text becomes, and what stays of text that cannot be read."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.highway.formats import BATCH_SCHEMA, LOCATIONS
from ngsim_assets.highway.reading.decimal_text import MAX_LINE
from ngsim_assets.highway.reading.line_parser import SOURCE_TEXT_LIMIT, LineParser

COLUMNS = ("vehicle_id", "local_x", "global_time", "location")


def parse(
    text: bytes,
    separator: str = ",",
    columns: tuple[str | None, ...] = COLUMNS,
    *,
    cut: bool = False,
) -> pl.DataFrame:
    buffer = np.frombuffer(bytearray(text), dtype=np.uint8)
    frames: list[pl.DataFrame] = []
    parser, lines, line = LineParser(columns, separator), text.count(b"\n"), 1
    while buffer.size:
        parsed = parser.parse(buffer, buffer.size, lines=lines, first_line=line, cut=cut)
        frames.append(parsed.frame)
        buffer = buffer[parsed.consumed :].copy()
        lines -= parsed.lines
        line += parsed.lines
    return pl.concat(frames) if frames else BATCH_SCHEMA.to_frame()


def cell(text: str, column: str, separator: str = ",") -> tuple[int | str | None, bool]:
    """What one cell becomes, and whether its line was kept as unreadable."""
    frame = parse(
        f"1{separator}{text}{separator}2\n".encode(), separator, ("frame_id", column, "lane_id")
    )
    assert frame["frame_id"].item() == 1
    assert frame["lane_id"].item() == 2
    return frame[column].item(), frame["source_text"].item() is not None


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("12", "vehicle_id", 12),
        ("12.0", "vehicle_id", 12),
        ("12.", "vehicle_id", 12),
        ("+12", "vehicle_id", 12),
        ("-0", "vehicle_id", 0),
        ("0000000000000000000012", "vehicle_id", 12),
        (" 12 ", "vehicle_id", 12),
        ('"12"', "vehicle_id", 12),
        ('" 12 "', "vehicle_id", 12),
        ('"1,156"', "vehicle_id", 1156),
        ('"-1,156,789"', "vehicle_id", -1156789),
        ("2147483647", "vehicle_id", 2147483647),
        ("-2147483647", "vehicle_id", -2147483647),
        (".5", "local_x", 500),
        ("-.5", "local_x", -500),
        ("16.467", "local_x", 16467),
        ("16.46700000000", "local_x", 16467),
        ('"9,999.990"', "local_x", 9999990),
        ("999999.999", "local_x", 999999999),
        ("1118846980200", "global_time", 1118846980200),
        ('"1,118,846,980,200"', "global_time", 1118846980200),
        ("999999999999999", "global_time", 999999999999999),
        ("1873344.9619999998", "global_y", 1873344962),
        ("16.466999999999999", "local_x", 16467),
        ("0.28999999999999998", "v_vel", 29),
        ("-33.960000000000001", "v_vel", -3396),
        ("us-101", "location", "us-101"),
        ("Peachtree", "location", "peachtree"),
        ('"I-80"', "location", "i-80"),
        ("us101", "location", "us-101"),
    ],
)
def test_readable_cells(text: str, column: str, value: int | str) -> None:
    assert cell(text, column) == (value, False)


@pytest.mark.parametrize("text", ["", " ", '""', "NA", "na", "N/A", "NaN", "null", "NULL", "None"])
@pytest.mark.parametrize("column", ["vehicle_id", "local_x", "global_time", "location"])
def test_absent_cells_are_null_without_text(text: str, column: str) -> None:
    assert cell(text, column) == (None, False)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("x", "vehicle_id"),
        ("1x", "vehicle_id"),
        ("1 2", "vehicle_id"),
        ("--1", "vehicle_id"),
        ("-", "vehicle_id"),
        (".", "local_x"),
        ("1.2.3", "local_x"),
        ("1e3", "local_x"),
        ("inf", "local_x"),
        ("1\r2", "vehicle_id"),
        ("1\0", "vehicle_id"),
        ("12.5", "vehicle_id"),
        ("16.4671", "local_x"),
        ("33.961", "v_vel"),
        ("2147483648", "vehicle_id"),
        ("-2147483648", "vehicle_id"),
        ("99999999999999999999999", "vehicle_id"),
        ("1000000.000", "local_x"),
        ("1118846980200000", "global_time"),
        ("1.11885E+12", "global_time"),
        ('"1,15"', "vehicle_id"),
        ('"1,1567"', "vehicle_id"),
        ('",156"', "vehicle_id"),
        ('"1156,"', "vehicle_id"),
        ('"1234,567"', "vehicle_id"),
        ('"1,,567"', "vehicle_id"),
        ('"1""2"', "vehicle_id"),
        ('"12"3', "vehicle_id"),
        ("\xa05", "vehicle_id"),
        ("i-5", "location"),
        ("us-10", "location"),
        ("us-1011", "location"),
    ],
)
def test_unreadable_cells_are_null_and_their_line_is_kept(text: str, column: str) -> None:
    assert cell(text, column) == (None, True)


@pytest.mark.parametrize("separator", [";", " "])
def test_thousands_need_no_quotes_where_the_comma_does_not_separate(separator: str) -> None:
    assert cell("1,156", "vehicle_id", separator) == (1156, False)


def test_runs_of_blanks_and_tabs_separate() -> None:
    frame = parse(b"  1 \t 2.5\t3   i-80  \r\n4\t5 6 i-80\n", " ")
    assert frame.select(COLUMNS).rows() == [(1, 2500, 3, "i-80"), (4, 5000, 6, "i-80")]


def test_rows_carry_their_line_and_blank_lines_count() -> None:
    frame = parse(b"\n1,2,3,i-80\r\n\r\n  \n4,5,6,i-80\n")
    assert frame["source_row"].to_list() == [2, 5]


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,i-80,5", "1", "1,2,3,i-80,"])
def test_a_wrong_number_of_cells_leaves_no_cell_trusted(line: str) -> None:
    frame = parse(f"9,9,9,i-80\n{line}\r\n8,8,8,i-80\n".encode())
    assert frame.select(COLUMNS).rows()[1] == (None, None, None, None)
    assert frame["source_text"].to_list() == [None, line, None]
    assert frame["vehicle_id"].to_list() == [9, None, 8]
    assert frame["vehicle_id"].null_count() == 1


def test_a_truncated_last_line_keeps_the_cells_before_the_cut() -> None:
    frame = parse(b"1,2,3,i-80\n4,5,6\n", cut=True)
    assert frame.select(COLUMNS).rows()[1] == (4, 5000, None, None)
    assert frame["source_text"].to_list() == [None, "4,5,6"]
    assert parse(b"4,5,6\n7,8,9,i-80\n", cut=True)["vehicle_id"].to_list() == [None, 7]


def test_cells_of_foreign_columns_are_skipped_whatever_they_hold() -> None:
    frame = parse(b'1,"a,b ""c""",2\n3,,4\n', columns=("vehicle_id", None, "frame_id"))
    assert frame.select("vehicle_id", "frame_id").rows() == [(1, 2), (3, 4)]
    assert frame["source_text"].null_count() == 2


def test_kept_text_is_bounded_and_always_text() -> None:
    frame = parse(
        b"1,2,3,i-80\n\xff\xfe,bad\r\n" + b"x" * 5000 + b"\n" + "é".encode() * 2000 + b"\n"
    )
    texts = frame["source_text"].to_list()
    assert texts[1] == "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER},bad"
    assert texts[2] == "x" * SOURCE_TEXT_LIMIT
    assert texts[3] == "é" * SOURCE_TEXT_LIMIT


def test_a_line_too_long_to_be_one_is_not_read() -> None:
    longest = b"1,2,3,i-80".ljust(MAX_LINE) + b"\n"
    assert parse(longest)["vehicle_id"].item() == 1
    frame = parse(b" " + longest)
    assert frame["vehicle_id"].item() is None
    assert len(frame["source_text"].item()) == SOURCE_TEXT_LIMIT


def test_absent_columns_are_null_and_the_schema_is_always_the_same() -> None:
    frame = parse(b"1,2,3,i-80\n")
    assert frame.schema == BATCH_SCHEMA
    assert frame["location"].dtype == LOCATIONS
    assert frame["lane_id"].null_count() == 1
    assert parse(b"\n").schema == BATCH_SCHEMA


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b""))))
def test_any_bytes_give_a_row_per_line_that_is_not_blank(lines: list[bytes]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    for separator in (",", " ", ";"):
        frame = parse(text, separator)
        assert frame.height == sum(bool(line.strip(b" \t\r")) for line in lines)
        assert frame.schema == BATCH_SCHEMA


@given(
    st.text("0123456789.,-+ eE\"'", max_size=24),
    st.sampled_from(["vehicle_id", "v_vel", "local_x"]),
)
def test_numbers_are_read_exactly_or_not_at_all(text: str, column: str) -> None:
    decimals = {"vehicle_id": 0, "v_vel": 2, "local_x": 3}[column]
    frame = parse(f"{text};1\n".encode(), ";", (column, "frame_id"))
    if frame["frame_id"].item() is None or frame[column].item() is None:
        return
    plain = text.strip().strip('"').replace(",", "")
    assert frame[column].item() == pytest.approx(float(plain) * 10**decimals, abs=1e-3)

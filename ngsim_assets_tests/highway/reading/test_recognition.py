"""What the first bytes tell, and every refusal with its place, reason and fix in one line."""

from __future__ import annotations

import pytest

from ngsim_assets.highway import errors
from ngsim_assets.highway.formats import ARTERIAL_COLUMNS, DELIVERED, FREEWAY_COLUMNS, LAYOUTS
from ngsim_assets.highway.reading.recognition import HEAD_BYTES, Recognised, recognise

FREEWAY_ROW = (
    "2 13 437 1118846980200 16.467 35.381 6451137.641 1873344.962 14.5 4.9 2 40 0 2 0 0 0 0"
)
ARTERIAL_ROW = (
    "7 13 437 1118935680200 16.467 35.381 6451137.641 1873344.962 14.5 4.9 2 40 0 2 "
    "101 201 0 1 4 1 0 0 0 0"
)
HEADER = ",".join(LAYOUTS["freeway_csv"].headers)


def see(text: str | bytes, *, complete: bool = True) -> Recognised:
    return recognise(text if isinstance(text, bytes) else text.encode(), "f.csv", complete=complete)


def commas(row: str) -> str:
    return row.replace(" ", ",")


@pytest.mark.parametrize(
    ("text", "columns", "separator"),
    [
        (FREEWAY_ROW, FREEWAY_COLUMNS, " "),
        (FREEWAY_ROW.replace(" ", "   "), FREEWAY_COLUMNS, " "),
        (FREEWAY_ROW.replace(" ", "\t") + "\r\n", FREEWAY_COLUMNS, " "),
        (commas(FREEWAY_ROW), FREEWAY_COLUMNS, ","),
        (ARTERIAL_ROW, ARTERIAL_COLUMNS, " "),
        (commas(ARTERIAL_ROW) + ",lankershim", DELIVERED, ","),
        (FREEWAY_ROW.replace(" ", ";"), FREEWAY_COLUMNS, ";"),
        ("\n\n" + FREEWAY_ROW, FREEWAY_COLUMNS, " "),
    ],
)
def test_files_without_header(text: str, columns: tuple[str, ...], separator: str) -> None:
    assert see(text) == Recognised(columns, separator, 0, 0)


def test_header_line_and_where_rows_begin() -> None:
    text = f"\ufeff\r\n{HEADER}\r\n{commas(FREEWAY_ROW)}\r\n"
    assert see(text) == Recognised(FREEWAY_COLUMNS, ",", 2, len(f"\ufeff\r\n{HEADER}\r\n".encode()))


def test_any_order_a_subset_and_foreign_columns() -> None:
    text = (
        ",Local_Y,Local_X,Global_Time,Note,Frame_ID,Vehicle_ID,Location\n"
        '0,35.381,16.467,1118846980200,"a, b",13,2,us-101\n'
    )
    found = see(text)
    assert found.columns == (
        None,
        "local_y",
        "local_x",
        "global_time",
        None,
        "frame_id",
        "vehicle_id",
        "location",
    )
    assert found.unknown == ("", "Note")


def test_blank_separated_header() -> None:
    found = see(f"{HEADER.replace(',', ' ')}\n{FREEWAY_ROW}\n")
    assert (found.columns, found.separator, found.header_line) == (FREEWAY_COLUMNS, " ", 1)


def test_a_damaged_first_row_does_not_hide_the_format() -> None:
    assert see(f"35.381 6451137.641\n{FREEWAY_ROW}\n{FREEWAY_ROW}\n").columns == FREEWAY_COLUMNS


def test_an_incomplete_last_line_of_the_head_is_not_judged() -> None:
    head = f"{HEADER}\n{commas(FREEWAY_ROW)}\n2,14,4"
    assert see(head, complete=False).columns == FREEWAY_COLUMNS


@pytest.mark.parametrize("text", ["", "\n \r\n\t\n", "\ufeff"])
def test_empty(text: str) -> None:
    with pytest.raises(errors.EmptySource, match=r"f\.csv: is empty \(download"):
        see(text)


def test_header_without_rows() -> None:
    with pytest.raises(errors.EmptySource, match="has a header and no rows"):
        see(HEADER + "\r\n")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
        (b"PK\x03\x04", "a zip archive or Excel workbook"),
        (b"%PDF-1.4\n", "a PDF document"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\n <html lang='en'>", "an HTML page"),
        (b"<?xml version='1.0'?>", "an XML document"),
        (b'[{"vehicle_id":"515","frame_id":"2330"}]', "a JSON document"),
        (b'{"error": true}', "a JSON document"),
        (FREEWAY_ROW.encode("utf-16"), "UTF-16 text"),
        (FREEWAY_ROW.encode("utf-16-le"), "UTF-16 text"),
        (bytes(range(256)) * 4 + b"\0" * 300, "binary data"),
        ((FREEWAY_ROW + "\r" + FREEWAY_ROW + "\r").encode(), "old Macintoshes"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"This is the readme of US-101.\nIt has two lines.\n", "without columns of numbers"),
        (b"a,b,c\n1,2,3\n", "without columns of numbers"),
        (b"frame,id,x,y,width,height\n1,1,2.5,3.5,4,2\n", "without columns of numbers"),
        (b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n", "none of its first 1 rows"),
        ((HEADER + "\n" + ",".join("x" * 18) + "\n").encode(), "none of its first 1 rows"),
        (b"x" * HEAD_BYTES, "first line does not end"),
    ],
)
def test_not_ngsim_says_what_it_is(head: bytes, found: str) -> None:
    with pytest.raises(errors.NotNgsim) as refusal:
        see(head, complete=len(head) < HEAD_BYTES)
    assert found in str(refusal.value)
    assert str(refusal.value).startswith("f.csv")
    assert "\n" not in str(refusal.value)
    assert refusal.value.fix


def test_missing_frame_id() -> None:
    with pytest.raises(errors.MissingFrameId, match=r"f\.csv: has no Frame_ID.*\(export it again"):
        see(HEADER.replace("Frame_ID,", "").replace("Total_Frames", "x") + "\n")


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(errors.MissingColumns) as refusal:
        see("Vehicle_ID,Frame_ID,Local_Y\n1,2,3\n")
    assert refusal.value.missing == ("global_time", "local_x")
    assert str(refusal.value).startswith("f.csv, row 1: the header lacks global_time, local_x")


def test_a_column_named_twice() -> None:
    with pytest.raises(errors.RepeatedColumn, match="names preceding twice: 'Preceding' and 'Pre"):
        see(f"{HEADER},Preceeding\n{commas(FREEWAY_ROW)},0\n")


def test_wrong_number_of_columns_without_header() -> None:
    short = FREEWAY_ROW.rsplit(" ", 1)[0]
    with pytest.raises(errors.WrongNumberOfColumns) as refusal:
        see(f"\n{short}\n{short}\n")
    assert str(refusal.value) == (
        "f.csv, row 2: 17 columns where 18 or 24 or 25 are expected "
        "(keep the columns as published, or add a header that names them)"
    )


def test_wrong_number_of_columns_below_a_header() -> None:
    with pytest.raises(errors.WrongNumberOfColumns, match=r"row 2: 19 columns where 18 \(as in"):
        see(f"{HEADER}\n{commas(FREEWAY_ROW)},9\n")


def test_clock_ruined_by_a_spreadsheet() -> None:
    row = commas(FREEWAY_ROW).replace("1118846980200", "1.11885E+12")
    with pytest.raises(errors.RuinedClock) as refusal:
        see(f"{HEADER}\n{row}\n{row}\n{commas(FREEWAY_ROW)}\n")
    assert str(refusal.value) == (
        "f.csv, row 2: Global_Time reads 1.11885E+12 (2 of the first 3 rows): a spreadsheet "
        "rounded it and the time is lost (take the file as downloaded, never saved by a "
        "spreadsheet)"
    )
    assert refusal.value.column == "global_time"


def test_one_ruined_clock_is_a_bad_row_only() -> None:
    row = commas(FREEWAY_ROW)
    assert see(f"{HEADER}\n{row.replace('1118846980200', '1.11885E+12')}\n{row}\n{row}\n")


def test_metric_reconstruction() -> None:
    head = "Vehicle_ID,Frame_ID,Lane_ID,Local_Y,Mean_Speed,Mean_Accel\n1,2,3,4.5,6,7\n"
    with pytest.raises(errors.MetricReconstruction, match="in metres and without clock"):
        see(head)

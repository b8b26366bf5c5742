"""Versions of the delivered files: a column more or less, renamed, elsewhere, with more digits."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway import intake, source
from ngsim_assets.highway.errors import MissingColumns, UnreadableColumn
from ngsim_assets.highway.formats import FREEWAY_COLUMNS, LAYOUTS

T0 = 1_118_846_978_900
"""Frame origin of the recording of us-101 at 07:50."""

Cells = list[list[str]]


def delivered() -> Cells:
    """Header and rows of two vehicles, as in a CSV of 2005."""
    header = list(LAYOUTS["freeway_csv"].headers)
    values = {
        "local_x": "16.467", "local_y": "35.381", "global_x": "6451137.641",
        "global_y": "1873344.962", "v_length": "14.5", "v_width": "4.9", "v_class": "2",
        "v_vel": "40", "v_acc": "0", "lane_id": "2", "preceding": "0", "following": "0",
        "space_headway": "0", "time_headway": "0", "total_frames": "3",
    }  # fmt: skip
    rows = [
        [
            {
                "vehicle_id": str(vehicle),
                "frame_id": str(frame),
                "global_time": str(T0 + 100 * frame),
                **values,
            }[name]
            for name in FREEWAY_COLUMNS
        ]
        for vehicle in (1, 2)
        for frame in (10, 11, 12)
    ]
    return [header, *rows]


def column(header: list[str], name: str) -> int:
    return [cell.lower() for cell in header].index(name)


def with_column(cells: Cells) -> Cells:
    header, *rows = cells
    return [[*header, "Weather"], *([*row, "dry"] for row in rows)]


def without(name: str) -> Callable[[Cells], Cells]:
    def change(cells: Cells) -> Cells:
        place = column(cells[0], name)
        return [row[:place] + row[place + 1 :] for row in cells]

    return change


def renamed(name: str, header: str) -> Callable[[Cells], Cells]:
    def change(cells: Cells) -> Cells:
        place = column(cells[0], name)
        first = [*cells[0]]
        first[place] = header
        return [first, *cells[1:]]

    return change


def rewritten(name: str, value: str, rows: slice = slice(None)) -> Callable[[Cells], Cells]:
    def change(cells: Cells) -> Cells:
        place = column(cells[0], name)
        lines = [[*row] for row in cells]
        for line in lines[1:][rows]:
            line[place] = value
        return lines

    return change


def reordered(cells: Cells) -> Cells:
    return [row[::-1] for row in cells]


def written(path: Path, cells: Cells) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(cells)
    return path


def taken(folder: Path, change: Callable[[Cells], Cells]) -> tuple[intake.Intake, pl.DataFrame]:
    """What is said of the file so changed, and its rows in the landing zone."""
    landing = LandingZone(folder / "landing")
    (result,) = intake.take_in(written(folder / "rows.csv", change(delivered())), landing)
    (key,) = result.keys
    return result, pl.concat(intake.delivered_rows(landing, key))


def same(cells: Cells) -> Cells:
    return cells


@pytest.mark.parametrize(
    "change",
    [reordered, renamed("vehicle_id", "Veh ID"), renamed("v_length", "vehicle-length")],
    ids=["reordered", "renamed", "renamed otherwise"],
)
def test_known_headers_in_any_order_and_spelling_are_the_same_rows(
    tmp_path: Path, change: Callable[[Cells], Cells]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert taken(tmp_path / "a", change)[1].equals(taken(tmp_path / "b", same)[1])


def test_a_column_more_is_named_wherever_the_file_is(tmp_path: Path) -> None:
    result, rows = taken(tmp_path, with_column)
    assert result.unread == ("Weather",)
    assert result.summary()["unread"] == ["Weather"]
    assert result.sentence().endswith("; not NGSIM's and not kept: Weather")
    assert rows.height == 6
    landing = LandingZone(tmp_path / "landing")
    assert [file.unread for file in landing.files()] == [("Weather",)]
    (again,) = intake.take_in(tmp_path / "rows.csv", landing)
    assert again.unread == ("Weather",)
    assert source.members(tmp_path / "rows.csv")[0].unread == ("Weather",)


def test_an_optional_column_less_is_named_and_null(tmp_path: Path) -> None:
    result, rows = taken(tmp_path, without("v_width"))
    assert result.lacking == ("v_width",)
    assert "; no values of v_width" in result.sentence()
    assert rows["v_width"].null_count() == 6
    assert taken(tmp_path, same)[0].lacking == ()  # the next version of the file has it again


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        (
            without("local_y"),
            MissingColumns,
            r"rows\.csv, row 1: the header lacks local_y \(export",
        ),
        (
            renamed("local_y", "Local_Y_ft"),
            MissingColumns,
            "lacks local_y and names Local_Y_ft, which are not NGSIM's .* give them these names",
        ),
        (
            rewritten("local_y", "2124.2274321"),
            UnreadableColumn,
            r"rows\.csv, row 2: local_y reads 2124\.2274321, .* keeps 3 decimals up to 999,999 and",
        ),
        (
            rewritten("vehicle_id", "3000000001"),
            UnreadableColumn,
            "vehicle_id reads 3000000001, .* keeps whole numbers up to 2,147,483,647 and rounds",
        ),
    ],
    ids=["missing", "renamed to no known name", "more digits", "beyond 32 bits"],
)
def test_what_would_lose_a_required_column_is_refused_by_name(
    tmp_path: Path, change: Callable[[Cells], Cells], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        taken(tmp_path, change)


@pytest.mark.parametrize("name", ["v_vel", "lane_id", "vehicle_id"])
def test_a_value_the_table_has_no_room_for_keeps_its_line_and_is_never_cut(
    tmp_path: Path, name: str
) -> None:
    _, rows = taken(tmp_path, rewritten(name, "98765432109.12345", slice(0, 1)))
    broken = rows.filter(pl.col("source_text").is_not_null())
    assert broken[name].to_list() == [None]
    assert broken["source_row"].to_list() == [2]
    assert "98765432109.12345" in broken["source_text"][0]

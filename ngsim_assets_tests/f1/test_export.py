"""Tables of a session come back from exported files as they are stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.errors import ExportUnreadable
from ngsim_assets.f1.export import Form, export, read_back
from ngsim_assets.f1.model import F1_LAPS, F1_QUARANTINE, F1_TRACK_STATUS
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.simulation.wire import write_feed
from ngsim_assets.f1.stages import TABLES, store_session
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets_tests.f1.stored import SESSION, brought_in, simulated

HARD = [
    "",
    None,
    'x"y,\n',
    "null",
    "NULL",
    " spaced ",
    "a\rb\r\n",
    "é\u2028",
    '"',
    "#c",
    "01",
    "[]",
]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> F1Platform:
    folder = tmp_path_factory.mktemp("export")
    write_feed(simulated().messages, folder / "feed")
    with (folder / "feed" / "TrackStatus.jsonStream").open("ab") as file:
        file.write(b'"quoted", and\tcut\r\n')
        file.write(b'03:00:00.000{"Status":"4"}\r\n03:05:00.000{"Status":"1"}\r\n')
    # few messages at a time, so that tables are of several files
    platform = replace(brought_in(folder / "data", folder / "feed"), chunk_messages=3)
    store_session(platform, SESSION)
    return platform


@pytest.mark.parametrize("form", ["csv", "json"])
def test_every_table_comes_back_as_it_is_stored(
    platform: F1Platform, tmp_path: Path, form: Form
) -> None:
    for name, table in TABLES.items():
        path = tmp_path / f"{name}.{form}"
        rows = platform.lake.scan(table, identity(SESSION)).collect()
        assert export(platform.lake, table, SESSION, path, form) == rows.height
        assert rows.height > 0, name
        assert read_back(path, table, form).equals(rows), name


@pytest.mark.parametrize("form", ["csv", "json"])
def test_nulls_empty_texts_and_hard_characters_come_back(tmp_path: Path, form: Form) -> None:
    count = len(HARD)
    rows = pl.DataFrame(
        {
            "session": [str(SESSION)] * count,
            "date": [SESSION.date] * count,
            "stage": ["reading"] * count,
            "table": HARD,
            "reasons": [[], None, ["a", 'b,"c'], [""], [None], ["é\n"], *[["x"]] * (count - 6)],
            "content": HARD[::-1],
            "source_file": ["f"] * count,
            "source_row": [None, *range(1, count)],
        },
        schema=F1_QUARANTINE.schema,
    )
    lake = ParquetStorage(tmp_path / "lake")
    lake.replace(F1_QUARANTINE, identity(SESSION), [rows])
    path = tmp_path / "quarantine"
    assert export(lake, F1_QUARANTINE, SESSION, path, form) == count
    assert read_back(path, F1_QUARANTINE, form).equals(rows)
    if form == "json":
        assert json.loads(path.read_bytes())[2]["reasons"] == ["a", 'b,"c']


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_table_without_rows_is_a_file_without_rows(tmp_path: Path, form: Form) -> None:
    path = tmp_path / "laps"
    assert export(ParquetStorage(tmp_path / "lake"), F1_LAPS, SESSION, path, form) == 0
    assert read_back(path, F1_LAPS, form).equals(pl.DataFrame(schema=F1_LAPS.schema))


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_is_no_export_of_the_table_is_refused(
    platform: F1Platform, tmp_path: Path, form: Form
) -> None:
    path = tmp_path / "status"
    export(platform.lake, F1_TRACK_STATUS, SESSION, path, form)
    with pytest.raises(ExportUnreadable, match="columns are not those of f1_laps"):
        read_back(path, F1_LAPS, form)
    path.write_bytes(path.read_bytes()[:-40] + b"\xff")
    with pytest.raises(ExportUnreadable):
        read_back(path, F1_TRACK_STATUS, form)
    with pytest.raises(ExportUnreadable):
        read_back(tmp_path / "absent", F1_TRACK_STATUS, form)


def test_an_export_is_whole_or_not_there(platform: F1Platform, tmp_path: Path) -> None:
    path = tmp_path / "laps.csv"
    path.write_text("before")
    commit = platform.lake.current(F1_LAPS, identity(SESSION))
    assert commit is not None
    file = platform.lake.root / "f1_laps" / commit.files[0].path
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    try:
        with pytest.raises(Exception, match="f1_laps"):
            export(platform.lake, F1_LAPS, SESSION, path, "csv")
    finally:
        file.write_bytes(content)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["laps.csv"]

"""Odd and bad files as a user hands them over: what the command answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.settings import load_settings
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.odd_files import FRAME, MORNING, ODD, TIME, driven

HEADER = (
    "Vehicle_ID,Frame_ID,Total_Frames,Global_Time,Local_X,Local_Y,Global_X,Global_Y,v_Length,"
    "v_Width,v_Class,v_Vel,v_Acc,Lane_ID,Preceding,Following,Space_Headway,Time_Headway"
)


def test_the_whole_graph_answers_where_every_row_is_refused(ngsim: Ngsim, tmp_path: Path) -> None:
    odd = ODD["only faults"]()
    rows = odd.rows.height
    write_source(odd.rows, tmp_path / "odd.csv", "export")
    out, _ = ngsim("ingest", tmp_path / "odd.csv", "--json")
    (told,) = json.loads(out)["recordings"]
    counted = ("raw", "validated", "quarantined", "cleaned", "score")
    assert [told[name] for name in counted] == [rows, 0, rows, 0, None]

    out, _ = ngsim("check", tmp_path / "odd.csv", "--json")
    (checked,) = json.loads(out)["recordings"]
    assert (checked["rows"], checked["passed"]) == (rows, 0)
    out, _ = ngsim("report", odd.key, "--json")
    assert "Every row was refused" in json.loads(out)["summary"]
    out, _ = ngsim("traffic", odd.key, "--json")
    told = json.loads(out)
    assert told["cells"] == 0
    assert told["characteristics"]["capacity"]["reason"]
    _, err = ngsim("plot", odd.key, "one-vehicle", "--output", tmp_path / "v.png")
    assert "No vehicle." in err


@pytest.mark.parametrize("milliseconds", [40, 200, 1000])
def test_frames_of_another_length_are_refused_in_one_line(
    ngsim: Ngsim, tmp_path: Path, milliseconds: int
) -> None:
    """25, 5 and 1 Hz by Global_Time, with frames counted one by one."""
    path = tmp_path / "other.txt"
    elapsed = (milliseconds - 100) * FRAME
    write_source(driven(2, 60).with_columns(global_time=TIME + elapsed), path, "text")
    for command in ("check", "ingest"):
        _, err = ngsim(command, path, code=1)
        line = err.splitlines()[0]
        assert f"its frames are {milliseconds} ms apart; those of us-101 are 100 ms" in line
    (rejected,) = LandingZone(load_settings(data=ngsim.data).landing).rejected()
    assert (rejected.path, rejected.error) == (str(path), "OtherFrameInterval")


def test_bad_files_are_told_in_a_line_each_and_do_not_stop_the_good_one(
    ngsim: Ngsim, tmp_path: Path
) -> None:
    good = tmp_path / "good.txt"
    write_source(driven(1, 20), good, "text")
    rows = good.read_bytes()
    bad = {
        "empty.txt": (b"", "is empty"),
        "blank.txt": (b" \n\n \n", "is empty"),
        "binary.txt": (bytes(range(128, 256)) * 40, "is not NGSIM trajectory data"),
        "header.csv": (HEADER.encode() + b"\r\n", "has a header and no rows"),
        "columns.csv": (b"a,b,c\n1,2,3\n", "is not NGSIM trajectory data"),
        "narrow.txt": (_without_last_column(rows), "17 columns where 18"),
        "cut.txt.gz": (gzip.compress(rows)[:-40], "is truncated or damaged"),
        "cut.zip": (b"PK\x03\x04" + bytes(200), "is truncated or damaged"),
    }
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    _, err = ngsim("register", *(tmp_path / name for name in bad), good, code=1)
    for name, (_, reason) in bad.items():
        (line,) = (line for line in err.splitlines() if f"/{name}" in line)
        assert reason in line
    assert f"{len(bad)} of {len(bad) + 1}" in err
    landing = LandingZone(load_settings(data=ngsim.data).landing)
    assert {Path(entry.path).name for entry in landing.rejected()} == set(bad)
    assert landing.partitions() == [str(MORNING)]


def _without_last_column(rows: bytes) -> bytes:
    return b"\n".join(b" ".join(line.split()[:-1]) for line in rows.splitlines())

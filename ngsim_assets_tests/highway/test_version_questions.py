"""ngsim versions and ngsim vacuum, on a recording whose raw rows were replaced and put back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ngsim_assets.highway import stages
from ngsim_assets.highway.model import RAW_TRAJECTORIES
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.storage.parquet import Provenance
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.odd_files import driven
from ngsim_assets_tests.highway.whole_path import taken_in


@pytest.fixture
def recording(ngsim: Ngsim, tmp_path: Path) -> str:
    """Key of a recording with four versions of its raw rows: all, none, all, none."""
    write_source(driven(3, 40), tmp_path / "a.txt", "text")
    platform, (key,) = taken_in(ngsim.data, tmp_path / "a.txt")
    first = stages.store_raw(platform, key)
    identity = stages.identity(key)
    platform.lake.replace(RAW_TRAJECTORIES, identity, [], Provenance("emptied"))
    platform.lake.restore(RAW_TRAJECTORIES, identity, first.version, Provenance("put back"))
    platform.lake.replace(RAW_TRAJECTORIES, identity, [], Provenance("emptied again"))
    return str(key)


def _versions(ngsim: Ngsim, *arguments: str) -> list[dict[str, object]]:
    out, _ = ngsim("versions", *arguments, "--json")
    return json.loads(out)


def test_versions_are_listed_the_newest_first(ngsim: Ngsim, recording: str) -> None:
    told = _versions(ngsim, recording)
    assert [(one["semantic"], one["change"], one["run_id"]) for one in told] == [
        ("v1.2.1", "emptied", "emptied again"),
        ("v1.2.0", "rolled back to version 1", "put back"),
        ("v1.1.1", "emptied", "emptied"),
        ("v1.1.0", "first rows", "local"),
    ]
    assert [one["live"] for one in told] == [True, False, False, False]
    out, err = ngsim("versions", recording, "--limit", "2")
    assert "v1.2.1" in out
    assert "v1.1.1" not in out
    assert "2 older ones: --limit 4" in err
    everything = _versions(ngsim, "--table", "raw_trajectories")
    assert [one["number"] for one in everything] == [4, 3, 2, 1, 0]
    assert _versions(ngsim, "--table", "traffic_state") == []


def test_vacuum_removes_what_was_asked_for_and_says_so(ngsim: Ngsim, recording: str) -> None:
    before = _use(ngsim)
    out, err = ngsim("vacuum", "--dry-run", "--keep-days", "0", "--keep-versions", "1")
    assert "would be freed" in err
    assert _use(ngsim) == before
    _, err = ngsim("vacuum")  # everything is younger than a month
    assert err.startswith("0 B freed; 30 days and 10 versions per partition are kept")
    out, _ = ngsim("vacuum", "--keep-days", "0", "--keep-versions", "1", "--json")
    (done,) = [one for one in json.loads(out) if one["files"]]
    assert (done["table"], done["versions"]) == ("raw_trajectories", [1, 3])
    assert done["bytes"] == before["history"]
    after = _use(ngsim)
    assert (after["history"], after["readable"]) == (0, 3)
    assert [one["readable"] for one in _versions(ngsim, recording)] == [True, False, True, False]
    out, _ = ngsim("versions", recording)
    assert out.count("vacuumed") == 2


def _use(ngsim: Ngsim) -> dict[str, int]:
    out, _ = ngsim("versions", "--storage", "--json")
    told = json.loads(out)
    assert set(told["not versioned"]) == {"landing", "reports"}
    return next(use for use in told["tables"] if use["table"] == "raw_trajectories")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["versions", "us-101|1999-01-01T0000"], 1, "no recording us-101|1999-01-01T0000 (known: "),
        (["versions", "us-101"], 2, "no bar between highway and recording"),
        (["versions", "--table", "points"], 2, "no table points (tables: raw_trajectories, "),
        (["vacuum", "--table", "points"], 2, "no table points (tables: raw_trajectories, "),
        (["vacuum", "--keep-versions", "0"], 2, "should be greater than or equal to 1"),
    ],
)
def test_what_there_is_not_is_said(
    ngsim: Ngsim, recording: str, arguments: list[str], code: int, complaint: str
) -> None:
    _, err = ngsim(*arguments, code=code)
    assert complaint in err


def test_one_table_that_cannot_be_vacuumed_does_not_stop_the_others(
    ngsim: Ngsim, recording: str
) -> None:
    log = ngsim.data / "lake" / "raw_trajectories" / "_delta_log"
    (log / f"{2:020}.json").write_text("{")
    _, err = ngsim("vacuum", code=1)
    assert f"{2:020}.json" in err
    assert err.rstrip().endswith("not vacuumed: raw_trajectories (the reasons are above)")

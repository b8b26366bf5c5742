"""A lake nobody can write to: questions are answered, changes refused in a line, nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.odd_files import MORNING
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import deliver, read_only


def test_a_read_only_folder_answers_and_refuses(ngsim: Ngsim, tmp_path: Path) -> None:
    path = deliver(tmp_path / "us101.csv")
    platform, (key,) = taken_in(ngsim.data, path)
    build(platform, key)
    before = values(platform, key)
    more = deliver(tmp_path / "more.csv", frames=50)
    with read_only(ngsim.data):
        out, _ = ngsim("query", "SELECT count(*) AS n FROM raw_trajectories", "--json")
        assert json.loads(out) == [{"n": before["raw_trajectories"].height}]
        out, _ = ngsim("status", "--json")
        assert json.loads(out)["recordings"][0]["recording"] == str(MORNING)
        for command in (["register", more], ["ingest", path], ["init"]):
            _, err = ngsim(*command, code=1)
            lines = [line for line in err.splitlines() if line.startswith("error: ")]
            assert "Read-only file system" in lines[0]
            assert "point NGSIM_DATA at another folder" in lines[0]
    assert values(platform, key).keys() == before.keys()
    platform, (key,) = taken_in(ngsim.data, more)
    build(platform, key)
    assert values(platform, key)["validated_points"].height == 150

"""A run that ended between two stages: what it left undone is out of date, whatever changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ngsim_assets.highway import overview, reporting, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import deliver

_STAGES: dict[str, Callable[[stages.Platform, PartitionKey], object]] = {
    "raw_trajectories": stages.store_raw,
    "validated_points": stages.store_validated,
    "cleaned_trajectories": stages.store_cleaned,
    "trajectory_segments": stages.store_segments,
    "traffic_state": stages.store_traffic_state,
    "quality_metrics": reporting.store_metrics,
}


@pytest.mark.parametrize("more", ["the same rows in fewer frames", "other rows"])
def test_what_was_left_undone_is_known(tmp_path: Path, more: str) -> None:
    """Also where cleaned points come out as they were, and only rows refused are more."""
    first = deliver(tmp_path / "first.csv", frames=40)
    # a file with some of the same rows: every point stays, and the report has more to count
    frames = 25 if more.startswith("the same") else 55
    second = deliver(tmp_path / "second.txt", frames=frames, layout="text")
    elsewhere, (key,) = taken_in(tmp_path / "elsewhere", first, second)
    expected = values(build(elsewhere, key), key)
    before, _ = taken_in(tmp_path / "before", first)
    build(before, key)
    for done in (1, 2, 3, 5):
        data = tmp_path / f"killed-after-{done}"
        shutil.copytree(tmp_path / "before", data)
        platform, _ = taken_in(data, first, second)
        for store in list(_STAGES.values())[:done]:
            store(platform, key)
        for name in overview.stale_tables(platform, key):
            if name in _STAGES:
                _STAGES[name](platform, key)
        found = values(platform, key)
        for name, rows in expected.items():
            assert rows.equals(found[name]), (done, name)

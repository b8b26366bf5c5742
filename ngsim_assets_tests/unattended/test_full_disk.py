"""A disk that ends at any place: one line that says so, the old rows, and a way on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway import model, reporting, stages
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import SmallDisk, deliver, small_disk

_MOST_PAGES = 120

pytestmark = pytest.mark.usefixtures("few_pictures")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "data") as made:
        yield made


def _until_it_fits(disk: SmallDisk, do: Callable[[], object], check: Callable[[], None]) -> int:
    """Try with one page more each time; how often the disk was full."""
    for pages in range(_MOST_PAGES):
        disk.leave(pages)
        said = _refusal(do)
        if said is None:
            disk.free()
            return pages
        assert f"no space left on the disk while writing {disk.folder}" in said
        assert "free some space" in said
        assert "\n" not in said
        if not pages % 4:
            check()
    raise AssertionError("it never fitted")


def _refusal(do: Callable[[], object]) -> str | None:
    try:
        do()
    except DiskFull as error:
        return str(error)
    return None


def test_every_stage_survives_a_full_disk_at_every_page(disk: SmallDisk, tmp_path: Path) -> None:
    """From no free page on, until the stage gets through: intake, files, commit, metrics."""
    path = deliver(tmp_path / "us101.csv", frames=40)
    platform, (key,) = taken_in(disk.folder, path)
    build(platform, key)
    before = values(platform, key)
    deliver(path, frames=60)
    elsewhere, _ = taken_in(tmp_path / "elsewhere", path)
    after = values(build(elsewhere, key), key)

    def is_whole() -> None:
        live = stages.open_platform(load_settings(data=disk.folder))
        for name, rows in values(live, key).items():
            assert rows.equals(before[name]) or rows.equals(after[name]), name
            assert live.lake.verify(model.TABLES[name]) == []

    steps: dict[str, Callable[[], object]] = {
        "intake": lambda: taken_in(disk.folder, path),
        "raw_trajectories": lambda: stages.store_raw(platform, key),
        "validated_points": lambda: stages.store_validated(platform, key),
        "cleaned_trajectories": lambda: stages.store_cleaned(platform, key),
        "trajectory_segments": lambda: stages.store_segments(platform, key),
        "traffic_state": lambda: stages.store_traffic_state(platform, key),
        "quality_metrics": lambda: reporting.store_metrics(platform, key),
    }
    full = {name: _until_it_fits(disk, step, is_whole) for name, step in steps.items()}
    assert all(tries >= 2 for tries in full.values()), full
    assert_equal(values(platform, key), after)
    assert not list(disk.folder.rglob("*.tmp"))


def assert_equal(ours: dict[str, pl.DataFrame], theirs: dict[str, pl.DataFrame]) -> None:
    assert ours.keys() == theirs.keys()
    for name, rows in ours.items():
        assert rows.equals(theirs[name]), name


def test_the_command_says_in_a_line_that_the_disk_is_full(
    disk: SmallDisk, ngsim: Ngsim, tmp_path: Path
) -> None:
    """At landing, inside a run, at the report: an exit code, a line, and the way on works."""
    path = deliver(tmp_path / "us101.csv", frames=40)
    ngsim("register", path)
    disk.leave(0)
    _, err = ngsim("register", deliver(path, frames=50), code=1)
    lines = [line for line in err.splitlines() if "no space left" in line]
    (told,) = (line for line in lines if line.startswith("error: "))
    assert "free some space" in told
    # nor is there room for what was counted, which is no reason to fail
    assert all("metrics were not kept" in line for line in lines if line is not told)

    disk.leave(10)
    _, err = ngsim("ingest", path, code=1)
    lines = [line for line in err.splitlines() if "no space left" in line.lower()]
    failed = [line for line in lines if "metrics were not kept" not in line]
    assert failed, err
    assert all("free some space" in line for line in failed)

    disk.free()
    ngsim("register", path)
    platform, (key,) = taken_in(disk.folder, path)
    assert values(build(platform, key), key)["raw_trajectories"].height == 150

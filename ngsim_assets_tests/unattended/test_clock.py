"""Clocks that were moved back: nothing is lost, nothing waits forever, nothing more is deleted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ngsim_assets.highway import incoming, model, stages
from ngsim_assets.highway.intake import Intake
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import deliver

_DAY = 86_400


def _loaded(settings: Settings) -> list[str]:
    platform = stages.open_platform(settings)
    return [
        result.name
        for result in incoming.load(platform, settings)
        if isinstance(result, Intake) and result.changed
    ]


def _dated(path: Path, days: float) -> None:
    at = time.time() + days * _DAY
    os.utime(path, (at, at))


def test_files_from_the_future_and_from_the_past_are_taken_in(tmp_path: Path) -> None:
    """Written before the clock was moved back, replaced after: new content under older times."""
    settings = load_settings(data=tmp_path / "data", settle=0.0)
    future = deliver(settings.incoming_folder / "future.csv")
    _dated(future, +400)
    first = incoming.changes(settings)
    assert first.ready == ()
    changes = incoming.changes(settings, last_seen=first.unsure)
    assert [Path(name).name for name in changes.ready] == ["future.csv"]
    assert _loaded(settings) == ["future.csv"]

    deliver(future, frames=45)
    _dated(future, -400)
    assert _loaded(settings) == ["future.csv"]
    (key,) = stages.open_platform(settings).landing.partitions()
    landing = stages.open_platform(settings).landing
    assert [delivery.rows for delivery in landing.deliveries(key)] == [3 * 45]

    # other rows in a file of the same size and time, as a clock that is set back can bring about
    state = future.stat()
    deliver(future, frames=45, seed=1)
    padding = state.st_size - future.stat().st_size
    assert abs(padding) < 200
    with future.open("ab") as file:
        file.truncate(state.st_size) if padding < 0 else file.write(b"\n" * padding)
    os.utime(future, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (future.stat().st_size, future.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    before = landing.partition_hash(key)
    assert _loaded(settings) == ["future.csv"]
    assert stages.open_platform(settings).landing.partition_hash(key) != before


def test_commits_count_by_their_order_whatever_their_clock(tmp_path: Path) -> None:
    """An earlier commit said to be of next year: the later one is live, and vacuum spares both."""
    path = deliver(tmp_path / "us101.csv")
    platform, (key,) = taken_in(tmp_path / "data", path)
    build(platform, key)
    _said_to_be_later(tmp_path / "data" / "lake", days=365)

    deliver(path, frames=50)
    platform, (key,) = taken_in(tmp_path / "data", path)
    build(platform, key)
    live = values(platform, key)
    assert live["raw_trajectories"].height == 150

    manager = DataVersionManager(platform.lake)
    for table in model.TABLES.values():
        kept = len(platform.lake.files(table))
        assert manager.vacuum(table, 30, 10, dry_run=False).files == 0
        numbers = [version.number for version in manager.versions(table)]
        assert numbers == sorted(numbers, reverse=True)
        manager.vacuum(table, 0, 1, dry_run=False)
        assert len(platform.lake.files(table)) == kept
        assert platform.lake.verify(table) == []
    fresh = stages.open_platform(load_settings(data=tmp_path / "data"))
    after = values(fresh, key)
    assert all(after[name].equals(rows) for name, rows in live.items())


def _said_to_be_later(lake: Path, days: int) -> None:
    """Have every commit so far say that it was made so many days later."""
    for entry in lake.glob("*/_delta_log/*.json"):
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] += days * _DAY * 1000
        entry.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

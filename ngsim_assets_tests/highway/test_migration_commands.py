"""`ngsim migrate` on a lake of another release: the plan, the doing, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest
from pydantic import create_model

from ngsim_assets.highway import overview, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import RAW_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.migration import migrate
from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.test_delivered_evolution import delivered, written
from ngsim_assets_tests.highway.whole_path import taken_in


def other_release(table: Table, **columns: Column) -> Table:
    """The table with some columns in another form, or more of them."""
    fields: dict[str, Any] = {
        name: (Annotated[info.annotation, *info.metadata], ...)
        for name, info in table.model.model_fields.items()
    }
    other: dict[str, Any] = {
        name: (Annotated[object | None, column], None) for name, column in columns.items()
    }
    return replace(table, model=create_model("OtherRelease", **{**fields, **other}))


@pytest.fixture
def platform(ngsim: Ngsim, tmp_path: Path) -> tuple[stages.Platform, PartitionKey]:
    """Raw and validated rows of a small file."""
    platform, (key,) = taken_in(ngsim.data, written(tmp_path / "rows.csv", delivered()))
    stages.store_raw(platform, key)
    stages.store_validated(platform, key)
    return platform, key


def test_a_lake_of_this_release_needs_nothing(ngsim: Ngsim, platform: object) -> None:
    del platform
    assert "has the columns of this release" in ngsim("migrate")[1]
    plans = json.loads(ngsim("migrate", "--dry-run", "--json")[0])
    assert not any(plan["needed"] or plan["obstacles"] for plan in plans)


def test_what_is_lossless_is_done_and_nothing_downstream_is_out_of_date(
    ngsim: Ngsim, platform: tuple[stages.Platform, PartitionKey]
) -> None:
    opened, key = platform
    stale = overview.stale_tables(opened, key)
    rows = opened.lake.scan(RAW_TRAJECTORIES).collect()
    migrate(
        opened.lake,
        other_release(
            RAW_TRAJECTORIES, lane_id=Column(pl.Int64()), local_x=Column(pl.Decimal(12, 4), "ft")
        ),
    )
    fresh = stages.open_platform(load_settings(data=ngsim.data))
    version = fresh.lake.history(RAW_TRAJECTORIES)[0].version
    out, err = ngsim("migrate", "raw_trajectories", "--dry-run")
    assert [line.split()[:2] for line in out.splitlines() if "convert" in line] == [
        ["local_x", "convert"],
        ["lane_id", "convert"],
    ]
    assert "MB to rewrite" in err
    assert fresh.lake.history(RAW_TRAJECTORIES)[0].version == version
    (told,) = json.loads(ngsim("migrate", "raw_trajectories", "--json")[0])
    assert (told["migrated"], told["rows"], told["version"]) == (True, 6, version + 1)
    assert fresh.lake.scan(RAW_TRAJECTORIES).collect().equals(rows)
    assert overview.stale_tables(fresh, key) == stale
    assert not json.loads(ngsim("migrate", "raw_trajectories", "--json")[0])[0]["migrated"]


def test_a_column_goes_only_by_name_and_a_restart_only_by_table(
    ngsim: Ngsim, platform: tuple[stages.Platform, PartitionKey]
) -> None:
    opened, key = platform
    wider = other_release(
        VALIDATED_POINTS, weather=Column(pl.String()), speed=Column(pl.Float64(), "mph")
    )
    migrate(opened.lake, wider, restart=True)
    err = ngsim("migrate", "validated_points", "--drop", "weather", code=1)[1]
    assert "mph is not m/s" in err
    assert "`ngsim migrate validated_points --restart` empties the table" in err
    assert "mph is not m/s" in ngsim("migrate", "--dry-run", code=1)[1]
    assert "cannot be dropped" in ngsim("migrate", "validated_points", "--drop", "speed", code=1)[1]
    assert "--restart without a table" in ngsim("migrate", "--restart", code=2)[1]
    assert "no table points" in ngsim("migrate", "points", code=2)[1]
    err = ngsim("migrate", "validated_points", "--restart")[1]
    assert "empty from version" in err
    fresh = stages.open_platform(load_settings(data=ngsim.data))
    assert "validated_points" in overview.stale_tables(fresh, key)
    valid, _ = stages.store_validated(fresh, key)
    assert valid.rows > 0

"""`ngsim traffic`: any grid of what is stored, and one-line errors for what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway import stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, TRAFFIC_STATE, VALIDATED_POINTS
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.parquet import Provenance
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway import newell

KEY = "us-101|2005-06-15T0750"
Traffic = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with cleaned and validated points of congested traffic on two lanes."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NGSIM_DATA", str(folder))
        platform = stages.open_platform(load_settings())
    leader = newell.stop_and_go_leader(600.0, 12.0, seed=1)
    points = newell.traffic(leader, wave=4.0, spacing=7.0, lanes=2, noise=0.2)
    key = stages.identity(PartitionKey.parse(KEY))
    provenance = Provenance(run_id="test", code_version="1")
    platform.lake.replace(VALIDATED_POINTS, key, [points], provenance)
    cleaned = points.with_columns(
        *(pl.lit(0.0).alias(name) for name in ("jerk", "speed", "acceleration")),
        *(pl.col(f"{name}_position").alias(f"{name}_raw") for name in ("x", "y")),
        *(
            pl.lit(0.0).alias(f"{kind}_{axis}")
            for kind in ("velocity", "acceleration")
            for axis in "xy"
        ),
        pl.lit("observed").alias("state"),
    )
    platform.lake.replace(
        CLEANED_TRAJECTORIES,
        key,
        [
            cleaned.select(
                (pl.col(name) if name in cleaned.columns else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in CLEANED_TRAJECTORIES.schema.items()
            )
        ],
        provenance,
    )
    return folder


@pytest.fixture
def traffic(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Traffic:
    return partial(Ngsim(data, monkeypatch, capsys), "traffic")


def test_characteristics_of_the_traffic_are_told(traffic: Traffic) -> None:
    told = json.loads(traffic(KEY, "--json")[0])
    assert told["grid"] == {"duration": 30.0, "cell_length": 50.0, "gap": 2.0}
    assert [row["lane_id"] for row in told["lanes"]] == [1, 2]
    found = told["characteristics"]
    assert found["wave_speed"]["speed"] == pytest.approx(-4.0, rel=0.05)
    assert found["jam_density"]["value"] == pytest.approx(1000.0 / 7.0, rel=0.05)
    assert found["capacity"]["low"] < found["capacity"]["value"] < found["capacity"]["high"]
    assert found["free_speed"]["reason"]
    out, _ = traffic(KEY)
    assert "wave speed" in out
    assert "km/h" in out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_cells_of_any_grid_are_written(traffic: Traffic, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cells.{ending}"
    grid = ("--duration", 7.5, "--cell-length", 33)
    _, err = traffic(KEY, *grid, "--lane", 2, "--stage", "validated", "--output", path)
    cells = pl.read_parquet(path) if ending == "parquet" else pl.read_csv(path)
    assert f"{cells.height:,} cells" in err
    assert cells.columns == list(TRAFFIC_STATE.columns)
    assert set(cells["lane_id"]) == {2}
    assert set(cells["duration"]) == {7.5}
    assert set(cells["cell_length"]) == {33.0}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((KEY, "--lane", 7), 1, "lanes: 1, 2"),
        ((KEY, "--duration", 0), 2, "at least 0.001"),
        ((KEY, "--duration", 0.01, "--cell-length", 0.01), 1, "longer duration"),
        ((KEY, "--output", "cells.xlsx"), 2, ".csv or .parquet"),
        (("us-101|2005-06-15T0805",), 1, "no recording"),
        (("us-101",), 2, "key"),
    ],
)
def test_mistakes_get_one_line(
    traffic: Traffic, arguments: tuple[object, ...], code: int, said: str
) -> None:
    _, err = traffic(*arguments, code=code)
    assert said in err
    assert "Traceback" not in err

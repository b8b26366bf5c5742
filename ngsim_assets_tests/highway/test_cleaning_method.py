"""The cleaning method as a setting: every method builds every table of a recording."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ngsim_assets.definitions import BUILD_RECORDING, build_definitions
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import checks, intake, model, overview, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reconstruction.methods import METHODS
from ngsim_assets.highway.resources import HighwayPlatform, register
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.settings import load_settings

KEY = PartitionKey("us-101", "2005-06-15T0750")
BUILT = [
    model.RAW_TRAJECTORIES,
    model.VALIDATED_POINTS,
    model.QUARANTINE,
    model.CLEANED_TRAJECTORIES,
    model.TRAJECTORY_SEGMENTS,
    model.TRAFFIC_STATE,
]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen seconds of simulated traffic as a text file."""
    path = tmp_path_factory.mktemp("delivered") / "trajectories-0750am-0805am.txt"
    write_source(simulate(Scenario(minutes=0.25, seed=5)).recording, path, "text")
    return path


def _built(data: Path, delivered: Path) -> dg.ExecuteInProcessResult:
    """The graph without its report run on `delivered`, with the settings of the environment."""
    platform = stages.open_platform(load_settings(data=data))
    intake.take_in(delivered, platform.landing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        definitions = build_definitions(resources={"platform": HighwayPlatform(data=str(data))})
        with dg.DagsterInstance.ephemeral() as instance:
            register(instance, KEY, platform.landing.partition_hash(str(KEY)), 1)
            return definitions.resolve_job_def(BUILD_RECORDING).execute_in_process(
                instance=instance,
                partition_key=str(KEY),
                raise_on_error=False,
                asset_selection=[dg.AssetKey(table.name) for table in BUILT],
            )


def test_the_default_needs_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NGSIM_CLEANING_METHOD", raising=False)
    platform = stages.open_platform(load_settings(data=tmp_path))
    assert platform.cleaning.method == next(iter(METHODS.values()))()


def test_a_wrong_name_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NGSIM_CLEANING_METHOD", "spline")
    with pytest.raises(NgsimAssetsError, match=r"'spline'.*kalman_rts"):
        stages.open_platform(load_settings(data=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_the_graph_goes_on_with_a_method_whose_velocities_are_its_own(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a method does not claim refuses nothing; what all have to keep is checked as before."""
    monkeypatch.setenv("NGSIM_CLEANING_METHOD", "moving_average")
    result = _built(tmp_path, delivered)
    assert result.success
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    integrates = found["velocity_integrates_to_position"]
    assert integrates.passed
    assert "(moving_average); does not apply" in (integrates.description or "")
    assert {name for name, check in found.items() if not check.passed} <= {
        "acceleration_within_limits"
    }
    platform = stages.open_platform(load_settings(data=tmp_path))
    assert overview.stale_tables(platform, KEY) == [model.QUALITY_METRICS.name]


@pytest.mark.parametrize("label", list(METHODS))
def test_tables_hold_what_each_method_makes_and_its_name(
    label: str, delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_CLEANING_METHOD", label)
    platform = stages.open_platform(load_settings(data=tmp_path))
    intake.take_in(delivered, platform.landing)
    for store in (
        stages.store_raw,
        stages.store_validated,
        stages.store_cleaned,
        stages.store_segments,
        stages.store_traffic_state,
    ):
        store(platform, KEY)
    points = platform.lake.scan(model.CLEANED_TRAJECTORIES, stages.identity(KEY)).collect()
    assert points.height == stages.built(platform, model.VALIDATED_POINTS, KEY).rows
    seen_once = points.filter(pl.len().over("vehicle_id") == 1)
    assert points["velocity_y"].null_count() == seen_once.height

    integrates = checks.velocity_integrates_to_position(platform, KEY)
    assert integrates.applies == METHODS[label]().differential
    assert integrates.passed or not integrates.applies
    segments = platform.lake.scan(model.TRAJECTORY_SEGMENTS, stages.identity(KEY)).collect()
    recorded = segments["metadata"].str.json_path_match("$.method")
    assert recorded.unique().to_list() == [label]


def test_another_method_makes_what_hangs_on_it_out_of_date(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NGSIM_CLEANING_METHOD", raising=False)
    platform = stages.open_platform(load_settings(data=tmp_path))
    intake.take_in(delivered, platform.landing)
    stages.store_raw(platform, KEY)
    stages.store_validated(platform, KEY)
    stages.store_cleaned(platform, KEY)
    assert model.CLEANED_TRAJECTORIES.name not in overview.stale_tables(platform, KEY)
    monkeypatch.setenv("NGSIM_CLEANING_METHOD", "savitzky_golay")
    other = stages.open_platform(load_settings(data=tmp_path))
    stale = overview.stale_tables(other, KEY)
    assert model.CLEANED_TRAJECTORIES.name in stale
    assert model.VALIDATED_POINTS.name not in stale

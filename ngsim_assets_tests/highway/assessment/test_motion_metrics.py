"""Metrics of motion have the values that were worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ngsim_assets_tests.highway.assessment.measured import measured, value
from ngsim_assets_tests.highway.driven import drifting
from ngsim_assets_tests.highway.sample_recordings import Sample, sample_recording


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(vehicles_per_lane=4, lanes=2, minutes=1.5)


def _with(table: pl.DataFrame, **columns: np.ndarray) -> pl.DataFrame:
    return table.with_columns(pl.Series(name, array) for name, array in columns.items())


def test_quantiles_of_speed_and_acceleration(sample: Sample) -> None:
    ramp = np.linspace(0, 20, sample.validated.height)
    metrics = measured(
        sample, validated=_with(sample.validated, speed=ramp, acceleration=ramp - 10)
    )
    for share in (5, 15, 50, 85, 95):
        assert value(metrics, f"speed_p{share}", "validated") == pytest.approx(share / 5, abs=1e-4)
    for share in (1, 5, 50, 95, 99):
        found = value(metrics, f"acceleration_p{share}", "validated")
        assert found == pytest.approx(share / 5 - 10, abs=1e-4)
    assert value(metrics, "speed_std", "validated") == pytest.approx(20 / math.sqrt(12), rel=1e-3)
    assert value(metrics, "acceleration_over_5", "validated") == pytest.approx(25, abs=0.1)
    assert value(metrics, "deceleration_over_6", "validated") == pytest.approx(20, abs=0.1)


def test_power_above_one_hertz(sample: Sample) -> None:
    """0.5 Hz with amplitude 3 and 2 Hz with amplitude 1: a tenth of the variance is fast."""
    t = sample.validated["frame"].to_numpy() / 10
    wave = 10 + 3 * np.sin(np.pi * t) + np.sin(4 * np.pi * t)
    metrics = measured(sample, validated=_with(sample.validated, speed=wave, acceleration=wave))
    for metric in ("speed_power_over_1hz", "acceleration_power_over_1hz"):
        assert value(metrics, metric, "validated") == pytest.approx(10, abs=0.3)
        assert value(metrics, metric) < 1


def test_jerk_of_trajectories_and_of_samples(sample: Sample) -> None:
    """One vehicle brakes and lets go every second frame: 50 m/s³ up and down."""
    vehicle, frame = (sample.validated[name].to_numpy() for name in ("vehicle_id", "frame"))
    shaking = np.where((vehicle == 1) & (frame % 2 == 0), 5.0, 0.0)
    metrics = measured(sample, validated=_with(sample.validated, acceleration=shaking))
    lengths = np.bincount(vehicle)[1:]
    long = lengths >= 100
    assert long[0]
    samples = lengths - 1
    assert value(metrics, "jerk_over_15", "validated") == pytest.approx(
        100 * samples[0] / samples[long].sum()
    )
    mean = 100 / long.sum()
    for metric in (
        "jerk_over_15_trajectory_mean",
        "trajectories_jerk_over_15",
        "jerk_sign_inversions_trajectory_mean",
    ):
        assert value(metrics, metric, "validated") == pytest.approx(mean)
    assert value(metrics, "jerk_largest", "validated") == pytest.approx(50)


def test_clipped_accelerations_are_those_of_the_site(sample: Sample) -> None:
    """11.2 ft/s², delivered to 0.01 ft/s²: 11.19 is not the clip."""
    delivered = np.resize([11.2, -11.2, 11.19, 3.0], sample.validated.height) * 0.3048
    metrics = measured(sample, validated=_with(sample.validated, acceleration=delivered))
    assert value(metrics, "acceleration_clipped", "validated") == pytest.approx(50, abs=0.1)


def test_residuals_remember_what_errors_do(sample: Sample) -> None:
    """Along: forgotten within a second; across: noise. Repaired points are left out."""
    cleaned = sample.cleaned
    along = np.concatenate(
        [
            drifting(part.height, seed, 0.2, 1.0)
            for seed, part in enumerate(cleaned.partition_by("vehicle_id"))
        ]
    )
    across = np.random.default_rng(1).normal(0, 0.1, cleaned.height)
    cleaned = _with(
        cleaned,
        y_raw=cleaned["y_position"].to_numpy() - along,
        x_raw=cleaned["x_position"].to_numpy() - across,
    )
    wild = cleaned["frame"] % 50 == 0
    cleaned = cleaned.with_columns(
        state=pl.when(wild).then(pl.lit("repaired")).otherwise("state"),
        y_raw=pl.when(wild).then(pl.col("y_raw") - 30).otherwise("y_raw"),
    )
    metrics = measured(sample, cleaned=cleaned)
    assert value(metrics, "residual_along_correlation_0_1s") == pytest.approx(
        math.exp(-0.1), abs=0.03
    )
    assert value(metrics, "residual_along_correlation_1_0s") == pytest.approx(
        math.exp(-1), abs=0.12
    )
    assert value(metrics, "residual_along_memory") == pytest.approx(1.0, abs=0.35)
    assert value(metrics, "residual_along_largest") < 1.0
    assert value(metrics, "repair_along_rmse") == pytest.approx(30, abs=0.2)
    assert value(metrics, "repair_along_largest") == pytest.approx(30, abs=1.0)
    assert abs(value(metrics, "residual_across_correlation_0_1s")) < 0.05
    assert value(metrics, "residual_across_memory") == pytest.approx(0.1)

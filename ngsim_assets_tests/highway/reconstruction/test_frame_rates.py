"""Other intervals between frames than a tenth of a second."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.clean import clean, reconstruct
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.sites import US_101, Site
from ngsim_assets_tests.highway import driven

FOOT = 0.3048


def _site(frame_ms: int) -> Site:
    return replace(US_101, clock=replace(US_101.clock, frame_ms=frame_ms))


def _rms(values: pl.Series | np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.asarray(values) ** 2)))


@cache
def _each_second() -> pl.DataFrame:
    """Every tenth frame of a simulated recording, its truth beside it."""
    made = simulate(Scenario(minutes=1.0, congestion="congested", noise="ngsim", seed=4))
    rows = made.recording.select(
        "vehicle_id",
        frame="frame_id",
        x_position=pl.col("local_x") * FOOT / 1000,
        y_position=pl.col("local_y") * FOOT / 1000,
    )
    truth = made.truth.select("speed", "acceleration")
    return pl.concat([rows, truth], how="horizontal").filter(pl.col("frame") % 10 == 0)


def _inside(rows: pl.DataFrame, column: str, differences: int) -> pl.Series:
    """Raw motion from positions a second apart, null at both ends of a track."""
    y = pl.col("y_position")
    ahead, behind = y.shift(-1), y.shift(1)
    motion = (ahead - behind) / 2.0 if differences == 1 else ahead - 2.0 * y + behind
    return rows.select((motion.over("vehicle_id") - pl.col(column)).alias("error")).to_series()


@pytest.mark.parametrize("frame_ms", [100, 1000])
def test_one_frame_a_second(frame_ms: int) -> None:
    """Said to be every tenth of ten a second, or one a second."""
    rows = _each_second()
    frame = pl.col("frame") if frame_ms == 100 else pl.col("frame") // 10
    asked = rows.with_columns(frame.cast(pl.Int32).alias("frame"))
    out = reconstruct(asked.lazy(), _site(frame_ms)).collect()
    seen = asked.join(
        out.select("vehicle_id", "frame", "velocity_y", "acceleration_y"),
        on=["vehicle_id", "frame"],
        maintain_order="left",
    )
    assert seen.height == rows.height
    for ours, theirs, differences, share in (
        ("velocity_y", "speed", 1, 0.9),
        ("acceleration_y", "acceleration", 2, 0.5),
    ):
        raw = _inside(rows, theirs, differences)
        inside = raw.is_not_null()
        error = (seen[ours] - seen[theirs]).filter(inside)
        assert _rms(error) < share * _rms(raw.drop_nulls())
    assert (out["state"] == "repaired").mean() < 0.01  # type: ignore[operator]
    assert (out.height == rows.height) == (frame_ms == 1000)


@pytest.mark.parametrize(("frame_ms", "speed"), [(40, 0.15), (50, 0.15), (200, 0.4), (500, 0.7)])
def test_speeds_come_out_whatever_the_interval(frame_ms: int, speed: float) -> None:
    seconds = frame_ms / 1000.0
    random = np.random.default_rng(2)
    every = np.arange(0.0, 59.0, seconds)
    parts, truth = [], []
    for k in range(8):
        y = driven.stop_and_go(600, k, stops=k % 2 == 0)
        at = np.interp(every, 0.1 * np.arange(600), y)
        truth.append(np.interp(every, 0.1 * np.arange(600), driven.speed_of(y)))
        parts.append(driven.narrow(k + 1, at + 0.15 * random.standard_normal(len(at))))
    rows = pl.concat(parts)
    out = reconstruct(rows.lazy(), _site(frame_ms)).collect()
    raw = [driven.speed_of(part["y_position"].to_numpy()) * 0.1 / seconds for part in parts]
    actual = np.concatenate(truth)
    error = _rms(out["velocity_y"].to_numpy() - actual)
    assert error < speed * _rms(np.concatenate(raw) - actual)
    assert out["velocity_y"].min() >= 0.0  # type: ignore[operator]
    assert out["jerk"].abs().max() <= 15.0  # type: ignore[operator]
    y, v, a = (out[k].to_numpy() for k in ("y_position", "velocity_y", "acceleration_y"))
    inner = np.flatnonzero(np.diff(out["vehicle_id"].to_numpy()) == 0)
    stepped = y[:-1] + seconds * v[:-1] + seconds**2 / 2.0 * a[:-1]
    np.testing.assert_allclose(stepped[inner], y[1:][inner], atol=1e-9)


@pytest.mark.parametrize("frame_ms", [40, 1000, 2000])
def test_spikes_go_and_gaps_are_in_seconds(frame_ms: int) -> None:
    frames = 60
    y = 8.0 * np.arange(frames) * frame_ms / 1000.0
    rows = driven.narrow(1, y).filter(~pl.col("frame").is_in([120, 130]))
    spiked = rows.with_columns(
        y_position=pl.when(pl.col("frame") == 140)
        .then(pl.col("y_position") + 9.0)
        .otherwise("y_position")
    )
    out = clean(driven.points(spiked).lazy(), _site(frame_ms)).collect()
    missing = 2 * frame_ms / 1000.0 > 2.0
    assert out.height == (frames - 2 if missing else frames)
    inside = out.filter(pl.col("state") != "imputed")
    assert inside.filter(pl.col("state") == "repaired")["frame"].to_list() == [140]
    np.testing.assert_allclose(out["velocity_y"], 8.0, atol=0.3)

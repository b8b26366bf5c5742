"""What every method of reconstruction has to do, whichever is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.clean import CleaningParameters
from ngsim_assets.highway.reconstruction.filters import Impute, Smooth, with_motion
from ngsim_assets.highway.reconstruction.methods import METHODS, method_named
from ngsim_assets.highway.reconstruction.smoothing import MOTION, Method, MotionLimits
from ngsim_assets_tests.highway import driven

Floats = NDArray[np.float64]

PEERS = [label for label in METHODS if label != "robust_whittaker"]
every_method = pytest.mark.parametrize("label", list(METHODS))
every_peer = pytest.mark.parametrize("label", PEERS)
seeds = st.integers(0, 2**31)


def smoothed(
    method: Method, rows: pl.DataFrame, limits: MotionLimits | None = None
) -> pl.DataFrame:
    """`rows` smoothed as a LazyFrame, with no other filter before it."""
    return Smooth(method, limits or MotionLimits())(rows.lazy()).collect()


def noisy(frames: int, seed: int = 0, sigma: float = 0.15) -> Floats:
    """A track that stops and goes, with white noise."""
    return driven.stop_and_go(frames, seed) + sigma * np.random.default_rng(
        seed + 1
    ).standard_normal(frames)


def rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


# the choice


def test_the_default_comes_first_and_labels_are_the_names() -> None:
    assert next(iter(METHODS)) == CleaningParameters().method.label
    for name, kind in METHODS.items():
        assert method_named(name).label == name
        assert method_named(name) == kind()


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(NgsimAssetsError, match="kalman") as caught:
        method_named("kalman")
    assert caught.value.exit_code == 2
    for name in METHODS:
        assert name in caught.value.fix


@every_method
def test_methods_are_records_of_their_parameters(label: str) -> None:
    method = method_named(label)
    described = Smooth(method).describe()["method"]
    assert described == asdict(method)  # type: ignore[call-overload]
    assert described["label"] == label
    with pytest.raises(FrozenInstanceError):
        method.label = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("label", "parameters"),
    [
        ("savitzky_golay", {"window": 0.0}),
        ("savitzky_golay", {"order": 0}),
        ("kalman_rts", {"position_error": 0.0}),
        ("kalman_rts", {"acceleration": -1.0}),
        ("kalman_rts", {"duration": 0.0}),
        ("butterworth", {"cutoff": 0.0}),
        ("butterworth", {"order": 0}),
    ],
)
def test_parameters_that_mean_nothing_are_refused(label: str, parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        METHODS[label](**parameters)


# the motion


@every_method
def test_motion_is_the_differences_of_the_positions_where_a_method_says_so(label: str) -> None:
    method = method_named(label)
    out = smoothed(method, driven.narrow(1, noisy(300)))
    differences = with_motion(out.drop(*MOTION[2:], "speed", "acceleration"), 0.1)
    same = {
        name: np.allclose(out[name].to_numpy(), differences[name].to_numpy(), atol=1e-9)
        for name in ("velocity_y", "acceleration_y")
    }
    assert same == dict.fromkeys(same, method.differential)


@every_method
def test_lengths_and_jerk_belong_to_the_components(label: str) -> None:
    rows = driven.narrow(1, noisy(200), x=noisy(200, 5))
    out = smoothed(method_named(label), rows)
    speed = np.hypot(out["velocity_x"].to_numpy(), out["velocity_y"].to_numpy())
    np.testing.assert_allclose(out["speed"].to_numpy(), speed, rtol=1e-12)
    steps = np.diff(out["acceleration_y"].to_numpy()) / 0.1
    np.testing.assert_allclose(out["jerk"].to_numpy()[:-1], steps, atol=1e-9)


@every_peer
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 20, 21, 22, 90])
def test_steady_motion_is_reproduced_to_the_ends(label: str, frames: int) -> None:
    y = 412.0 + 2.7 * np.arange(frames)
    out = smoothed(method_named(label), driven.narrow(1, y, x=5.0 - 0.02 * np.arange(frames)))
    speed = 27.0 if frames > 1 else 0.0
    np.testing.assert_allclose(out["y_position"].to_numpy(), y, atol=2e-4)
    np.testing.assert_allclose(out["velocity_y"].to_numpy(), speed, atol=2e-3)
    np.testing.assert_allclose(out["acceleration_y"].to_numpy(), 0.0, atol=2e-3)


@every_method
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 40, 300])
def test_what_stands_stands(label: str, frames: int) -> None:
    out = smoothed(method_named(label), driven.narrow(1, np.full(frames, 123.456)))
    motion = out.select(*MOTION[2:], "speed", "acceleration")
    assert motion.to_numpy().tolist() == np.zeros(motion.shape).tolist()
    assert out["y_position"].n_unique() == 1
    np.testing.assert_allclose(out["y_position"].to_numpy(), 123.456, atol=1e-5)


@every_peer
def test_noise_of_known_size_shrinks(label: str) -> None:
    """Of steady motion, so that nothing but noise is left, away from ends."""
    noise = 0.15 * np.random.default_rng(3).standard_normal((8, 500))
    y = 12.0 * np.arange(500) * 0.1
    out = smoothed(
        method_named(label), pl.concat(driven.narrow(i, y + noise[i]) for i in range(8))
    ).filter(pl.col("frame").is_between(100 + 60, 100 + 440))
    assert rms(out["y_position"].to_numpy() - 1.2 * (out["frame"].to_numpy() - 100)) < 0.5 * 0.15
    # central and second differences of white noise are sigma / 0.14 s and 2.45 sigma / 0.01 s²
    assert rms(out["velocity_y"].to_numpy() - 12.0) < 0.3 * 0.15 / (np.sqrt(2.0) * 0.1)
    assert rms(out["acceleration_y"].to_numpy()) < 0.1 * 0.15 * np.sqrt(6.0) / 0.01


@every_peer
def test_it_does_not_matter_where_a_track_is(label: str) -> None:
    here = smoothed(method_named(label), driven.narrow(1, noisy(150)))
    there = smoothed(method_named(label), driven.narrow(1, noisy(150) + 512.0))
    moved = there["y_position"].to_numpy() - 512.0
    np.testing.assert_allclose(moved, here["y_position"].to_numpy(), atol=1e-5)
    for name in MOTION[2:6]:
        np.testing.assert_allclose(there[name].to_numpy(), here[name].to_numpy(), atol=1e-2)


@pytest.mark.parametrize("label", ["moving_average", "savitzky_golay", "butterworth"])
def test_time_reversed_is_motion_reversed(label: str) -> None:
    y = noisy(180, 4)
    method = method_named(label)
    forth = smoothed(method, driven.narrow(1, y))["y_position"].to_numpy()
    back = smoothed(method, driven.narrow(1, y[::-1].copy()))["y_position"].to_numpy()
    np.testing.assert_allclose(back[::-1], forth, atol=1e-4)


# stretches


@every_method
def test_threads_and_company_do_not_matter(label: str) -> None:
    method = method_named(label)
    rows = pl.concat(driven.narrow(i, noisy(3 + 37 * i, i)) for i in range(12))
    whole = Smooth(method).apply(rows, threads=1)
    for threads in (2, 5, 12, 40):
        assert Smooth(method).apply(rows, threads).equals(whole)
    alone = [smoothed(method, part) for part in rows.partition_by("vehicle_id")]
    assert pl.concat(alone).equals(whole)


@every_method
def test_open_gaps_part_a_track(label: str) -> None:
    method = method_named(label)
    rows = driven.narrow(1, noisy(200)).filter(~pl.col("frame").is_between(180, 240))
    before = smoothed(method, rows.filter(pl.col("frame") < 180))
    after = smoothed(method, rows.filter(pl.col("frame") > 240))
    assert smoothed(method, rows).equals(pl.concat([before, after]))


@every_method
def test_filled_gaps_are_driven_through(label: str) -> None:
    y = 20.0 + 1.2 * np.arange(200)
    rows = driven.narrow(1, y).filter(~pl.col("frame").is_between(180, 195))
    out = (Impute() | Smooth(method_named(label)))(rows.lazy()).collect()
    assert out.height == 200
    np.testing.assert_allclose(out["y_position"].to_numpy(), y, atol=1e-3)
    assert out["state"].value_counts().sort("count")["count"].to_list() == [16, 184]


@every_peer
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_whatever_comes_in_comes_out_finite(label: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 70))
    y = np.cumsum(random.normal(1.0, random.choice([0.0, 0.01, 1.0, 30.0]), n))
    y[random.random(n) < 0.1] += random.choice([-500.0, 3.0, 1e6])
    hidden = random.random(n) < random.choice([0.0, 0.3, 0.9])
    hidden[random.integers(n)] = False
    rows = pl.DataFrame(
        {
            "vehicle_id": np.sort(random.integers(1, 4, n)).astype(np.int32),
            "frame": np.cumsum(random.choice([1, 1, 1, 2, 9], n)).astype(np.int32),
            "x_position": random.normal(0.0, 1.0, n),
            "y_position": pl.Series(y).set(pl.Series(hidden), None),
        }
    )
    seen = rows.group_by("vehicle_id").agg(pl.col("y_position").count() > 0)
    rows = rows.join(seen.filter("y_position").select("vehicle_id"), on="vehicle_id")
    limits = MotionLimits(seconds=float(random.choice([0.04, 0.1, 1.0])))
    runs = (pl.col("frame").diff().over("vehicle_id") != 1).fill_null(value=True).cum_sum()
    whole = rows.filter((pl.col("y_position").count() > 0).over(runs))
    out = smoothed(method_named(label), whole, limits)
    motion = out.select(*MOTION, "speed", "acceleration")
    assert motion.select(pl.all().is_finite().all()).row(0) == (True,) * motion.width
    assert out.height == whole.height


@every_method
def test_a_vehicle_never_seen_spoils_no_other(label: str) -> None:
    rows = driven.narrow(1, noisy(80))
    ghost = driven.narrow(2, np.full(30, np.nan), x=np.nan)
    method = method_named(label)
    out = smoothed(method, pl.concat([rows, ghost]))
    assert out.filter(pl.col("vehicle_id") == 1).equals(smoothed(method, rows))
    assert out.filter(pl.col("vehicle_id") == 2)["y_position"].is_nan().all()


# frame rates


@every_peer
@pytest.mark.parametrize("seconds", [0.02, 0.04, 0.1, 1.0])
def test_widths_are_seconds_at_every_frame_rate(label: str, seconds: float) -> None:
    """A slow sway is kept, whatever the frames; positions are the same to centimetres."""
    t = np.arange(0.0, 60.0, seconds)
    sway: Callable[[Floats], Floats] = lambda at: 15.0 * at + 10.0 * np.sin(2 * np.pi * at / 30.0)  # noqa: E731
    out = smoothed(method_named(label), driven.narrow(1, sway(t)), MotionLimits(seconds=seconds))
    inside = slice(round(15.0 / seconds), round(45.0 / seconds))
    speed = 15.0 + 10.0 * np.pi / 15.0 * np.cos(2 * np.pi * t / 30.0)
    np.testing.assert_allclose(out["y_position"].to_numpy()[inside], sway(t)[inside], atol=0.2)
    np.testing.assert_allclose(out["velocity_y"].to_numpy()[inside], speed[inside], atol=0.2)

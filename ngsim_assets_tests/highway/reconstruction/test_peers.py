"""The peers of the default against independent computations: scipy, dense algebra, the papers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from ngsim_assets.highway.reconstruction.butterworth import Butterworth, sections
from ngsim_assets.highway.reconstruction.filters import Impute, Outliers, Smooth
from ngsim_assets.highway.reconstruction.kalman import KalmanRTS
from ngsim_assets.highway.reconstruction.moving_average import MovingAverage
from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.savitzky_golay import SavitzkyGolay
from ngsim_assets.highway.reconstruction.smoothing import Method, MotionLimits
from ngsim_assets_tests.highway import driven

Floats = NDArray[np.float64]
seeds = st.integers(0, 2**31)


def _track(frames: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    return 300.0 + np.cumsum(random.normal(1.0, 0.3, frames))


def _smoothed(method: Method, y: Floats, seconds: float = 0.1) -> dict[str, Floats]:
    out = Smooth(method, MotionLimits(seconds=seconds))(driven.narrow(1, y).lazy()).collect()
    return {
        "position": out["y_position"].to_numpy(),
        "velocity": out["velocity_y"].to_numpy(),
        "acceleration": out["acceleration_y"].to_numpy(),
    }


# Savitzky-Golay


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(21, 120), st.sampled_from([1, 2, 3, 4, 5]))
def test_savitzky_golay_agrees_with_scipy(seed: int, frames: int, order: int) -> None:
    y = _track(frames, seed)
    out = _smoothed(SavitzkyGolay(order=order), y)
    for derivative, name in enumerate(("position", "velocity", "acceleration")):
        expected = signal.savgol_filter(y, 21, order, deriv=derivative, delta=0.1)
        np.testing.assert_allclose(out[name], expected, atol=GRID if derivative == 0 else 1e-8)


@pytest.mark.parametrize(("window", "seconds", "frames"), [(1.0, 0.1, 11), (2.0, 0.04, 51)])
def test_savitzky_golay_takes_its_window_in_seconds(
    window: float, seconds: float, frames: int
) -> None:
    y = _track(200, 1)
    out = _smoothed(SavitzkyGolay(window), y, seconds)
    expected = signal.savgol_filter(y, frames, 3, deriv=2, delta=seconds)
    np.testing.assert_allclose(out["acceleration"], expected, atol=1e-7)


@pytest.mark.parametrize("frames", [7, 8, 20, 21, 22, 100])
def test_savitzky_golay_reproduces_cubics_to_the_ends(frames: int) -> None:
    t = 0.1 * np.arange(frames)
    out = _smoothed(SavitzkyGolay(), 5.0 + 8.0 * t + 0.7 * t**2 - 0.1 * t**3)
    np.testing.assert_allclose(out["velocity"], 8.0 + 1.4 * t - 0.3 * t**2, atol=1e-9)
    np.testing.assert_allclose(out["acceleration"], 1.4 - 0.6 * t, atol=1e-8)


@pytest.mark.parametrize(("frames", "degree"), [(2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (13, 3)])
def test_short_stretches_are_one_polynomial(frames: int, degree: int) -> None:
    y = _track(frames, frames)
    t = 0.1 * np.arange(frames)
    fit = np.polynomial.Polynomial.fit(t, y, degree)
    out = _smoothed(SavitzkyGolay(), y)
    np.testing.assert_allclose(out["position"], fit(t), atol=GRID)
    np.testing.assert_allclose(out["velocity"], fit.deriv()(t), atol=1e-8)
    np.testing.assert_allclose(out["acceleration"], fit.deriv(2)(t), atol=1e-6)


# Butterworth


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("cutoff", "seconds"), [(1.0, 0.1), (0.5, 0.1), (1.0, 0.04), (4.9, 0.1)])
def test_the_sections_are_those_of_scipy(order: int, cutoff: float, seconds: float) -> None:
    made = sections(order, cutoff, seconds)
    frequency = np.linspace(0.0, 0.5 / seconds, 50)
    ours = np.ones(50, dtype=complex)
    for b0, b1, b2, a1, a2 in made:
        ours *= signal.freqz([b0, b1, b2], [1.0, a1, a2], frequency, fs=1.0 / seconds)[1]
    theirs = signal.freqz(*signal.butter(order, cutoff, fs=1.0 / seconds), frequency,
                          fs=1.0 / seconds)[1]  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(35, 200), st.sampled_from([1, 2, 3, 4]))
def test_butterworth_agrees_with_scipy(seed: int, frames: int, order: int) -> None:
    """filtfilt with the same reflection, once what steady motion starts it with is out of it."""
    y = _track(frames, seed)
    line = np.linspace(y[0], y[-1], frames)
    b, a = signal.butter(order, 1.0, fs=10.0)
    expected = line + signal.filtfilt(b, a, y - line, padlen=30)
    out = _smoothed(Butterworth(order), y)
    np.testing.assert_allclose(out["position"], expected, atol=1e-5 + GRID)


def test_butterworth_agrees_with_scipy_as_it_comes_away_from_the_ends() -> None:
    y = _track(300, 2)
    expected = signal.filtfilt(*signal.butter(2, 1.0, fs=10.0), y)
    out = _smoothed(Butterworth(), y)
    np.testing.assert_allclose(out["position"][30:-30], expected[30:-30], atol=2e-5)


@pytest.mark.parametrize(("frequency", "kept"), [(0.1, 1.0), (1.0, 0.5), (3.0, 0.0)])
def test_butterworth_halves_amplitudes_at_its_cutoff_without_delay(
    frequency: float, kept: float
) -> None:
    t = 0.1 * np.arange(600)
    wave = np.sin(2 * np.pi * frequency * t)
    out = _smoothed(Butterworth(), 10.0 * t + wave)
    np.testing.assert_allclose(
        (out["position"] - 10.0 * t)[100:-100], kept * wave[100:-100], atol=0.01
    )


def test_frames_too_rare_for_the_cutoff_are_left_alone() -> None:
    y = 10.0 * _track(40, 3)
    out = _smoothed(Butterworth(), y, seconds=1.0)
    np.testing.assert_allclose(out["position"], y, atol=GRID)


# Kalman


def _most_likely(y: Floats, seen: NDArray[np.bool_], method: KalmanRTS) -> Floats:
    """x, v, a of all frames that make the track and what is known before it most likely."""
    t, n = 0.1, len(y)
    density = 2.0 * method.acceleration**2 / method.duration
    step = np.array([[1.0, t, t * t / 2.0], [0.0, 1.0, t], [0.0, 0.0, 1.0]])
    jerk = np.linalg.inv(
        density
        * np.array(
            [
                [t**5 / 20.0, t**4 / 8.0, t**3 / 6.0],
                [t**4 / 8.0, t**3 / 3.0, t**2 / 2.0],
                [t**3 / 6.0, t**2 / 2.0, t],
            ]
        )
    )
    system = np.zeros((3 * n, 3 * n))
    system[:3, :3] = np.diag([1e-6, 1e-6, 1.0 / 81.0])
    known = np.zeros(3 * n)
    move = np.hstack([-step, np.eye(3)])
    for i in range(n):
        if seen[i]:
            system[3 * i, 3 * i] += method.position_error**-2
            known[3 * i] += (y[i] - y[0]) * method.position_error**-2
        if i < n - 1:
            system[3 * i : 3 * i + 6, 3 * i : 3 * i + 6] += move.T @ jerk @ move
    origin = np.array([y[0], 0.0, 0.0])
    return np.linalg.solve(system, known).reshape(n, 3) + origin


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 40), st.sampled_from([0.05, 0.5, 3.0]))
def test_kalman_finds_the_most_likely_motion(seed: int, frames: int, error: float) -> None:
    y = _track(frames, seed)
    seen = np.random.default_rng(seed).random(frames) > 0.2
    seen[[0, -1]] = True
    method = KalmanRTS(position_error=error)
    rows = driven.narrow(1, y).filter(pl.Series(seen))
    out = (Impute(gap=9.0) | Smooth(method))(rows.lazy()).collect()
    expected = _most_likely(y, seen, method)
    np.testing.assert_allclose(out["y_position"].to_numpy(), expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(out["velocity_y"].to_numpy(), expected[:, 1], atol=1e-4)
    np.testing.assert_allclose(out["acceleration_y"].to_numpy(), expected[:, 2], atol=1e-4)


def test_kalman_takes_no_filled_in_position_for_an_observation() -> None:
    y = driven.stop_and_go(200, 3)
    y[90] += 6.0
    rows = driven.narrow(1, y).filter(~pl.col("frame").is_between(130, 140))
    before = Outliers() | Impute()
    filled = before(rows.lazy()).collect()
    assert filled["state"].value_counts().height == 3
    invented = filled.with_columns(
        pl.when(pl.col("state") == "observed").then("y_position").otherwise(0.0)
    )
    step = Smooth(KalmanRTS())
    motion = ["y_position", "velocity_y", "acceleration_y", "jerk"]
    expected = step.apply(filled).select(motion)
    assert step.apply(invented).select(motion).equals(expected)
    np.testing.assert_allclose(expected["y_position"].to_numpy(), driven.stop_and_go(200, 3),
                               atol=0.4)  # fmt: skip


def test_kalman_knows_constant_acceleration() -> None:
    t = 0.1 * np.arange(100)
    out = _smoothed(KalmanRTS(), 3.0 + 4.0 * t + 0.75 * t**2)
    np.testing.assert_allclose(out["acceleration"], 1.5, rtol=0.02)
    np.testing.assert_allclose(out["velocity"], 4.0 + 1.5 * t, atol=0.02)


# moving average


def _paper(values: Floats, width: float) -> Floats:
    """The sum of Thiemann et al. written out: D = min(3 delta, i - 1, N - i), i from 1."""
    n, delta = len(values), width / 0.1
    out = np.empty(n)
    for i in range(n):
        half = min(round(3.0 * delta), i, n - 1 - i)
        around = np.arange(i - half, i + half + 1)
        weight = np.exp(-np.abs(around - i) / delta)
        out[i] = weight @ values[around] / weight.sum()
    return out


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(3, 300))
def test_moving_average_is_the_paper_s(seed: int, frames: int) -> None:
    """Differentiated first, then each averaged with its own width, ends with ever less."""
    y = _track(frames, seed)
    out = _smoothed(MovingAverage(), y)
    np.testing.assert_allclose(out["position"], _paper(y, 0.5), atol=GRID)
    inside = slice(1, -1)
    speed = (y[2:] - y[:-2]) / 0.2
    rate = (y[2:] - 2.0 * y[1:-1] + y[:-2]) / 0.01
    # the paper leaves the first and last difference open; there nothing is averaged
    speed = np.concatenate([out["velocity"][:1], speed, out["velocity"][-1:]])
    rate = np.concatenate([out["acceleration"][:1], rate, out["acceleration"][-1:]])
    np.testing.assert_allclose(out["velocity"][inside], _paper(speed, 1.0)[inside], atol=1e-9)
    np.testing.assert_allclose(out["acceleration"][inside], _paper(rate, 4.0)[inside], atol=1e-7)


def test_a_width_of_nothing_averages_nothing() -> None:
    y = _track(50, 1)
    out = _smoothed(MovingAverage(position=0.0, velocity=0.0), y)
    np.testing.assert_allclose(out["position"], y, atol=GRID)
    np.testing.assert_allclose(out["velocity"][1:-1], (y[2:] - y[:-2]) / 0.2, atol=1e-9)

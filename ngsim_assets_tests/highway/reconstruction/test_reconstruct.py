"""The kernels: the solver, how stiff it is, derivatives, standstill and order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.reconstruction.kinematics import (
    differentiate,
    hold,
    order,
    rate,
    standing,
)
from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.robust import median
from ngsim_assets.highway.reconstruction.stiffness import (
    EXACT,
    cutoff_frequency,
    spectra,
    stiffness_of,
)
from ngsim_assets.highway.reconstruction.whittaker import solve, solve_all
from ngsim_assets_tests.highway import driven

_ACCELERATION = 2.0**-12
_SPEED = 2.0**-14

seeds = st.integers(0, 2**31)


def _difference(n: int, k: int) -> np.ndarray:
    return np.diff(np.eye(n), k, axis=0)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(4, 60))
def test_banded_solver_agrees_with_the_dense_system(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    y = np.cumsum(random.standard_normal(n))
    w = (random.random(n) > 0.3).astype(float)
    w[[0, n // 2, n - 1]] = 1.0
    p, s = 0.1 + random.random(n), (random.random(n) > 0.7).astype(float)
    stiffness, sway, keep = 10.0 ** random.uniform(-1, 4), random.uniform(0.01, 5.0), 300.0
    z = np.empty(n)
    solve(y, w, p, s, stiffness, sway, keep, np.empty((3, n)), z)

    d1, d2, d3 = (_difference(n, k) for k in (1, 2, 3))
    system = (
        np.diag(w)
        + stiffness * d3.T @ (p[: n - 3, None] * d3)
        + sway * d2.T @ d2
        + keep * d1.T @ (s[: n - 1, None] * d1)
    )
    np.testing.assert_allclose(z, np.linalg.solve(system, w * y), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(4, 80))
def test_solving_for_all_stiffnesses_is_solving_for_each(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    y, w = random.standard_normal(n), np.ones(n)
    w[1:-1] = random.random(n - 2) > 0.2
    stiffness = spectra(0.1)[0].stiffness
    together = np.empty((n, len(stiffness)))
    solve_all(y, w, n, stiffness, 0.01, np.empty((5, n, len(stiffness))), together)
    alone = np.empty(n)
    for k, value in enumerate(stiffness):
        solve(y, w, np.ones(n), np.zeros(n), value, 0.01 * value, 0.0, np.empty((3, n)), alone)
        np.testing.assert_allclose(together[:, k], alone, atol=1e-7)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_median_is_numpys(values: list[float]) -> None:
    assert median(np.array(values), len(values)) == np.median(values)


@settings(deadline=None)
@given(seeds, st.integers(3, 80))
def test_integrating_gives_back_what_was_differentiated(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    x = np.round(np.cumsum(random.standard_normal(n)) / GRID) * GRID
    v, a, j = np.empty(n), np.empty(n), np.empty(n)
    differentiate(x, 0.1, v, a)
    rate(a, 0.1, j)

    np.testing.assert_allclose(x[:-1] + 0.1 * v[:-1] + 0.005 * a[:-1], x[1:], atol=1e-9)
    np.testing.assert_allclose(v[:-1] + 0.05 * (a[:-1] + a[1:]), v[1:], atol=1e-9)
    np.testing.assert_allclose(a[:-1] + 0.1 * j[:-1], a[1:], atol=1e-6)
    assert j[-1] == 0.0


@settings(deadline=None)
@given(seeds, st.integers(3, 80))
def test_stored_speeds_and_accelerations_step_from_stored_position_to_position(
    seed: int, n: int
) -> None:
    """Rounded as they are stored, one step still ends on the very grid point it should."""
    y = driven.stop_and_go(n, seed)
    y = np.round(y / GRID) * GRID
    v, a = np.empty(n), np.empty(n)
    differentiate(y, 0.1, v, a)
    v, a = np.round(v / _SPEED) * _SPEED, np.round(a / _ACCELERATION) * _ACCELERATION
    stepped = y[:-1] + 0.1 * v[:-1] + 0.005 * a[:-1]
    assert (np.round(stepped / GRID) * GRID == y[1:]).all()


@settings(deadline=None)
@given(seeds, st.integers(1, 60))
def test_what_never_reverses_has_no_speed_against_its_direction(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    x = np.cumsum(np.maximum(random.standard_normal(n), 0.0))
    v, a = np.empty(n), np.empty(n)
    differentiate(x, 0.1, v, a)
    assert v.min() >= -1e-12
    differentiate(-x, 0.1, v, a)
    assert v.max() <= 1e-12


@settings(deadline=None)
@given(seeds, st.integers(1, 60), st.sampled_from([1.0, -1.0]))
def test_order_is_the_nearest_monotone_track(seed: int, n: int, sign: float) -> None:
    random = np.random.default_rng(seed)
    y = sign * np.cumsum(random.standard_normal(n) + 0.3)
    ordered = y.copy()
    order(ordered, sign, np.empty(n))
    assert (sign * np.diff(ordered) >= 0.0).all()
    np.testing.assert_allclose(ordered.mean(), y.mean(), atol=1e-9)
    # optimal: the residual is orthogonal to the fit
    assert abs((y - ordered) @ ordered) < 1e-6 * max(1.0, float(np.abs(y).max()) ** 2) * n
    again = ordered.copy()
    order(again, sign, np.empty(n))
    assert (again == ordered).all()


def test_standing_is_found_and_rolling_is_not() -> None:
    y = np.concatenate([np.arange(30) * 0.5, np.full(50, 14.6), 14.6 + np.arange(30) * 0.4])
    s = np.empty(len(y))
    still = np.zeros(len(y))
    assert standing(still, y, 0.1, 0.15, 2.0, np.empty(len(y)), s) > 45
    assert s[32:78].all()
    assert not s[:29].any()
    assert not s[81:].any()

    creeping = np.arange(100) * 0.02
    assert standing(still, creeping, 0.1, 0.15, 2.0, np.empty(100), s) == 0
    # standing along the road while moving across it is turning, not standing
    assert standing(creeping, still, 0.1, 0.15, 2.0, np.empty(100), s) == 0


def test_held_runs_do_not_creep() -> None:
    y = np.array([0.0, 1.0, 1.1, 1.2, 3.0])
    hold(y, np.array([0.0, 1.0, 1.0, 0.0, 0.0]))
    np.testing.assert_allclose(y, [0.0, 1.1, 1.1, 1.1, 3.0])


def _cutoff(y: np.ndarray, moves: bool = True, exact: float = EXACT) -> float:
    n = len(y)
    size = len(spectra(0.1)[0].cutoffs)
    return cutoff_frequency(
        np.ascontiguousarray(y - y[0]),
        np.ones(n),
        np.full(n, float(moves)),
        spectra(0.1),
        0.25,
        0.25,
        5.0,
        exact,
        np.empty((5, n // 3 + 1, size)),
        np.empty((n // 3 + 1, size)),
    )


def test_a_lively_track_without_error_is_followed_and_one_with_it_is_not() -> None:
    t = np.arange(600) * 0.1
    y = 3.0 * t + 0.3 * np.sin(2.0 * np.pi * t / 3.0)
    assert _cutoff(y) > 0.5, "0.33 Hz is driving where nothing else is there"
    assert _cutoff(y, exact=0.0) < 0.2, "the spectrum alone takes it for error"
    assert _cutoff(y + np.random.default_rng(1).normal(0.0, 0.1, 600)) < 0.2


def _error(y: np.ndarray, truth: np.ndarray, cutoff: float) -> float:
    n = len(y)
    z = np.empty(n)
    stiffness = float(stiffness_of(np.array(cutoff), 0.1))
    solve(y, np.ones(n), np.ones(n), np.zeros(n), stiffness, 0.0, 0.0, np.empty((3, n)), z)
    rest = driven.acceleration_of(z) - driven.acceleration_of(truth)
    return float(np.sqrt(np.mean(rest**2)))


@pytest.mark.parametrize("kind", ["white", "correlated", "slight"])
def test_stiffness_comes_close_to_the_best_there_is(kind: str) -> None:
    """From the data alone, near the best choice in hindsight for every track by itself.

    (Plain cross validation is ten times as far off where the error is correlated.)
    """
    chosen, best = [], []
    for seed in range(12):
        truth = driven.stop_and_go(700, seed, stops=False)
        white = np.random.default_rng(seed).standard_normal(700)
        error = {
            "white": 0.2 * white,
            "slight": 0.02 * white,
            "correlated": driven.drifting(700, seed, 0.15, 0.5) + 0.03 * white,
        }[kind]
        y = truth + error
        chosen.append(_error(y, truth, _cutoff(y)))
        best.append(min(_error(y, truth, f) for f in spectra(0.1)[0].cutoffs))
    assert np.mean(chosen) < 1.45 * np.mean(best)


def test_error_free_tracks_are_hardly_touched() -> None:
    truth = driven.stop_and_go(600, 3, stops=False)
    assert _error(truth, truth, _cutoff(truth)) < 0.03


def test_tracks_too_short_to_tell_get_the_typical_cutoff() -> None:
    assert _cutoff(driven.stop_and_go(20)) == 0.25
    assert _cutoff(driven.stop_and_go(600), moves=False) == 0.25

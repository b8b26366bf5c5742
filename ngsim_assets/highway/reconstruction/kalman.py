"""Kalman filter forth and Rauch-Tung-Striebel smoother back, of a point driven by white jerk.

The model is the one drone recordings are published with (Krajewski et al. 2018, the highD
dataset, IEEE ITSC, 2118-2125: constant acceleration, Rauch-Tung-Striebel); the covariance of
what jerk adds within a frame is the continuous one of Bar-Shalom, Li & Kirubarajan (2001),
Estimation with Applications to Tracking and Navigation, section 6.2.3.

Density of the jerk: Singer (1970), IEEE Transactions on Aerospace and Electronic Systems 6(4),
473-483, 2 s² / T for accelerations of standard deviation s kept for a time T. s = 0.576 m/s² is
what Coifman & Li (2017), Transportation Research Part B 105, 362-377, found when they extracted
I-80 anew; T = 4 s is the time Thiemann, Treiber & Kesting (2008) average accelerations over.
Error of the positions: the 0.5 m that NGSIM states.

Imputed and repaired frames are not observations: the state is carried across them. Nothing is
known at the start but that the acceleration is one the vehicles of the site can have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import rate
from ngsim_assets.highway.reconstruction.reconstruct import GRID, OBSERVED
from ngsim_assets.highway.reconstruction.smoothing import MOTION, MotionLimits, Stretches, share
from ngsim_assets.highway.reconstruction.stiffness import FloatArray

# m and m/s: standard deviations so large that they say nothing.
_ANYWHERE = 1.0e3
_ANY_SPEED = 1.0e3


class Model(NamedTuple):
    """What the kernels are told.

    Attributes:
        seconds: per frame. density: of the white jerk, m²/s⁵. variance: of a position, m².
        start: variances of position, velocity and acceleration before the first frame.
    """

    seconds: float
    density: float
    variance: float
    start: tuple[float, float, float]


@njit(cache=True, nogil=True)
def _forth(x: Any, y: Any, seen: Any, model: Any, covariance: Any, predicted: Any) -> None:
    """Filter; both axes have one covariance, as they are seen at the same frames.

    Args:
        x, y: m, from where the stretch starts. seen: 1 where they were observed.
        covariance: per frame the predicted one, [xx, xv, xa, vv, va, aa]; written.
        predicted: per frame the predicted x, v, a of both axes, and after the last frame the
            filtered ones of it; written.
    """
    t, q, r = model.seconds, model.density, model.variance
    xx, vv, aa = model.start
    xv = xa = va = 0.0
    state = np.zeros((2, 3))
    n = len(x)
    for i in range(n):
        covariance[i, 0], covariance[i, 1], covariance[i, 2] = xx, xv, xa
        covariance[i, 3], covariance[i, 4], covariance[i, 5] = vv, va, aa
        for axis in range(2):
            for k in range(3):
                predicted[i, 3 * axis + k] = state[axis, k]
        if seen[i] != 0:
            total = xx + r
            for axis in range(2):
                off = ((x if axis == 0 else y)[i] - state[axis, 0]) / total
                state[axis, 0] += xx * off
                state[axis, 1] += xv * off
                state[axis, 2] += xa * off
            vv -= xv * xv / total
            va -= xv * xa / total
            aa -= xa * xa / total
            xx *= r / total
            xv *= r / total
            xa *= r / total
        if i == n - 1:
            break
        for axis in range(2):
            state[axis, 0] += t * (state[axis, 1] + t / 2.0 * state[axis, 2])
            state[axis, 1] += t * state[axis, 2]
        xx += t * (2.0 * xv + t * (vv + xa + t * (va + t * aa / 4.0))) + q * t**5 / 20.0
        xv += t * (vv + xa + t * (1.5 * va + t * aa / 2.0)) + q * t**4 / 8.0
        xa += t * (va + t * aa / 2.0) + q * t**3 / 6.0
        vv += t * (2.0 * va + t * aa) + q * t**3 / 3.0
        va += t * aa + q * t**2 / 2.0
        aa += q * t
    for axis in range(2):
        for k in range(3):
            predicted[n, 3 * axis + k] = state[axis, k]


@njit(cache=True, nogil=True)
def _back(covariance: Any, predicted: Any, n: int, model: Any) -> None:
    """Smooth; frame i of `predicted` is overwritten with the smoothed x, v, a of frame i.

    The gain P F' M^-1 of Rauch, Tung & Striebel, with M = F P F' + Q the predicted covariance, is
    F^-1 (I - Q M^-1): the state a frame on, less what jerk added on the way, driven back.
    """
    t, q = model.seconds, model.density
    q00, q01, q02 = q * t**5 / 20.0, q * t**4 / 8.0, q * t**3 / 6.0
    q11, q12, q22 = q * t**3 / 3.0, q * t**2 / 2.0, q * t
    smooth = predicted[n].copy()
    for i in range(n - 1, -1, -1):
        after = smooth - predicted[i]
        for k in range(6):
            predicted[i, k] = smooth[k]
        if i == 0:
            break
        # M = L D L'
        d0 = covariance[i, 0]
        l10, l20 = covariance[i, 1] / d0, covariance[i, 2] / d0
        d1 = covariance[i, 3] - l10 * covariance[i, 1]
        l21 = (covariance[i, 4] - l20 * covariance[i, 1]) / d1
        d2 = covariance[i, 5] - l20 * covariance[i, 2] - l21 * l21 * d1
        for axis in range(2):
            k = 3 * axis
            u0 = after[k]
            u1 = after[k + 1] - l10 * u0
            u2 = (after[k + 2] - l20 * u0 - l21 * u1) / d2
            u1 = u1 / d1 - l21 * u2
            u0 = u0 / d0 - l10 * u1 - l20 * u2
            place = smooth[k] - q00 * u0 - q01 * u1 - q02 * u2
            v = smooth[k + 1] - q01 * u0 - q11 * u1 - q12 * u2
            a = smooth[k + 2] - q02 * u0 - q12 * u1 - q22 * u2
            smooth[k] = place - t * (v - t / 2.0 * a)
            smooth[k + 1] = v - t * a
            smooth[k + 2] = a


@njit(cache=True, nogil=True)
def smooth_stretches(
    first: int, last: int, start: Any, x: Any, y: Any, state: Any, model: Any, motion: Any
) -> None:
    """Smooth stretches first to last - 1.

    Args:
        start: first point of every stretch, and one more.
        x, y: metres, of consecutive frames. state: codes; a stretch without any observed point
            is taken as observed throughout.
        motion: rows x, y, velocity x, y, acceleration x, y, jerk; written.
    """
    longest = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
    covariance, predicted = np.empty((longest, 6)), np.empty((longest + 1, 6))
    seen = np.empty(longest, dtype=np.uint8)
    off_x, off_y = np.empty(longest), np.empty(longest)
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        count = 0
        for i in range(n):
            seen[i] = 1 if state[a + i] == OBSERVED else 0
            count += seen[i]
            off_x[i] = x[a + i] - x[a]
            off_y[i] = y[a + i] - y[a]
        if count == 0:
            seen[:n] = 1
        _forth(off_x[:n], off_y[:n], seen[:n], model, covariance, predicted)
        _back(covariance, predicted, n, model)
        for axis in range(2):
            origin = x[a] if axis == 0 else y[a]
            for i in range(n):
                value = origin + predicted[i, 3 * axis]
                motion[axis, a + i] = np.floor(value / GRID + 0.5) * GRID
                motion[2 + axis, a + i] = predicted[i, 3 * axis + 1]
                motion[4 + axis, a + i] = predicted[i, 3 * axis + 2]
        rate(motion[5, a:b], model.seconds, motion[6, a:b])


@dataclass(frozen=True)
class KalmanRTS:
    """Kalman filter and Rauch-Tung-Striebel smoother of constant acceleration, for comparison.

    Attributes:
        position_error: m, standard deviation of a position (NGSIM's own statement).
        acceleration: m/s², standard deviation of what vehicles do (Coifman & Li 2017).
        duration: s for which they keep doing it (Thiemann et al. 2008).
    """

    label: str = field(default="kalman_rts", init=False)
    position_error: float = 0.5
    acceleration: float = 0.576
    duration: float = 4.0

    def __post_init__(self) -> None:
        """ValueError unless all are positive."""
        if min(self.position_error, self.acceleration, self.duration) <= 0.0:
            raise ValueError("position_error, acceleration and duration have to be positive")

    @property
    def differential(self) -> bool:
        """It is not: velocity and acceleration are states of their own."""
        return False

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Motion by filter and smoother."""
        motion = np.empty((len(MOTION), len(stretches.x)))
        model = Model(
            seconds=limits.seconds,
            density=2.0 * self.acceleration**2 / self.duration,
            variance=self.position_error**2,
            start=(_ANYWHERE**2, _ANY_SPEED**2, limits.acceleration**2),
        )

        def run(first: int, last: int) -> None:
            smooth_stretches(
                first, last, stretches.start, stretches.x, stretches.y, stretches.state,
                model, motion,
            )  # fmt: skip

        share(run, stretches.start, threads)
        return motion

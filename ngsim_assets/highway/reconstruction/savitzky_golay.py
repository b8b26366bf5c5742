"""Local polynomials on a sliding window, after Savitzky & Golay: x, v and a of one fit.

A cubic over 2 s is what smoothed NGSIM is published with: El Ballouli's US-101 (2019; 11 and 21
frames, order 3) and Huang, Wu & Lv (2021), IEEE Transactions on Intelligent Transportation
Systems 23(8), 10239-10251 (21 frames, order 3). Velocity and acceleration are the derivatives of
the fitted polynomial at the frame itself, as Savitzky & Golay (1964), Analytical Chemistry 36,
1627-1639, take them, so they are not the differences of the smoothed positions.

The half windows at both ends of a stretch take their motion from the polynomial of the first and
last whole window. A stretch shorter than the window is one polynomial, of a degree its points
can bear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import rate
from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.smoothing import MOTION, MotionLimits, Stretches, share
from ngsim_assets.highway.reconstruction.stiffness import FloatArray


@njit(cache=True, nogil=True)
def _degree(order: int, n: int) -> int:
    """Degree of the polynomial on `n` points: two points a coefficient, a line at least."""
    return 0 if n == 1 else min(order, max(1, (n - 1) // 2))


@njit(cache=True, nogil=True)
def _polynomials(n: int, degree: int, seconds: float, p: Any) -> None:
    """Orthonormal polynomials on `n` frames, and what they are per s and per s².

    Args:
        p: [derivative, degree, frame]; written for degrees 0 to `degree` and the first n frames.
    """
    # three-term recurrence on times from -1 to 1, which stays exact where powers do not
    unit = max(1.0, (n - 1) / 2.0)
    for i in range(n):
        p[0, 0, i] = 1.0 / math.sqrt(n)
        p[1, 0, i] = p[2, 0, i] = 0.0
    for k in range(1, degree + 1):
        before = 0.0
        if k > 1:
            for i in range(n):
                before += (i - (n - 1) / 2.0) / unit * p[0, k - 1, i] * p[0, k - 2, i]
        square = 0.0
        for i in range(n):
            t = (i - (n - 1) / 2.0) / unit
            for d in range(3):
                value = t * p[d, k - 1, i]
                if d > 0:
                    value += d * p[d - 1, k - 1, i]
                if k > 1:
                    value -= before * p[d, k - 2, i]
                p[d, k, i] = value
            square += p[0, k, i] * p[0, k, i]
        for d in range(3):
            for i in range(n):
                p[d, k, i] /= math.sqrt(square)
    for k in range(degree + 1):
        for i in range(n):
            p[1, k, i] /= unit * seconds
            p[2, k, i] /= (unit * seconds) ** 2


@njit(cache=True, nogil=True)
def _fit(x: Any, p: Any, degree: int, first: int, last: int, at: int, out: Any) -> None:
    """Fit the points `x` and write x, v, a of frames first to last - 1 to `out[:, at...]`."""
    n = len(x)
    for d in range(3):
        for i in range(first, last):
            out[d, at + i - first] = x[0] if d == 0 else 0.0
    for k in range(degree + 1):
        c = 0.0
        for i in range(n):
            c += p[0, k, i] * (x[i] - x[0])
        for d in range(3):
            for i in range(first, last):
                out[d, at + i - first] += c * p[d, k, i]


@njit(cache=True, nogil=True)
def _slide(x: Any, taps: Any, out: Any) -> None:
    """Write x, v, a of every frame with a whole window around it to `out`.

    Differences from the frame itself are weighted, so that what stands has velocity 0 exactly.
    Taps of x and a are even, those of v odd.
    """
    n, half = len(x), taps.shape[1] // 2
    for i in range(half, n - half):
        out[0, i] = x[i]
        out[1, i] = out[2, i] = 0.0
    for k in range(1, half + 1):
        place, v, a = taps[0, half + k], taps[1, half + k], taps[2, half + k]
        for i in range(half, n - half):
            both = (x[i + k] - x[i]) + (x[i - k] - x[i])
            out[0, i] += place * both
            out[1, i] += v * (x[i + k] - x[i - k])
            out[2, i] += a * both


@njit(cache=True, nogil=True)
def fit_stretches(
    first: int,
    last: int,
    start: Any,
    x: Any,
    y: Any,
    seconds: float,
    window: int,
    order: int,
    motion: Any,
) -> None:
    """Fit stretches first to last - 1.

    Args:
        start: first point of every stretch, and one more.
        x, y: metres, of consecutive frames, gaps filled.
        window: frames, odd. order: degree of the polynomials.
        motion: rows x, y, velocity x, y, acceleration x, y, jerk; written.
    """
    half = window // 2
    whole = np.empty((3, order + 1, window))
    short = np.empty((3, order + 1, window))
    degree = _degree(order, window)
    _polynomials(window, degree, seconds, whole)
    taps = np.zeros((3, window))
    for d in range(3):
        for k in range(degree + 1):
            for i in range(window):
                taps[d, i] += whole[d, k, half] * whole[0, k, i]
    longest = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
    out = np.empty((3, longest))
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        if n < window:
            _polynomials(n, _degree(order, n), seconds, short)
        for axis in range(2):
            source = (x if axis == 0 else y)[a:b]
            if n < window:
                _fit(source, short, _degree(order, n), 0, n, 0, out)
            else:
                _slide(source, taps, out)
                _fit(source[:window], whole, degree, 0, half, 0, out)
                _fit(source[n - window :], whole, degree, half + 1, window, n - half, out)
            for i in range(n):
                motion[axis, a + i] = np.floor(out[0, i] / GRID + 0.5) * GRID
                motion[2 + axis, a + i] = out[1, i]
                motion[4 + axis, a + i] = out[2, i]
        rate(motion[5, a:b], seconds, motion[6, a:b])


@dataclass(frozen=True)
class SavitzkyGolay:
    """Local polynomials on a sliding window (Savitzky, Golay 1964), for comparison.

    Attributes:
        window: s; rounded to an odd number of frames. order: degree of the polynomials; lower
            where the window, or a stretch shorter than it, has less than two points for each
            coefficient. Both as in the published smoothed US-101 data.
    """

    label: str = field(default="savitzky_golay", init=False)
    window: float = 2.0
    order: int = 3

    def __post_init__(self) -> None:
        """ValueError for a window of no length or a degree below 1."""
        if self.window <= 0.0 or self.order < 1:
            raise ValueError("window has to be over 0 s, order at least 1")

    @property
    def differential(self) -> bool:
        """It is not: velocity and acceleration are derivatives of the fitted polynomials."""
        return False

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Motion by local polynomials."""
        motion = np.empty((len(MOTION), len(stretches.x)))
        window = 2 * max(1, round(self.window / limits.seconds / 2.0)) + 1

        def run(first: int, last: int) -> None:
            fit_stretches(
                first, last, stretches.start, stretches.x, stretches.y, limits.seconds,
                window, self.order, motion,
            )  # fmt: skip

        share(run, stretches.start, threads)
        return motion

"""Symmetric exponential moving averages of trajectories, after Thiemann, Treiber & Kesting.

Velocity and acceleration are differentiated from the positions as delivered, then positions,
velocities and accelerations are averaged each with its own width. That is the published method,
and why here, unlike with the Whittaker smoother, x, v and a do not integrate to one another.

Source: Thiemann, Treiber, Kesting (2008), Transportation Research Record 2088, 90-101: kernel
exp(-|i - k| dt / T), cut off at three widths and, near the ends, at the distance to the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import differentiate, rate
from ngsim_assets.highway.reconstruction.reconstruct import GRID

_REACH = 3.0


@njit(cache=True, nogil=True)
def _average(x: Any, width: float, out: Any) -> None:
    """Average `x` with a kernel of `width` frames into `out`."""
    n = len(x)
    reach = int(_REACH * width)
    kernel = np.empty(reach + 1)
    for k in range(reach + 1):
        kernel[k] = math.exp(-k / width) if k > 0 else 1.0
    for i in range(n):
        half = min(reach, i, n - 1 - i)
        total = x[i]
        norm = 1.0
        for k in range(1, half + 1):
            total += kernel[k] * (x[i - k] + x[i + k])
            norm += 2.0 * kernel[k]
        out[i] = total / norm


@njit(cache=True, nogil=True)
def average_stretches(
    first: int,
    last: int,
    start: Any,
    x: Any,
    y: Any,
    seconds: float,
    widths: Any,
    motion: Any,
) -> None:
    """Average stretches first to last - 1.

    Args:
        start: first point of every stretch, and one more.
        x, y: metres, of consecutive frames, gaps filled.
        widths: of position, velocity and acceleration, in s.
        motion: rows x, y, velocity x, y, acceleration x, y, jerk; written.
    """
    longest = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
    v, acceleration, smooth = np.empty(longest), np.empty(longest), np.empty(longest)
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        for axis in range(2):
            source = (x if axis == 0 else y)[a:b]
            differentiate(source, seconds, v[:n], acceleration[:n])
            _average(source, widths[0] / seconds, smooth[:n])
            for i in range(n):
                motion[axis, a + i] = math.floor(smooth[i] / GRID + 0.5) * GRID
            _average(v[:n], widths[1] / seconds, motion[2 + axis, a:b])
            _average(acceleration[:n], widths[2] / seconds, motion[4 + axis, a:b])
        rate(motion[5, a:b], seconds, motion[6, a:b])

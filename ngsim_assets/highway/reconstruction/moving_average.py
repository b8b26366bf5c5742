"""Symmetric exponential moving averages of trajectories, after Thiemann, Treiber & Kesting.

Velocity and acceleration are differentiated from the positions as delivered, then positions,
velocities and accelerations are averaged each with its own width: of the three orders the paper
weighs, the one it takes, since near the ends averaging does not commute with differentiating and
the others give spurious accelerations there. Hence here, unlike with the Whittaker smoother, x, v
and a do not integrate to one another.

Source: Thiemann, Treiber, Kesting (2008), Transportation Research Record 2088, 90-101: kernel
exp(-|i - k| dt / T), cut off at three widths and, near the ends, at the distance to the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import differentiate, rate
from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.smoothing import MOTION, MotionLimits, Stretches, share
from ngsim_assets.highway.reconstruction.stiffness import FloatArray

_REACH = 3.0


@njit(cache=True, nogil=True)
def _average(x: Any, width: float, past: Any, ahead: Any, out: Any) -> None:
    """Average `x` with a kernel of `width` frames into `out`.

    Sums over the kernel are those over everything before (after) a frame, less those over
    everything before (after) its end: as long as the kernel decays, that costs no digits.

    Args:
        past, ahead: work space.
    """
    n = len(x)
    reach = int(_REACH * width + 1e-9)
    if reach == 0:
        for i in range(n):
            out[i] = x[i]
        return
    decay = math.exp(-1.0 / width)
    # off the first value, so that what stands keeps its place to the last digit
    past[0] = ahead[n - 1] = 0.0
    for i in range(1, n):
        past[i] = decay * (past[i - 1] + x[i - 1] - x[0])
    for i in range(n - 2, -1, -1):
        ahead[i] = decay * (ahead[i + 1] + x[i + 1] - x[0])
    for i in range(n):
        half = min(reach, i, n - 1 - i)
        left = decay**half
        total = x[i] - x[0] + past[i] - left * past[i - half] + ahead[i] - left * ahead[i + half]
        out[i] = x[0] + total / (1.0 + 2.0 * decay * (1.0 - left) / (1.0 - decay))


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
    past, ahead = np.empty(longest), np.empty(longest)
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        for axis in range(2):
            source = (x if axis == 0 else y)[a:b]
            differentiate(source, seconds, v[:n], acceleration[:n])
            _average(source, widths[0] / seconds, past, ahead, smooth)
            for i in range(n):
                motion[axis, a + i] = np.floor(smooth[i] / GRID + 0.5) * GRID
            _average(v[:n], widths[1] / seconds, past, ahead, motion[2 + axis, a:b])
            _average(acceleration[:n], widths[2] / seconds, past, ahead, motion[4 + axis, a:b])
        rate(motion[5, a:b], seconds, motion[6, a:b])


@dataclass(frozen=True)
class MovingAverage:
    """Symmetric exponential moving averages (Thiemann, Treiber, Kesting 2008), for comparison.

    x, v and a are averaged separately, so they do not integrate to one another.

    Attributes:
        position, velocity, acceleration: widths of the kernels in s (0.5, 1, 4: theirs).
    """

    label: str = field(default="moving_average", init=False)
    position: float = 0.5
    velocity: float = 1.0
    acceleration: float = 4.0

    @property
    def differential(self) -> bool:
        """It is not: every quantity is averaged by itself."""
        return False

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Motion by averaging."""
        motion = np.empty((len(MOTION), len(stretches.x)))
        widths = np.array([self.position, self.velocity, self.acceleration])

        def run(first: int, last: int) -> None:
            average_stretches(
                first, last, stretches.start, stretches.x, stretches.y, limits.seconds,
                widths, motion,
            )  # fmt: skip

        share(run, stretches.start, threads)
        return motion

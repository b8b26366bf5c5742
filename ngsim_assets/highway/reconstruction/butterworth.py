"""Butterworth's low pass forth and back over the positions: no phase, motion by differences.

Second order and both ways is how vehicle measurements are filtered by ISO 6487. The cutoff of
1 Hz is the one Montanino & Punzo (2013), Transportation Research Record 2390, 99-111, filter
NGSIM with; drivers have little to say above it: pedals move at up to 0.94 Hz in car following
(Feng, Bao, Sayer & LeBlanc 2016, Proceedings of the Human Factors and Ergonomics Society 60(1)).
Positions are filtered and not speeds, which is the same inside a stretch, a filter and a
difference being linear, and keeps x, v and a one motion.

At both ends the stretch goes on as its own reflection through the end point, along the line
from its first to its last point, for three periods of the cutoff: what the filter's start leaves
behind has died away by then, and steady motion stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.smoothing import MotionLimits, Stretches, share
from ngsim_assets.highway.reconstruction.stiffness import FloatArray

_PADDED_PERIODS = 3.0


def sections(order: int, cutoff: float, seconds: float) -> FloatArray:
    """The filter as sections of second order (the last of first, if `order` is odd).

    By the bilinear transform with the cutoff (Hz) put where it should be.

    Returns:
        Rows b0, b1, b2, a1, a2; none if there is nothing above the cutoff to take away.
    """
    if 2.0 * cutoff * seconds >= 1.0:
        return np.empty((0, 5))
    w = math.tan(math.pi * cutoff * seconds)
    made: list[tuple[float, ...]] = []
    for k in range(order // 2):
        damping = 2.0 * math.sin((2 * k + 1) * math.pi / (2 * order)) * w
        norm = 1.0 / (1.0 + damping + w * w)
        b = w * w * norm
        made.append((b, 2.0 * b, b, 2.0 * (w * w - 1.0) * norm, (1.0 - damping + w * w) * norm))
    if order % 2 == 1:
        made.append((w / (1.0 + w), w / (1.0 + w), 0.0, (w - 1.0) / (w + 1.0), 0.0))
    return np.array(made)


@njit(cache=True, nogil=True)
def _pass(section: Any, x: Any, n: int, step: int) -> None:
    """Filter the first `n` of `x` in place, from the left (step 1) or from the right (-1).

    It starts as if its first value had been there for ever.
    """
    b0, b1, b2, a1, a2 = section[0], section[1], section[2], section[3], section[4]
    i = 0 if step > 0 else n - 1
    z1, z2 = (1.0 - b0) * x[i], (b2 - a2) * x[i]
    for _ in range(n):
        value = x[i]
        out = b0 * value + z1
        z1 = b1 * value - a1 * out + z2
        z2 = b2 * value - a2 * out
        x[i] = out
        i += step


@njit(cache=True, nogil=True)
def filter_stretches(
    first: int, last: int, start: Any, x: Any, y: Any, cascade: Any, padding: int, place: Any
) -> None:
    """Filter stretches first to last - 1.

    Args:
        start: first point of every stretch, and one more.
        x, y: metres, of consecutive frames, gaps filled.
        cascade: see `sections`. padding: frames a stretch is continued by at each end.
        place: rows x, y; written.
    """
    longest = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
    work = np.empty(longest + 2 * min(padding, longest))
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        pad = min(padding, n - 1)
        for axis in range(2):
            source = (x if axis == 0 else y)[a:b]
            slope = (source[n - 1] - source[0]) / max(1, n - 1)
            for i in range(n):
                work[pad + i] = source[i] - source[0] - slope * i
            # off the line through both ends, which are 0 then: their reflections are negatives
            for i in range(1, pad + 1):
                work[pad - i] = -work[pad + i]
                work[pad + n - 1 + i] = -work[pad + n - 1 - i]
            for j in range(len(cascade)):
                _pass(cascade[j], work, n + 2 * pad, 1)
            for j in range(len(cascade)):
                _pass(cascade[j], work, n + 2 * pad, -1)
            for i in range(n):
                value = work[pad + i] + source[0] + slope * i
                place[axis, a + i] = np.floor(value / GRID + 0.5) * GRID


@dataclass(frozen=True)
class Butterworth:
    """Butterworth's low pass forth and back over the positions, for comparison.

    Attributes:
        order: of the filter, each way (2: ISO 6487).
        cutoff: Hz at which one way halves the power and both ways the amplitude (1: Montanino &
            Punzo 2013). Frames too rare to show anything above it are left as they are.
    """

    label: str = field(default="butterworth", init=False)
    order: int = 2
    cutoff: float = 1.0

    def __post_init__(self) -> None:
        """ValueError for an order below 1 or a cutoff of 0 Hz and below."""
        if self.cutoff <= 0.0 or self.order < 1:
            raise ValueError("cutoff has to be over 0 Hz, order at least 1")

    @property
    def differential(self) -> bool:
        """It is."""
        return True

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Positions by the filter."""
        place = np.empty((2, len(stretches.x)))
        cascade = sections(self.order, self.cutoff, limits.seconds)
        padding = math.ceil(_PADDED_PERIODS / (self.cutoff * limits.seconds))

        def run(first: int, last: int) -> None:
            filter_stretches(
                first, last, stretches.start, stretches.x, stretches.y, cascade, padding, place
            )

        share(run, stretches.start, threads)
        return place

"""Points that do not lie on their own track: the compiled part of the outlier filter.

A coarse robust fit through medians of three frames (or through all points, where frames are
missing throughout) follows the vehicle; a point is an outlier where it
deviates from that fit differently than its neighbours do. Comparing with the neighbours keeps
a hard brake, which the coarse fit rounds off, from being taken for a fault.

Belongs here: numerical kernels. Does not belong here: frames and parameters (filters.py), the
faults a whole row can have (validate.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.robust import fill, median, robust_sigma
from ngsim_assets.highway.reconstruction.whittaker import solve

_BIN = 3
_FITS = 3
_SWAY = 4.0e-3
_TUKEY = 4.685
# s; bins are no longer, since the coarse fit has to tell its own frequencies from their aliases.
_LONGEST_BIN = 0.5
# Metres below which residuals of the coarse fit are not worth a smaller weight.
_LEAST_SIGMA = 0.05


class Test(NamedTuple):
    """What makes an outlier.

    Attributes:
        cutoff, seconds: of the coarse fit, in Hz; per frame.
        sigmas, least: a row deviates by more than least (m) + sigmas x the robust standard
            deviation of its stretch, in either axis.
        neighbours: half width in rows of what a row is compared with; bursts of nearly as many
            rows stand out from it.
    """

    cutoff: float
    seconds: float
    sigmas: float
    least: float
    neighbours: int


@njit(cache=True, nogil=True)
def _medians(frame: Any, x: Any, bins: int, y: Any, w: Any) -> int:
    """Median of `x` over every bin of three frames that are all there, weight 0 elsewhere.

    The median of some of them would belong to another time. Returns how many bins are whole.
    """
    fill(w, bins, 0.0)
    fill(y, bins, 0.0)
    n = len(x)
    whole = 0
    i = 0
    while i + 2 < n:
        place = frame[i] - frame[0]
        if place % _BIN == 0 and frame[i + 2] - frame[i] == 2:
            low, high = min(x[i], x[i + 1]), max(x[i], x[i + 1])
            y[place // _BIN] = min(max(low, x[i + 2]), high) - x[0]
            w[place // _BIN] = 1.0
            whole += 1
            i += 3
        else:
            i += 1
    return whole


@njit(cache=True, nogil=True)
def _singles(frame: Any, x: Any, bins: int, y: Any, w: Any) -> None:
    """Every row in a bin of its own, a frame long."""
    fill(w, bins, 0.0)
    fill(y, bins, 0.0)
    for i in range(len(x)):
        y[frame[i] - frame[0]] = x[i] - x[0]
        w[frame[i] - frame[0]] = 1.0


@njit(cache=True, nogil=True)
def _coarse(y: Any, w: Any, stiffness: float, work: Any, scratch: Any, z: Any) -> None:
    """Robust fit of the medians: `z`. `work` holds seen, weights, p and s."""
    n = len(y)
    seen, weight, p, s = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
    fill(p, n, 1.0)
    fill(s, n, 0.0)
    share = 0.0
    for i in range(n):
        seen[i] = weight[i] = w[i]
        share += w[i] / n
    # what is seen seldom pulls less; softened as much, the fit follows the same frequencies
    stiffness *= share
    # keeps a few bins from being extrapolated wildly
    sway = stiffness * _SWAY
    for _ in range(_FITS):
        solve(y, weight, p, s, stiffness, sway, 0.0, scratch, z)
        scale = _TUKEY * max(_LEAST_SIGMA, robust_sigma(y, z, seen, scratch[0]))
        for i in range(n):
            u = (y[i] - z[i]) / scale
            # a weight that is never quite 0 keeps the system regular
            weight[i] = seen[i] * max((1.0 - u * u) ** 2 if abs(u) < 1.0 else 0.0, 1.0e-6)


@njit(cache=True, nogil=True)
def _flag(frame: Any, x: Any, z: Any, width: int, test: Test, work: Any, outlier: Any) -> None:
    """Mark rows of one axis of a stretch that lie off the fit `z` of bins `width` frames wide."""
    n = len(x)
    fit, rest, one = work[0, :n], work[1, :n], work[2, :n]
    for i in range(n):
        place = (frame[i] - frame[0] - (width - 1) / 2.0) / width
        b = min(max(int(place), 0), len(z) - 2)
        fit[i] = x[0] + z[b] + (z[b + 1] - z[b]) * (place - b)
        rest[i] = x[i] - fit[i]
        one[i] = 1.0
    limit = test.least + test.sigmas * robust_sigma(x, fit, one, work[3])
    hit = one
    for i in range(n):
        hit[i] = 0.0
        if abs(rest[i]) > limit:
            nearby = 0
            for k in range(max(0, i - test.neighbours), min(n, i + test.neighbours + 1)):
                work[3, nearby] = rest[k]
                nearby += 1
            if abs(rest[i] - median(work[3], nearby)) > limit:
                hit[i] = 1.0
    # at an end there are neighbours on one side only, and a start or a brake drifts away from
    # them; an error jumps
    inner = 0
    while inner < n and hit[inner] == 1.0:
        inner += 1
    if 0 < inner < n and abs(rest[inner] - rest[inner - 1]) < limit / 2.0:
        fill(hit, inner, 0.0)
    inner = n - 1
    while inner >= 0 and hit[inner] == 1.0:
        inner -= 1
    if 0 <= inner < n - 1 and abs(rest[inner] - rest[inner + 1]) < limit / 2.0:
        for i in range(inner + 1, n):
            hit[i] = 0.0
    for i in range(n):
        if hit[i] == 1.0:
            outlier[i] = 1


@njit(cache=True, nogil=True)
def flag_outliers(
    start: Any, first: int, last: int, frame: Any, x: Any, y: Any, test: Test, outlier: Any
) -> None:
    """Set `outlier` to 1 for rows of stretches first to last - 1 that lie off their track.

    Args:
        start: first row of every stretch, and one more.
        frame, x, y: frame numbers, ascending, and positions in m.
    """
    longest = 0
    frames = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
        frames = max(frames, frame[start[k + 1] - 1] - frame[start[k]] + 1)
    middle, weight, z = np.empty(frames), np.empty(frames), np.empty(frames)
    work = np.empty((4, max(frames, longest, 2 * test.neighbours + 1)))
    scratch = np.empty((3, frames))
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        if b - a < 2 * _BIN:
            continue
        for axis in range(2):
            values = (y if axis == 0 else x)[a:b]
            width = _BIN
            size = (frame[b - 1] - frame[a]) // _BIN + 1
            whole = _medians(frame[a:b], values, size, middle, weight)
            if _BIN * test.seconds > _LONGEST_BIN or 2 * whole < size:
                width = 1
                size = frame[b - 1] - frame[a] + 1
                _singles(frame[a:b], values, size, middle, weight)
            stiffness = (2.0 * math.sin(math.pi * test.cutoff * width * test.seconds)) ** -6.0
            _coarse(middle[:size], weight[:size], stiffness, work, scratch, z[:size])
            _flag(frame[a:b], values, z[:size], width, test, work, outlier[a:b])
        # if most of a stretch deviates from itself, there is no track to deviate from
        count = 0
        for i in range(a, b):
            count += outlier[i]
        if 2 * count > b - a:
            for i in range(a, b):
                outlier[i] = 0

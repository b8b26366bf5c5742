"""Points that do not lie on their own track: the compiled part of the outlier filter.

A coarse robust fit through 0.3-s medians follows the vehicle; a point is an outlier where it
deviates from that fit differently than its neighbours do. Comparing with the neighbours keeps
a hard brake, which the coarse fit rounds off, from being taken for a fault.

Belongs here: numerical kernels. Does not belong here: frames and parameters (filters.py), the
faults a whole row can have (validate.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.robust import fill, median, robust_sigma
from ngsim_assets.highway.whittaker import solve

_BIN = 3
_FITS = 3
_TUKEY = 4.685
# Half width in rows of the neighbourhood: bursts of up to 9 frames stand out from it.
_NEIGHBOURS = 10
# Metres below which residuals of the coarse fit are not worth a smaller weight.
_LEAST_SIGMA = 0.05


@njit(cache=True, nogil=True)
def _medians(frame: Any, x: Any, bins: int, work: Any, y: Any, w: Any) -> None:
    """Median of `x` over every bin of frames, weight 0 where a bin holds no row."""
    fill(w, bins, 0.0)
    fill(y, bins, 0.0)
    n = len(x)
    i = 0
    b = 0
    end = frame[0] + _BIN
    while i < n:
        while frame[i] >= end:
            b += 1
            end += _BIN
        j = i + 1
        while j < n and frame[j] < end:
            j += 1
        if j - i == 3:
            low, high = min(x[i], x[i + 1]), max(x[i], x[i + 1])
            y[b] = min(max(low, x[i + 2]), high)
        elif j - i < 3:
            y[b] = (x[i] + x[j - 1]) / 2.0
        else:
            for k in range(i, j):
                work[k - i] = x[k]
            y[b] = median(work, j - i)
        w[b] = 1.0
        i = j


@njit(cache=True, nogil=True)
def _coarse(y: Any, w: Any, stiffness: float, work: Any, scratch: Any, z: Any) -> None:
    """Robust fit of the medians: `z`. `work` holds seen, weights, p and s."""
    n = len(y)
    seen, weight, p, s = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
    fill(p, n, 1.0)
    fill(s, n, 0.0)
    for i in range(n):
        seen[i] = weight[i] = w[i]
    # the second difference penalty keeps two or three bins from being extrapolated wildly
    sway = stiffness * 4.0e-3
    for _ in range(_FITS):
        solve(y, weight, p, s, stiffness, sway, 0.0, scratch, z)
        scale = _TUKEY * max(_LEAST_SIGMA, robust_sigma(y, z, seen, scratch[0]))
        for i in range(n):
            u = (y[i] - z[i]) / scale
            # a weight that is never quite 0 keeps the system regular
            weight[i] = seen[i] * max((1.0 - u * u) ** 2 if abs(u) < 1.0 else 0.0, 1.0e-6)


@njit(cache=True, nogil=True)
def _flag(frame: Any, x: Any, z: Any, sigmas: float, least: float, work: Any, outlier: Any) -> None:
    """Mark rows of one axis of a stretch that lie off the fit `z` of its bins."""
    n = len(x)
    fit, rest, one = work[0, :n], work[1, :n], work[2, :n]
    for i in range(n):
        place = (frame[i] - frame[0] - (_BIN - 1) / 2.0) / _BIN
        b = min(max(int(place), 0), len(z) - 2)
        fit[i] = z[b] + (z[b + 1] - z[b]) * (place - b)
        rest[i] = x[i] - fit[i]
        one[i] = 1.0
    limit = least + sigmas * robust_sigma(x, fit, one, work[3])
    for i in range(n):
        if abs(rest[i]) > limit:
            nearby = 0
            for k in range(max(0, i - _NEIGHBOURS), min(n, i + _NEIGHBOURS + 1)):
                work[3, nearby] = rest[k]
                nearby += 1
            if abs(rest[i] - median(work[3], nearby)) > limit:
                outlier[i] = 1


@njit(cache=True, nogil=True)
def flag_outliers(
    start: Any,
    first: int,
    last: int,
    frame: Any,
    x: Any,
    y: Any,
    stiffness: float,
    sigmas: float,
    least: float,
    outlier: Any,
) -> None:
    """Set `outlier` to 1 for rows of stretches first to last - 1 that lie off their track.

    Args:
        start: first row of every stretch, and one more.
        frame, x, y: frame numbers, ascending, and positions in m.
        stiffness: of the coarse fit, for medians 3 frames apart.
        sigmas, least: a row deviates by more than least (m) + sigmas x the robust standard
            deviation of its stretch, in either axis.
    """
    longest = 0
    bins = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
        bins = max(bins, (frame[start[k + 1] - 1] - frame[start[k]]) // _BIN + 1)
    medians, weight, z = np.empty(bins), np.empty(bins), np.empty(bins)
    work, scratch = np.empty((4, max(bins, longest, 2 * _NEIGHBOURS + 1))), np.empty((3, bins))
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        if b - a < 2 * _BIN:
            continue
        size = (frame[b - 1] - frame[a]) // _BIN + 1
        for axis in range(2):
            values = (y if axis == 0 else x)[a:b]
            _medians(frame[a:b], values, size, work[0], medians, weight)
            for i in range(size):
                medians[i] -= values[0] if weight[i] > 0.0 else 0.0
            _coarse(medians[:size], weight[:size], stiffness, work, scratch, z[:size])
            for i in range(size):
                z[i] += values[0]
            _flag(frame[a:b], values, z[:size], sigmas, least, work, outlier[a:b])
        # if most of a stretch deviates from itself, there is no track to deviate from
        count = 0
        for i in range(a, b):
            count += outlier[i]
        if 2 * count > b - a:
            for i in range(a, b):
                outlier[i] = 0

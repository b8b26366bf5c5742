"""Stretches of consecutive frames into reconstructed positions: the compiled part of cleaning.

A stretch is a run of frames of one vehicle without a gap over the limit. Each is reconstructed
on its own, so results depend neither on its neighbours nor on how stretches are shared out.

Belongs here: what happens to the arrays of a stretch. Does not belong here: tables, filters and
their parameters (clean.py), the solver (whittaker.py), derivatives (kinematics.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import end_jerk, hold, order, standing
from ngsim_assets.highway.reconstruction.robust import fill, robust_sigma
from ngsim_assets.highway.reconstruction.stiffness import CORRELATED, EXACT, cutoff_frequency
from ngsim_assets.highway.reconstruction.weights import bisquare, loosen
from ngsim_assets.highway.reconstruction.whittaker import solve

OBSERVED, REPAIRED, IMPUTED = 0, 1, 2
"""Codes of `state`."""

GRID = 2.0**-17
"""Metres; reconstructed positions are multiples of it, as they are stored."""

# Places of the axes in the work space; x is across the road, y along it.
_ACROSS, _ALONG = 0, 1
# Against weights of 1, and this share of the stiffness, it leaves steps of micrometres, which
# `order` and `hold` remove.
_HOLD = 1.0e6
_HELD_STIFFNESS = 1.0e-4
_FITS = 3
_CONSTRAINED_FITS = 12
_LIMITED_FITS = 4
# m/s³; what drivers have at any time is nothing that stands out.
_LEAST_JERK = 0.3
# m; whoever is moved by half a car is not as seen, however much the rest of a short track varies.
_FARTHEST = 2.0
# Cycles per frame; what is faster cannot be told from what is slower.
_HIGHEST = 0.4
# One tracker saw both axes, and nobody is livelier across a way than along it: what is over this
# multiple of the other cut-off is a tracker that sways smoothly (measured on peachtree: 0.1 m
# across once a second, where a vehicle creeps to a stop).
_LIVELIEST = 2.0


class Options(NamedTuple):
    """Parameters of `CleaningParameters` and `RobustWhittaker` as the kernels take them.

    Attributes:
        burst: frames; rejected points in a longer row are not a burst of errors.
        manoeuvre: half width in frames of the window that tells one from a jerky track.
    """

    seconds: float
    cutoff: float
    typical_cutoff: float
    memory: float
    sigmas: float
    least_sigma: float
    tail: float
    standstill_distance: float
    standstill_duration: float
    one_way: bool
    acceleration: float
    jerk: float
    burst: int
    manoeuvre: int


class Axis(NamedTuple):
    """One axis of a stretch: positions y, weights w and p, fit z (see whittaker.py)."""

    y: Any
    w: Any
    p: Any
    z: Any
    stiffness: float
    sway: float


# Kernels are called from one place each where that is possible: the compiler copies them into
# every place, and compilation is what a first run waits for.


@njit(cache=True, nogil=True)
def _fit(axis: Axis, seen: Any, options: Options, s: Any, scratch: Any) -> float:
    """Robust unconstrained fit of one axis: leaves the weights in `w` and `p`, the fit in `z`.

    Returns the robust standard deviation of the residuals.
    """
    y, w, p, z = axis.y, axis.w, axis.p, axis.z
    n = len(y)
    for i in range(n):
        w[i] = seen[i]
    fill(p, n, 1.0)
    fill(s, n, 0.0)
    least = (_LEAST_JERK * options.seconds**3) ** 2
    sigma = 0.0
    for k in range(_FITS):
        if k > 0:
            bisquare(y, z, seen, options.sigmas * max(options.least_sigma, sigma), options.burst, w)
            loosen(z, options.tail, options.manoeuvre, least, p, scratch[0])
        solve(y, w, p, s, axis.stiffness, axis.sway, 0.0, scratch, z)
        sigma = robust_sigma(y, z, w, scratch[0])
    return sigma


@njit(cache=True, nogil=True)
def _constrain(axis: Axis, sign: float, still: Any, s: Any, scratch: Any) -> None:
    """Fit again so that `z` never moves against `sign` (0: may) and rests where `still` is 1.

    Steps against the sign are held, released where they no longer push, until none changes;
    what is left of them are micrometres, which the last lines take away.
    """
    z = axis.z
    n = len(z)
    force = _HOLD * max(1.0, _HELD_STIFFNESS * axis.stiffness)
    fill(s, n, -1.0)
    for _ in range(_CONSTRAINED_FITS):
        changed = False
        for i in range(n - 1):
            held = still[i]
            if sign != 0.0 and sign * (z[i + 1] - z[i]) < 0.0:
                held = 1.0
            if held != s[i]:
                # a first pass without anything to hold leaves the fit as it is
                changed = changed or held == 1.0 or s[i] == 1.0
                s[i] = held
        if not changed:
            break
        solve(axis.y, axis.w, axis.p, s, axis.stiffness, axis.sway, force, scratch, z)
    hold(z, still)
    if sign != 0.0:
        order(z, sign, scratch[0])


@njit(cache=True, nogil=True)
def _direction(z: Any, one_way: bool) -> float:
    """1 or -1 where a vehicle travels along or against the axis, 0 where it does both."""
    if one_way:
        return 1.0
    n = len(z)
    net = z[n - 1] - z[0]
    sign = 1.0 if net >= 0.0 else -1.0
    furthest = sign * z[0]
    back = 0.0
    for i in range(n):
        furthest = max(furthest, sign * z[i])
        back = max(back, furthest - sign * z[i])
    return sign if back <= max(1.0, 0.1 * abs(net)) else 0.0


@njit(cache=True, nogil=True)
def _stiffen(z: Any, options: Options, p: Any) -> bool:
    """Raise `p` around jerk or acceleration beyond the limits; whether there was any."""
    n = len(z)
    step = options.acceleration * options.seconds**2
    twist = options.jerk * options.seconds**3
    found = False
    for i in range(n - 3):
        if (
            abs(z[i + 3] - 3.0 * (z[i + 2] - z[i + 1]) - z[i]) > twist
            or abs(z[i + 2] - 2.0 * z[i + 1] + z[i]) > step
        ):
            found = True
            for k in range(max(0, i - options.manoeuvre), min(n - 3, i + options.manoeuvre + 1)):
                p[k] = min(p[k] * 4.0, 1.0e4)
    return found


@njit(cache=True, nogil=True)
def _settle_ends(z: Any, options: Options) -> None:
    """Lengthen first and last step until the jerk beside them is within the limit.

    Who is seen to come to a stop in the last frame would brake all at once there; a step longer
    by d changes the acceleration of the end by 2 d / D² and that beside it by as much as d / D².
    """
    n = len(z)
    if n < 3:
        return
    limit = 0.99 * options.jerk
    scale = options.seconds**3 / 3.0
    jerk = end_jerk(z[0], z[1], z[2], options.seconds)
    if abs(jerk) > limit:
        z[0] -= (jerk - math.copysign(limit, jerk)) * scale
    jerk = end_jerk(z[n - 1], z[n - 2], z[n - 3], options.seconds)
    if abs(jerk) > limit:
        z[n - 1] -= (jerk - math.copysign(limit, jerk)) * scale


@njit(cache=True, nogil=True)
def _shape(
    work: Any,
    n: int,
    stiffness: Any,
    wander: float,
    options: Options,
    still: Any,
    s: Any,
    scratch: Any,
) -> None:
    """Bring the fits within what a vehicle does: no reversing, standing still, within limits.

    `wander` is the standard deviation of the fit, in m, which a standstill may seem to move by.
    """
    zx, zy, p = work[_ACROSS, 3, :n], work[_ALONG, 3, :n], work[_ALONG, 2, :n]
    sign = _direction(zy, options.one_way)
    least = options.standstill_distance / 6.0
    distance = min(options.standstill_distance, max(least, 4.0 * wander))
    duration = options.standstill_duration
    for _ in range(_LIMITED_FITS):
        marked = standing(zx, zy, options.seconds, distance, duration, scratch[0], still)
        for axis in range(2):
            if axis == _ALONG or marked > 0:
                _constrain(
                    _view(work, axis, n, stiffness, options),
                    sign if axis == _ALONG else 0.0,
                    still,
                    s,
                    scratch,
                )
        if not _stiffen(zy, options, p):
            break
    _settle_ends(zy, options)


@njit(cache=True, nogil=True)
def _view(work: Any, axis: int, n: int, stiffness: Any, options: Options) -> Axis:
    """One axis of a stretch in the work space."""
    sway = stiffness[axis] * (options.seconds / options.memory) ** 2
    return Axis(
        work[axis, 0, :n],
        work[axis, 1, :n],
        work[axis, 2, :n],
        work[axis, 3, :n],
        stiffness[axis],
        sway,
    )


@njit(cache=True, nogil=True)
def _observed(state: Any, seen: Any) -> int:
    """1 in `seen` where a point is observed; everywhere, if none is. Returns how many."""
    n = len(state)
    count = 0
    for i in range(n):
        seen[i] = 1.0 if state[i] == OBSERVED else 0.0
        count += 1 if state[i] == OBSERVED else 0
    if count == 0:
        fill(seen, n, 1.0)
        count = n
    return count


@njit(cache=True, nogil=True)
def _moving(x: Any, y: Any, seconds: float, moves: Any) -> None:
    """1 in `moves` where a vehicle is faster than 1/3 m/s over the 3 s around, else 0."""
    n = len(x)
    reach = round(1.5 / seconds)
    for i in range(n):
        a, b = max(0, i - reach), min(n - 1, i + reach)
        way = math.hypot(x[b] - x[a], y[b] - y[a])
        moves[i] = 1.0 if 3.0 * way > (b - a) * seconds else 0.0


@njit(cache=True, nogil=True)
def _enter(x: Any, seen: Any, y: Any) -> float:
    """Write positions relative to the first one seen to `y`, 0 where none is; returns that one."""
    n = len(x)
    origin = 0.0
    for i in range(n - 1, -1, -1):
        if seen[i] == 1.0:
            origin = x[i]
    for i in range(n):
        y[i] = x[i] - origin if seen[i] == 1.0 else 0.0
    return origin


@njit(cache=True, nogil=True)
def _enter_both(x: Any, y: Any, seen: Any, work: Any, origin: Any) -> int:
    """Enter both axes; returns the one on which positions reach further."""
    n = len(x)
    reach = np.zeros(2)
    for axis in range(2):
        origin[axis] = _enter(x if axis == _ACROSS else y, seen, work[axis, 0])
        low, high = 0.0, 0.0
        for i in range(n):
            low, high = min(low, work[axis, 0, i]), max(high, work[axis, 0, i])
        reach[axis] = high - low
    return _ACROSS if reach[_ACROSS] > reach[_ALONG] else _ALONG


@njit(cache=True, nogil=True)
def _leave(delivered: Any, origin: float, axis: Any) -> None:
    """What cannot be fitted: one or two frames stay; one point tells of no speed, so that all
    frames are where it is."""
    n = len(delivered)
    for i in range(n):
        axis[3, i] = delivered[i] - origin if n < 3 else axis[0, i]


@njit(cache=True, nogil=True)
def reconstruct_stretches(
    first: int,
    last: int,
    start: Any,
    x: Any,
    y: Any,
    state: Any,
    tables: Any,
    options: Options,
    place: Any,
) -> None:
    """Reconstruct stretches first to last - 1.

    Args:
        start: first point of every stretch, and one more.
        x, y: metres; read only where `state` is OBSERVED, unless a stretch has no such point.
        state: OBSERVED points that turn out to be outliers become REPAIRED.
        tables: of `stiffness.spectra`.
        place: rows x, y, on the grid; written.
    """
    longest = 0
    for k in range(first, last):
        longest = max(longest, start[k + 1] - start[k])
    dense, sparse = tables
    size = max(len(dense.cutoffs), len(sparse.cutoffs))
    most = longest // min(dense.bin_frames, sparse.bin_frames) + 1
    scratch = np.empty((3, longest))
    bins = np.empty((most, size))
    spectra = np.empty((5, most, size))
    work = np.empty((2, 4, longest))
    seen, moves = np.empty(longest), np.empty(longest)
    s, still = np.empty(longest), np.empty(longest)
    origin, stiffness, limit, wander = np.empty(2), np.empty(2), np.empty(2), np.empty(2)
    for k in range(first, last):
        a, b = start[k], start[k + 1]
        n = b - a
        # what is seen seldom pulls less; softened as much, the fit follows the same frequencies
        observed = _observed(state[a:b], seen)
        share = observed / n
        fitted = n >= 3 and observed >= 2
        _moving(x[a:b], y[a:b], options.seconds, moves)
        main = _enter_both(x[a:b], y[a:b], seen, work, origin)
        liveliest = _HIGHEST / options.seconds
        for axis in (main, 1 - main):
            if not fitted:
                _leave((x if axis == _ACROSS else y)[a:b], origin[axis], work[axis])
                continue
            cutoff = options.cutoff
            if cutoff <= 0.0:
                cutoff = cutoff_frequency(
                    work[axis, 0, :n],
                    seen,
                    moves,
                    tables,
                    options.typical_cutoff,
                    options.typical_cutoff * (CORRELATED if options.one_way else 1.0),
                    options.memory,
                    EXACT if axis == _ALONG else 0.0,
                    spectra,
                    bins,
                )
            cutoff = min(cutoff, liveliest)
            liveliest = min(liveliest, _LIVELIEST * cutoff)
            stiffness[axis] = share * (2.0 * math.sin(math.pi * cutoff * options.seconds)) ** -6.0
            sigma = _fit(_view(work, axis, n, stiffness, options), seen, options, s, scratch)
            limit[axis] = min(_FARTHEST, options.sigmas * max(options.least_sigma, sigma))
            # what white error of that size leaves in the fit: a mean over 1 / (2 f D) points
            wander[axis] = sigma * math.sqrt(2.0 * cutoff * options.seconds / share)
        if fitted:
            _shape(work, n, stiffness, wander[_ALONG], options, still, s, scratch)
            for i in range(n):
                far = abs(work[0, 0, i] - work[0, 3, i]) > limit[0]
                far = far or abs(work[1, 0, i] - work[1, 3, i]) > limit[1]
                rejected = work[0, 1, i] == 0.0 or work[1, 1, i] == 0.0
                if state[a + i] == OBSERVED and (rejected or far):
                    state[a + i] = REPAIRED
        elif options.one_way:
            order(work[_ALONG, 3, :n], 1.0, scratch[0])
        for axis in range(2):
            for i in range(n):
                value = work[axis, 3, i] + origin[axis]
                place[axis, a + i] = np.floor(value / GRID + 0.5) * GRID

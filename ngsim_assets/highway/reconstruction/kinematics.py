"""Positions of one stretch into what follows from them: motion, standstill, order.

The discrete definition, for frames D seconds apart and positions x_0 … x_n on the stored grid:

    v_i = (x_{i+1} - x_{i-1}) / 2D          a_i = (x_{i+1} - 2 x_i + x_{i-1}) / D²
    j_i = (a_{i+1} - a_i) / D

so that integration gives back what was differentiated, exactly and not only nearly:

    x_{i+1} = x_i + v_i D + a_i D²/2        v_{i+1} = v_i + (a_i + a_{i+1}) D/2
    a_{i+1} = a_i + j_i D

Both ends keep these identities: a_0 = a_1 and v_0 = (x_1 - x_0)/D - a_0 D/2, a_n = a_{n-1} and
v_n = (x_n - x_{n-1})/D + a_n D/2, where a is lowered until v does not change its sign against
the step beside it; j_n = 0. A stretch of two points moves steadily, a single point stands
(tables leave its motion out, since nothing is known of it).

Belongs here: numerical kernels on plain arrays of one stretch. Does not belong here: smoothing.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ngsim_assets.highway.reconstruction.robust import fill, median


@njit(cache=True, nogil=True)
def differentiate(x: Any, seconds: float, v: Any, a: Any) -> None:
    """Write velocity and acceleration of the positions `x` to `v` and `a`."""
    n = len(x)
    if n == 1:
        v[0] = a[0] = 0.0
        return
    if n == 2:
        v[0] = v[1] = (x[1] - x[0]) / seconds
        a[0] = a[1] = 0.0
        return
    for i in range(1, n - 1):
        v[i] = (x[i + 1] - x[i - 1]) / (2.0 * seconds)
        a[i] = (x[i + 1] - 2.0 * x[i] + x[i - 1]) / (seconds * seconds)
    a[0] = _end_acceleration((x[1] - x[0]) / seconds, a[1], seconds)
    v[0] = (x[1] - x[0]) / seconds - a[0] * seconds / 2.0
    a[n - 1] = -_end_acceleration((x[n - 1] - x[n - 2]) / seconds, -a[n - 2], seconds)
    v[n - 1] = (x[n - 1] - x[n - 2]) / seconds + a[n - 1] * seconds / 2.0


@njit(cache=True, nogil=True)
def _end_acceleration(step: float, neighbour: float, seconds: float) -> float:
    """Acceleration at the start of a stretch: its neighbour's, unless that turns v around."""
    limit = 2.0 * step / seconds
    if step > 0.0:
        return min(neighbour, limit)
    if step < 0.0:
        return max(neighbour, limit)
    return 0.0


@njit(cache=True, nogil=True)
def end_jerk(first: float, second: float, third: float, seconds: float) -> float:
    """Jerk between the first two of three positions at the start of a stretch.

    At the end it is that of the last three, the last first, with the sign turned.
    """
    neighbour = (third - 2.0 * second + first) / (seconds * seconds)
    own = _end_acceleration((second - first) / seconds, neighbour, seconds)
    return (neighbour - own) / seconds


@njit(cache=True, nogil=True)
def rate(a: Any, seconds: float, j: Any) -> None:
    """Write the forward difference of `a` per second to `j`, 0 at the end."""
    n = len(a)
    for i in range(n - 1):
        j[i] = (a[i + 1] - a[i]) / seconds
    j[n - 1] = 0.0


@njit(cache=True, nogil=True)
def differentiate_stretches(start: Any, x: Any, y: Any, seconds: float, motion: Any) -> None:
    """Motion of stretches from their positions.

    Args:
        start: first point of every stretch, and one more.
        x, y: m, on the grid.
        motion: rows velocity x, y, acceleration x, y, jerk; written.
    """
    for k in range(len(start) - 1):
        a, b = start[k], start[k + 1]
        differentiate(x[a:b], seconds, motion[0, a:b], motion[2, a:b])
        differentiate(y[a:b], seconds, motion[1, a:b], motion[3, a:b])
        rate(motion[3, a:b], seconds, motion[4, a:b])


@njit(cache=True, nogil=True)
def standing(
    x: Any, y: Any, seconds: float, distance: float, duration: float, work: Any, s: Any
) -> int:
    """Mark steps (i, i+1) of standstill in `s` with 1, others 0; returns how many there are.

    A vehicle stands while it stays within `distance` metres, along and across, for `duration`
    seconds or more. The ends of such a stay, where it still rolls in or already out, are not
    part of it: they lie more than a quarter of `distance` off the median of the stay.
    """
    n = len(y)
    fill(s, n, 0.0)
    frames = max(1, round(duration / seconds))
    marked = 0
    i = 0
    while i + frames < n:
        if abs(y[i + frames] - y[i]) > distance:
            i += 1
            continue
        j = i
        while j + 1 < n and abs(y[j + 1] - y[i]) <= distance and abs(x[j + 1] - x[i]) <= distance:
            j += 1
        if j - i < frames:
            i += 1
            continue
        for k in range(i, j + 1):
            work[k - i] = y[k]
        middle = median(work, j - i + 1)
        first, last = i, j
        while first < last and abs(y[first] - middle) > distance / 4.0:
            first += 1
        while last > first and abs(y[last] - middle) > distance / 4.0:
            last -= 1
        for k in range(first, last):
            s[k] = 1.0
        marked += last - first
        i = j
    return marked


@njit(cache=True, nogil=True)
def order(y: Any, sign: float, size: Any) -> None:
    """Make `y` non-decreasing (sign 1) or non-increasing (sign -1) with the least squared change.

    Pool adjacent violators; `size` is work space for the pools.
    """
    n = len(y)
    pools = 0
    for i in range(n):
        value = sign * y[i]
        count = 1.0
        while pools > 0 and sign * y[pools - 1] > value:
            value = (value * count + sign * y[pools - 1] * size[pools - 1]) / (
                count + size[pools - 1]
            )
            count += size[pools - 1]
            pools -= 1
        y[pools] = sign * value
        size[pools] = count
        pools += 1
    # pools are unpacked from the right, so that no pool is overwritten before it is read
    end = n
    for k in range(pools - 1, -1, -1):
        value = y[k]
        count = int(size[k])
        for i in range(end - count, end):
            y[i] = value
        end -= count


@njit(cache=True, nogil=True)
def hold(y: Any, s: Any) -> None:
    """Set every run of standing steps to its mean, so that what stands does not creep."""
    n = len(y)
    i = 0
    while i < n - 1:
        if s[i] == 0.0:
            i += 1
            continue
        j = i
        total = y[i]
        while j < n - 1 and s[j] != 0.0:
            j += 1
            total += y[j]
        mean = total / (j - i + 1)
        for k in range(i, j + 1):
            y[k] = mean
        i = j

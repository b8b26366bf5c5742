"""Followers taken off their leaders: the compiled part of the filter in platoon.py.

Where the reconstructed positions of a follower and its leader overlap, at least one of the two
is wrong, and nothing says which: each moves by half of what is missing. How a vehicle moves is
the least correction c that does it, smooth in time and in proportion to its speed: it minimises

    sum c_i^2 + stiffness sum (d3 c)_i^2 + pace sum ((d1 c)_i / (d1 y)_i)^2

subject to its bounds, so that what stands stays where it stands for as long as it does. Bounds
come from pairs of vehicles and are set in sweeps: all bounds from the positions of the sweep
before, then all vehicles. No result depends on the order of vehicles.

Belongs here: numerical kernels. Does not belong here: tables and parameters (platoon.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.kinematics import end_jerk, order
from ngsim_assets.highway.reconstruction.reconstruct import GRID
from ngsim_assets.highway.reconstruction.robust import fill
from ngsim_assets.highway.reconstruction.whittaker import solve

_SWEEPS = 100
_ROUNDS = 15
# Weight of a bound against 1 for staying in place: holds to a fraction of a millimetre.
_BOUND = 1.0e6
# m within which a pair counts as apart; under what is stored of a measured position twice.
_CLOSE_ENOUGH = 2.0e-3
# Steps under this many metres are a standstill as far as moving in proportion goes.
_LEAST_STEP = 1.0e-3


class Rules(NamedTuple):
    """Parameters of `Separate` as the kernels take them.

    Attributes:
        gap: m to be left between bumpers. deepest: m.
        stiffness, pace: see the module's docstring.
        step, twist: largest absolute second and third difference of positions, m.
    """

    gap: float
    deepest: float
    stiffness: float
    pace: float
    step: float
    twist: float


class Traffic(NamedTuple):
    """Vehicles of a whole recording, each in one piece, frames ascending.

    Attributes:
        start: first point of every run of consecutive frames, and one more.
        vehicle, frame, y: per point; y (m) is changed.
        sign: per point, 1 or -1: the way its vehicle comes along the axis.
    """

    start: Any
    vehicle: Any
    frame: Any
    y: Any
    sign: Any


class Pairs(NamedTuple):
    """Points of a follower and its leader at one frame, by follower.

    Attributes:
        behind, ahead: points. length: m, of the leader.
        taken: 1 where the pair has to be kept apart.
    """

    behind: Any
    ahead: Any
    length: Any
    taken: Any


@njit(cache=True, nogil=True)
def _gap(traffic: Traffic, behind: int, ahead: int, length: float) -> float:
    """m between the bumpers, negative where they overlap."""
    return traffic.sign[behind] * (traffic.y[ahead] - traffic.y[behind]) - length


@njit(cache=True, nogil=True)
def close_pairs(
    traffic: Traffic, ahead: Any, lane: Any, x: Any, length: Any, width: Any, reach: float
) -> Pairs:
    """Pairs less than `reach` apart, of vehicles in one lane that travel the same way.

    Args:
        ahead: per point the point of its leader, -1 none.
        lane: per point, -1 not known: the leader is believed then.
        x: m across the road.
        length, width: per point, m, of its vehicle, NaN not known: without a length there is no
            pair, without a width nobody is beside anybody.
    """
    n = len(ahead)
    count = 0
    for i in range(n):
        k = ahead[i]
        if k >= 0 and _gap(traffic, i, k, length[k]) < reach:
            count += 1
    behind, front = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    size = np.empty(count)
    taken = np.ones(count, dtype=np.uint8)
    count = 0
    for i in range(n):
        k = ahead[i]
        if k < 0 or not _gap(traffic, i, k, length[k]) < reach:
            continue
        if traffic.sign[k] != traffic.sign[i]:
            continue
        if lane[i] >= 0 and lane[k] >= 0 and lane[i] != lane[k]:
            continue
        behind[count], front[count], size[count] = i, k, length[k]
        # who cuts in has his rear beside the follower's front before he is in front of it
        if abs(x[i] - x[k]) > (width[i] + width[k]) / 2.0:
            taken[count] = 0
        count += 1
    return Pairs(behind[:count], front[:count], size[:count], taken[:count])


@njit(cache=True, nogil=True)
def leave_deep(traffic: Traffic, pairs: Pairs, rules: Rules) -> None:
    """Take no pair of an overlap that is somewhere deeper than the deepest.

    An overlap lasts while the same two vehicles are less than the gap apart.
    """
    first = 0
    count = len(pairs.behind)
    while first < count:
        least = math.inf
        end = first
        while end < count:
            i, k = pairs.behind[end], pairs.ahead[end]
            gap = _gap(traffic, i, k, pairs.length[end])
            last = pairs.behind[end - 1]
            if gap >= rules.gap or (
                end > first
                and (
                    traffic.vehicle[i] != traffic.vehicle[last]
                    or traffic.vehicle[k] != traffic.vehicle[pairs.ahead[end - 1]]
                    or traffic.frame[i] - traffic.frame[last] > 1
                )
            ):
                break
            least = min(least, gap)
            end += 1
        if least < -rules.deepest:
            for p in range(first, end):
                pairs.taken[p] = 0
        first = max(end, first + 1)


@njit(cache=True, nogil=True)
def _place(ascending: Any, value: int) -> int:
    """How many elements are below `value`."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _run_of(start: Any, point: int) -> int:
    """Run of consecutive frames that a point belongs to."""
    return _place(start, point + 1) - 1


@njit(cache=True, nogil=True)
def _update(
    traffic: Traffic, pairs: Pairs, shift: Any, blocked: Any, rules: Rules, bounds: Any, dirty: Any
) -> bool:
    """Bounds from where the vehicles are now; whether any pair is too close still.

    A pair that ever was keeps its bounds at the gap: what is missing is taken by both, and what
    they are too far apart, because of other vehicles, is given back by both.

    Args:
        bounds: per pair the most the follower and the least the leader may be moved ahead, in m;
            written. dirty: runs with a bound that is new; written.
    """
    found = False
    for p in range(len(pairs.behind)):
        if pairs.taken[p] == 0:
            continue
        i, k = pairs.behind[p], pairs.ahead[p]
        missing = rules.gap - _gap(traffic, i, k, pairs.length[p])
        close = missing > _CLOSE_ENOUGH
        if not close and (bounds[p, 0] == math.inf or missing > -_CLOSE_ENOUGH):
            continue
        a, b = _run_of(traffic.start, i), _run_of(traffic.start, k)
        if blocked[a] and blocked[b]:
            continue
        share = 0.5
        if blocked[a]:
            share = 0.0
        elif blocked[b]:
            share = 1.0
        bounds[p, 0] = shift[i] - share * missing
        bounds[p, 1] = shift[k] + (1.0 - share) * missing
        dirty[a] = dirty[a] or not blocked[a]
        dirty[b] = dirty[b] or not blocked[b]
        found = found or close
    return found


@njit(cache=True, nogil=True)
def _least_shift(y: Any, low: Any, high: Any, rules: Rules, work: Any, c: Any) -> None:
    """The least smooth shift `c` of one run `y` within `low` and `high`; `work` is 7 x n."""
    n = len(c)
    target, w, p, s, scratch = work[0, :n], work[1, :n], work[2, :n], work[3, :n], work[4:, :]
    fill(p, n, 1.0)
    for i in range(n):
        step = y[i + 1] - y[i] if i < n - 1 else 0.0
        s[i] = 1.0 / max(_LEAST_STEP, abs(step)) ** 2
        c[i] = 0.0
        w[i] = 0.0
    for _ in range(_ROUNDS):
        changed = False
        for i in range(n):
            weight = 1.0
            wanted = 0.0
            if c[i] > high[i]:
                weight += _BOUND
                wanted += _BOUND * high[i]
            if c[i] < low[i]:
                weight += _BOUND
                wanted += _BOUND * low[i]
            changed = changed or weight != w[i]
            w[i] = weight
            target[i] = wanted / weight
        if not changed:
            break
        solve(target, w, p, s, rules.stiffness, 0.0, rules.pace, scratch, c)


@njit(cache=True, nogil=True)
def _drivable(before: Any, after: Any, rules: Rules) -> bool:
    """Whether nothing is beyond the limits after that was not as far before."""
    n = len(after)
    # ends in units of frames, as everything here
    for a, b, c in ((0, 1, 2), (n - 1, n - 2, n - 3)):
        if n > 2:
            limit = max(rules.twist, abs(end_jerk(before[a], before[b], before[c], 1.0)))
            if abs(end_jerk(after[a], after[b], after[c], 1.0)) > limit:
                return False
    for i in range(n - 2):
        a = abs(after[i + 2] - 2.0 * after[i + 1] + after[i])
        if a > max(rules.step, abs(before[i + 2] - 2.0 * before[i + 1] + before[i])):
            return False
    for i in range(n - 3):
        a = abs(after[i + 3] - 3.0 * (after[i + 2] - after[i + 1]) - after[i])
        b = abs(before[i + 3] - 3.0 * (before[i + 2] - before[i + 1]) - before[i])
        if a > max(rules.twist, b):
            return False
    return True


@njit(cache=True, nogil=True)
def _move(base: Any, sign: float, rules: Rules, work: Any, c: Any, y: Any) -> bool:
    """Write `base` shifted by `c` to `y` and what became of the shift to `c`; whether it may be.

    What stands in `base` stands, what never reverses never does, all on the grid.
    """
    n = len(y)
    first = 0
    while first < n:
        end = first + 1
        while end < n and base[end] == base[first]:
            end += 1
        total = 0.0
        for i in range(first, end):
            total += c[i]
        for i in range(first, end):
            y[i] = base[i] + sign * total / (end - first)
        first = end
    forward = True
    for i in range(n - 1):
        forward = forward and sign * (base[i + 1] - base[i]) >= 0.0
    if forward:
        order(y, sign, work[0])
    largest = 0.0
    for i in range(n):
        y[i] = math.floor(y[i] / GRID + 0.5) * GRID
        c[i] = sign * (y[i] - base[i])
        largest = max(largest, abs(c[i]))
    return largest <= rules.deepest and _drivable(base, y, rules)


@njit(cache=True, nogil=True)
def _bounds_of(
    a: int, b: int, pairs: Pairs, leading: Any, bounds: Any, low: Any, high: Any
) -> None:
    """Write the bounds of points a to b - 1 to `low` and `high`; see `separate`."""
    by_leader, leaders = leading
    fill(low, b - a, -math.inf)
    fill(high, b - a, math.inf)
    for p in range(_place(pairs.behind, a), _place(pairs.behind, b)):
        high[pairs.behind[p] - a] = bounds[p, 0]
    for q in range(_place(leaders, a), _place(leaders, b)):
        k = leaders[q] - a
        low[k] = max(low[k], bounds[by_leader[q], 1])


@njit(cache=True, nogil=True)
def separate(traffic: Traffic, pairs: Pairs, leading: Any, rules: Rules) -> Any:
    """Move vehicles until the pairs taken are apart, as far as that can be; returns the shifts.

    A run of frames that would have to move further than the deepest overlap, or as no vehicle
    can, stays where it is, and the other vehicle of its pairs moves by the whole.

    Args:
        leading: pairs in order of their leader's point, and those points.
    """
    base, shift = np.empty(len(traffic.y)), np.zeros(len(traffic.y))
    for i in range(len(base)):
        base[i] = traffic.y[i]
    runs = len(traffic.start) - 1
    blocked, dirty = np.zeros(runs, dtype=np.bool_), np.zeros(runs, dtype=np.bool_)
    longest = 0
    for r in range(runs):
        longest = max(longest, traffic.start[r + 1] - traffic.start[r])
    work = np.empty((7, longest))
    low, high = np.empty(longest), np.empty(longest)
    bounds = np.empty((len(pairs.behind), 2))
    for p in range(len(bounds)):
        bounds[p, 0], bounds[p, 1] = math.inf, -math.inf
    for _ in range(_SWEEPS):
        if not _update(traffic, pairs, shift, blocked, rules, bounds, dirty):
            break
        for r in range(runs):
            if not dirty[r]:
                continue
            dirty[r] = False
            a, b = traffic.start[r], traffic.start[r + 1]
            n = b - a
            _bounds_of(a, b, pairs, leading, bounds, low, high)
            _least_shift(base[a:b], low[:n], high[:n], rules, work, shift[a:b])
            if not _move(base[a:b], traffic.sign[a], rules, work, shift[a:b], traffic.y[a:b]):
                blocked[r] = True
                for i in range(a, b):
                    shift[i] = 0.0
                    traffic.y[i] = base[i]
    return shift

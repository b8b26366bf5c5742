"""Which points and which jerks of a stretch a fit believes: the weights of the solver.

Belongs here: weights from residuals. Does not belong here: the fit (reconstruct.py, whittaker.py).
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def bisquare(y: Any, z: Any, seen: Any, scale: float, burst: int, w: Any) -> None:
    """Tukey's weights of the residuals; weights as `seen` where most would be lost.

    `scale`: residual in m at which the weight is 0. `burst`: frames, see `_believe_runs`.
    """
    n = len(y)
    total = kept = 0
    for i in range(n):
        if seen[i] == 0.0:
            w[i] = 0.0
            continue
        total += 1
        u = (y[i] - z[i]) / scale
        w[i] = (1.0 - u * u) ** 2 if abs(u) < 1.0 else 0.0
        kept += 1 if w[i] > 0.0 else 0
    if kept < 3 or 2 * kept < total:
        for i in range(n):
            w[i] = seen[i]
        return
    _believe_runs(y, z, seen, burst, w)


@njit(cache=True, nogil=True)
def _believe_runs(y: Any, z: Any, seen: Any, burst: int, w: Any) -> None:
    """Give weight back to rejected points in a row, on one side, for longer than a burst.

    Such a row is what the vehicle did, a start or a brake the fit was too stiff for; and so is
    one at an end of the stretch, where nothing after it says otherwise.
    """
    n = len(y)
    first = 0
    while first < n:
        if w[first] > 0.0 or seen[first] == 0.0:
            first += 1
            continue
        last = first
        while last + 1 < n and (
            seen[last + 1] == 0.0
            or (w[last + 1] == 0.0 and (y[last + 1] > z[last + 1]) == (y[first] > z[first]))
        ):
            last += 1
        if last - first >= burst or first == 0 or last == n - 1:
            for i in range(first, last + 1):
                w[i] = seen[i]
        first = last + 1


@njit(cache=True, nogil=True)
def loosen(z: Any, tail: float, reach: int, least: float, p: Any, work: Any) -> None:
    """Weights of third differences by Student's t with `tail` degrees of freedom.

    Where the jerk within `reach` frames stands out from the rest of the stretch (a brake, a
    start), the penalty gives way; elsewhere it is as it was. `least` is the squared third
    difference below which none stands out.
    """
    rows = len(z) - 3
    if rows < 2 * reach + 1:
        return
    mean = clipped = energy = 0.0
    for i in range(rows):
        work[i] = (z[i + 3] - 3.0 * (z[i + 2] - z[i + 1]) - z[i]) ** 2
        mean += math.sqrt(work[i])
    for i in range(rows):
        clipped += min(math.sqrt(work[i]), 3.0 * mean / rows)
    for i in range(rows):
        energy += min(work[i], (3.0 * clipped / rows) ** 2)
    energy = max(energy / rows, least)
    total = 0.0
    for i in range(min(reach, rows)):
        total += work[i]
    for i in range(rows):
        if i + reach < rows:
            total += work[i + reach]
        if i > reach:
            total -= work[i - reach - 1]
        count = min(i + reach, rows - 1) - max(i - reach, 0) + 1
        p[i] = (tail + 1.0) / (tail + max(total, 0.0) / count / energy)

"""Medians on plain arrays, compiled: what most of a track says, whatever a few points do.

Belongs here: order statistics without allocation. (numpy's median would do, but costs seconds
of compilation in every kernel that names it.)
"""

from __future__ import annotations

from typing import Any

from numba import njit

_SAMPLE = 200


@njit(cache=True, nogil=True)
def fill(array: Any, n: int, value: float) -> None:
    """Set the first `n` elements."""
    for i in range(n):
        array[i] = value


@njit(cache=True, nogil=True)
def _select(work: Any, n: int, rank: int) -> float:
    """Element of `rank` among the first `n`, which are rearranged around it (quickselect)."""
    low, high = 0, n - 1
    while low < high:
        middle = (low + high) // 2
        pivot = max(min(work[low], work[middle]), min(max(work[low], work[middle]), work[high]))
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return work[rank]


@njit(cache=True, nogil=True)
def median(work: Any, n: int) -> float:
    """Median of the first `n` elements, n > 0; they are rearranged."""
    upper = _select(work, n, n // 2)
    if n % 2 == 1:
        return upper
    lower = work[0]
    for i in range(1, n // 2):
        lower = max(lower, work[i])
    return (lower + upper) / 2.0


@njit(cache=True, nogil=True)
def robust_sigma(y: Any, z: Any, w: Any, work: Any) -> float:
    """1.4826 x the median absolute residual where w > 0: the standard deviation of most.

    Long tracks are sampled evenly, at 200 points or more; `work` holds as many.
    """
    count = 0
    for i in range(0, len(y), max(1, len(y) // _SAMPLE)):
        if w[i] > 0.0:
            work[count] = abs(y[i] - z[i])
            count += 1
    return 1.4826 * median(work, count) if count > 0 else 0.0

"""What is there of a recording and what is missing: gaps, stretches filled in, coverage.

Belongs here: compiled counts of frames, and lengths of unions. Does not belong here: names and
meanings of metrics (catalogue.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ngsim_assets.highway.assessment.track_measures import Floats, Ints, Tracks


def gap_classes(tracks: Tracks, longest: Sequence[int]) -> Ints:
    """Gaps inside trajectories by frames missing: up to each of `longest`, the rest last."""
    return _gap_classes(tracks.starts, tracks.frame, np.array(longest, np.int64))


@njit(cache=True, nogil=True)
def _gap_classes(starts: Any, frame: Any, longest: Any) -> Any:
    counts = np.zeros(len(longest) + 1, np.int64)
    for track in range(len(starts) - 1):
        for i in range(starts[track] + 1, starts[track + 1]):
            missing = frame[i] - frame[i - 1] - 1
            if missing > 0:
                counts[np.searchsorted(longest, missing)] += 1
    return counts


def longest_run(tracks: Tracks, marked: npt.NDArray[np.bool_]) -> int:
    """Most rows in a row of one trajectory that are `marked`."""
    return int(_longest_run(tracks.starts, marked))


@njit(cache=True, nogil=True)
def _longest_run(starts: Any, marked: Any) -> int:
    longest = 0
    for track in range(len(starts) - 1):
        run = 0
        for i in range(starts[track], starts[track + 1]):
            run = run + 1 if marked[i] else 0
            longest = max(longest, run)
    return longest


def covered(starts: Floats, ends: Floats, low: float, high: float) -> float:
    """How much of [low, high] lies in at least one of the intervals."""
    if not len(starts):
        return 0.0
    order = np.argsort(starts, kind="stable")
    begins = np.clip(starts[order], low, high)
    reached = np.maximum.accumulate(np.clip(ends[order], low, high))
    between = np.maximum(0.0, begins[1:] - reached[:-1]).sum()
    return float(reached[-1] - begins[0] - between)

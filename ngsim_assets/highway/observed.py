"""Which part of a cell of time and place was observed.

Observation begins and ends within cells. It is taken to reach over all time between the first and
the last piece of a recording, and over all places between the lowest and the highest of them; the
last two only where they lie in different cells, and never to less than a metre of a cell, to which
positions are good. Recordings that take up vehicles as they enter, and follow them until they
leave, begin later and end later downstream: on freeways, observation of a place begins with the
first vehicle there if it was empty for more than UNSEEN_HEADWAYS before, and ends likewise; cells
before and after have a share of nearly 0. (On arterials, signals empty places.) That no lane fills
every place (ramps) is not made up for.

Belongs here: where observation begins and ends. Does not belong here: sums in cells (traffic.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

UNSEEN_HEADWAYS = 5.0
"""Mean headways nobody is seen at a place of a freeway, at the start or the end of a recording,
for it to be taken as not observed then; of random arrivals, 0.7 % leave such a gap."""

LEAST_LENGTH = 1.0
"""m of a cell, at least, that count as observed: camera positions are no better than that."""

LEAST_SHARE = 2.0**-20
"""The least share over 0 that the table keeps: what is less would be stored as 0."""


def observed_share(
    sums: pl.DataFrame,
    times: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    step: int,
    length: float,
) -> npt.NDArray[np.float64]:
    """Part of each cell of time and place that was observed, LEAST_SHARE or more of it.

    Args:
        sums: of one recording, as `traffic.accumulate` returns them. times, places: numbers of the
            cells, ascending without gaps. step, length: microseconds and m of a cell.
    """
    first_time, last_time, first_y, last_y = sums.select(
        pl.col("first_time").min(),
        pl.col("last_time").max(),
        pl.col("first_y").min(),
        pl.col("last_y").max(),
    ).row(0)
    begins, ends = np.full(len(places), first_time), np.full(len(places), last_time)
    if sums["direction"].is_null().all():
        seen = sums.group_by("y_cell").agg(
            pl.col("first_seen").min(), pl.col("last_seen").max(), pl.col("passed").sum()
        )
        at = seen["y_cell"].to_numpy() - places[0]
        headway = (last_time - first_time) / seen["passed"].to_numpy()
        came, left = seen["first_seen"].to_numpy(), seen["last_seen"].to_numpy()
        begins[at] = np.where(came - first_time > UNSEEN_HEADWAYS * headway, came, first_time)
        ends[at] = np.where(last_time - left > UNSEEN_HEADWAYS * headway, left, last_time)
    overlap = np.minimum.outer((times + 1) * step, ends) - np.maximum.outer(times * step, begins)
    share = np.clip(overlap / step, 0.0, 1.0) * _share_of_length(places, length, first_y, last_y)
    return np.maximum(share, LEAST_SHARE)


def _share_of_length(
    cells: npt.NDArray[np.int64], length: float, first: float, last: float
) -> npt.NDArray[np.float64]:
    """Part of each place cell that lies within [first, last] m, at least LEAST_LENGTH of it."""
    if len(cells) == 1:
        return np.ones(1)
    overlap = np.minimum((cells + 1) * length, last) - np.maximum(cells * length, first)
    # whole cells are whole, whatever their borders round to
    inner = (cells > cells[0]) & (cells < cells[-1])
    least = min(LEAST_LENGTH / length, 1.0)
    return np.where(inner, 1.0, np.clip(overlap / length, least, 1.0))

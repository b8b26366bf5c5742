"""Moments at which cars were told of, remembered over all rows of a session.

Belongs here: telling a moment that came before from a new one, whatever parts rows come in. Does
not belong here: what becomes of a repeated row (ranges.py).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Moments:
    """What was told so far; eight bytes a row.

    Rows come mostly in order of time, so only what overlaps is looked at again.
    """

    def __init__(self) -> None:
        self._told: list[NDArray[np.int64]] = []

    def again(self, moments: pl.Series) -> pl.Series:
        """Whether each moment (time and car as one number) came before; all are remembered."""
        again = ~moments.is_first_distinct()
        keys = moments.to_numpy()
        if not len(keys):
            return again
        before = np.zeros(len(keys), dtype=np.bool_)
        ordered = np.sort(keys)
        for told in self._told:
            if told[0] <= ordered[-1] and ordered[0] <= told[-1]:
                places = np.minimum(np.searchsorted(told, keys), len(told) - 1)
                before |= told[places] == keys
        self._told.append(ordered)
        return again | pl.Series(before)

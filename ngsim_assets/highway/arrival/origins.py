"""Which frame origin each delivered row speaks of: what tells recordings apart.

The frame origin t0 = Global_Time - 100 * Frame_ID is the same for every row of a recording.
Belongs here: finding it for millions of rows, and how many rows have which. Does not belong
here: what an origin means (recordings.py).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.highway.formats import LOCATIONS
from ngsim_assets.highway.sites import Clock

_FRAME_MS = Clock().frame_ms
_NO_SITE = 255
_NO_CLOCK = np.int64(-(2**63))
_BLOCK = 65_536


class Origins:
    """Every (highway, t0) met so far, numbered in order of first appearance.

    Rows whose frame or time cannot be read share an origin without t0, per highway.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sites = np.empty(0, np.uint8)
        self._t0 = np.empty(0, np.int64)
        self._rows = np.empty(0, np.int64)
        self._first_frame = np.empty(0, np.int32)
        self._slots = np.empty(0, np.int32)

    def number(self, batch: pl.DataFrame) -> NDArray[np.int32]:
        """Number (int32) of each row's origin; `batch` needs location, frame_id, global_time."""
        columns = batch.select(
            pl.col("location").cast(LOCATIONS, strict=False).to_physical().fill_null(_NO_SITE)
            .cast(pl.UInt8).alias("site"),
            pl.when(pl.col("global_time").is_null() | pl.col("frame_id").is_null())
            .then(pl.lit(int(_NO_CLOCK)))
            .otherwise(pl.col("global_time") - _FRAME_MS * pl.col("frame_id").cast(pl.Int64))
            .alias("t0"),
            pl.col("frame_id").fill_null(0).alias("frame"),
        )  # fmt: skip
        site, t0, frame = (column.rechunk().to_numpy() for column in columns)
        numbers = np.empty(batch.height, np.int32)
        for start in range(0, batch.height, _BLOCK):
            part = slice(start, min(start + _BLOCK, batch.height))
            self._reserve(_BLOCK)
            self._count = _number(
                site[part], t0[part], frame[part], numbers[part], self._count,
                self._sites, self._t0, self._rows, self._first_frame, self._slots,
            )  # fmt: skip
        return numbers

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows per origin, by number."""
        return self._rows[: self._count]

    def frame(self) -> pl.DataFrame:
        """Origins by number: origin, highway_id, t0 (both null where unknown), rows, first_frame.

        t0 is in the clock unit of the file; first_frame is the lowest frame number.
        """
        t0 = pl.Series("t0", self._t0[: self._count])
        return pl.DataFrame(
            {
                "origin": pl.Series(np.arange(self._count, dtype=np.int32)),
                "site": pl.Series(self._sites[: self._count]),
                "t0": t0.set(t0 == int(_NO_CLOCK), None),
                "rows": pl.Series(self._rows[: self._count]),
                "first_frame": pl.Series(self._first_frame[: self._count]),
            }
        ).select(
            "origin",
            pl.when(pl.col("site") != _NO_SITE)
            .then(pl.col("site"))
            .replace_strict(
                dict(enumerate(LOCATIONS.categories)), default=None, return_dtype=pl.String
            )
            .alias("highway_id"),
            "t0",
            "rows",
            "first_frame",
        )

    def _reserve(self, more: int) -> None:
        """Room for `more` new origins, in a hash table at most half full."""
        needed = self._count + more
        if needed > self._t0.size:
            room = 2 * needed - self._t0.size
            self._sites = np.pad(self._sites, (0, room))
            self._t0 = np.pad(self._t0, (0, room))
            self._rows = np.pad(self._rows, (0, room))
            self._first_frame = np.pad(self._first_frame, (0, room))
        if 2 * needed > self._slots.size:
            self._slots = np.full(1 << (4 * needed - 1).bit_length(), -1, np.int32)
            _rebuild(self._sites, self._t0, self._count, self._slots)


@njit(cache=True, nogil=True, inline="always")
def _slot_of(site: np.uint8, t0: np.int64, mask: int) -> np.int64:
    word = (np.uint64(t0) + np.uint64(site)) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((word >> np.uint64(24)) & np.uint64(mask))


@njit(cache=True, nogil=True)
def _rebuild(
    sites: NDArray[np.uint8], t0s: NDArray[np.int64], count: int, slots: NDArray[np.int32]
) -> None:
    mask = slots.size - 1
    for number in range(count):
        slot = _slot_of(sites[number], t0s[number], mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@njit(cache=True, nogil=True)
def _number(
    site: NDArray[np.uint8],
    t0: NDArray[np.int64],
    frame: NDArray[np.int32],
    numbers: NDArray[np.int32],
    count: int,
    sites: NDArray[np.uint8],
    t0s: NDArray[np.int64],
    rows: NDArray[np.int64],
    first_frame: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> int:
    """Number rows by linear probing; returns how many origins there are now."""
    mask = slots.size - 1
    number = -1
    for row in range(t0.size):
        # rows of one origin mostly follow each other
        if number < 0 or t0s[number] != t0[row] or sites[number] != site[row]:
            slot = _slot_of(site[row], t0[row], mask)
            while True:
                number = slots[slot]
                if number < 0:
                    number = count
                    slots[slot] = number
                    sites[number] = site[row]
                    t0s[number] = t0[row]
                    first_frame[number] = frame[row]
                    count += 1
                    break
                if t0s[number] == t0[row] and sites[number] == site[row]:
                    break
                slot = (slot + 1) & mask
        numbers[row] = number
        rows[number] += 1
        first_frame[number] = min(first_frame[number], frame[row])
    return count

"""Edie's sums on a grid of lanes, time and space, of one stage: to hold stages side by side.

Belongs here: the grid and the compiled kernel that fills it. Does not belong here: the table
traffic_state (traffic.py), which has vehicles, names and units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks

_LANES = 65  # lane numbers 0 to 63, and one row for all others
_TIME_CELLS = 1024  # 8.5 h of 30 s: a stray frame number must not claim all memory


@dataclass(frozen=True)
class Cells:
    """Edie's sums per lane, time and space cell of a grid: m and s."""

    distance: npt.NDArray[np.float64]
    time: npt.NDArray[np.float64]

    def speeds(self) -> npt.NDArray[np.float64]:
        """m/s, NaN where nobody was; lanes that nobody was in are left out."""
        used = self.time.any(axis=(1, 2))
        time = np.where(self.time[used] > 0, self.time[used], np.nan)
        return self.distance[used] / time


@dataclass(frozen=True)
class Grid:
    """Where cells lie, the same for every stage that is compared.

    Attributes:
        first_frame, frames: time covered. cell_frames: length of a cell in time.
        y_low, y_high: m, space covered. cell_length: m, length of a cell in space.
        longest_step: rows of a vehicle further apart, in frames, are not joined.
    """

    first_frame: int
    frames: int
    cell_frames: int
    y_low: float
    y_high: float
    cell_length: float
    longest_step: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lanes, time cells, space cells."""
        columns = min(_TIME_CELLS, -(-self.frames // self.cell_frames))
        rows = int(np.ceil((self.y_high - self.y_low) / self.cell_length))
        return _LANES, max(1, columns), max(1, rows)


def edie_cells(tracks: Tracks, direction: Floats, y: Floats, lane: Ints, grid: Grid) -> Cells:
    """Distance and time in each cell.

    The way between two rows of a vehicle is split at borders between places, its time with it;
    at borders in time it counts where it begins. Rows beyond the grid fall into its outermost
    cells. `direction` of each trajectory is +1 or -1: steps back count against steps forth, in
    each cell they run through, so that a vehicle that stands while its position shakes drives
    nowhere, at borders neither.
    (Absolute steps would: 0.1 m of white noise makes 4 km/h of a queue.)
    """
    sums = Cells(np.zeros(grid.shape), np.zeros(grid.shape))
    _fill(
        np.argsort(tracks.vehicle),
        tracks.starts,
        tracks.frame,
        y,
        lane,
        direction,
        (grid.first_frame, grid.cell_frames, grid.longest_step),
        (grid.y_low, grid.cell_length),
        (sums.distance, sums.time),
    )
    return sums


@njit(cache=True, nogil=True)
def _fill(
    order: Any,
    starts: Any,
    frame: Any,
    y: Any,
    lane: Any,
    direction: Any,
    times: Any,
    lengths: Any,
    sums: Any,
) -> None:
    first_frame, cell_frames, longest_step = times
    y_low, cell_length = lengths
    distance, time = sums
    lanes, columns, rows = distance.shape
    per_frame, per_metre = 1.0 / cell_frames, 1.0 / cell_length
    for track in order:
        for i in range(starts[track] + 1, starts[track + 1]):
            step = frame[i] - frame[i - 1]
            if step < 1 or step > longest_step:
                continue
            number = lane[i - 1]
            row = number if 0 <= number < lanes - 1 else lanes - 1
            t = min(max(int((frame[i - 1] - first_frame) * per_frame), 0), columns - 1)
            s = min(max(int((y[i - 1] - y_low) * per_metre), 0), rows - 1)
            end = min(max(int((y[i] - y_low) * per_metre), 0), rows - 1)
            left, place, onwards = FRAME * step, y[i - 1], 1 if end > s else -1
            while s != end:
                border = y_low + cell_length * (s + 1 if onwards > 0 else s)
                spent = FRAME * step * (border - place) / (y[i] - y[i - 1])
                distance[row, t, s] += (border - place) * direction[track]
                time[row, t, s] += spent
                left -= spent
                place = border
                s += onwards
            distance[row, t, s] += (y[i] - place) * direction[track]
            time[row, t, s] += max(left, 0.0)

"""The sequence of lanes a vehicle plausibly drove in, from the lanes it is said to have been in.

Belongs here: the filter and its kernel. Does not belong here: which lane a position lies in (no
source says where the lines are), rules that flag lanes (validate.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.reconstruction.filters import Filter, in_order

Index = NDArray[np.int64]

_UNKNOWN = -1


class _Limits(NamedTuple):
    """`Lanes` as the kernel takes it: frames, frames, m, frames."""

    shortest: int
    stable: int
    aside: float
    around: int


@njit(cache=True, nogil=True)
def _nearest_seen(vehicle: Any, imputed: Any) -> Any:
    """Per point the point of its vehicle nearest in time that is not imputed, else itself.

    Of two equally near the earlier; frames of a vehicle ascend one by one around imputed ones.
    """
    n = len(vehicle)
    nearest = np.arange(n)
    i = 0
    while i < n:
        if not imputed[i]:
            i += 1
            continue
        end = i
        while end < n and imputed[end] and vehicle[end] == vehicle[i]:
            end += 1
        before = i - 1 if i > 0 and vehicle[i - 1] == vehicle[i] else -1
        after = end if end < n and vehicle[end] == vehicle[i] else -1
        for k in range(i, end):
            if before >= 0 and (after < 0 or k - before <= after - k):
                nearest[k] = before
            elif after >= 0:
                nearest[k] = after
        i = end
    return nearest


@njit(cache=True, nogil=True)
def _mean(x: Any, first: int, end: int) -> float:
    total = 0.0
    for i in range(first, end):
        total += x[i]
    return total / (end - first)


@njit(cache=True, nogil=True)
def _beside(x: Any, first: int, end: int, low: int, high: int, around: int) -> float:
    """m the points first to end - 1 lie beside those up to `around` points before and after.

    Of the vehicle's points low to high - 1.
    """
    count = 0
    total = 0.0
    for i in range(max(low, first - around), first):
        total += x[i]
        count += 1
    for i in range(end, min(high, end + around)):
        total += x[i]
        count += 1
    return abs(_mean(x, first, end) - total / count) if count > 0 else np.inf


@njit(cache=True, nogil=True)
def _implausible(
    before: int, lane: int, after: int, frames: int, beside: float, limits: _Limits
) -> bool:
    """Whether a stay of `frames` in `lane` between two others never was."""
    if before == _UNKNOWN or before != after:
        return False
    if frames < limits.shortest:
        return True
    skips = lane != _UNKNOWN and abs(lane - before) > 1
    return skips and frames < limits.stable and beside < limits.aside


@njit(cache=True, nogil=True)
def plausible_lanes(vehicle: Any, frame: Any, x: Any, lane: Any, limits: _Limits) -> Any:
    """`lane` without stays that never were; vehicles in one piece, frames ascending.

    Stays are looked at in order of time; one that goes joins the stay before it.
    """
    n = len(vehicle)
    found = lane.copy()
    first = np.empty(n + 1, dtype=np.int64)  # of the stays kept so far of this vehicle
    low = 0
    while low < n:
        high = low + 1
        same = True
        while high < n and vehicle[high] == vehicle[low]:
            same = same and lane[high] == lane[low]
            high += 1
        if same:
            low = high
            continue
        stays = 0
        i = low
        while i < high:
            end = i + 1
            while end < high and lane[end] == lane[i]:
                end += 1
            first[stays] = i
            stays += 1
            # the stay before this one is between two only now that this one is known; and where
            # it goes, this one joins the one before, which may decide on the one before that
            while stays > 2:
                this, last, before = first[stays - 1], first[stays - 2], found[first[stays - 3]]
                went = _implausible(
                    before,
                    found[last],
                    found[this],
                    frame[this] - frame[last],
                    _beside(x, last, this, low, high, limits.around),
                    limits,
                )
                # of two that go to and fro the shorter one goes, once it is between two itself
                back = end < high and lane[end] == found[last]
                if not went or (
                    back and frame[end - 1] - frame[this] < frame[this - 1] - frame[last]
                ):
                    break
                for k in range(last, this):
                    found[k] = before
                stays -= 2
            i = end
        low = high
    return found


def seen_rows(points: pl.DataFrame) -> Index:
    """Per point, in order, the row that tells its lane and leader.

    That is its own; of an imputed one (`state`, if it is there) that of its vehicle's point
    nearest in time, the earlier of two.
    """
    if "state" not in points.columns:
        return np.arange(points.height)
    imputed = (points["state"].cast(pl.String) == "imputed").to_numpy()
    if not imputed.any():
        return np.arange(points.height)
    return _nearest_seen(integers(points["vehicle_id"], 0), np.ascontiguousarray(imputed))


@dataclass(frozen=True)
class Lanes(Filter):
    """Replaces lane_id by the plausible sequence and keeps what was said as `lane_raw`.

    A stay goes, and its points belong to the stay before it, where

    - it lasts less than `shortest` between two stays in one lane (a blip): to leave a lane and
      come back are two lane changes of 5 to 6 s on average each (Toledo & Zohar 2007,
      Transportation Research Record 1999, 71-78), so that the front would be over the line for
      seconds;
    - it lasts less than `stable` and skips lanes to get there and back without moving aside.

    Everything else stays where it was: a change of lane is neither moved nor removed, nor is a
    stay between two other lanes, however short (vehicles cross a ramp's end in half a second). On
    simulated recordings with lanes flipped in 0.1 % of the rows, 1 to 2 % of the wrong lanes
    are left, no right one is lost, and changes of lane are as many as in truth. Points
    without a lane count as a stay in no lane; where that is a blip, they get the lane around.
    An imputed point has the lane of the point nearest in time, and lane_raw null.

    Attributes:
        shortest: s.
        stable: s after which changes of lane are commonly counted; longer stays skip numbers
            where lanes are numbered so, as at ramps and intersections.
        aside: m moved aside that make a jump believed: half a lane of 12 ft.
        around: s before and after a stay that are compared with it across the road.
        seconds: s per frame.
    """

    name: ClassVar[str] = "lanes"
    shortest: float = 1.0
    stable: float = 3.0
    aside: float = 1.83
    around: float = 1.0
    seconds: float = 0.1

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points with lane_id plausible and lane_raw; needs lane_id and x_position (m)."""
        points = in_order(points)
        vehicle, frame = integers(points["vehicle_id"], 0), integers(points["frame"], 0)
        seen = seen_rows(points)
        lane = integers(points["lane_id"], _UNKNOWN)[seen]
        said = pl.when(pl.Series(seen == np.arange(len(seen)))).then(pl.col("lane_id"))
        limits = _Limits(
            max(1, int(np.ceil(self.shortest / self.seconds - 1e-9))),
            max(1, int(np.ceil(self.stable / self.seconds - 1e-9))),
            self.aside,
            max(1, round(self.around / self.seconds)),
        )
        found = plausible_lanes(vehicle, frame, floats(points["x_position"]), lane, limits)
        return points.with_columns(
            pl.Series("lane_id", found).replace(_UNKNOWN, None),
            said.cast(pl.Int32).alias("lane_raw"),
        )

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """With lane_raw."""
        return pl.Schema({**schema, "lane_id": pl.Int32(), "lane_raw": pl.Int32()})

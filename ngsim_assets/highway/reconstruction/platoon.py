"""Vehicles against the ones ahead: the filter that takes followers off their leaders.

Montanino & Punzo (2015, Transportation Research Part B 80, 82-106) call trajectories that agree
with each other along a lane platoon-consistent; smoothing each by itself, however well, does not
make them so.

Belongs here: what the filter does to a table and its parameters. Does not belong here: kernels
(separation.py), whether an overlap is a fault of a row (validate.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import polars as pl

from ngsim_assets.highway.arrays import floats, integers, singles
from ngsim_assets.highway.reconstruction.attach import (
    directions,
    pieces_of,
    rows_ahead,
    usual_values,
)
from ngsim_assets.highway.reconstruction.filters import DERIVED, Filter, in_order, with_motion
from ngsim_assets.highway.reconstruction.lanes import seen_rows
from ngsim_assets.highway.reconstruction.separation import (
    Pairs,
    Rules,
    Traffic,
    close_pairs,
    leave_deep,
    separate,
)
from ngsim_assets.highway.reconstruction.smoothing import MotionLimits
from ngsim_assets.highway.reconstruction.stretches import stretch_starts

_UNKNOWN = -1


class Separation(NamedTuple):
    """What came of separating.

    Attributes:
        parts: the points after it, in the parts they came in.
        moved: points moved noticeably. left: points that overlap their leader still.
    """

    parts: list[pl.DataFrame]
    moved: int
    left: int


@dataclass(frozen=True)
class Separate(Filter):
    """Moves vehicles that overlap the vehicle ahead until they do not, each by half of it.

    Takes a whole recording: vehicle_id, frame, x_position, y_position (m), preceding_id and
    length (m); lane_id and width (m) are looked at where they are there, and a state `imputed`
    gives a point the leader and lane of the point nearest in time. Motion, if it is there, is
    derived anew from the positions. Points moved by more than `noticeable` become `repaired`.

    Taken are pairs in one lane (or where a lane is not known) that travel the same way and
    lie less than half of both widths apart across the road.

    Attributes:
        deepest: m; an overlap that is somewhere deeper is left as it is, all of it: its leader
            or a length must be wrong. No vehicle moves further than this either. Measured:
            simulated recordings with the largest camera offsets overlap by up to 1.1 m; the one
            overlap in the real excerpts, a vehicle that passes another between two lanes, by
            4.3 m; wrong leaders by tens of metres.
        gap: m to be left between bumpers.
        noticeable: m, the standard deviation that smoothing takes smaller ones for.
        cutoff: Hz; shifts fade in and out over about the inverse of it.
        pace: weight of keeping the speed in proportion against staying in place, in m².
        limits: what the motion has to respect.
    """

    name: ClassVar[str] = "separate"
    deepest: float = 2.0
    gap: float = 0.1
    noticeable: float = 0.1
    cutoff: float = 0.1
    pace: float = 10.0
    limits: MotionLimits = field(default_factory=MotionLimits)

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points with overlaps resolved."""
        return self.separated([points]).parts[0]

    def separated(self, parts: Sequence[pl.DataFrame]) -> Separation:
        """The same for a recording in parts of whole vehicles, and how many points it took."""
        ordered = [in_order(part) for part in parts]
        if not any(part.height for part in ordered):
            return Separation(ordered, 0, 0)
        traffic = _traffic(ordered)
        pairs = _pairs(ordered, traffic, 2.0 * self.deepest)
        rules = self._rules()
        leave_deep(traffic, pairs, rules)
        by_leader = np.argsort(pairs.ahead, kind="stable")
        shift = separate(traffic, pairs, (by_leader, pairs.ahead[by_leader]), rules)
        gap = traffic.sign[pairs.behind] * (traffic.y[pairs.ahead] - traffic.y[pairs.behind])
        left = int((gap < pairs.length).sum())
        done: list[pl.DataFrame] = []
        first = 0
        for part in ordered:
            end = first + part.height
            done.append(self._moved(part, shift[first:end], traffic.y[first:end].copy()))
            first = end
        return Separation(done, int((np.abs(shift) > self.noticeable).sum()), left)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Unchanged."""
        return schema

    def _rules(self) -> Rules:
        seconds = self.limits.seconds
        return Rules(
            gap=self.gap,
            deepest=self.deepest,
            stiffness=(2.0 * math.sin(math.pi * self.cutoff * seconds)) ** -6.0,
            pace=self.pace,
            step=self.limits.acceleration * seconds**2,
            twist=self.limits.jerk * seconds**3,
        )

    def _moved(self, part: pl.DataFrame, shift: Any, y: Any) -> pl.DataFrame:
        if not shift.any():
            return part
        moved = part.with_columns(pl.Series("y_position", y))
        if "state" in part.columns:
            state = pl.col("state")
            noticed = pl.Series(np.abs(shift) > self.noticeable) & (state == "observed")
            repaired = pl.lit("repaired", part.schema["state"])
            moved = moved.with_columns(
                pl.when(noticed).then(repaired).otherwise(state).alias("state")
            )
        if set(DERIVED) <= set(part.columns):
            moved = with_motion(moved.drop(DERIVED), self.limits.seconds).select(part.columns)
        return moved


def _traffic(parts: Sequence[pl.DataFrame]) -> Traffic:
    vehicle = np.concatenate([integers(part["vehicle_id"], 0) for part in parts])
    frame = np.concatenate([integers(part["frame"], 0) for part in parts])
    y = np.concatenate([floats(part["y_position"]) for part in parts])
    return Traffic(
        start=stretch_starts(vehicle, frame, 1),
        vehicle=vehicle,
        frame=frame,
        y=y,
        sign=directions(vehicle, y),
    )


def _pairs(parts: Sequence[pl.DataFrame], traffic: Traffic, reach: float) -> Pairs:
    table = pieces_of(traffic.vehicle)
    told = [_told(part) for part in parts]
    lane, leader, x, length, width = (np.concatenate(column) for column in zip(*told, strict=True))
    return close_pairs(
        traffic,
        rows_ahead(traffic.frame, leader, table, traffic.frame),
        lane,
        x,
        usual_values(table, length),
        usual_values(table, width),
        reach,
    )


def _told(part: pl.DataFrame) -> tuple[Any, ...]:
    """Lane, leader, lateral position, length and width of every point as far as they are known."""
    seen = seen_rows(part)
    unknown = pl.repeat(None, part.height, dtype=pl.Float32, eager=True)
    lane, width = (part[name] if name in part.columns else unknown for name in ("lane_id", "width"))
    return (
        integers(lane, _UNKNOWN)[seen],
        integers(part["preceding_id"], 0)[seen],
        singles(part["x_position"]),
        singles(part["length"]),
        singles(width),
    )

"""Cleaning as filters to be joined: `Dedupe() | Outliers() | Impute() | Smooth()`.

A filter takes points and returns points: LazyFrame in and out (`filter(points)`), or a DataFrame
with `filter.apply(frame)`. It needs vehicle_id, frame, x_position and y_position (m) and leaves
other columns as they are. Joined filters are a `Pipeline`, whose `steps` can be read and changed.

Between filters travel, beside the positions: `state` (observed, repaired, imputed) and the
positions as they came, `x_raw` and `y_raw`.

Belongs here: what a filter does to a table and its parameters. Does not belong here: the
numerical kernels (outliers.py, stretches.py), ways to smooth (smoothing.py), sites.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.reconstruction.kinematics import differentiate_stretches
from ngsim_assets.highway.reconstruction.outliers import Test, flag_outliers
from ngsim_assets.highway.reconstruction.smoothing import (
    MOTION,
    Method,
    MotionLimits,
    RobustWhittaker,
    Stretches,
    share,
)
from ngsim_assets.highway.reconstruction.stiffness import FloatArray
from ngsim_assets.highway.reconstruction.stretches import filled, order_of, stretch_starts

STATE = pl.Enum(["observed", "repaired", "imputed"])
"""Type of the column `state`; its physical values are the kernels' codes."""


# s and rows to either side that a position is compared with.
_AROUND, _FEWEST_NEIGHBOURS = 1.0, 3
# Cycles per frame that a coarse fit can still tell from none.
_HIGHEST = 0.25

DERIVED = (*MOTION[2:], "speed", "acceleration")
"""Columns that `Smooth` adds beside the positions."""


def in_order(points: pl.DataFrame) -> pl.DataFrame:
    """`points` with every vehicle in one piece and its frames ascending.

    They come back as they are where they are so already, which is the rule; otherwise sorted.
    """
    if order_of(*_keys(points)) == 2:
        among_equals = [name for name in ("y_position", "x_position") if name in points.columns]
        points = points.sort("vehicle_id", "frame", *among_equals)
    return points


class Filter(ABC):
    """One step of cleaning; joined with `|`."""

    name: ClassVar[str]

    @abstractmethod
    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points after this step, by vehicle and frame; `threads` None: as many as CPUs."""

    @abstractmethod
    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Schema after this step."""

    def describe(self) -> dict[str, Any]:
        """Name and parameters, for the record."""
        return {"filter": self.name, **asdict(self)}  # pyright: ignore[reportArgumentType]

    @property
    def steps(self) -> tuple[Filter, ...]:
        """The filters this one is made of, in order."""
        return (self,)

    def __call__(self, points: pl.LazyFrame) -> pl.LazyFrame:
        """The same on a LazyFrame; nothing is computed before it is collected."""
        return points.map_batches(
            self.apply, schema=self.output_schema(points.collect_schema()), streamable=False
        )

    def __or__(self, following: Filter) -> Pipeline:
        """This filter, then `following`."""
        return Pipeline((*self.steps, *following.steps))


@dataclass(frozen=True)
class Pipeline(Filter):
    """Filters applied one after the other."""

    name: ClassVar[str] = "pipeline"
    filters: tuple[Filter, ...]

    @property
    def steps(self) -> tuple[Filter, ...]:
        """The filters, in order."""
        return self.filters

    def describe(self) -> dict[str, Any]:
        """Name and parameters of every step, in order."""
        return {"filter": self.name, "steps": [step.describe() for step in self.filters]}

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points after the last step."""
        for step in self.filters:
            points = step.apply(points, threads)
        return points

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Schema after the last step."""
        for step in self.filters:
            schema = step.output_schema(schema)
        return schema


@dataclass(frozen=True)
class Dedupe(Filter):
    """One point per vehicle and frame.

    Which of several points is right is for validation to say, which knows the deliveries; what
    is left of them here is resolved independently of row order: the smallest y, then x, stays.
    """

    name: ClassVar[str] = "dedupe"

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points without repeated keys."""
        points = in_order(points)
        if order_of(*_keys(points)) == 0:
            return points
        ordered = points.sort("vehicle_id", "frame", "y_position", "x_position")
        return ordered.unique(["vehicle_id", "frame"], keep="first", maintain_order=True)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Unchanged."""
        return schema


@dataclass(frozen=True)
class Outliers(Filter):
    """Takes positions off their own track out: null, and state `repaired`.

    Attributes:
        sigmas, least: a position is an outlier beyond least (m) + sigmas x the robust standard
            deviation of the track's residuals, compared with a coarse robust fit and with the
            residuals of the 2 s around it. 0.5 m is what NGSIM states for its position error.
        gap: s; a track is fitted across gaps up to it.
        cutoff: Hz, of the coarse fit: above what drivers do, below what spikes are.
        seconds: s per frame.
    """

    name: ClassVar[str] = "outliers"
    sigmas: float = 5.0
    least: float = 0.5
    gap: float = 2.0
    cutoff: float = 0.25
    seconds: float = 0.1

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points with outlying positions null."""
        points = _with_state(in_order(points))
        vehicle, frame = _keys(points)
        start = stretch_starts(vehicle, frame, _frames(self.gap, self.seconds))
        outlier = np.zeros(len(points), dtype=np.uint8)
        test = Test(
            min(self.cutoff, _HIGHEST / self.seconds),
            self.seconds,
            self.sigmas,
            self.least,
            max(_FEWEST_NEIGHBOURS, round(_AROUND / self.seconds)),
        )
        x, y = _filled_positions(points)

        def run(first: int, last: int) -> None:
            flag_outliers(start, first, last, frame, x, y, test, outlier)

        share(run, start, threads)
        if not outlier.any():
            return points
        hit = pl.Series("outlier", outlier.view(np.bool_))
        return points.with_columns(
            pl.when(hit).then(None).otherwise(pl.col("x_position")).alias("x_position"),
            pl.when(hit).then(None).otherwise(pl.col("y_position")).alias("y_position"),
            pl.when(hit & (pl.col("state") == "observed"))
            .then(pl.lit("repaired", STATE))
            .otherwise(pl.col("state"))
            .alias("state"),
        )

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """With state, x_raw and y_raw."""
        return _state_schema(schema)


@dataclass(frozen=True)
class Impute(Filter):
    """Adds the frames missing in gaps up to the limit, on straight lines between neighbours.

    New rows have state `imputed` and null in other columns. Positions an earlier filter took
    out are filled the same way and stay `repaired`. Longer gaps stay open.

    Attributes:
        gap: s between the two points around a gap, up to which it is filled.
        seconds: s per frame.
    """

    name: ClassVar[str] = "impute"
    gap: float = 2.0
    seconds: float = 0.1

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points on every frame of every stretch."""
        points = _with_state(in_order(points))
        vehicle, frame = _keys(points)
        x, y = _positions(points)
        limit = _frames(self.gap, self.seconds)
        source, full_frame, full_x, full_y = filled(vehicle, frame, x, y, limit)
        new = source < 0
        if not new.any():
            return points.with_columns(
                pl.Series("x_position", full_x), pl.Series("y_position", full_y)
            )
        index = pl.Series("index", np.where(new, 0, source)).to_frame()
        index = index.select(pl.when(pl.Series(new)).then(None).otherwise(pl.col("index")))
        nearest = np.maximum.accumulate(np.where(new, 0, source))
        others = points.select(pl.exclude("vehicle_id", "frame")).select(
            pl.all().gather(index.to_series())
        )
        # the columns of the key come first: their values exist where a row is new
        return others.with_columns(
            pl.Series("vehicle_id", vehicle[nearest]),
            pl.Series("frame", full_frame),
            pl.Series("x_position", full_x),
            pl.Series("y_position", full_y),
            pl.col("state").fill_null(pl.lit("imputed", STATE)),
        ).select(points.columns)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """With state, x_raw and y_raw."""
        return _state_schema(schema)


@dataclass(frozen=True)
class Smooth(Filter):
    """Replaces positions by smooth ones and adds the motion that belongs to them.

    Adds velocity_x, velocity_y, speed (m/s), acceleration_x, acceleration_y, acceleration (rate
    of speed, m/s²) and jerk (of acceleration_y, m/s³). Every run of consecutive frames is
    smoothed by itself: without `Impute` before it, every gap stays open.

    Attributes:
        method: how. limits: what the motion has to respect.
        derive: False leaves motion that is the differences of the positions to `with_motion`,
            and a point at two fifths of its bytes.
    """

    name: ClassVar[str] = "smooth"
    method: Method = field(default_factory=RobustWhittaker)
    limits: MotionLimits = field(default_factory=MotionLimits)
    derive: bool = True

    def describe(self) -> dict[str, Any]:
        """Name and parameters, those of the method too."""
        method: Any = self.method
        return {
            "filter": self.name,
            "method": asdict(method),
            "limits": asdict(self.limits),
        }

    def apply(self, points: pl.DataFrame, threads: int | None = None) -> pl.DataFrame:
        """Points with smooth motion."""
        points = _with_state(in_order(points))
        vehicle, frame = _keys(points)
        x, y = _filled_positions(points)
        stretches = Stretches(
            start=stretch_starts(vehicle, frame, 1),
            x=x,
            y=y,
            state=points["state"].to_physical().to_numpy().astype(np.uint8),
        )
        motion = self.method.move(stretches, self.limits, threads)
        moved = points.drop(DERIVED, strict=False).with_columns(
            *(pl.Series(name, row) for name, row in zip(MOTION, motion, strict=False)),
            *(() if self.method.differential else _lengths(motion[2:6])),
            pl.Series("state", stretches.state).cat.to(STATE),
        )
        return with_motion(moved, self.limits.seconds) if self.derive else moved

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """With state, x_raw, y_raw and the motion."""
        derived = DERIVED if self.derive or not self.method.differential else ()
        kept = {name: dtype for name, dtype in schema.items() if name not in DERIVED}
        added = {name: pl.Float64() for name in (*MOTION[:2], *derived)}
        return pl.Schema({**_state_schema(pl.Schema(kept)), **added})


def with_motion(points: pl.DataFrame, seconds: float) -> pl.DataFrame:
    """Points with the motion that is the differences of their positions, unless they have it."""
    if set(DERIVED) <= set(points.columns):
        return points
    vehicle, frame = _keys(points)
    x, y = _positions(points)
    motion = np.empty((5, len(points)))
    differentiate_stretches(stretch_starts(vehicle, frame, 1), x, y, seconds, motion)
    return points.with_columns(
        *(pl.Series(name, row) for name, row in zip(MOTION[2:], motion, strict=True)),
        *_lengths(motion[:4]),
    )


def _lengths(motion: FloatArray) -> tuple[pl.Series, pl.Series]:
    """Speed and its rate, of velocity x, y and acceleration x, y."""
    speed = np.hypot(motion[0], motion[1])
    along = motion[0] * motion[2] + motion[1] * motion[3]
    rate = np.divide(along, speed, out=np.zeros_like(speed), where=speed > 0.0)
    return pl.Series("speed", speed), pl.Series("acceleration", rate)


def _frames(gap: float, seconds: float) -> int:
    """Largest step between frames that is no open gap."""
    return max(1, int(gap / seconds + 1e-9))


def _with_state(points: pl.DataFrame) -> pl.DataFrame:
    """Points with state and raw positions, made from the positions where they are absent."""
    absent = {"state", "x_raw", "y_raw"} - set(points.columns)
    if not absent:
        return points
    made = {
        "x_raw": pl.col("x_position").alias("x_raw"),
        "y_raw": pl.col("y_position").alias("y_raw"),
        "state": pl.when(pl.col("x_position").is_null() | pl.col("y_position").is_null())
        .then(pl.lit("imputed", STATE))
        .otherwise(pl.lit("observed", STATE))
        .alias("state"),
    }
    return points.with_columns(made[name] for name in ("x_raw", "y_raw", "state") if name in absent)


def _state_schema(schema: pl.Schema) -> pl.Schema:
    added = {"x_raw": pl.Float64(), "y_raw": pl.Float64(), "state": STATE}
    return pl.Schema({**schema, **{k: v for k, v in added.items() if k not in schema}})


def _keys(points: pl.DataFrame) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return integers(points["vehicle_id"], 0), integers(points["frame"], 0)


def _positions(points: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
    """x and y as arrays, NaN where null."""
    return floats(points["x_position"]), floats(points["y_position"])


def _filled_positions(points: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
    """x and y as arrays, interpolated within a run where null."""
    x, y = _positions(points)
    if not (np.isnan(x).any() or np.isnan(y).any()):
        return x, y
    _, _, full_x, full_y = filled(*_keys(points), x, y, 1)
    return floats(pl.Series(full_x)), floats(pl.Series(full_y))

"""Validated points into reconstructed trajectories: 10 Hz, gaps filled, x, v and a consistent.

Three steps, so that a recording never has to be in memory with all its columns: `move` makes
positions, motion and lanes of each vehicle from a few narrow columns; `take_apart` looks at all
vehicles of a recording and takes followers off their leaders; `complete_chunk` puts everything
else beside the result. `clean` does all three, `reconstruct` the first without lanes. What they
consist of are filters (filters.py, lanes.py, platoon.py), and which of them with which parameters
is `CleaningParameters`.

Belongs here: the default pipeline and what a cleaned point is. Does not belong here: kernels,
filters, rules that reject rows (validate.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES
from ngsim_assets.highway.reconstruction.attach import (
    directions,
    nearest_rows,
    pieces_of,
    rows_ahead,
    usual_values,
)
from ngsim_assets.highway.reconstruction.filters import (
    DERIVED,
    Dedupe,
    Filter,
    Impute,
    Outliers,
    Smooth,
    in_order,
    with_motion,
)
from ngsim_assets.highway.reconstruction.lanes import Lanes
from ngsim_assets.highway.reconstruction.moving_average import MovingAverage
from ngsim_assets.highway.reconstruction.platoon import Separate, Separation
from ngsim_assets.highway.reconstruction.segments import segments
from ngsim_assets.highway.reconstruction.smoothing import (
    Method,
    MotionLimits,
    RobustWhittaker,
)
from ngsim_assets.highway.sites import Site

__all__ = [
    "COMPLETED_FROM",
    "MOVED_FROM",
    "POSITIONS",
    "CleaningParameters",
    "Lanes",
    "Leaders",
    "MovingAverage",
    "RobustWhittaker",
    "Separate",
    "clean",
    "complete",
    "complete_chunk",
    "move",
    "pipeline",
    "reconstruct",
    "record",
    "segments",
    "take_apart",
]

POSITIONS = ("vehicle_id", "frame", "x_position", "y_position")
"""Columns of the points that are reconstructed."""

MOVED_FROM = (*POSITIONS, "lane_id", "preceding_id", "length", "width")
"""Columns of the points that lanes and the vehicles ahead are told by, too."""

# Taken over from the row nearest in time, where a point is imputed.
_CARRIED = (
    "highway_id",
    "recording",
    "date",
    "vehicle_type",
    "trajectory_id",
    "timestamp",
    "longitude",
    "latitude",
    "lane_id",
    "length",
    "width",
    "preceding_id",
    "following_id",
    "o_zone",
    "d_zone",
    "int_id",
    "section_id",
    "direction",
    "movement",
    "source_file",
    "source_row",
)
COMPLETED_FROM = ("vehicle_id", "frame", *_CARRIED)
"""Columns of the points that a reconstruction is completed from."""

_LEADER = pl.Schema({"vehicle_id": pl.Int32(), "frame": pl.Int32(), "y_position": pl.Float64()})
_INTERPOLATED = ("longitude", "latitude")
_SIZES = ("length", "width")
_SOURCE = ("source_file", "source_row")

STANDING = 0.1
"""m/s below which a vehicle counts as standing and has no time headway: at walking pace to the
next bumper, the quotient says nothing about following."""

Rows = NDArray[np.int32]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class CleaningParameters:
    """How trajectories are reconstructed.

    Attributes:
        gap_limit: s between two points of a vehicle up to which the frames between are filled;
            over it the track is split and the gap stays open.
        outlier_sigmas, outlier_least: see `filters.Outliers`; m.
        method: how positions become motion, see smoothing.py.
        lane_shortest, lane_stable: s; see `lanes.Lanes`.
        overlap_deepest, overlap_gap: m; see `platoon.Separate`.
    """

    gap_limit: float = 2.0
    outlier_sigmas: float = 5.0
    outlier_least: float = 0.5
    method: Method = field(default_factory=RobustWhittaker)
    lane_shortest: float = 1.0
    lane_stable: float = 3.0
    overlap_deepest: float = 2.0
    overlap_gap: float = 0.1


def pipeline(
    site: Site, parameters: CleaningParameters | None = None, *, derive: bool = True
) -> Filter:
    """The filters `reconstruct` applies at `site`: `dedupe | outliers | impute | smooth`.

    `derive` as for `Smooth`; `complete_chunk` takes the result either way.
    """
    chosen = parameters or CleaningParameters()
    seconds = site.clock.seconds
    return (
        Dedupe()
        | Outliers(chosen.outlier_sigmas, chosen.outlier_least, chosen.gap_limit, seconds=seconds)
        | Impute(chosen.gap_limit, seconds)
        | Smooth(chosen.method, _limits(site), derive)
    )


def record(site: Site, parameters: CleaningParameters) -> dict[str, Any]:
    """Everything cleaning at `site` depends on: the parameters, and the filters they make."""
    between = _separate(site, parameters)
    steps = (
        *pipeline(site, parameters).steps,
        _lanes(site, parameters),
        *(() if between is None else (between,)),
    )
    return {**asdict(parameters), "steps": [step.describe() for step in steps]}


def _limits(site: Site) -> MotionLimits:
    return MotionLimits(
        seconds=site.clock.seconds,
        one_way=not site.arterial,
        acceleration=site.limits.acceleration,
        jerk=site.limits.jerk,
    )


def _lanes(site: Site, parameters: CleaningParameters) -> Lanes:
    return Lanes(parameters.lane_shortest, parameters.lane_stable, seconds=site.clock.seconds)


def _separate(site: Site, parameters: CleaningParameters) -> Separate | None:
    """None where positions cannot be moved without contradicting the motion beside them."""
    if not parameters.method.differential:
        return None
    return Separate(parameters.overlap_deepest, parameters.overlap_gap, limits=_limits(site))


@dataclass(frozen=True)
class Leaders:
    """Where every vehicle of a recording is, to be looked up by those behind it.

    Attributes:
        frame, y: per point, every vehicle in one piece, frames ascending.
        pieces: per vehicle, ascending: number, first point, end.
    """

    frame: Rows
    y: NDArray[np.float64]
    pieces: Index

    @classmethod
    def of(cls, reconstructed: Iterable[pl.DataFrame]) -> Leaders:
        """The vehicles of all of `reconstructed`: vehicle_id, frame, y_position."""
        narrow = [pl.col(name).cast(dtype) for name, dtype in _LEADER.items()]
        parts = (part.select(narrow) for part in reconstructed)
        points = in_order(pl.concat([pl.DataFrame(schema=_LEADER), *parts]))
        return cls(
            frame=integers(points["frame"], 0),
            y=floats(points["y_position"]),
            pieces=pieces_of(integers(points["vehicle_id"], 0)),
        )

    def positions(self, frame: Rows, vehicle: Rows) -> NDArray[np.float64]:
        """y of each `vehicle` (0: none) at `frame`; NaN where it is not seen."""
        rows = rows_ahead(frame, vehicle, self.pieces, self.frame)
        found = np.full(len(rows), np.nan)
        found[rows >= 0] = self.y[rows[rows >= 0]]
        return found


def reconstruct(
    points: pl.LazyFrame, site: Site, parameters: CleaningParameters | None = None
) -> pl.LazyFrame:
    """Motion of every vehicle on every frame of every stretch, each vehicle by itself.

    Args:
        points: whole vehicles with vehicle_id, frame, x_position, y_position (m).

    Returns:
        vehicle_id, frame, x_position, y_position (m), velocity_x, velocity_y, speed (m/s),
        acceleration_x, acceleration_y, acceleration (m/s²), jerk (m/s³), state, x_raw, y_raw;
        every vehicle in one piece, frames ascending. v and a are differences of the positions
        as kinematics.py defines them, acceleration is that of speed, jerk that of
        acceleration_y. A vehicle's result depends on its own points only.
    """
    return pipeline(site, parameters)(points.select(POSITIONS))


def move(
    points: pl.DataFrame,
    site: Site,
    parameters: CleaningParameters | None = None,
    threads: int | None = None,
) -> pl.DataFrame:
    """`reconstruct` with plausible lanes, for some vehicles of a recording.

    Args:
        points: MOVED_FROM of whole vehicles.

    Returns:
        What a `pipeline` that does not derive returns, with the other MOVED_FROM columns and
        lane_raw: what `take_apart` needs of every vehicle of the recording.
    """
    chosen = parameters or CleaningParameters()
    narrow = points.select(
        pl.col(*POSITIONS, "lane_id", "preceding_id"),
        # whole recordings of these are held at once
        pl.col("length", "width").cast(pl.Float32),
    )
    filters = pipeline(site, chosen, derive=False) | _lanes(site, chosen)
    return filters.apply(narrow, threads)


def take_apart(
    moved: Sequence[pl.DataFrame], site: Site, parameters: CleaningParameters | None = None
) -> Separation:
    """Take followers off their leaders in a whole recording, given as parts of `move`.

    Returns:
        The parts as `complete_chunk` takes them, how many points were moved noticeably, and
        how many overlap their leader still. Methods whose motion is not the differences of
        their positions are left as they are.
    """
    between = _separate(site, parameters or CleaningParameters())
    separation = Separation(list(moved), 0, 0) if between is None else between.separated(moved)
    parts = [part.drop("preceding_id", "length", "width") for part in separation.parts]
    return separation._replace(parts=parts)


def complete(
    reconstructed: pl.LazyFrame,
    points: pl.LazyFrame,
    leaders: pl.LazyFrame | None,
    site: Site,
) -> pl.LazyFrame:
    """Put the other columns of the points beside their reconstruction.

    An imputed point takes lane, size, neighbours, zones and names from the point of its vehicle
    nearest in time (the earlier of two), coordinates from the line between the points around
    it, and no lane_raw and source. A vehicle has one length and width, the median of those of
    its points. Headways are computed anew from reconstructed positions; there is none to a
    vehicle that is named as the preceding one and is behind.

    Args:
        reconstructed: from `reconstruct`, of the vehicles in `points`.
        points: `TrajectoryPoint` columns.
        leaders: vehicle_id, frame and y_position reconstructed of the whole recording, None
            if `reconstructed` is all of it.

    Returns:
        `CleanedPoint` columns, in the order of `reconstructed`.
    """
    motion, source = pl.collect_all([reconstructed, points])
    ahead = Leaders.of([motion if leaders is None else leaders.collect()])
    return complete_chunk(motion, source, ahead, site).lazy()


def clean(
    points: pl.LazyFrame, site: Site, parameters: CleaningParameters | None = None
) -> pl.LazyFrame:
    """Clean a whole recording: `TrajectoryPoint` columns in, `CleanedPoint` columns out."""
    source = points.collect()
    motion = take_apart([move(source, site, parameters)], site, parameters).parts[0]
    return complete_chunk(motion, source, Leaders.of([motion]), site).lazy()


def complete_chunk(
    motion: pl.DataFrame, source: pl.DataFrame, leaders: Leaders, site: Site
) -> pl.DataFrame:
    """`complete` for some vehicles of a recording, whose `leaders` are looked up once for all.

    Args:
        motion: of `take_apart`, or of `reconstruct`, whose lanes are found here then.
        source: COMPLETED_FROM of the same vehicles' points; columns that name the recording
            may be absent.

    Returns:
        `CleanedPoint` columns but those absent from the source, in the order of `motion`.
    """
    motion, source = with_motion(in_order(motion), site.clock.seconds), in_order(source)
    vehicle, frame = integers(motion["vehicle_id"], 0), integers(motion["frame"], 0)
    y = floats(motion["y_position"])
    carried = _carried(source, vehicle, frame, site)
    pieces = pieces_of(vehicle)
    carried = carried.with_columns(
        pl.Series(name, usual_values(pieces, floats(carried[name]))).fill_nan(None)
        for name in _SIZES
    )
    if "lane_raw" not in motion.columns:
        motion = _lanes(site, CleaningParameters()).apply(motion.with_columns(carried["lane_id"]))
    preceding = integers(carried["preceding_id"], 0)
    headway = leaders.positions(frame, preceding) - y
    if site.arterial:
        headway *= directions(vehicle, y)
    # delivered leaders can be wrong, and one that is behind is no vehicle ahead
    headway[headway < 0.0] = np.nan
    alone = _alone(vehicle, frame)
    if alone.any():
        known = pl.Series(~alone)
        motion = motion.with_columns(
            pl.when(known).then(pl.col(name)).alias(name) for name in DERIVED
        )
    spacing, speed = pl.col("space_headway"), pl.col("speed")
    return (
        pl.concat([carried.drop("lane_id"), motion], how="horizontal")
        .with_columns(pl.Series("space_headway", headway).fill_nan(None))
        .with_columns(pl.when(speed >= STANDING).then(spacing / speed).alias("time_headway"))
        .select(cs.by_name(*CLEANED_TRAJECTORIES.columns, require_all=False))
    )


def _alone(vehicle: Rows, frame: Rows) -> NDArray[np.bool_]:
    """Points whose vehicle is at no neighbouring frame: nothing is known of their motion."""
    joined = np.zeros(len(frame) + 1, dtype=np.bool_)
    joined[1:-1] = (vehicle[1:] == vehicle[:-1]) & (np.diff(frame) == 1)
    return ~(joined[1:] | joined[:-1])


def _carried(source: pl.DataFrame, vehicle: Rows, frame: Rows, site: Site) -> pl.DataFrame:
    """What every point takes over from the source rows of its vehicle."""
    carried = source.select(cs.by_name(*_CARRIED, require_all=False))
    seen, seen_frame = integers(source["vehicle_id"], 0), integers(source["frame"], 0)
    if np.array_equal(vehicle, seen) and np.array_equal(frame, seen_frame):
        return carried
    around: tuple[Index, Index] = nearest_rows(vehicle, frame, seen, seen_frame)
    before, after = around
    if len(before) > 0 and before.min() < 0:
        raise ValueError("reconstructed vehicles are missing among the points")
    past, ahead = frame - seen_frame[before], seen_frame[after] - frame
    row: Index = np.where(past <= ahead, before, after)
    nearest = pl.Series("row", row)
    share = np.divide(past, past + ahead, out=np.zeros(len(frame)), where=past + ahead > 0)
    imputed = pl.Series("imputed", past + ahead > 0)
    lag = pl.Series(frame - seen_frame[row]).cast(pl.Int64)
    between = [
        (source[name].gather(pl.Series(before)), source[name].gather(pl.Series(after)))
        for name in _INTERPOLATED
    ]
    return carried.select(pl.all().gather(nearest)).with_columns(
        *(low + (high - low) * pl.Series(share) for low, high in between),
        pl.col("timestamp") + lag * pl.duration(milliseconds=site.clock.frame_ms),
        *(pl.when(imputed).then(None).otherwise(pl.col(name)).alias(name) for name in _SOURCE),
    )

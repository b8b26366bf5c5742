"""Flow, density and speed of traffic by Edie's generalised definitions, per lane.

In a cell of time and space of which the area A, at most duration x length, was observed,

    flow q = (sum of distances travelled in it) / A
    density k = (sum of times spent in it) / A
    speed v = q / k

Between two consecutive points of a vehicle its motion is taken as steady, and this piece is
split at every border of time and space it crosses, exactly. Its lane and direction are those of
its first point.

Distance is movement in the direction of travel, that is the way the vehicle goes on balance over
all its pieces of one direction: movement against it is taken off. Summed as absolute steps, the
noise of positions would count as traffic: 0.1 m of it makes 1 m/s out of a standing queue, and
cleaning would take flow away that never was. So cells of raw positions can have a flow a little
below 0, where noise outweighs the movement; sums over several cells are right.

What of a cell was observed, observed_share, says observed.py. A cell observed by little says
little, right as it is in the mean: where it matters, take those of 0.5 and more.

Distances and times are summed as whole numbers (of 2^-30 m and of nanoseconds), so sums do not
depend on the order of vehicles, on chunks, or on threads, and those over all cells are those
over all pieces, to the unit.

Belongs here: the table traffic_state. Does not belong here: the splitting (edie.py), borders of
observation (observed.py), what cells say together (flow), comparing stages (assessment/cells.py).

Source: Edie (1963), Discussion of traffic stream measurements and definitions, Proceedings of
the 2nd International Symposium on the Theory of Traffic Flow, 139-154.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.edie import METRE, SECOND, Grid, Places, Sums, accumulate_pieces
from ngsim_assets.highway.model import TRAFFIC_STATE
from ngsim_assets.highway.observed import observed_share
from ngsim_assets.highway.reconstruction.stretches import order_of

_NONE = -(2**31)
_NOBODY = -(2**62)
_RECORDING = ("highway_id", "recording", "date")
_STREAM = ("lane_id", "direction")
_COLUMNS = (*_RECORDING, "vehicle_id", "frame", "timestamp", "y_position", *_STREAM)
_SUMMED = ("distance_units", "nanoseconds", "vehicles")
_PARTIAL: dict[str, pl.DataType] = {
    "time_cell": pl.Int64(),
    "y_cell": pl.Int64(),
    "distance_units": pl.Int64(),
    "nanoseconds": pl.Int64(),
    "vehicles": pl.Int32(),
    "first_time": pl.Int64(),
    "last_time": pl.Int64(),
    "first_y": pl.Float64(),
    "last_y": pl.Float64(),
    "first_seen": pl.Int64(),
    "last_seen": pl.Int64(),
    "passed": pl.Int32(),
}
MOST_CELLS = 20_000_000
"""Cells a grid may have, half a gigabyte of sums; 15 min at 1 s x 1 m have 4.6 million."""


class GridTooFine(NgsimAssetsError):
    """A traffic state was asked for on more cells than fit into memory."""

    def __init__(self, cells: Sequence[int]) -> None:
        self.cells = tuple(cells)
        lanes, times, places = cells
        super().__init__(
            f"a grid of {lanes} lanes, {times} times and {places} places has more than "
            f"{MOST_CELLS} cells",
            "choose a longer duration or cell length",
        )


class NoSuchCell(NgsimAssetsError):
    """A traffic state was asked for on cells without extent."""

    exit_code = 2

    def __init__(self, duration: float, cell_length: float) -> None:
        super().__init__(
            f"cells of {duration:g} s x {cell_length:g} m cannot be",
            "choose a duration of at least 0.001 s and a cell length of at least 0.001 m",
        )


def traffic_state(
    points: pl.LazyFrame,
    *,
    duration: float = 30.0,
    cell_length: float = 50.0,
    gap: float = 2.0,
) -> pl.LazyFrame:
    """Edie's flow, density and speed of one or several recordings, on a grid.

    Cells start at multiples of `duration` since the epoch and of `cell_length` along the
    section. Every lane seen (on arterials: in every direction it was seen in) has every cell
    between the first and the last of its recording; where nobody was, flow and density are 0 and
    speed is null.

    Args:
        points: cleaned or validated points of whole vehicles; only nine columns are read.
        duration, cell_length: s (to the microsecond), m, of a cell; at least 0.001.
        gap: s between two points of a vehicle up to which it is taken to have driven steadily.

    Returns:
        `TrafficState` columns, by recording, lane, direction, time and place.

    Raises:
        NoSuchCell: a cell without extent.
        GridTooFine: more than MOST_CELLS cells (on collection).
    """
    sums = accumulate(points, duration=duration, cell_length=cell_length, gap=gap)
    return merge([sums], duration=duration, cell_length=cell_length)


def accumulate(
    points: pl.LazyFrame,
    *,
    duration: float = 30.0,
    cell_length: float = 50.0,
    gap: float = 2.0,
) -> pl.LazyFrame:
    """Sums per occupied cell, of some vehicles: partial results for `merge`.

    Args:
        points: as for `traffic_state`; a vehicle must not be shared out among calls.

    Returns:
        highway_id, recording, date, lane_id, direction, time_cell and y_cell (numbers of cells
        from the epoch and from the start of the section), distance_units (2^-30 m), nanoseconds,
        vehicles; first_time, last_time (microseconds since the epoch), first_y and last_y (m),
        which all pieces of these vehicles reach over; first_seen, last_seen (of anybody at that
        place), passed (vehicles there, told once per place).
    """
    step = _step(duration, cell_length)
    narrow = points.select(_COLUMNS)
    schema = narrow.collect_schema()
    keys = {name: schema[name] for name in _RECORDING} | dict.fromkeys(_STREAM, pl.Int32())

    def summed(frame: pl.DataFrame) -> pl.DataFrame:
        parts = [_sums(part, step, cell_length, gap) for part in _recordings(frame)]
        return pl.concat(parts) if parts else pl.DataFrame(schema={**keys, **_PARTIAL})

    return narrow.map_batches(summed, schema=pl.Schema({**keys, **_PARTIAL}), streamable=False)


def merge(
    partial: Sequence[pl.LazyFrame], *, duration: float = 30.0, cell_length: float = 50.0
) -> pl.LazyFrame:
    """The traffic state of all vehicles in `partial`, results of `accumulate` on one grid."""
    step = _step(duration, cell_length)

    def laid_out(sums: pl.DataFrame) -> pl.DataFrame:
        parts = [_state(part, step, cell_length) for part in _recordings(sums)]
        if len(parts) == 1:
            return parts[0]
        state = pl.concat([pl.DataFrame(schema=TRAFFIC_STATE.schema), *parts])
        return state.sort(_RECORDING, maintain_order=True)

    return pl.concat(partial).map_batches(laid_out, schema=TRAFFIC_STATE.schema, streamable=False)


def _step(duration: float, cell_length: float) -> int:
    """Microseconds of a cell; NoSuchCell if it has no extent."""
    if not (math.isfinite(duration) and duration >= 0.001):
        raise NoSuchCell(duration, cell_length)
    if not (math.isfinite(cell_length) and cell_length >= 0.001):
        raise NoSuchCell(duration, cell_length)
    return round(duration * 1_000_000)


def _recordings(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows of each recording; looked at column by column, since there is one as a rule."""
    if rows.height == 0:
        return []
    if all((rows[name] == rows[name][0]).all() for name in _RECORDING):
        return [rows]
    return rows.partition_by(_RECORDING, maintain_order=True)


def _sums(points: pl.DataFrame, step: int, length: float, gap: float) -> pl.DataFrame:
    """Sums of one recording, as `accumulate` returns them."""
    vehicle = integers(points["vehicle_id"], 0)
    if order_of(vehicle, integers(points["frame"], 0)) != 0:
        points = points.sort("vehicle_id", "frame", "y_position", *_STREAM)
        vehicle = integers(points["vehicle_id"], 0)
    streams = _Streams(points)
    time = points["timestamp"].cast(pl.Datetime("us", "UTC")).to_physical()
    low, high = (cast("int", bound) // step for bound in (time.min(), time.max()))
    y = points["y_position"].cast(pl.Float64)
    start, end = (math.floor(cast("float", bound) / length) for bound in (y.min(), y.max()))
    shape = (len(streams.codes), high - low + 1, end - start + 1)
    if math.prod(shape) > MOST_CELLS:
        raise GridTooFine(shape)
    sums = Sums(
        distance=np.zeros(shape, dtype=np.int64),
        spent=np.zeros(shape, dtype=np.int64),
        vehicles=np.zeros(shape, dtype=np.int32),
        latest=np.full(shape, _NOBODY, dtype=np.int64),
    )
    places = Places(
        first=np.full(shape[2], 2**62, dtype=np.int64),
        last=np.full(shape[2], -(2**62), dtype=np.int64),
        vehicles=np.zeros(shape[2], dtype=np.int32),
        latest=np.full(shape[2], _NOBODY, dtype=np.int64),
    )
    window = accumulate_pieces(
        vehicle,
        streams.of_points,
        time.to_numpy(),
        floats(y),
        streams.codes,
        streams.direction_numbers,
        round(gap * 1_000_000),
        Grid(step, float(length), low, start),
        sums,
        places,
    )
    at = np.nonzero((sums.spent != 0) | (sums.distance != 0))
    # vehicles of a place are told once, in its first cell, so that they add up over parts
    passed = np.zeros(len(at[2]), dtype=np.int32)
    once = np.unique(at[2], return_index=True)
    passed[once[1]] = places.vehicles[once[0]]
    return (
        pl.DataFrame(
            {
                "lane_id": streams.lane.gather(pl.Series(at[0])),
                "direction": streams.direction.gather(pl.Series(at[0])),
                "time_cell": at[1] + low,
                "y_cell": at[2] + start,
                "distance_units": sums.distance[at],
                "nanoseconds": sums.spent[at],
                "vehicles": sums.vehicles[at],
                "first_seen": places.first[at[2]] + low * step,
                "last_seen": places.last[at[2]] + low * step,
                "passed": passed,
            }
        )
        .select(
            *(
                pl.lit(points[name][0], dtype=points.schema[name]).alias(name)
                for name in _RECORDING
            ),
            *(pl.col(name) for name in (*_STREAM, *_PARTIAL) if name not in window._fields),
            *(
                pl.lit(bound, dtype=_PARTIAL[name]).alias(name)
                for name, bound in window._asdict().items()
            ),
        )
        .select(*_RECORDING, *_STREAM, *_PARTIAL)
    )


class _Streams:
    """The lanes and directions of one recording as the kernel takes them.

    Attributes:
        of_points: code of each row. codes: all that occur, ascending, no lane and no direction
            first. lane, direction: of each code. direction_numbers: of each code, from 0.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        lane, direction = (pl.col(name).cast(pl.Int64).fill_null(_NONE) for name in _STREAM)
        code = rows.select((lane * 2**32 + (direction - _NONE)).alias("code")).to_series()
        distinct = code.unique().sort()
        self.of_points: npt.NDArray[np.int64] = code.to_numpy()
        self.codes: npt.NDArray[np.int64] = distinct.to_numpy()
        parts = (distinct // 2**32, distinct % 2**32 + _NONE)
        self.lane, self.direction = (
            part.set(part == _NONE, None).cast(pl.Int32).alias(name)
            for name, part in zip(_STREAM, parts, strict=True)
        )
        self.direction_numbers: npt.NDArray[np.int64] = (
            (parts[1].rank("dense") - 1).cast(pl.Int64).to_numpy()
        )


def _state(sums: pl.DataFrame, step: int, length: float) -> pl.DataFrame:
    """Every cell of one recording, with its share that was observed."""
    streams = _Streams(sums)
    low, start = (cast("int", sums[name].min()) for name in ("time_cell", "y_cell"))
    high, end = (cast("int", sums[name].max()) for name in ("time_cell", "y_cell"))
    shape = (len(streams.codes), high - low + 1, end - start + 1)
    if math.prod(shape) > MOST_CELLS:
        raise GridTooFine(shape)
    at = np.ravel_multi_index(
        (
            np.searchsorted(streams.codes, streams.of_points),
            sums["time_cell"].to_numpy() - low,
            sums["y_cell"].to_numpy() - start,
        ),
        shape,
    )
    distance_units, nanoseconds, vehicles = (
        _scattered(at, sums[name].to_numpy(), math.prod(shape)) for name in _SUMMED
    )
    observed = observed_share(
        sums, np.arange(low, high + 1), np.arange(start, end + 1), step, length
    )

    duration = step / 1_000_000
    distance, time, area = pl.col("distance_travelled"), pl.col("time_spent"), pl.col("area")
    stream, time_at, y_at = (
        np.broadcast_to(axis, shape).ravel()
        for axis in np.ogrid[tuple(slice(0, size) for size in shape)]
    )
    return (
        pl.DataFrame(
            {
                "lane_id": streams.lane.gather(pl.Series(stream)),
                "direction": streams.direction.gather(pl.Series(stream)),
                "time_start": pl.Series(np.arange(low, high + 1) * step).cast(
                    pl.Datetime("us", "UTC")
                )[time_at],
                "y_start": (np.arange(start, end + 1) * length)[y_at],
                "observed_share": np.broadcast_to(observed, shape).ravel(),
                "distance_travelled": distance_units / METRE,
                "time_spent": nanoseconds / SECOND,
                "vehicles": vehicles,
            }
        )
        .with_columns(
            *(pl.lit(sums[name][0], dtype=sums.schema[name]).alias(name) for name in _RECORDING),
            pl.lit(duration).alias("duration"),
            pl.lit(float(length)).alias("cell_length"),
            (duration * length * pl.col("observed_share")).alias("area"),
        )
        .with_columns(
            (distance / area * 3600.0).alias("flow"),
            (time / area * 1000.0).alias("density"),
            pl.when(time > 0).then(distance / time).alias("speed"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TRAFFIC_STATE.schema.items())
    )


def _scattered(
    at: npt.NDArray[np.int64], values: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    """Sums of `values` by place."""
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, at, values)
    return sums

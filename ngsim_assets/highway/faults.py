"""Faults with labels: what can be wrong with delivered rows, put there on purpose.

Belongs here: the kinds of fault, where they are placed and what they do to raw rows. Does not
belong here: measurement noise, which is no fault (error_model.py), judgement (validate.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.formats import FOOT, decimals_of

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Columns = dict[str, NDArray[np.generic]]

LABELS = pl.Schema(
    {
        "row": pl.Int64(),
        "source_row": pl.Int64(),
        "vehicle_id": pl.Int32(),
        "frame_id": pl.Int32(),
        "fault": pl.String(),
        "column": pl.String(),
    }
)
"""Columns of labels: place of the row in the faulty recording from 0 (null: the row is missing),
its line in a file without header and in that order (write_source sets the real one), vehicle and
frame as delivered, the kind of fault, and the column it is in where it is in one."""

_MARGIN = 15  # rows left alone around every fault, so that each can be told from its neighbours
_TRIES = 80


class UnknownFault(NgsimAssetsError):
    """A kind of fault nobody can inject."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(f"no fault is called {kind!r}", f"known: {', '.join(FAULTS)}")


class BadFaultRate(NgsimAssetsError):
    """A share of faulty rows that leaves no room for the sound ones around them."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        super().__init__(f"cannot make a share of {rate} of the rows faulty", "0 up to 0.2")


@dataclass(frozen=True)
class _Stretches:
    """Rows to spoil: every row of every stretch, and where each stretch begins in that list."""

    rows: I64
    first: I64
    lengths: I64

    def each(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """One value per stretch repeated for its rows."""
        return np.repeat(values, self.lengths)

    @property
    def count(self) -> int:
        return len(self.first)


@dataclass
class _Bench:
    """A recording being spoiled: its columns, what else the faults need to know."""

    columns: Columns
    tracks: I64
    used: Bools
    added: list[tuple[I64, Columns]]
    missing: Bools
    global_per_foot: NDArray[np.float64]
    rng: np.random.Generator

    def signs(self, count: int) -> I64:
        return self.rng.choice(np.array([-1, 1]), count)

    def feet(self, column: str, low: float, high: float, count: int) -> I64:
        """Lengths drawn between two figures in metres (per second), in units of the column."""
        scale = 10 ** decimals_of(column) / FOOT
        return np.round(self.rng.uniform(low, high, count) * scale).astype(np.int64)

    def shift(self, rows: I64, aside: I64, along: I64) -> None:
        """Move rows across and along the road, locally and on the map."""
        for name, by in (("local_x", aside), ("local_y", along)):
            self.columns[name][rows] += by.astype(np.int32)
        moved = np.column_stack([aside, along]) @ self.global_per_foot
        self.columns["global_x"][rows] += np.round(moved[:, 0]).astype(np.int64)
        self.columns["global_y"][rows] += np.round(moved[:, 1]).astype(np.int64)


_Spoil = Callable[[_Bench, _Stretches], None]


@dataclass(frozen=True)
class _Fault:
    """One kind: how long its stretches are, what it does, where it makes sense, which column."""

    shortest: int
    longest: int
    spoil: _Spoil
    where: Callable[[_Bench], Bools] | None = None
    column: str | None = None


def _set(name: str, draw: Callable[[_Bench, int], NDArray[np.generic]]) -> _Spoil:
    """Overwrite a column, each row with a value of its own."""

    def spoil(bench: _Bench, at: _Stretches) -> None:
        bench.columns[name][at.rows] = draw(bench, len(at.rows)).astype(bench.columns[name].dtype)

    return spoil


def _exact_duplicate(bench: _Bench, at: _Stretches) -> None:
    bench.added.append((at.rows, {name: c[at.rows] for name, c in bench.columns.items()}))


def _key_conflict(bench: _Bench, at: _Stretches) -> None:
    rows = {name: column[at.rows] for name, column in bench.columns.items()}
    count = len(at.rows)
    rows["local_x"] += bench.signs(count) * bench.feet("local_x", 1.5, 4.0, count)
    rows["local_y"] += bench.signs(count) * bench.feet("local_y", 5.0, 15.0, count)
    rows["v_vel"] += bench.feet("v_vel", 0.5, 4.0, count)
    bench.added.append((at.rows, rows))


def _spike_along(bench: _Bench, at: _Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_y", 5.0, 25.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(by))


def _spike_aside(bench: _Bench, at: _Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_x", 2.5, 8.0, at.count)
    bench.shift(at.rows, at.each(by), np.zeros_like(at.rows))


def _teleport(bench: _Bench, at: _Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_y", 15.0, 60.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(by))


def _frozen(bench: _Bench, at: _Stretches) -> None:
    before = at.each(at.first - 1)
    for name in ("local_x", "local_y", "global_x", "global_y"):
        bench.columns[name][at.rows] = bench.columns[name][before]


def _contradicting_speed(bench: _Bench, at: _Stretches) -> None:
    speed = bench.columns["v_vel"]
    by = at.each(bench.feet("v_vel", 6.0, 14.0, at.count))
    slower = speed[at.rows] - by
    speed[at.rows] = np.where(slower > 0, slower, speed[at.rows] + by)


def _lane_flip(bench: _Bench, at: _Stretches) -> None:
    lane = bench.columns["lane_id"]
    # two lanes away: no vehicle gets there and back in these few frames
    lane[at.rows] = np.where(lane[at.rows] >= 3, lane[at.rows] - 2, lane[at.rows] + 2)


def _class_change(bench: _Bench, at: _Stretches) -> None:
    v_class = bench.columns["v_class"]
    v_class[at.rows] = np.where(v_class[at.rows] == 2, 3, 2)


def _stretched(name: str) -> _Spoil:
    def spoil(bench: _Bench, at: _Stretches) -> None:
        column = bench.columns[name]
        factor = at.each(bench.rng.uniform(1.3, 1.9, at.count))
        column[at.rows] = np.round(column[at.rows] * factor / 10.0) * 10

    return spoil


def _clock(bench: _Bench, at: _Stretches) -> None:
    bench.columns["global_time"][at.rows] += bench.rng.integers(15, 86, len(at.rows))


def _off_site(bench: _Bench, at: _Stretches) -> None:
    for name in ("global_x", "global_y"):
        away = bench.signs(at.count) * bench.feet(name, 8_000.0, 300_000.0, at.count)
        bench.columns[name][at.rows] += at.each(away)


def _gap(bench: _Bench, at: _Stretches) -> None:
    bench.missing[at.rows] = True


def _overlap(bench: _Bench, at: _Stretches) -> None:
    """Push the vehicle into its leader's rear, by the same distance for the whole stretch."""
    ahead = _leader_rows(bench)[at.rows]
    y, length = bench.columns["local_y"], bench.columns["v_length"]
    gap = np.where(ahead >= 0, y[ahead] - 10 * length[ahead].astype(np.int64) - y[at.rows], 0)
    bounds = np.concatenate([[0], np.cumsum(at.lengths)[:-1]])
    widest = np.maximum.reduceat(gap, bounds) + bench.feet("local_y", 0.6, 2.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(widest))


def _wrong_headway(bench: _Bench, at: _Stretches) -> None:
    by = at.each(bench.feet("space_headway", 6.0, 30.0, at.count))
    bench.columns["space_headway"][at.rows] += by.astype(np.int32)


def _wrong_leader(bench: _Bench, at: _Stretches) -> None:
    ids = np.unique(bench.columns["vehicle_id"])
    leader = bench.columns["preceding"]
    other = at.each(bench.rng.choice(ids, at.count))
    wrong = (other == leader[at.rows]) | (other == bench.columns["vehicle_id"][at.rows])
    leader[at.rows] = np.where(wrong, ids[-1] + 1, other)


def _swap(bench: _Bench, at: _Stretches) -> None:
    ahead = _leader_rows(bench)[at.rows]
    for name in ("vehicle_id", "total_frames"):
        column = bench.columns[name]
        column[at.rows], column[ahead] = column[ahead], column[at.rows].copy()


def _nothing(bench: _Bench, at: _Stretches) -> None:
    """The cell is spoiled when the row is printed."""


def _moving(bench: _Bench) -> Bools:
    """At least 6 m/s, so that standing still in the delivered position is a contradiction."""
    return bench.columns["v_vel"] > 6.0 / FOOT * 100


def _close_behind(bench: _Bench) -> Bools:
    """A leader seen in this frame, at most 15 m ahead."""
    ahead = _leader_rows(bench)
    y = bench.columns["local_y"]
    return (ahead >= 0) & (y[ahead] - y < 15.0 / FOOT * 1000)


def _has_leader(bench: _Bench) -> Bools:
    return _leader_rows(bench) >= 0


def _row_of(bench: _Bench, vehicle: NDArray[np.generic], frame: NDArray[np.generic]) -> I64:
    """Row of a vehicle in a frame, -1 where it has none. Rows are sorted by both."""
    keys = bench.columns["vehicle_id"].astype(np.int64) << 32 | bench.columns["frame_id"]
    wanted = vehicle.astype(np.int64) << 32 | frame
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[found] == wanted, found, -1)


def _leader_rows(bench: _Bench) -> I64:
    return _row_of(bench, bench.columns["preceding"], bench.columns["frame_id"])


FAULTS: dict[str, _Fault] = {
    "exact_duplicate": _Fault(1, 1, _exact_duplicate),
    "key_conflict": _Fault(1, 1, _key_conflict),
    "position_spike": _Fault(1, 2, _spike_along, column="local_y"),
    "lateral_spike": _Fault(1, 2, _spike_aside, column="local_x"),
    "teleport": _Fault(5, 40, _teleport, column="local_y"),
    "frozen_position": _Fault(8, 25, _frozen, _moving, "local_y"),
    "speed_out_of_range": _Fault(
        1, 3, _set("v_vel", lambda b, n: b.feet("v_vel", 50.0, 150.0, n)), column="v_vel"
    ),
    "speed_contradicts_position": _Fault(10, 30, _contradicting_speed, column="v_vel"),
    "acceleration_out_of_range": _Fault(
        1,
        3,
        _set("v_acc", lambda b, n: b.signs(n) * b.feet("v_acc", 12.0, 40.0, n)),
        column="v_acc",
    ),
    "negative_speed": _Fault(
        1, 3, _set("v_vel", lambda b, n: -b.feet("v_vel", 0.5, 15.0, n)), column="v_vel"
    ),
    "negative_length": _Fault(
        1, 3, _set("v_length", lambda b, n: -b.feet("v_length", 2.0, 6.0, n)), column="v_length"
    ),
    "lane_out_of_range": _Fault(
        1,
        5,
        _set("lane_id", lambda b, n: b.rng.choice(np.array([-1, 0, 99, 9999]), n)),
        column="lane_id",
    ),
    "lane_flip": _Fault(1, 3, _lane_flip, column="lane_id"),
    "class_change": _Fault(3, 25, _class_change, column="v_class"),
    "length_change": _Fault(3, 25, _stretched("v_length"), column="v_length"),
    "width_change": _Fault(3, 25, _stretched("v_width"), column="v_width"),
    "coordinates_off_site": _Fault(1, 4, _off_site, column="global_x"),
    "clock_off_grid": _Fault(1, 3, _clock, column="global_time"),
    "short_gap": _Fault(2, 8, _gap),
    "long_gap": _Fault(30, 80, _gap),
    "overlap_with_leader": _Fault(5, 20, _overlap, _close_behind, "local_y"),
    "wrong_headway": _Fault(2, 10, _wrong_headway, _has_leader, "space_headway"),
    "wrong_leader": _Fault(2, 10, _wrong_leader, _has_leader, "preceding"),
    "swapped_ids": _Fault(10, 40, _swap, _close_behind, "vehicle_id"),
    "unreadable_cell": _Fault(1, 1, _nothing),
}
"""Kinds by name. All but `unreadable_cell` are in the rows; that one is only in their printing."""

ROW_FAULTS: tuple[str, ...] = tuple(name for name in FAULTS if name != "unreadable_cell")

_READABLE = ("local_x", "local_y", "v_vel", "v_acc", "lane_id", "v_length", "space_headway")


def inject_faults(
    recording: pl.DataFrame,
    rate: float,
    seed: int,
    *,
    kinds: Sequence[str] = ROW_FAULTS,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A recording with about `rate` of its rows faulty, and the labels of those rows.

    Every kind gets about as many rows; stretches keep 15 sound rows between them, and each kind
    is placed where it is a fault and not a possibility (frozen only where the vehicle moves). A
    very small recording may have no room for the longest kinds.

    Args:
        recording: columns of formats.RAW_PHYSICAL, one row per vehicle and frame.
        rate: share of rows, 0 to 0.2.
        kinds: names in FAULTS; `unreadable_cell` needs write_source to become real.

    Returns:
        The rows sorted by vehicle and frame (an added row after the one it resembles), and
        labels with the columns of LABELS in order of vehicle and frame. Missing rows have a
        label without row. Of swapped vehicles both are labelled.

    Raises UnknownFault, BadFaultRate.
    """
    for kind in kinds:
        if kind not in FAULTS:
            raise UnknownFault(kind)
    if not 0.0 <= rate <= 0.2:
        raise BadFaultRate(rate)
    rows = recording.sort("vehicle_id", "frame_id", maintain_order=True)
    if rows.is_empty() or rate == 0.0 or not kinds:
        return rows, pl.DataFrame(schema=LABELS)
    bench = _bench(rows, np.random.default_rng([seed, 3]))
    labels = [
        _inject(bench, kind, max(1, round(rate * rows.height / len(kinds)))) for kind in kinds
    ]
    return _assemble(rows, bench, pl.concat(labels))


def _bench(rows: pl.DataFrame, rng: np.random.Generator) -> _Bench:
    columns: Columns = {
        name: rows[name].to_numpy().copy()
        for name in rows.columns
        if rows[name].null_count() == 0 and rows[name].dtype.is_integer()
    }
    vehicle = columns["vehicle_id"]
    new = np.flatnonzero(np.diff(vehicle) != 0) + 1
    tracks = np.concatenate([[0], new, [len(vehicle)]]).astype(np.int64)
    sample = slice(None, None, max(1, len(vehicle) // 5_000))
    local = np.column_stack(
        [np.ones(len(vehicle[sample])), columns["local_x"][sample], columns["local_y"][sample]]
    )
    on_map = np.column_stack([columns["global_x"][sample], columns["global_y"][sample]])
    fitted, *_ = np.linalg.lstsq(local, on_map.astype(np.float64), rcond=None)
    return _Bench(
        columns=columns,
        tracks=tracks,
        used=np.zeros(len(vehicle), bool),
        added=[],
        missing=np.zeros(len(vehicle), bool),
        global_per_foot=fitted[1:],
        rng=rng,
    )


def _inject(bench: _Bench, kind: str, budget: int) -> pl.DataFrame:
    """Place stretches of one kind worth `budget` rows, spoil them, and label them.

    The labels' `row` is still the place in the sound recording; added rows are told by `added`.
    """
    fault = FAULTS[kind]
    both = 2 if kind == "swapped_ids" else 1
    mean = (fault.shortest + fault.longest) / 2 * both
    lengths = bench.rng.integers(
        fault.shortest, fault.longest + 1, max(1, round(budget / mean)), dtype=np.int64
    )
    allowed = fault.where(bench) if fault.where else np.ones(len(bench.used), bool)
    partner = _leader_rows(bench) if both == 2 else np.empty(0, np.int64)
    draws = bench.rng.random((len(lengths), _TRIES))
    first = _place(bench.tracks, lengths, allowed, partner, draws, bench.used)
    lengths, first = lengths[first >= 0], first[first >= 0]
    stretch = np.repeat(first, lengths)
    begins = np.cumsum(lengths) - lengths
    rows = stretch + np.arange(len(stretch)) - np.repeat(begins, lengths)
    at = _Stretches(rows, first, lengths)
    added = len(bench.added)
    if at.count:
        fault.spoil(bench, at)
    if both == 2:
        rows = np.concatenate([rows, partner[rows]])
    column = np.full(len(rows), fault.column, object)
    if kind == "unreadable_cell":
        column = bench.rng.choice(np.array(_READABLE, object), len(rows))
    return pl.DataFrame(
        {
            "row": rows,
            "added": np.full(len(rows), len(bench.added) > added),
            "fault": np.full(len(rows), kind, object),
            "column": column,
        },
        schema={"row": pl.Int64, "added": pl.Boolean, "fault": pl.String, "column": pl.String},
    )


@njit(cache=True, nogil=True)
def _place(
    tracks: I64,
    lengths: I64,
    allowed: Bools,
    partner: I64,
    draws: NDArray[np.float64],
    used: Bools,
) -> I64:
    """First row of each stretch, -1 where none was found; marks them and their margins used.

    A stretch lies inside one track with `_MARGIN` unused rows of it to either side, its rows all
    `allowed`; where `partner` is given its rows, too, have to be a free stretch of one track.
    """
    rows = len(used)
    first = np.full(len(lengths), -1, np.int64)
    for event in range(len(lengths)):
        length = lengths[event]
        for attempt in range(draws.shape[1]):
            row = int(draws[event, attempt] * rows)
            if not _free(tracks, row, length, used):
                continue
            fits = True
            for k in range(row, row + length):
                if not allowed[k]:
                    fits = False
                    break
            if fits and len(partner):
                other = partner[row]
                for k in range(length):
                    if partner[row + k] != other + k:
                        fits = False
                        break
                fits = fits and _free(tracks, other, length, used)
                if fits:
                    used[other - _MARGIN : other + length + _MARGIN] = True
            if fits:
                used[row - _MARGIN : row + length + _MARGIN] = True
                first[event] = row
                break
    return first


@njit(cache=True, nogil=True)
def _free(tracks: I64, row: int, length: int, used: Bools) -> bool:
    """Whether a stretch and its margins lie unused inside one track."""
    low = row - _MARGIN
    high = row + length + _MARGIN
    if low < 0 or high > len(used):
        return False
    track = np.searchsorted(tracks, low, side="right")
    if tracks[track] < high:
        return False
    for k in range(low, high):
        if used[k]:
            return False
    return True


def _assemble(
    rows: pl.DataFrame, bench: _Bench, labels: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put spoiled, added and remaining rows in order again, and the labels on them."""
    place = np.arange(rows.height)
    spoiled = _with_columns(rows, bench.columns).with_columns(
        pl.Series("_of", place), pl.lit(False).alias("_added")
    )
    parts = [spoiled.filter(pl.Series(~bench.missing))]
    for of, columns in bench.added:
        parts.append(
            _with_columns(rows[of], columns).with_columns(
                pl.Series("_of", of), pl.lit(True).alias("_added")
            )
        )
    faulty = pl.concat(parts).sort("vehicle_id", "frame_id", "_added", "_of")
    of_row = faulty.select(
        pl.col("_of").alias("of"),
        pl.col("_added").alias("added"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
    )
    ids = spoiled.select(pl.col("_of").alias("of"), "vehicle_id", "frame_id")
    located = (
        labels.rename({"row": "of"})
        .join(of_row, on=["of", "added"], how="left")
        .join(ids, on="of", how="left")
        .with_columns((pl.col("row") + 1).alias("source_row"))
        .sort("vehicle_id", "frame_id", "fault")
        .select(pl.col(name).cast(dtype) for name, dtype in LABELS.items())
    )
    return faulty.drop("_of", "_added"), located


def _with_columns(rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    return rows.with_columns(
        pl.Series(name, column).cast(rows.schema[name]) for name, column in columns.items()
    )

"""The kinds of fault a delivered row can have, each as what it does to raw rows.

Belongs here: how long a fault lasts, where it is one, which column it spoils and how. Does not
belong here: where faults are placed, labels (faults.py). Magnitudes are in SI units: each is
beyond what noise and traffic do, by little for the smallest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ngsim_assets.highway.formats import FOOT, decimals_of

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Stretches:
    """Rows to spoil: every row of every stretch, and where each stretch begins in that list."""

    rows: I64
    first: I64
    lengths: I64

    def each(self, values: NDArray[Any]) -> NDArray[Any]:
        """One value per stretch repeated for its rows."""
        return np.repeat(values, self.lengths)

    @property
    def count(self) -> int:
        return len(self.first)


@dataclass
class Bench:
    """A recording being spoiled: its columns, what else the faults need to know.

    `late` is by how many rows each row comes after its place in the file.
    """

    columns: Columns
    tracks: I64
    used: Bools
    added: list[tuple[I64, Columns]]
    missing: Bools
    late: I64
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
        self.shift_on_map(rows, aside, along)

    def shift_on_map(self, rows: I64, aside: I64, along: I64) -> None:
        """Move rows across and along the road in state-plane coordinates only."""
        moved = np.column_stack([aside, along]) @ self.global_per_foot
        self.columns["global_x"][rows] += np.round(moved[:, 0]).astype(np.int64)
        self.columns["global_y"][rows] += np.round(moved[:, 1]).astype(np.int64)


_STANDING = 999_999  # 9999.99 s, what Time_Headway is for a vehicle that stands

_Spoil = Callable[[Bench, Stretches], None]


@dataclass(frozen=True)
class Fault:
    """One kind: how long its stretches are, what it does, where it makes sense, which column."""

    shortest: int
    longest: int
    spoil: _Spoil
    where: Callable[[Bench], Bools] | None = None
    column: str | None = None


def _set(name: str, draw: Callable[[Bench, int], NDArray[Any]]) -> _Spoil:
    """Overwrite a column, each row with a value of its own."""

    def spoil(bench: Bench, at: Stretches) -> None:
        bench.columns[name][at.rows] = draw(bench, len(at.rows)).astype(bench.columns[name].dtype)

    return spoil


def _exact_duplicate(bench: Bench, at: Stretches) -> None:
    bench.added.append((at.rows, {name: c[at.rows] for name, c in bench.columns.items()}))


def _key_conflict(bench: Bench, at: Stretches) -> None:
    rows = {name: column[at.rows] for name, column in bench.columns.items()}
    count = len(at.rows)
    rows["local_x"] += bench.signs(count) * bench.feet("local_x", 1.5, 4.0, count)
    rows["local_y"] += bench.signs(count) * bench.feet("local_y", 5.0, 15.0, count)
    rows["v_vel"] += bench.feet("v_vel", 0.5, 4.0, count)
    bench.added.append((at.rows, rows))


def _spike_along(bench: Bench, at: Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_y", 5.0, 25.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(by))


def _spike_aside(bench: Bench, at: Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_x", 2.5, 8.0, at.count)
    bench.shift(at.rows, at.each(by), np.zeros_like(at.rows))


def _teleport(bench: Bench, at: Stretches) -> None:
    by = bench.signs(at.count) * bench.feet("local_y", 15.0, 60.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(by))


def _frozen(bench: Bench, at: Stretches) -> None:
    before = at.each(at.first - 1)
    for name in ("local_x", "local_y", "global_x", "global_y"):
        bench.columns[name][at.rows] = bench.columns[name][before]


def _contradicting_speed(bench: Bench, at: Stretches) -> None:
    speed = bench.columns["v_vel"]
    by = at.each(bench.feet("v_vel", 6.0, 14.0, at.count))
    slower = speed[at.rows] - by
    speed[at.rows] = np.where(slower > 0, slower, speed[at.rows] + by)


def _contradicting_acceleration(bench: Bench, at: Stretches) -> None:
    """As hard as a vehicle can brake or speed up, in the direction in which it does not."""
    acceleration = bench.columns["v_acc"]
    hard = at.each(bench.feet("v_acc", 7.2, 8.8, at.count))
    acceleration[at.rows] = np.where(acceleration[at.rows] >= 0, -hard, hard)


def _lane_flip(bench: Bench, at: Stretches) -> None:
    lane = bench.columns["lane_id"]
    # two lanes away: no vehicle gets there and back in these few frames
    lane[at.rows] = np.where(lane[at.rows] >= 3, lane[at.rows] - 2, lane[at.rows] + 2)


def _class_change(bench: Bench, at: Stretches) -> None:
    v_class = bench.columns["v_class"]
    v_class[at.rows] = np.where(v_class[at.rows] == 2, 3, 2)


def _stretched(name: str) -> _Spoil:
    def spoil(bench: Bench, at: Stretches) -> None:
        column = bench.columns[name]
        factor = at.each(bench.rng.uniform(1.3, 1.9, at.count))
        column[at.rows] = np.round(column[at.rows] * factor / 10.0) * 10

    return spoil


def _clock(bench: Bench, at: Stretches) -> None:
    bench.columns["global_time"][at.rows] += bench.rng.integers(15, 86, len(at.rows))


def _off_site(bench: Bench, at: Stretches) -> None:
    for name in ("global_x", "global_y"):
        away = bench.signs(at.count) * bench.feet(name, 8_000.0, 300_000.0, at.count)
        bench.columns[name][at.rows] += at.each(away)


def _displaced_on_map(bench: Bench, at: Stretches) -> None:
    """As far along as aside, so that no direction of the road hides it."""
    aside, along = (
        at.each(bench.signs(at.count) * bench.feet("local_x", 2.5, 20.0, at.count))
        for _ in range(2)
    )
    bench.shift_on_map(at.rows, aside, along)


def _late(bench: Bench, at: Stretches) -> None:
    """The stretch stands in the file after up to 15 rows of its track that follow it in time."""
    bench.late[at.rows] = at.each(at.lengths + bench.rng.integers(4, 13, at.count))


def _gap(bench: Bench, at: Stretches) -> None:
    bench.missing[at.rows] = True


def _overlap(bench: Bench, at: Stretches) -> None:
    """Push the vehicle into its leader's rear, by the same distance for the whole stretch."""
    ahead = leader_rows(bench)[at.rows]
    y, length = bench.columns["local_y"], bench.columns["v_length"]
    gap = np.where(ahead >= 0, y[ahead] - 10 * length[ahead].astype(np.int64) - y[at.rows], 0)
    bounds = np.concatenate([[0], np.cumsum(at.lengths)[:-1]])
    widest = np.maximum.reduceat(gap, bounds) + bench.feet("local_y", 0.6, 2.0, at.count)
    bench.shift(at.rows, np.zeros_like(at.rows), at.each(widest))


def _wrong_headway(bench: Bench, at: Stretches) -> None:
    by = at.each(bench.feet("space_headway", 6.0, 30.0, at.count)).astype(np.int32)
    space, time = bench.columns["space_headway"], bench.columns["time_headway"]
    space[at.rows] += by
    # time follows from it, so that it does not give the fault away
    speed = bench.columns["v_vel"][at.rows]
    moves = speed > 0
    seconds = np.round(100.0 * space[at.rows] / np.where(moves, speed, 1))
    time[at.rows] = np.where(moves, np.minimum(seconds, _STANDING), time[at.rows])


def _wrong_time_headway(bench: Bench, at: Stretches) -> None:
    bench.columns["time_headway"][at.rows] += at.each(bench.rng.integers(100, 900, at.count))


def _somebody_else(name: str) -> _Spoil:
    """Name any other vehicle of the recording, wherever it is, as the one ahead or behind."""

    def spoil(bench: Bench, at: Stretches) -> None:
        ids = np.unique(bench.columns["vehicle_id"])
        named = bench.columns[name]
        other = at.each(bench.rng.choice(ids, at.count))
        wrong = (other == named[at.rows]) | (other == bench.columns["vehicle_id"][at.rows])
        named[at.rows] = np.where(wrong, ids[-1] + 1, other)

    return spoil


def _swap(bench: Bench, at: Stretches) -> None:
    ahead = leader_rows(bench)[at.rows]
    for name in ("vehicle_id", "total_frames"):
        column = bench.columns[name]
        column[at.rows], column[ahead] = column[ahead], column[at.rows].copy()


def _nothing(bench: Bench, at: Stretches) -> None:
    """The cell is spoiled when the row is printed."""


def _moving(bench: Bench) -> Bools:
    """At least 6 m/s, so that standing still in the delivered position is a contradiction."""
    return bench.columns["v_vel"] > 6.0 / FOOT * 100


def _close_behind(bench: Bench) -> Bools:
    """A leader seen in this frame, at most 15 m ahead."""
    ahead = leader_rows(bench)
    y = bench.columns["local_y"]
    return (ahead >= 0) & (y[ahead] - y < 15.0 / FOOT * 1000)


def _has_leader(bench: Bench) -> Bools:
    return leader_rows(bench) >= 0


def _has_follower(bench: Bench) -> Bools:
    behind = _row_of(bench, bench.columns["following"], bench.columns["frame_id"])
    return behind >= 0


def _drives_behind(bench: Bench) -> Bools:
    """A leader, and fast enough for a second of headway to be more than rounding."""
    return _has_leader(bench) & (bench.columns["v_vel"] > 2.0 / FOOT * 100)


def _row_of(bench: Bench, vehicle: NDArray[Any], frame: NDArray[Any]) -> I64:
    """Row of a vehicle in a frame, -1 where it has none. Rows are sorted by both."""
    keys = bench.columns["vehicle_id"].astype(np.int64) << 32 | bench.columns["frame_id"]
    wanted = vehicle.astype(np.int64) << 32 | frame
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[found] == wanted, found, -1)


def leader_rows(bench: Bench) -> I64:
    return _row_of(bench, bench.columns["preceding"], bench.columns["frame_id"])


FAULTS: dict[str, Fault] = {
    "exact_duplicate": Fault(1, 1, _exact_duplicate),
    "key_conflict": Fault(1, 1, _key_conflict),
    "position_spike": Fault(1, 2, _spike_along, column="local_y"),
    "lateral_spike": Fault(1, 2, _spike_aside, column="local_x"),
    "teleport": Fault(5, 40, _teleport, column="local_y"),
    "frozen_position": Fault(8, 25, _frozen, _moving, "local_y"),
    "speed_out_of_range": Fault(
        1, 3, _set("v_vel", lambda b, n: b.feet("v_vel", 50.0, 150.0, n)), column="v_vel"
    ),
    "speed_contradicts_position": Fault(10, 30, _contradicting_speed, column="v_vel"),
    "acceleration_contradicts_speed": Fault(10, 30, _contradicting_acceleration, column="v_acc"),
    "acceleration_out_of_range": Fault(
        1,
        3,
        _set("v_acc", lambda b, n: b.signs(n) * b.feet("v_acc", 12.0, 40.0, n)),
        column="v_acc",
    ),
    "negative_speed": Fault(
        1, 3, _set("v_vel", lambda b, n: -b.feet("v_vel", 0.5, 15.0, n)), column="v_vel"
    ),
    "negative_length": Fault(
        1, 3, _set("v_length", lambda b, n: -b.feet("v_length", 2.0, 6.0, n)), column="v_length"
    ),
    "negative_width": Fault(
        1, 3, _set("v_width", lambda b, n: -b.feet("v_width", 0.5, 3.0, n)), column="v_width"
    ),
    "negative_headway": Fault(
        1,
        3,
        _set("space_headway", lambda b, n: -b.feet("space_headway", 1.0, 50.0, n)),
        _has_leader,
        "space_headway",
    ),
    "class_out_of_range": Fault(
        1,
        5,
        _set("v_class", lambda b, n: b.rng.choice(np.array([-1, 0, 4, 9]), n)),
        column="v_class",
    ),
    "length_out_of_range": Fault(
        1, 5, _set("v_length", lambda b, n: b.feet("v_length", 31.0, 90.0, n)), column="v_length"
    ),
    "width_out_of_range": Fault(
        1, 5, _set("v_width", lambda b, n: b.feet("v_width", 4.2, 9.0, n)), column="v_width"
    ),
    "lane_out_of_range": Fault(
        1,
        5,
        _set("lane_id", lambda b, n: b.rng.choice(np.array([-1, 0, 99, 9999]), n)),
        column="lane_id",
    ),
    "lane_flip": Fault(1, 3, _lane_flip, column="lane_id"),
    "class_change": Fault(3, 25, _class_change, column="v_class"),
    "length_change": Fault(3, 25, _stretched("v_length"), column="v_length"),
    "width_change": Fault(3, 25, _stretched("v_width"), column="v_width"),
    "coordinates_off_site": Fault(1, 4, _off_site, column="global_x"),
    "displaced_on_map": Fault(1, 10, _displaced_on_map, column="global_x"),
    "clock_off_grid": Fault(1, 3, _clock, column="global_time"),
    "late_line": Fault(1, 3, _late),
    "short_gap": Fault(2, 8, _gap),
    "long_gap": Fault(30, 80, _gap),
    "overlap_with_leader": Fault(5, 20, _overlap, _close_behind, "local_y"),
    "wrong_headway": Fault(2, 10, _wrong_headway, _has_leader, "space_headway"),
    "wrong_time_headway": Fault(2, 10, _wrong_time_headway, _drives_behind, "time_headway"),
    "wrong_leader": Fault(2, 10, _somebody_else("preceding"), _has_leader, "preceding"),
    "wrong_follower": Fault(2, 10, _somebody_else("following"), _has_follower, "following"),
    "swapped_ids": Fault(10, 40, _swap, _close_behind, "vehicle_id"),
    "unreadable_cell": Fault(1, 1, _nothing),
}
"""Kinds by name. All but `unreadable_cell` are in the rows; that one is only in their printing."""

ROW_FAULTS: tuple[str, ...] = tuple(name for name in FAULTS if name != "unreadable_cell")

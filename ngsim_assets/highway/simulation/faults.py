"""Faults with labels: what can be wrong with delivered rows, put there on purpose.

Belongs here: the kinds of fault, where they are placed and what they do to raw rows. Does not
belong here: measurement noise, which is no fault (error_model.py), judgement (validate.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.simulation.fault_kinds import (
    FAULTS,
    I64,
    ROW_FAULTS,
    Bench,
    Bools,
    Columns,
    Stretches,
    leader_rows,
)

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
_TRIES = 200


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
        The rows as their file would hold them: sorted by vehicle and frame (an added row after
        the one it resembles) but for `late_line`, which is a fault only as long as nobody
        sorts or shuffles the lines; and labels with the columns of LABELS in order of vehicle
        and frame. Missing rows have a label without row. Of swapped vehicles both are labelled.

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
    budget = max(1, round(rate * rows.height / len(kinds)))
    # the hardest to place first, while there is room
    by_need = sorted(kinds, key=lambda kind: (kind != "swapped_ids", -FAULTS[kind].longest, kind))
    labels = [_inject(bench, kind, budget) for kind in by_need]
    return _assemble(rows, bench, pl.concat(labels))


def _bench(rows: pl.DataFrame, rng: np.random.Generator) -> Bench:
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
    return Bench(
        columns=columns,
        tracks=tracks,
        used=np.zeros(len(vehicle), bool),
        added=[],
        missing=np.zeros(len(vehicle), bool),
        late=np.zeros(len(vehicle), np.int64),
        global_per_foot=fitted[1:].astype(np.float64),
        rng=rng,
    )


def _inject(bench: Bench, kind: str, budget: int) -> pl.DataFrame:
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
    partner = leader_rows(bench) if both == 2 else np.empty(0, np.int64)
    draws = bench.rng.random((len(lengths), _TRIES))
    first = _place(bench.tracks, lengths, allowed, partner, draws, bench.used)
    lengths, first = lengths[first >= 0], first[first >= 0]
    stretch = np.repeat(first, lengths)
    begins = np.cumsum(lengths) - lengths
    rows = stretch + np.arange(len(stretch)) - np.repeat(begins, lengths)
    at = Stretches(rows, first, lengths)
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
    return not used[low:high].any()


def _assemble(
    rows: pl.DataFrame, bench: Bench, labels: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put spoiled, added and remaining rows in order again, and the labels on them."""
    spoiled = _with_columns(rows, bench.columns).with_columns(
        pl.Series("_of", np.arange(rows.height)), pl.lit(False).alias("_added")
    )
    parts = [spoiled.filter(pl.Series(~bench.missing))]
    for of, columns in bench.added:
        parts.append(
            _with_columns(rows[of], columns).with_columns(
                pl.Series("_of", of), pl.lit(True).alias("_added")
            )
        )
    faulty = pl.concat(parts).sort("vehicle_id", "frame_id", "_added", "_of")
    if bench.late.any():
        late = bench.late[faulty["_of"].to_numpy()]
        # behind the row whose place it takes
        place = 2 * (np.arange(faulty.height) + late) + (late > 0)
        faulty = faulty[np.argsort(place, kind="stable")]
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

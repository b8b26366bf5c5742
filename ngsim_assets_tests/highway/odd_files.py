"""Recordings that are odd as a whole, as rows to be written to files.

Belongs here: what was delivered, and how many of its rows are sound. Does not belong here: single
faults among good rows (simulation/faults.py), odd tables in the middle of the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ngsim_assets.highway.formats import RAW_PHYSICAL, physical
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.simulation.write_source import LayoutName
from ngsim_assets.highway.sites import PEACHTREE, US_101
from ngsim_assets_tests.highway.synthetic import recording

FRAME, TIME = pl.col("frame_id"), pl.col("global_time")
DAY_MS = 86_400_000
MORNING = PartitionKey("us-101", US_101.recordings[0].key)
ATLANTA = PartitionKey("peachtree", PEACHTREE.recordings[0].key)


@dataclass(frozen=True)
class Odd:
    """A recording as delivered.

    Attributes:
        rows: raw rows, unscaled integers. sound: how many of them validation accepts.
        key: where they belong.
    """

    rows: pl.DataFrame
    sound: int
    key: PartitionKey = MORNING

    @property
    def layouts(self) -> tuple[LayoutName, ...]:
        """Files that can hold it: those of the freeways have no arterial columns."""
        return ("text", "csv", "export") if self.key.highway_id == "us-101" else ("export",)


def driven(vehicles: int = 1, frames: int = 60, **options: Any) -> pl.DataFrame:
    """Raw rows of `synthetic.recording`, noisy as cameras are."""
    made = recording(vehicles, frames, noise=0.02, **options)
    return physical(made.select(list(RAW_PHYSICAL)))


def one_vehicle() -> Odd:
    rows = driven(1, 100)
    return Odd(rows, rows.height)


def one_row() -> Odd:
    return Odd(driven(1, 1), 1)


def two_rows() -> Odd:
    return Odd(driven(1, 2), 2)


def only_duplicates() -> Odd:
    rows = driven(2, 40)
    return Odd(pl.concat([rows] * 4), rows.height)


def only_faults() -> Odd:
    """Faster than any car: whatever else holds of a row, its speed is out of range."""
    return Odd(driven(2, 40).with_columns(v_vel=pl.lit(99_999, pl.Int32)), 0)


def all_standing() -> Odd:
    rows = driven(3, 60).with_columns(
        pl.col("local_y").first().over("vehicle_id"),
        pl.col("global_y").first().over("vehicle_id"),
        pl.col("local_x").first().over("vehicle_id"),
        pl.col("global_x").first().over("vehicle_id"),
        pl.col("space_headway").first().over("vehicle_id"),
        v_vel=pl.lit(0, pl.Int32),
        v_acc=pl.lit(0, pl.Int32),
        time_headway=pl.when(pl.col("preceding") > 0).then(999_999).otherwise(0).cast(pl.Int32),
    )
    return Odd(rows, rows.height)


def far_apart() -> Odd:
    """Two vehicles that never see each other, ten minutes between them."""
    early, late = driven(1, 60), driven(1, 60, first_frame=6_020)
    rows = pl.concat([early, late.with_columns(vehicle_id=pl.lit(900, pl.Int32))])
    return Odd(rows, rows.height)


def single_frame() -> Odd:
    rows = driven(24, 1, lanes=2).with_columns(total_frames=pl.lit(1, pl.Int32))
    return Odd(rows, rows.height)


def frames_descending() -> Odd:
    rows = driven(2, 60).sort("vehicle_id", "frame_id", descending=True)
    return Odd(rows, rows.height)


def only_motorcycles() -> Odd:
    rows = driven(3, 60).with_columns(
        v_class=pl.lit(1, pl.Int32),
        v_length=pl.lit(700, pl.Int32),
        v_width=pl.lit(250, pl.Int32),
    )
    return Odd(rows, rows.height)


def no_lanes() -> Odd:
    """Lane 9999, which arterials have where a vehicle is in none."""
    rows = _peachtree(driven(2, 60, site=PEACHTREE)).with_columns(lane_id=pl.lit(9999, pl.Int32))
    return Odd(rows, rows.height, ATLANTA)


def no_leaders() -> Odd:
    rows = driven(2, 60, lanes=2)
    return Odd(rows, rows.height)


def past_midnight() -> Odd:
    """Begins seconds before a day ends in UTC, which is the afternoon before in California."""
    rows = driven(2, 120)
    first = rows["global_time"].min()
    assert isinstance(first, int)
    midnight = first // DAY_MS * DAY_MS + 12 * DAY_MS
    moved = rows.with_columns(global_time=TIME - first + midnight - 5_000)
    return Odd(moved, rows.height, key=PartitionKey("us-101", "2005-06-26T1659"))


def seen_again() -> Odd:
    """Gone for a minute, then seen for another while, farther on."""
    rows = driven(1, 60)
    later = rows.with_columns(
        frame_id=FRAME + 660,
        global_time=TIME + 66_000,
        **{name: pl.col(name) + 700_000 for name in ("local_y", "global_y")},
    )
    return Odd(pl.concat([rows, later]), 2 * rows.height)


def clock_in_seconds() -> Odd:
    """Peachtree: the frame origin counts seconds, frames add a hundred each all the same."""
    rows = _peachtree(driven(3, 60, site=PEACHTREE))
    return Odd(rows, rows.height, ATLANTA)


def once_a_second() -> Odd:
    """Every tenth frame of ten a second."""
    rows = driven(2, 400).filter((FRAME % 10) == 0)
    return Odd(rows, rows.height)


def _peachtree(rows: pl.DataFrame) -> pl.DataFrame:
    codes = {"o_zone": 101, "d_zone": 201, "int_id": 1, "section_id": 0, "direction": 2}
    return rows.with_columns(
        pl.lit(code, pl.Int32).alias(name) for name, code in {**codes, "movement": 1}.items()
    )


ODD: Mapping[str, Callable[[], Odd]] = {
    made.__name__.replace("_", " "): made
    for made in (
        one_vehicle,
        one_row,
        two_rows,
        only_duplicates,
        only_faults,
        all_standing,
        far_apart,
        single_frame,
        frames_descending,
        only_motorcycles,
        no_lanes,
        no_leaders,
        past_midnight,
        seen_again,
        clock_in_seconds,
        once_a_second,
    )
}

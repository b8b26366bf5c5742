"""Laps assembled here against laps that FastF1 made of the same feed.

Belongs here: the comparison, and why a difference is one. Does not belong here: assembling laps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ngsim_assets.f1.errors import FeedUnreadable

TIMES: Final = ("lap_time_ms", "sector1_ms", "sector2_ms", "sector3_ms")
KEY: Final = ("driver_number", "lap_number")

EXPLANATIONS: Final = {
    "first_lap": "the feed tells no first sector and no lap time of the first lap of a race; the "
    "reference has it from another service (Ergast)",
    "over_150_s": "the reference drops lap times of 150 s and more; here it was told, and it is "
    "the sum of its sectors",
    "told_again": "the feed told the lap before once more for a moment, and the reference takes "
    "its third sector for one of this lap",
    "generated": "the reference makes up the last lap of a car that stopped on the track; no "
    "third sector was told of it",
    "unexplained": "none of these",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two tables of the same laps agree.

    Attributes:
        laps: laps here. reference: laps of the reference.
        timed: laps of the reference with a lap time.
        equal: those of them whose lap time and three sectors are equal to the millisecond.
        untold: those of them whose lap time the feed does not tell.
        differences: one row per lap and column that differ: driver_number, lap_number, column,
            reference, here, why (a key of EXPLANATIONS).
    """

    laps: int
    reference: int
    timed: int
    equal: int
    untold: int
    differences: pl.DataFrame

    @property
    def share(self) -> float:
        """Share of the reference's timed laps that are equal."""
        return self.equal / self.timed if self.timed else 1.0

    @property
    def share_of_told(self) -> float:
        """The same, of those laps whose time the feed tells."""
        told = self.timed - self.untold
        return self.equal / told if told else 1.0

    @property
    def reasons(self) -> dict[str, int]:
        """Laps per explanation."""
        counted = self.differences.unique(["driver_number", "lap_number", "why"])
        return dict(sorted(counted.group_by("why").len().rows()))


def fastf1_laps(path: Path) -> pl.DataFrame:
    """A table of laps that FastF1 wrote as CSV, gzipped or not, in the columns compared here.

    Times are seconds there; `generated` is FastF1Generated.
    """
    try:
        told = pl.read_csv(path, infer_schema=False, null_values=["", "nan"])
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None
    names = {
        "lap_time_ms": "LapTime",
        "sector1_ms": "Sector1Time",
        "sector2_ms": "Sector2Time",
        "sector3_ms": "Sector3Time",
    }
    return told.select(
        pl.col("DriverNumber").cast(pl.Int32).alias("driver_number"),
        pl.col("LapNumber").cast(pl.Float64).cast(pl.Int32).alias("lap_number"),
        *(
            (pl.col(name).cast(pl.Float64) * 1000).round().cast(pl.Int32).alias(column)
            for column, name in names.items()
        ),
        (pl.col("FastF1Generated") == "True").alias("generated"),
    )


def compare(laps: pl.DataFrame, reference: pl.DataFrame) -> Comparison:
    """Every difference between laps of one session, explained where it can be.

    Args:
        laps: columns of f1_laps.
        reference: what `fastf1_laps` reads.
    """
    here = laps.select(*KEY, *TIMES, pl.lit(value=True).alias("here"))
    both = reference.with_columns(pl.lit(value=True).alias("there")).join(
        here, on=list(KEY), how="full", coalesce=True, suffix="_here"
    )
    before = reference.select(
        "driver_number",
        pl.col("lap_number") + 1,
        pl.col("sector3_ms").alias("sector3_before"),
    )
    both = both.join(before, on=list(KEY), how="left")
    both = both.with_columns(_why().alias("why"))
    unlike = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_here")) for name in TIMES)
    timed = both.filter(pl.col("lap_time_ms").is_not_null())
    differences = pl.concat(
        both.filter(pl.col(name).ne_missing(pl.col(f"{name}_here"))).select(
            *KEY,
            pl.lit(name).alias("column"),
            pl.col(name).alias("reference"),
            pl.col(f"{name}_here").alias("here"),
            "why",
        )
        for name in TIMES
    )
    missing = both.filter(
        pl.col("here").is_null() | pl.col("there").is_null(),
        pl.all_horizontal(
            pl.col(name).is_null() & pl.col(f"{name}_here").is_null() for name in TIMES
        ),
    ).select(
        *KEY,
        pl.lit("lap_number").alias("column"),
        pl.when("there").then("lap_number").alias("reference"),
        pl.when("here").then("lap_number").alias("here"),
        "why",
    )
    return Comparison(
        laps=laps.height,
        reference=reference.height,
        timed=timed.height,
        equal=timed.filter(~unlike).height,
        untold=timed.filter(unlike, pl.col("why") == "first_lap").height,
        differences=pl.concat([differences, missing]).sort(*KEY, "column"),
    )


def _why() -> pl.Expr:
    """The explanation of a lap of both tables, of what differs in it."""
    sectors = pl.sum_horizontal(f"{name}_here" for name in TIMES[1:])
    told = pl.all_horizontal(pl.col(f"{name}_here").is_not_null() for name in TIMES[1:])
    return (
        pl.when(pl.col("generated").fill_null(value=False))
        .then(pl.lit("generated"))
        .when(
            (pl.col("lap_number") == 1)
            & pl.col("lap_time_ms_here").is_null()
            & pl.col("sector1_ms").is_null()
            & pl.col("sector1_ms_here").is_null()
        )
        .then(pl.lit("first_lap"))
        .when(
            pl.col("lap_time_ms").is_null()
            & (pl.col("lap_time_ms_here") >= 150_000)
            & told
            & ((sectors - pl.col("lap_time_ms_here")).abs() <= 100)
        )
        .then(pl.lit("over_150_s"))
        .when(
            pl.col("sector3_ms_here").is_null() & (pl.col("sector3_ms") == pl.col("sector3_before"))
        )
        .then(pl.lit("told_again"))
        .otherwise(pl.lit("unexplained"))
    )

"""Neutralised laps from lap times alone, as a check of what status and race control say.

Belongs here: the pace of the field against its own green pace. Does not belong here: status,
messages, where laps come from.

A lap is neutralised where the median over drivers of lap time / own green pace is over a
threshold. In real sessions (laps out of and into the pits left out) that ratio is 1.00 when green,
1.01 under yellow, 1.24 to 1.33 under the virtual safety car and 1.34 to 1.59 behind the safety car.
The own green pace is taken over the laps around, so that rain and fuel, which change it for long,
are not taken for neutralisations, which do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.f1.neutralisations.model import Kind

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a lap is slow enough.

    Attributes:
        field: ratio of the median of at least `drivers` drivers; under it 1.24 leaves room
            for a virtual safety car that begins or ends within the lap.
        few: ratio where there are fewer drivers. A stop costs 20 to 25 s, a quarter of a lap,
            and without the field it cannot be told from a virtual safety car below this.
        enclosed: ratio of a lap between two neutralised ones: no field turns green for one lap.
        slow: ratio from which one driver counts as agreeing.
        safety_car, red: ratio of its slowest lap from which a phase is behind the safety car,
            or stopped; below, it is a virtual safety car.
        drivers: how many make a field.
        window: laps around that make the green pace, with the share of them taken as green.
    """

    field: float = 1.15
    few: float = 1.25
    enclosed: float = 1.05
    slow: float = 1.10
    safety_car: float = 1.42
    red: float = 2.5
    drivers: int = 5
    window: int = 21
    green_share: float = 0.3


@dataclass(frozen=True, slots=True)
class DetectedPhase:
    """Laps in a row that are neutralised.

    Attributes:
        first_lap, last_lap: laps of the leader.
        start_ms, end_ms: start of the first and end of the last of them by the first driver,
            since the start of the feed; None where laps have no times.
        confidence: mean of that of its laps.
    """

    kind: Kind
    first_lap: int
    last_lap: int
    start_ms: int | None
    end_ms: int | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Detected:
    """What lap times show.

    Attributes:
        laps: per lap: lap_number, drivers (with a ratio), ratio (median, null if none),
            agreement (share of drivers that are slow), neutralised, confidence (that the lap is
            what `neutralised` says), start_ms, end_ms.
        phases: laps in a row.
        reason: why nothing can be told: no_laps, or no_race where the drivers do not run their
            laps together; None otherwise.
    """

    laps: pl.DataFrame
    phases: list[DetectedPhase]
    reason: str | None = None


_SCHEMA = pl.Schema(
    {
        "lap_number": pl.Int32,
        "drivers": pl.Int32,
        "ratio": pl.Float64,
        "agreement": pl.Float64,
        "neutralised": pl.Boolean,
        "confidence": pl.Float64,
        "start_ms": pl.Int64,
        "end_ms": pl.Int64,
    }
)


def detect(laps: pl.DataFrame, thresholds: Thresholds | None = None) -> Detected:
    """Neutralised laps of a race.

    Args:
        laps: driver_number, lap_number, lap_time_ms, lap_start_ms, lap_end_ms, pit_in_ms,
            pit_out_ms, as f1_laps has them; of one session. A lap without lap time counts as
            long as it took from start to end.
    """
    limits = thresholds or Thresholds()
    timed = _timed(laps)
    if timed.is_empty():
        return Detected(pl.DataFrame(schema=_SCHEMA), [], "no_laps")
    if not _is_race(timed):
        return Detected(pl.DataFrame(schema=_SCHEMA), [], "no_race")
    rated = pl.concat(
        _rated(driver, limits) for driver in timed.partition_by("driver_number")
    ).filter(pl.col("ratio").is_not_null())
    per_lap = (
        timed.group_by("lap_number")
        .agg(
            pl.col("lap_start_ms").min().alias("start_ms"),
            pl.col("lap_end_ms").min().alias("end_ms"),
        )
        .join(
            rated.group_by("lap_number").agg(
                pl.len().cast(pl.Int32).alias("drivers"),
                pl.col("ratio").median(),
                (pl.col("ratio") > limits.slow).mean().alias("agreement"),
            ),
            on="lap_number",
            how="left",
        )
        .with_columns(pl.col("drivers").fill_null(0))
        .sort("lap_number")
    )
    neutralised = _neutralised(per_lap, limits)
    judged = per_lap.with_columns(
        pl.Series("neutralised", neutralised), _confidence(pl.Series(neutralised))
    ).select(*_SCHEMA)
    return Detected(judged.cast(_SCHEMA), _phases(judged, limits))


def _timed(laps: pl.DataFrame) -> pl.DataFrame:
    took = pl.coalesce("lap_time_ms", pl.col("lap_end_ms") - pl.col("lap_start_ms"))
    return (
        laps.select(
            "driver_number",
            pl.col("lap_number").cast(pl.Int32),
            took.cast(pl.Float64).alias("took"),
            "lap_start_ms",
            "lap_end_ms",
            pl.any_horizontal(pl.col("pit_in_ms", "pit_out_ms").is_not_null()).alias("pits"),
        )
        .filter(pl.col("took") > 0)
        .sort("driver_number", "lap_number")
    )


def _is_race(timed: pl.DataFrame) -> bool:
    """Whether drivers begin laps of one number within a lap of each other."""
    spread = timed.group_by("lap_number").agg(
        (pl.col("lap_start_ms").quantile(0.75) - pl.col("lap_start_ms").quantile(0.25)).alias("s")
    )
    typical, took = np.median(spread["s"].drop_nulls().to_numpy()), np.median(timed["took"])
    return not typical > took  # unknown starts do not speak against it


def _rated(driver: pl.DataFrame, limits: Thresholds) -> pl.DataFrame:
    """Laps of one driver with the ratio to the own green pace, null where it says nothing."""
    took = driver["took"].to_numpy()
    counted = ~driver["pits"].to_numpy()
    # of a standing start
    green = counted & (driver["lap_number"].to_numpy() > 1)
    if not green.any():
        return driver.select("lap_number", pl.lit(None, pl.Float64).alias("ratio"))
    pace = _pace(took[green], np.flatnonzero(green), np.arange(len(took)), limits)
    ratio = np.where(counted, took / pace, np.nan)
    return driver.select("lap_number", pl.Series("ratio", ratio, nan_to_null=True))


def _pace(
    times: Floats, at: NDArray[np.intp], laps: NDArray[np.intp], limits: Thresholds
) -> Floats:
    """Green pace at `laps` from the times of the laps `at`: the nearest `window` of them."""
    size = min(limits.window, len(times))
    place = np.searchsorted(at, laps) - size // 2
    first = np.clip(place, 0, len(times) - size)
    windows = np.lib.stride_tricks.sliding_window_view(times, size)
    paces = np.quantile(windows, limits.green_share, axis=1)
    return paces[first]


def _neutralised(per_lap: pl.DataFrame, limits: Thresholds) -> list[bool]:
    ratios = per_lap["ratio"].to_list()
    field = [drivers >= limits.drivers for drivers in per_lap["drivers"]]
    found = [
        ratio is not None and ratio > (limits.field if many else limits.few)
        for ratio, many in zip(ratios, field, strict=True)
    ]
    # out of the pits behind the safety car, or from a grid: not a lap of anybody's pace
    for lap in range(1, len(found)):
        before, ratio = ratios[lap - 1], ratios[lap]
        after_red = before is not None and before > limits.red
        if after_red and ratio is not None and ratio <= limits.red:
            found[lap] = False
    for lap in range(1, len(found) - 1):
        ratio = ratios[lap]
        slow = ratio is None or ratio > limits.enclosed
        if found[lap - 1] and found[lap + 1] and slow:
            found[lap] = True
    return found


def _confidence(neutralised: pl.Series) -> pl.Expr:
    """Share of the field that agrees, less where the field is small."""
    agree = pl.when(neutralised).then(pl.col("agreement")).otherwise(1 - pl.col("agreement"))
    size = pl.col("drivers") / (pl.col("drivers") + 1)
    return (agree * size).fill_null(0.0).alias("confidence")


def _phases(judged: pl.DataFrame, limits: Thresholds) -> list[DetectedPhase]:
    found: list[DetectedPhase] = []
    runs = judged.with_columns(pl.col("neutralised").rle_id().alias("run")).filter("neutralised")
    for run in runs.partition_by("run", maintain_order=True):
        for part in _split_at_red(run, limits):
            slowest = max((ratio for ratio in part["ratio"] if ratio is not None), default=1.0)
            kind: Kind = "virtual_safety_car"
            if slowest >= limits.red:
                kind = "red_flag"
            elif slowest >= limits.safety_car:
                kind = "safety_car"
            found.append(
                DetectedPhase(
                    kind,
                    int(part.item(0, "lap_number")),
                    int(part.item(-1, "lap_number")),
                    part.item(0, "start_ms"),
                    part.item(-1, "end_ms"),
                    float(np.mean(part["confidence"].to_numpy())),
                )
            )
    return found


def _split_at_red(run: pl.DataFrame, limits: Thresholds) -> Sequence[pl.DataFrame]:
    stopped = (pl.col("ratio") > limits.red).fill_null(value=False)
    return run.with_columns(stopped.rle_id().alias("part")).partition_by(
        "part", maintain_order=True
    )

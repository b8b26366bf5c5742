"""Which metrics make the score of a recording's trajectories, with which weight, and why.

Belongs here: the list of criteria and the score's rows in the table of metrics. Does not belong
here: how a metric becomes points (quality/rating.py), what a metric is (catalogue.py).

Weights follow what a trajectory is used for: motion that a vehicle can do first, then agreement of
a trajectory with itself and with the one ahead, then completeness. Two criteria sets differ only
in what one stage has and the other cannot: rows refused on the way in, and what cleaning changed.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ngsim_assets.highway.assessment.metrics import (
    CHOSEN,
    CLEANED,
    COIFMAN,
    KALMAN,
    PUNZO,
    RAW,
    VALIDATED,
)
from ngsim_assets.highway.model import QUALITY_METRICS
from ngsim_assets.quality.rating import Criterion, Rating, rate

QUALITY_SCORE = "quality_score"
LABELS: Mapping[str, str] = {VALIDATED: "As delivered", CLEANED: "Cleaned"}

# Seen in delivered rows of us-101, i-80 and peachtree (excerpts of seven recordings).
_DELIVERED = "measured on delivered excerpts of three sites"

_OF_TRAJECTORIES = (
    Criterion(
        metric="jerk_over_15",
        weight=20,
        full=0.16,
        none=17.4,
        scale="logarithmic",
        why="Jerk nobody in a car would bear is noise, and every model fitted to accelerations "
        "learns it.",
        source=f"full: best of the filters in {KALMAN}; none: worst delivered in {PUNZO}",
    ),
    Criterion(
        metric="jerk_sign_inversions",
        weight=10,
        full=13.54,
        none=74.0,
        why="A driver does not change between pressing and releasing several times a second.",
        source=f"full: best of the filters in {KALMAN}; none: delivered in {PUNZO}",
    ),
    Criterion(
        metric="acceleration_over_3",
        weight=10,
        full=0.05,
        none=10.0,
        scale="logarithmic",
        why="Hard braking is rare; where it is common, positions were differentiated with their "
        "noise.",
        source=f"full: {COIFMAN}; none: 6 to 11 %, {_DELIVERED}",
    ),
    Criterion(
        metric="velocity_backwards",
        weight=5,
        full=0.0,
        none=5.0,
        why="Vehicles in a stream do not reverse; standing ones whose position shakes seem to.",
        source=f"none: 5.0 %, worst {_DELIVERED}",
    ),
    Criterion(
        metric="position_speed_rmse",
        weight=15,
        full=0.1,
        none=2.0,
        scale="logarithmic",
        why="Positions and speeds of one vehicle must tell the same journey, or results depend on "
        "which of them was used.",
        source=f"full: the metric's limit; none: 0.01 to 1.5 m, {_DELIVERED}",
    ),
    Criterion(
        metric="speed_acceleration_rmse",
        weight=10,
        full=0.1,
        none=2.8,
        scale="logarithmic",
        why="The same of speeds and accelerations.",
        source=f"full: the metric's limit; none: 2.8 m/s, worst {_DELIVERED}",
    ),
    Criterion(
        metric="overlaps",
        weight=10,
        full=0.0,
        none=1.0,
        why="A follower inside its leader makes gap and time to collision meaningless.",
        source=f"none: 1.3 %, worst {_DELIVERED}, rounded down",
    ),
    Criterion(
        metric="headway_rmse",
        weight=5,
        full=0.01,
        none=1.0,
        scale="logarithmic",
        why="A spacing that its two positions contradict is no observation of car following.",
        source=f"full: the metric's limit; none: {CHOSEN}, a fifth of a car's length",
    ),
    Criterion(
        metric="leader_unreciprocated",
        weight=5,
        full=0.0,
        none=5.0,
        why="Platoons fall apart where a leader does not know its follower.",
        source=f"none: {CHOSEN}, one pair in twenty",
    ),
    Criterion(
        metric="completeness",
        weight=10,
        full=100.0,
        none=90.0,
        why="Frames that are missing between a vehicle's first and last one are journeys cut "
        "short, and vehicles missing from density.",
        source=f"none: {CHOSEN}, a second of every ten lost",
    ),
)

CRITERIA: Mapping[str, tuple[Criterion, ...]] = {
    VALIDATED: (
        *_OF_TRAJECTORIES,
        Criterion(
            metric="rows_quarantined_share",
            weight=10,
            full=0.0,
            none=20.0,
            why="Rows refused are rows that were delivered wrong.",
            source="none: beyond the worst delivery on record, 14.7 % duplicates of us-101",
        ),
    ),
    CLEANED: (
        *_OF_TRAJECTORIES,
        Criterion(
            metric="edie_speed_change",
            weight=5,
            full=1.0,
            none=5.0,
            absolute=True,
            why="Cleaning must not change the traffic that was seen.",
            source=f"full: the metric's limit; none: {CHOSEN}",
        ),
        Criterion(
            metric="residual_along_rmse",
            weight=5,
            full=0.5,
            none=2.0,
            scale="logarithmic",
            why="Smooth is easy; smooth and still where the vehicle was seen is what counts.",
            source=f"full: {CHOSEN}, over twice the 0.1 to 0.2 m {_DELIVERED}; none: {CHOSEN}",
        ),
        Criterion(
            metric="points_imputed",
            weight=5,
            full=1.0,
            none=20.0,
            why="Points filled in are not observed, however good they look.",
            source=CHOSEN,
        ),
    ),
}


def ratings(metrics: pl.DataFrame) -> tuple[Rating, ...]:
    """The score of each stage, from rows of `quality_metrics` of one recording.

    A figure about delivered rows (stage raw) counts as delivered: with the validated stage.
    """
    values = {
        (stage, metric): value
        for stage, metric, value in metrics.select("stage", "metric", "value").iter_rows()
    }

    def at(stage: str, metric: str) -> float | None:
        before = values.get((RAW, metric)) if stage == VALIDATED else None
        return values.get((stage, metric), before)

    return tuple(
        rate(
            criteria,
            {criterion.metric: at(stage, criterion.metric) for criterion in criteria},
            stage,
            LABELS[stage],
        )
        for stage, criteria in CRITERIA.items()
    )


def with_scores(metrics: pl.DataFrame) -> pl.DataFrame:
    """`metrics` and a row `quality_score` per stage, its make-up as the definition.

    Columns and order are those of `quality_metrics`; score rows that are there already are
    replaced.
    """
    measured = metrics.filter(pl.col("metric") != QUALITY_SCORE)
    rows = [
        {
            **dict.fromkeys(metrics.columns),
            **measured.select("highway_id", "recording", "date").row(0, named=True),
            "metric": QUALITY_SCORE,
            "stage": rating.stage,
            "value": rating.score,
            "unit": "points",
            "definition": f"Points of 100. {rating.text}",
            **({"source": CHOSEN} if "source" in metrics.columns else {}),
        }
        for rating in ratings(measured)
    ]
    scores = pl.DataFrame(rows, schema=metrics.schema)
    return pl.concat([measured, scores]).sort(QUALITY_METRICS.sort_by)

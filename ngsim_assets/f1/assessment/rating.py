"""Which metrics make the score of a session, with which weight, and why.

Belongs here: the list of criteria and the score's row in the table of metrics. Does not belong
here: how a metric becomes points (quality/rating.py), what a metric is (catalogue.py).

Weights follow what a session is used for: laps that are there, timed and right first, then what
the feed lost, then telemetry and weather, which not every session has: what is missing is left
out. Without laps too little is measured for a score.
"""

from __future__ import annotations

import polars as pl

from ngsim_assets.f1.assessment.catalogue import CHOSEN
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.validation_rules import MEASURED
from ngsim_assets.quality.rating import Criterion, Rating, rate

QUALITY_SCORE = "quality_score"
STAGE = "session"
LABEL = "Session"

CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        metric="laps_complete",
        weight=20,
        full=100.0,
        none=95.0,
        why="A lap that is missing is a hole in its driver's race, and shifts stints and gaps.",
        source=f"none: {CHOSEN}, one lap in twenty",
    ),
    Criterion(
        metric="racing_laps_timed",
        weight=15,
        full=100.0,
        none=90.0,
        why="A racing lap without a time tells nothing of pace.",
        source=f"none: {CHOSEN}, one lap in ten",
    ),
    Criterion(
        metric="sectors_agree",
        weight=15,
        full=100.0,
        none=96.2,
        why="Sectors that do not make their lap belong to another one: the lap was put together "
        "wrongly.",
        source="none: naive assembly of changes, 93 of 2,454 real laps wrong",
    ),
    Criterion(
        metric="racing_lap_outliers",
        weight=5,
        full=0.0,
        none=5.0,
        why="Many laps far off the field's pace are mistakes of timing, or of what counts as "
        "green.",
        source=f"none: {CHOSEN}, one lap in twenty",
    ),
    Criterion(
        metric="rows_quarantined_share:f1_laps",
        weight=10,
        full=0.0,
        none=5.0,
        why="Laps refused are laps that were told wrong.",
        source=f"{MEASURED}; none: {CHOSEN}",
    ),
    Criterion(
        metric="set_aside_share",
        weight=10,
        full=0.0,
        none=1.0,
        why="Messages that could not be used are changes that the state lacks from then on.",
        source=f"none: {CHOSEN}, one message in a hundred",
    ),
    Criterion(
        metric="session_over",
        weight=5,
        full=1.0,
        none=0.0,
        why="A feed that ends before its session has no result.",
        source="yes or no",
    ),
    Criterion(
        metric="phases_confirmed",
        weight=5,
        full=100.0,
        none=50.0,
        why="Phases that only one witness tells of make laps neutralised that may not have been.",
        source=f"none: {CHOSEN}",
    ),
    Criterion(
        metric="telemetry_coverage:f1_telemetry",
        weight=5,
        full=95.0,
        none=50.0,
        why="A session whose cars are not told of for long has no telemetry for those laps.",
        source=f"full: the metric's limit; none: {CHOSEN}",
    ),
    Criterion(
        metric="telemetry_bridged:f1_telemetry",
        weight=5,
        full=99.0,
        none=80.0,
        why="Telemetry with holes that are not bridged has no speed there.",
        source=f"full: the metric's limit; none: {CHOSEN}",
    ),
    Criterion(
        metric="weather_coverage",
        weight=5,
        full=95.0,
        none=50.0,
        why="Laps without weather cannot be compared across a session.",
        source=f"full: the metric's limit; none: {CHOSEN}",
    ),
)


def full_name(metric: str, subject: str) -> str:
    """A metric of a subject by one name, as criteria and reports have it."""
    return f"{metric}:{subject}" if subject else metric


def rating_of(metrics: pl.DataFrame) -> Rating:
    """The score of a session from its rows of `f1_quality_metrics`."""
    values = {
        full_name(metric, subject): value
        for metric, subject, value in metrics.select("metric", "subject", "value").iter_rows()
    }
    return rate(CRITERIA, values, STAGE, LABEL)


def with_score(metrics: pl.DataFrame) -> pl.DataFrame:
    """`metrics` in their order and a row `quality_score`, its make-up as the definition.

    A score that is there already is replaced.
    """
    measured = metrics.filter(pl.col("metric") != QUALITY_SCORE)
    rating = rating_of(measured)
    told = measured.row(0, named=True)
    row = {
        **told,
        "metric": QUALITY_SCORE,
        "subject": "",
        "value": rating.score,
        "unit": "points",
        "definition": f"Points of 100. {rating.text}",
        "source": "",
        "threshold": None,
        "passed": None,
    }
    scored = pl.concat([measured, pl.DataFrame([row], schema=metrics.schema)])
    return scored.sort(F1_QUALITY_METRICS.sort_by)

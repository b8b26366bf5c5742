"""How good a recording is: every quality metric, before and after cleaning.

Belongs here: the account of rows, both stages side by side, the verdicts. Does not belong here:
meanings and limits (catalogue.py), the metrics of one stage (stage_metrics.py), any picture or
document (plots.py, report.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.metrics import CLEANED, RAW, VALIDATED, MetricDefinition
from ngsim_assets.highway.assessment.stage_metrics import Cells, area_of, measure_stage, percent
from ngsim_assets.highway.model import QUALITY_METRICS
from ngsim_assets.highway.sites import Site

Values = dict[tuple[str, str], float | None]


@dataclass(frozen=True)
class RowCounts:
    """Where the rows of a partition went.

    Attributes:
        raw, validated, quarantined: rows of the three tables.
        by_reason: rows per rule that rejected; a row that broke two counts in both.
        by_flag: rows per rule that flagged.
    """

    raw: int
    validated: int
    quarantined: int
    by_reason: Mapping[str, int] = field(default_factory=dict[str, int])
    by_flag: Mapping[str, int] = field(default_factory=dict[str, int])


def assess(
    validated: pl.LazyFrame,
    cleaned: pl.LazyFrame,
    counts: RowCounts,
    site: Site,
    recording: str,
) -> pl.DataFrame:
    """Every metric of one recording, in the columns of `quality_metrics`.

    `validated` holds TrajectoryPoint columns, `cleaned` CleanedPoint columns, both of this
    recording only, in any order of files; each is collected several times, a few columns at
    once, so both are scans or frames. `recording` is its key, 2005-06-15T0750. A metric
    that has nothing to measure (no lanes, no leaders, an empty table) is null. Rejected and
    flagged rows per rule follow as `rejected:<rule>` and `flagged:<rule>`.
    """
    values = _account(counts)
    area = area_of(validated)
    with ThreadPoolExecutor(1, "assess") as beside:
        later = beside.submit(measure_stage, cleaned, CLEANED, site, area)
        before, seen = measure_stage(validated, VALIDATED, site, area)
        after, reconstructed = later.result()
    values |= {(name, VALIDATED): value for name, value in before.items()}
    values |= {(name, CLEANED): value for name, value in after.items()}
    values |= _published(site, recording, values)
    values |= _changes(values, seen, reconstructed)

    rows = [
        (metric.name, stage, value, metric.unit, metric.text, threshold, passed)
        for section in catalogue(site)
        for metric in section.metrics
        for stage in metric.stages
        for value in [values.get((metric.name, stage))]
        for threshold, passed in [_verdict(metric, stage, value)]
    ]
    for effect, by_rule in (("rejected", counts.by_reason), ("flagged", counts.by_flag)):
        rows += [
            (
                f"{effect}:{rule}",
                RAW,
                float(by_rule[rule]),
                "rows",
                f"Rows that rule {rule} {effect}.",
                None,
                None,
            )
            for rule in sorted(by_rule)
        ]
    measured = pl.DataFrame(rows, schema=_MEASURED, orient="row")
    return measured.sort(QUALITY_METRICS.sort_by).select(
        pl.lit(site.highway_id).alias("highway_id"),
        pl.lit(recording).alias("recording"),
        pl.lit(date.fromisoformat(recording[:10])).alias("date"),
        *_MEASURED,
    )


_MEASURED = {
    name: dtype
    for name, dtype in QUALITY_METRICS.schema.items()
    if name not in ("highway_id", "recording", "date")
}


def _account(counts: RowCounts) -> Values:
    unaccounted = counts.raw - counts.validated - counts.quarantined
    return {
        ("rows_raw", RAW): float(counts.raw),
        ("rows_validated", RAW): float(counts.validated),
        ("rows_quarantined", RAW): float(counts.quarantined),
        ("rows_quarantined_share", RAW): percent(counts.quarantined, counts.raw),
        ("rows_unaccounted", RAW): float(unaccounted),
    }


def _published(site: Site, recording: str, values: Values) -> Values:
    official = next((known for known in site.recordings if known.key == recording), None)
    vehicles = values[("trajectories", VALIDATED)]
    if official is None or official.vehicles is None or vehicles is None:
        return {}
    share = percent(vehicles, official.vehicles)
    return {("vehicles_of_published", VALIDATED): share}


def _changes(values: Values, before: Cells, after: Cells) -> Values:
    """What cleaning did to the traffic."""
    changed: Values = {}
    for figure in ("edie_flow", "edie_density", "edie_speed"):
        was, now = values.get((figure, VALIDATED)), values.get((figure, CLEANED))
        if was and now is not None:
            changed[(f"{figure}_change", CLEANED)] = 100 * (now / was - 1)
    both = (before.time > 0) & (after.time > 0)
    if both.any():
        weight = before.time[both]
        speed = before.distance[both] / weight
        difference = np.abs(after.distance[both] / after.time[both] - speed)
        mean = float((difference * weight).sum() / weight.sum())
        changed[("edie_cell_speed_difference", CLEANED)] = mean
    return changed


def _verdict(
    metric: MetricDefinition, stage: str, value: float | None
) -> tuple[float | None, bool | None]:
    if metric.limit is None or stage not in metric.limited_at:
        return None, None
    return metric.limit.threshold, None if value is None else metric.limit.keeps(value)

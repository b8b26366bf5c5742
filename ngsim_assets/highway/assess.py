"""How good a recording is: every quality metric, before and after cleaning.

Belongs here: the account of rows, both stages side by side, the verdicts. Does not belong here:
meanings and limits (catalogue.py), the metrics of one stage (stage_metrics.py), any picture or
document (plots.py, report.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.catalogue_of_rows import DUPLICATES
from ngsim_assets.highway.assessment.changes import changes
from ngsim_assets.highway.assessment.metrics import (
    CLEANED,
    HERE,
    RAW,
    VALIDATED,
    MetricDefinition,
)
from ngsim_assets.highway.assessment.pooling import percent
from ngsim_assets.highway.assessment.stage_metrics import area_of, measure_stage
from ngsim_assets.highway.model import QUALITY_METRICS
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.rules import Rule

Values = dict[tuple[str, str], float | None]


@dataclass(frozen=True)
class RowCounts:
    """Where the rows of a partition went.

    Attributes:
        raw, validated, quarantined: rows of the three tables.
        by_reason: rows per rule that rejected; a row that broke two counts in both.
        by_flag: rows per rule that flagged.
        moved_apart: cleaned points moved off a leader, None where it is not known.
    """

    raw: int
    validated: int
    quarantined: int
    by_reason: Mapping[str, int] = field(default_factory=dict[str, int])
    by_flag: Mapping[str, int] = field(default_factory=dict[str, int])
    moved_apart: int | None = None


def assess(
    validated: pl.LazyFrame,
    cleaned: pl.LazyFrame,
    counts: RowCounts,
    site: Site,
    recording: str,
    rules: Sequence[Rule] = (),
) -> pl.DataFrame:
    """Every metric of one recording, in the columns of `quality_metrics`.

    `validated` holds TrajectoryPoint columns, `cleaned` CleanedPoint columns, both of this
    recording only, in any order of files; each is collected several times, a few columns at
    once, so both are scans or frames. `recording` is its key, 2005-06-15T0750. A metric
    that has nothing to measure (no lanes, no leaders, an empty table) is null. Rejected and
    flagged rows per rule follow as `rejected:<rule>` and `flagged:<rule>`, a row for each of
    `rules`, those that judged the recording, and for each that only `counts` knows.
    """
    values = _account(counts) | _flagged(validated)
    area = area_of(validated)
    with ThreadPoolExecutor(1, "assess") as beside:
        later = beside.submit(measure_stage, cleaned, CLEANED, site, area)
        before = measure_stage(validated, VALIDATED, site, area)
        after = later.result()
    values |= {(name, VALIDATED): value for name, value in before.figures.items()}
    values |= {(name, CLEANED): value for name, value in after.figures.items()}
    values |= {(name, CLEANED): value for name, value in changes(before, after).items()}
    values |= _published(site, recording, values)

    rows = [
        (
            metric.name,
            stage,
            value,
            metric.unit,
            metric.definition,
            _source(metric, stage),
            threshold,
            passed,
        )
        for section in catalogue(site)
        for metric in section.metrics
        for stage in metric.stages
        for value in [values.get((metric.name, stage))]
        for threshold, passed in [_verdict(metric, stage, value)]
    ]
    rows += _by_rule("rejected", counts.by_reason, rules)
    rows += _by_rule("flagged", counts.by_flag, rules)
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


_Row = tuple[str, str, float | None, str, str, str, float | None, bool | None]


def _source(metric: MetricDefinition, stage: str) -> str:
    """Whose the definition is, and the limit where one holds."""
    if metric.limit is None or stage not in metric.limited_at:
        return metric.source
    return f"{metric.source}. Limit, {metric.limit_text}"


def _by_rule(effect: str, counted: Mapping[str, int], rules: Sequence[Rule]) -> list[_Row]:
    severity = "reject" if effect == "rejected" else "flag"
    known = {rule.name: rule for rule in rules if rule.severity == severity}
    found: list[_Row] = []
    for name in sorted({*counted, *known}):
        rule = known.get(name)
        says = f": {rule.description}" if rule and rule.description else ""
        definition = f"Rows that rule {name} {effect}{says}."
        source = rule.source if rule and rule.source else HERE
        rows = float(counted.get(name, 0))
        found.append((f"{effect}:{name}", RAW, rows, "rows", definition, source, None, None))
    return found


def _account(counts: RowCounts) -> Values:
    unaccounted = counts.raw - counts.validated - counts.quarantined
    values: Values = {
        ("rows_raw", RAW): float(counts.raw),
        ("rows_validated", RAW): float(counts.validated),
        ("rows_quarantined", RAW): float(counts.quarantined),
        ("rows_quarantined_share", RAW): percent(counts.quarantined, counts.raw),
        ("rows_unaccounted", RAW): float(unaccounted),
        ("rows_class_changes", RAW): float(counts.by_flag.get("class_changes", 0)),
    }
    if counts.moved_apart is not None:
        values["points_moved_apart", CLEANED] = float(counts.moved_apart)
    for kind in DUPLICATES:
        rows = counts.by_reason.get(kind, 0)
        values[f"rows_{kind}", RAW] = float(rows)
        values[f"rows_{kind}_share", RAW] = percent(rows, counts.raw)
    return values


def _flagged(validated: pl.LazyFrame) -> Values:
    flags = pl.col("flags").list.len()
    told, rows = (
        validated.select(flags.count().alias("told"), (flags > 0).sum().alias("flagged"))
        .collect(engine="streaming")
        .row(0)
    )
    if not told:  # of a recording validated before flags were kept with the rows
        return {}
    return {
        ("rows_flagged", VALIDATED): float(rows),
        ("rows_flagged_share", VALIDATED): percent(rows, told),
    }


def _published(site: Site, recording: str, values: Values) -> Values:
    official = next((known for known in site.recordings if known.key == recording), None)
    vehicles = values[("trajectories", VALIDATED)]
    if official is None or official.vehicles is None or vehicles is None:
        return {}
    share = percent(vehicles, official.vehicles)
    return {("vehicles_of_published", VALIDATED): share}


def _verdict(
    metric: MetricDefinition, stage: str, value: float | None
) -> tuple[float | None, bool | None]:
    if metric.limit is None or stage not in metric.limited_at:
        return None, None
    return metric.limit.threshold, None if value is None else metric.limit.keeps(value)

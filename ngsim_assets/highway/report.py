"""The quality report of a recording: metrics, rules and pictures put into the document.

Belongs here: which figures and sections a highway's report has, and its summary. Does not
belong here: measuring (assess.py), drawing (plots.py), the document's forms (quality/report.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from ngsim_assets.highway.assess import RowCounts
from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.literature import PUBLISHED
from ngsim_assets.highway.assessment.metrics import CLEANED, HERE, RAW, VALIDATED, MetricDefinition
from ngsim_assets.highway.assessment.rating import LABELS, ratings
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import (
    DataQualityReport,
    Figure,
    Measurement,
    Metric,
    Origin,
    RuleCount,
    Section,
)
from ngsim_assets.quality.rules import Rule
from ngsim_assets.quality.writing import format_value


def recording_report(
    metrics: pl.DataFrame,
    counts: RowCounts,
    site: Site,
    recording: str,
    origin: Origin,
    *,
    rules: Sequence[Rule] = (),
    figures: Iterable[Figure] = (),
) -> DataQualityReport:
    """The report of one recording from its `quality_metrics` rows, as `assess` gives them.

    `rules` are those that judged it: each is listed, with the rows of `counts` or none. A rule
    that only `counts` knows is listed by its name.
    """
    values = {
        (metric, stage): Measurement(value=value, passed=passed)
        for metric, stage, value, passed in metrics.select(
            "metric", "stage", "value", "passed"
        ).iter_rows()
    }
    sections = tuple(
        Section(
            name=section.name,
            title=section.title,
            introduction=section.introduction,
            metrics=tuple(_metric(metric, values) for metric in section.metrics),
        )
        for section in catalogue(site)
    )
    return DataQualityReport(
        title=f"{site.title}, {_start(recording)}",
        subtitle="Quality of the recording as delivered and after cleaning.",
        partition={"highway": site.highway_id, "recording": recording, "date": recording[:10]},
        summary=_summary(counts, values),
        raw_label=LABELS[VALIDATED],
        cleaned_label=LABELS[CLEANED],
        ratings=ratings(metrics),
        sections=sections,
        rules=tuple(_rule_counts(counts, rules)),
        references=(PUBLISHED,),
        figures=tuple(figures),
        origin=origin,
    )


# What names of metrics begin with that are classes of one distribution.
_DISTRIBUTIONS = ("gaps_of_", "coverage_lane_")

_Values = dict[tuple[str, str], Measurement]


def _start(recording: str) -> str:
    day, _, time = recording.partition("T")
    return f"{day} {time[:2]}:{time[2:]}" if len(time) == 4 else recording


def _metric(metric: MetricDefinition, values: _Values) -> Metric:
    before = RAW if RAW in metric.stages else VALIDATED
    return Metric(
        name=metric.name,
        title=metric.title,
        unit=metric.unit,
        definition=metric.definition,
        source="" if metric.source == HERE else metric.source,
        limit=metric.limit,
        distribution=next((name for name in _DISTRIBUTIONS if metric.name.startswith(name)), ""),
        raw=values.get((metric.name, before)),
        cleaned=values.get((metric.name, CLEANED)),
    )


def _summary(counts: RowCounts, values: _Values) -> str:
    def of(metric: str, stage: str, unit: str = "") -> str:
        found = values.get((metric, stage))
        return format_value(found.value if found is not None else None, unit)

    rows = (
        f"{counts.raw:,} rows delivered, {counts.validated:,} validated, "
        f"{counts.quarantined:,} in quarantine; "
        f"{of('trajectories', CLEANED, 'trajectories')} trajectories."
    )
    if not counts.validated:
        return f"{rows} Every row was refused: there is nothing to clean or to measure."
    if values.get(("jerk_over_15", CLEANED), Measurement(value=None)).value is None:
        return f"{rows} No trajectory is long enough to measure jerk on."
    return (
        f"{rows} Jerk over 15 m/s³ in {of('jerk_over_15', VALIDATED)} % of samples as delivered, "
        f"{of('jerk_over_15', CLEANED)} % cleaned."
    )


def _rule_counts(counts: RowCounts, rules: Sequence[Rule]) -> Iterable[RuleCount]:
    """Most rows first within rejecting and flagging rules, so that what matters is on top."""
    known = {(rule.severity, rule.name): rule for rule in rules}
    rows = {("reject", name): n for name, n in counts.by_reason.items()}
    rows |= {("flag", name): n for name, n in counts.by_flag.items()}
    for severity in ("reject", "flag"):
        names = {name for effect, name in (*known, *rows) if effect == severity}
        for name in sorted(names, key=lambda name: (-rows.get((severity, name), 0), name)):
            rule = known.get((severity, name))
            yield RuleCount(
                rule=name,
                severity=severity,
                rows=rows.get((severity, name), 0),
                description=rule.description if rule else "",
                source=rule.source if rule else "",
            )

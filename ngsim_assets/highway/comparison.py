"""Two recordings, or two versions of one, side by side.

Belongs here: which metrics stand beside each other, which way each is better, what a version was
made with. Does not belong here: the document's forms (quality/comparison.py), which versions
there are (history.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import polars as pl

from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.metrics import RAW, MetricDefinition
from ngsim_assets.highway.assessment.rating import CRITERIA, QUALITY_SCORE
from ngsim_assets.highway.history import Measured
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    RAW_TRAJECTORIES,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import Platform
from ngsim_assets.quality.comparison import (
    Better,
    ComparedMetric,
    ComparedSection,
    Comparison,
    Side,
    better_by,
    compare_metric,
)
from ngsim_assets.quality.report import Measurement
from ngsim_assets.storage.errors import UnknownVersion
from ngsim_assets.storage.manifest import Version

_STAGES = {RAW: 0, "validated": 1, "cleaned": 2}
_RULES = ("rejected:", "flagged:")


def compared(
    platform: Platform, subject: Measured, reference: Measured, *, pictures: bool = False
) -> Comparison:
    """`subject` held against `reference`: every metric, and what differs in their making.

    `pictures` draws those of both from the points that were measured, where these still are.
    """
    one_recording = subject.key == reference.key
    sides = [_side(platform, side, one_recording, pictures) for side in (subject, reference)]
    title = str(subject.key) if one_recording else f"{subject.key} against {reference.key}"
    if one_recording:
        title += f", version {subject.version.version} against {reference.version.version}"
    return Comparison(
        title=title,
        subject=sides[0],
        reference=sides[1],
        sections=tuple(
            _sections(
                subject.key, reference.key, subject.metrics(platform), reference.metrics(platform)
            )
        ),
    )


_Rows = dict[tuple[str, str], dict[str, Any]]


def _sections(
    subject: PartitionKey, reference: PartitionKey, ours: pl.DataFrame, theirs: pl.DataFrame
) -> Iterable[ComparedSection]:
    """Metrics in the order of the report: the score, its sections, rules, what is left."""
    sides = (_by_metric(theirs), _by_metric(ours))
    # what neither has a value of is nothing to compare
    left = dict.fromkeys(
        key for side in reversed(sides) for key, row in side.items() if row["value"] is not None
    )

    def take(name: str) -> list[str]:
        stages = sorted((s for n, s in left if n == name), key=lambda s: _STAGES.get(s, len(s)))
        for stage in stages:
            del left[name, stage]
        return stages

    def section(name: str, title: str, metrics: Iterable[ComparedMetric]) -> list[ComparedSection]:
        found = tuple(metrics)
        return [ComparedSection(name=name, title=title, metrics=found)] if found else []

    yield from section(
        "score",
        "Score",
        [
            _compared(QUALITY_SCORE, stage, sides, title="Score", better="higher")
            for stage in take(QUALITY_SCORE)
        ],
    )
    directions = _directions()
    known = {section.name: section for section in catalogue(SITES[reference.highway_id])}
    known |= {section.name: section for section in catalogue(SITES[subject.highway_id])}
    for part in known.values():
        yield from section(
            part.name,
            part.title,
            [
                _compared(
                    metric.name,
                    stage,
                    sides,
                    title=metric.title,
                    better=_better(metric, directions),
                )
                for metric in part.metrics
                for stage in take(metric.name)
            ],
        )
    names = [name for name, _ in left if name.startswith(_RULES)]
    yield from section(
        "rules",
        "Rows by rule",
        [
            _compared(name, stage, sides, title=name.replace(":", ": "), absent=0.0)
            for name in names
            for stage in take(name)
        ],
    )
    others = dict.fromkeys(name for name, _ in left)
    yield from section(
        "others",
        "Measured by one of the versions only",
        [_compared(name, stage, sides) for name in others for stage in take(name)],
    )


def _by_metric(metrics: pl.DataFrame) -> _Rows:
    return {(row["metric"], row["stage"]): row for row in metrics.iter_rows(named=True)}


def _compared(
    name: str,
    stage: str,
    sides: tuple[_Rows, _Rows],
    *,
    title: str = "",
    better: Better | None = None,
    absent: float | None = None,
) -> ComparedMetric:
    """`absent` is the value of a side that has no such row: a rule nothing broke is not listed."""
    rows = [side.get((name, stage)) for side in sides]
    either = rows[1] or rows[0] or {}

    def measurement(row: Mapping[str, Any] | None) -> Measurement | None:
        if row is None:
            return None if absent is None else Measurement(value=absent)
        return Measurement(value=row["value"], passed=row["passed"])

    return compare_metric(
        name,
        stage,
        measurement(rows[0]),
        measurement(rows[1]),
        title=title,
        unit=either.get("unit", ""),
        definition="" if name == QUALITY_SCORE else either.get("definition", ""),
        better=better,
    )


def _directions() -> dict[str, Better]:
    """Which way metrics are better that have no limit but count for the score."""
    found: dict[str, Better] = {}
    for criteria in CRITERIA.values():
        for criterion in criteria:
            direction: Better = "higher" if criterion.full > criterion.none else "lower"
            found[criterion.metric] = "nearer zero" if criterion.absolute else direction
    return found


def _better(metric: MetricDefinition, directions: Mapping[str, Better]) -> Better | None:
    return better_by(metric.limit) or directions.get(metric.name)


def _side(platform: Platform, side: Measured, one_recording: bool, pictures: bool) -> Side:
    number = side.version.version
    if one_recording:
        label = f"version {number}{', current' if side.current else ''}"
    else:
        label = f"{side.key}{'' if side.current else f', version {number}'}"
    figures, remark = (), ""
    if pictures:
        from ngsim_assets.highway.plots import recording_figures

        try:
            figures = recording_figures(
                side.points(platform, VALIDATED_POINTS),
                side.points(platform, CLEANED_TRAJECTORIES),
                SITES[side.key.highway_id],
            )
        except UnknownVersion:
            remark = "no pictures, since its points are not stored any more."
    return Side(
        label=label,
        partition={"highway": side.key.highway_id, "recording": side.key.recording},
        version=number,
        written=side.version.timestamp,
        facts=_facts(side),
        figures=figures,
        remark=remark,
    )


def _facts(side: Measured) -> dict[str, str]:
    """Parameters, code versions and sources as text, by names that say whose they are."""
    stages = {
        "delivery": side.made_from.get(RAW_TRAJECTORIES.name),
        "validation": side.made_from.get(VALIDATED_POINTS.name),
        "cleaning": side.made_from.get(CLEANED_TRAJECTORIES.name),
        "metrics": side.version,
    }
    facts: dict[str, str] = {}
    for stage, version in stages.items():
        if version is not None:
            facts |= _facts_of(stage, version)
    return facts


def _facts_of(stage: str, version: Version) -> dict[str, str]:
    told = version.provenance
    facts = {f"{stage}: code version": told.code_version}
    if stage == "delivery":
        facts["delivery: hash of the rows"] = ", ".join(told.sources)
    return facts | {
        f"{stage}: {name}": str(value) for name, value in _flat(told.parameters).items()
    }


def _flat(parameters: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """Nested parameters by dotted names; steps of a list by what they call themselves.

    What a step has under the same name and value as the parameters before it is not told twice.
    """
    flat: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{before}{name}.")
        elif isinstance(value, list) and all(isinstance(step, dict) for step in value):
            for place, step in enumerate(cast("list[dict[str, Any]]", value), start=1):
                step_name = f"{before}{step.get('filter', f'{name} {place}')}"
                told = flat.items()
                flat |= {
                    f"{step_name}.{part}": own
                    for part, own in _flat(step).items()
                    if (f"{before}{part}", own) not in told
                }
        else:
            flat[f"{before}{name}"] = value
    return flat

"""The quality report of a session: metrics, rules and pictures put into the document.

Belongs here: which figures and sections a session's report has, and its summary. Does not belong
here: measuring (assess.py), drawing (plots.py), the document's forms (quality/report.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from ngsim_assets.f1.assessment.catalogue import RULE_METRICS, catalogue, limit_of
from ngsim_assets.f1.assessment.rating import full_name, rating_of
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.sessions import Kind, kind_of
from ngsim_assets.f1.validation_rules import rules_by_table
from ngsim_assets.quality.report import (
    DataQualityReport,
    Figure,
    Measurement,
    Origin,
    RuleCount,
    Section,
)
from ngsim_assets.quality.rules import Rule
from ngsim_assets.quality.writing import format_value

_Values = Mapping[str, Mapping[str, Measurement]]
"""Measurements by metric and subject."""


def session_report(
    metrics: pl.DataFrame,
    session: SessionKey,
    origin: Origin,
    *,
    rules: Mapping[str, Sequence[Rule]] | None = None,
    figures: Iterable[Figure] = (),
) -> DataQualityReport:
    """The report of one session from its `f1_quality_metrics` rows, as `assess` gives them.

    Args:
        rules: what says of a rule what it is, by table; by default those of validation_rules.py.
    """
    kind = kind_of(session.session)
    values = _by_subject(metrics)
    simulated = bool(metrics["simulated"].any())
    return DataQualityReport(
        title=f"{_words(session.meeting)}, {_words(session.session)}, {session.date}",
        subtitle="Quality of the session as its feed told it."
        + (" Simulated: no such session took place." if simulated else ""),
        partition={"session": str(session), "date": str(session.date)},
        summary=_summary(values),
        raw_label="Session",
        cleaned_label="",
        ratings=(rating_of(metrics),),
        sections=tuple(_section(section, values, kind) for section in catalogue(kind)),
        rules=tuple(
            _rule_counts(values, rules_by_table(datetime.now(UTC)) if rules is None else rules)
        ),
        figures=tuple(figures),
        origin=origin,
    )


def _by_subject(metrics: pl.DataFrame) -> _Values:
    found: dict[str, dict[str, Measurement]] = {}
    columns = metrics.select("metric", "subject", "value", "passed")
    for metric, subject, value, passed in columns.iter_rows():
        found.setdefault(metric, {})[subject] = Measurement(value=value, passed=passed)
    return found


def _section(section: Section, values: _Values, kind: Kind) -> Section:
    """The section with its values: a metric for each subject that was measured."""
    measured = [
        metric.model_copy(
            update={
                "name": full_name(metric.name, subject),
                "title": f"{metric.title}: {subject}" if subject else metric.title,
                "limit": limit_of(metric, subject, kind),
                "raw": value,
            }
        )
        for metric in section.metrics
        for subject, value in sorted(values.get(metric.name, {}).items(), key=_in_order)
    ]
    return section.model_copy(update={"metrics": tuple(measured)})


def _in_order(told: tuple[str, Measurement]) -> tuple[int, str]:
    """Cars by number, everything else by name."""
    subject = told[0]
    return (int(subject), "") if subject.isdecimal() else (0, subject)


def _summary(values: _Values) -> str:
    def of(metric: str, unit: str = "") -> str:
        found = values.get(metric, {}).get("")
        return format_value(found.value if found is not None else None, unit)

    messages = (
        f"{of('messages', 'messages')} messages, {of('set_aside', 'items')} lines or messages set "
        f"aside; neutralisations: {of('phases', 'phases')}."
    )
    laps = values.get("laps", {}).get("")
    if laps is None or not laps.value:
        return f"{messages} No lap was told: the feed has no timing."
    return (
        f"{of('laps', 'laps')} laps, {of('laps_complete')} % of those expected; "
        f"{of('racing_laps_timed')} % of racing laps timed. {messages}"
    )


def _rule_counts(values: _Values, rules: Mapping[str, Sequence[Rule]]) -> Iterable[RuleCount]:
    """Most rows first within rejecting and flagging rules, so that what matters is on top."""
    known = {(table, rule.name): rule for table, told in rules.items() for rule in told}
    rejected, _, flagged = (values.get(metric.name, {}) for metric in RULE_METRICS)
    for severity, counted in (("reject", rejected), ("flag", flagged)):
        by_rows = sorted(counted.items(), key=lambda told: (-(told[1].value or 0), told[0]))
        for subject, rows in by_rows:
            table, _, name = subject.partition(".")
            rule = known.get((table, name))
            yield RuleCount(
                rule=subject,
                severity="reject" if severity == "reject" else "flag",
                rows=int(rows.value or 0),
                description=rule.description if rule else "",
                source=rule.source if rule else "",
            )


def _words(slug: str) -> str:
    return slug.replace("-", " ").title()

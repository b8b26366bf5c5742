"""How good a session is: every quality metric as rows of f1_quality_metrics.

Belongs here: figures put together with their meanings and verdicts. Does not belong here: meanings
and limits (assessment/catalogue.py), the figures (the modules beside it), any picture or document
(report.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from ngsim_assets.f1.assessment.catalogue import RULE_METRICS, catalogue, limit_of, names
from ngsim_assets.f1.assessment.feed_figures import of_feed, of_weather
from ngsim_assets.f1.assessment.lap_figures import of_laps, of_neutralisations
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.assessment.rating import with_score
from ngsim_assets.f1.assessment.row_figures import of_rules, of_telemetry
from ngsim_assets.f1.assessment.scans import SessionScans, running
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.validation_rules import rules_by_table
from ngsim_assets.quality.rules import Rule

__all__ = ["SessionScans", "assess"]


def assess(
    session: SessionKey,
    scans: SessionScans,
    *,
    rules: Mapping[str, Sequence[Rule]] | None = None,
    simulated: bool = False,
) -> pl.DataFrame:
    """Every metric of one session and its score, in the columns of `f1_quality_metrics`.

    A metric that has nothing to measure (no telemetry, no laps) is null; one of cars, topics or
    codes has no row for a subject that is not there.

    Args:
        rules: those that judged the tables, by table; by default those of validation_rules.py.
    """
    kind = kind_of(session.session)
    ran = running(scans)
    figures = of_laps(scans, kind) | of_neutralisations(scans) | of_feed(scans, ran)
    figures |= of_telemetry(scans, ran) | of_weather(scans, ran)
    figures |= of_rules(scans, rules_by_table(datetime.now(UTC)) if rules is None else rules)
    known = names(catalogue(kind)) | {metric.name: metric for metric in RULE_METRICS}
    rows: list[dict[str, object]] = []
    for (name, subject), value in figures.items():
        metric = known[name]
        limit = limit_of(metric, subject, kind)
        rows.append(
            {
                "session": str(session),
                "date": session.date,
                "metric": name,
                "subject": subject,
                "value": None if value is None else float(value),
                "unit": metric.unit,
                "definition": metric.definition,
                "source": "" if limit is None else limit.basis,
                "threshold": None if limit is None else limit.threshold,
                "passed": None if limit is None or value is None else limit.keeps(value),
                "simulated": simulated,
            }
        )
    return with_score(pl.DataFrame(rows, schema=F1_QUALITY_METRICS.schema))

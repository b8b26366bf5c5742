"""The page of the documents that is made from the code: F1_RULES.md.

    python -m ngsim_assets.f1.pages docs

Belongs here: reasons, rules, flags and metrics of the domain as Markdown, each read from where the
code has it. Does not belong here: columns (DATA_SCHEMAS.md has all domains), any rule.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ngsim_assets.f1.assessment.catalogue import RULE_METRICS, catalogue, limit_of
from ngsim_assets.f1.neutralisations.phases import FLAGS
from ngsim_assets.f1.reading.messages import MEANINGS
from ngsim_assets.f1.telemetry.ranges import (
    CAR_NULLED,
    CAR_REJECTED,
    PLACE_NULLED,
    PLACE_REJECTED,
    SPEED_FLAG,
)
from ngsim_assets.f1.validation_rules import rules_by_table
from ngsim_assets.quality.report import Metric

PAGE: Final = "F1_RULES.md"

_OF_TELEMETRY: Final[Mapping[str, str]] = {
    "rpm_out_of_range": "below 0 or over 15,000, the limit of the regulations",
    "speed_out_of_range": "below 0",
    "gear_out_of_range": "below 0 or over 8; cars that stand tell 10 to 49",
    "throttle_missing": "104: no reading",
    "throttle_out_of_range": "below 0 or over 100, and not 104",
    "brake_missing": "104: no reading",
    "brake_out_of_range": "below 0 or over 100, and not 104",
    "drs_out_of_range": "below 0 or over 14",
    "no_position": "X, Y and Z are all 0: the car is nowhere",
    "x_out_of_range": "more than 50 km from the origin",
    "y_out_of_range": "more than 50 km from the origin",
    "z_out_of_range": "more than 50 km from the origin",
    "status_unknown": "neither OnTrack nor OffTrack",
    "speed_over_400": "over 400 km/h; no car of the formula has come near it",
    "repeated": "the car was told of at that moment before, with the same or other values",
    "speed_over_370": "over 370 km/h; the fastest trap of any session seen is 359",
}


def rules_page() -> str:
    """F1_RULES.md: why a line is no message, what rejects or flags a row, what is measured."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Rules of Formula 1"
    yield ""
    yield "Generated from the code by `make docs`. Nothing that was delivered is dropped: what is"
    yield "no message or no believable row is in `f1_quarantine`, with its `stage`, its `reasons`,"
    yield "its content as delivered, and the file and line it stands in."
    yield from _titled(
        "Lines that are no message", "stage `reading` or `folding`, table f1_messages"
    )
    yield from _table(
        ("reason", "meaning"), ((f"`{name}`", told) for name, told in MEANINGS.items())
    )
    for table, rules in rules_by_table(datetime(2026, 1, 1, tzinfo=UTC)).items():
        yield from _titled(
            f"`{table}`", "stage `validated`; what is only flagged stays in the table"
        )
        yield from _table(
            ("rule", "severity", "a row breaks it when", "source"),
            ((f"`{r.name}`", r.severity, r.description, r.source) for r in rules),
        )
    told = (("f1_telemetry", CAR_REJECTED, (SPEED_FLAG,), CAR_NULLED),)
    for table, rejected, flagged, nulled in (
        *told,
        ("f1_positions", PLACE_REJECTED, (), PLACE_NULLED),
    ):
        yield from _titled(
            f"`{table}`",
            "stage `validated`; a value that means nothing becomes null, and `nulled` says why",
        )
        kinds = {"reject": rejected, "flag": flagged, "null": nulled}
        yield from _table(
            ("reason", "severity", "meaning"),
            (
                (f"`{name}`", kind, _OF_TELEMETRY[name])
                for kind, names in kinds.items()
                for name in names
            ),
        )
    yield from _titled("`f1_neutralisations`", "column `flags`")
    yield from _table(("flag", "meaning"), ((f"`{name}`", told) for name, told in FLAGS.items()))
    yield from _metrics()


def _metrics() -> Iterator[str]:
    """Every metric of a race; where another kind of session has another limit, that is named."""
    for section in catalogue("race"):
        yield from _titled(f"Metrics: {section.title.lower()}", section.introduction)
        yield from _table(
            ("metric", "unit", "definition", "limit"),
            (_metric(metric) for metric in section.metrics),
        )
    yield from _titled("Metrics of rules", "one per table and rule")
    yield from _table(("metric", "unit", "definition", "limit"), map(_metric, RULE_METRICS))


def _metric(metric: Metric) -> tuple[str, ...]:
    limit = limit_of(metric, "", "race")
    basis = f": {limit.basis}" if limit and limit.basis else ""
    held = f"{limit.relation} {limit.threshold:g}{basis}" if limit else ""
    return f"`{metric.name}`", metric.unit, f"**{metric.title}.** {metric.definition}", held


def _titled(title: str, below: str) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if below:
        yield from (f"{below[0].upper()}{below[1:]}".removesuffix(".") + ".", "")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    (Path(sys.argv[1]) / PAGE).write_text(rules_page())

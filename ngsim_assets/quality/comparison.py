"""Two sets of metrics side by side as a document, and its JSON, HTML and Markdown forms.

Belongs here: the shape of a comparison of any domain (both values, difference, which is better,
verdicts that changed, what the two were made with, pictures beside each other). Does not belong
here: where metrics come from, any name of a metric.

The subject is what is asked about, the reference what it is held against: a difference is subject
less reference, and better or worse is said of the subject.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field, computed_field

from ngsim_assets.quality.report import Figure, Limit, Measurement
from ngsim_assets.quality.writing import (
    Document,
    Part,
    format_difference,
    format_value,
    markdown,
    markdown_row,
    page,
    published_schema,
)

Better = Literal["lower", "higher", "nearer zero"]
Outcome = Literal["better", "worse", "same", "different", "not comparable"]


class Side(Part):
    """One of the two: what it is and what it was made with."""

    label: str = Field(description="Short name, the heading of its values.")
    partition: dict[str, str] = Field(description="Partition labels, outermost first.")
    version: int | None = Field(default=None, description="Version of the table of metrics.")
    written: datetime | None = Field(default=None, description="When that was written, UTC.")
    facts: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Parameters, code versions and sources by name, as text.",
    )
    figures: tuple[Figure, ...] = ()
    remark: str = Field(default="", description="What is missing and why, for people.")


class ComparedMetric(Part):
    """One metric at one stage in both."""

    name: str
    title: str
    unit: str
    stage: str
    definition: str = ""
    better: Better | None = Field(
        default=None, description="Which value is the better one, null where neither is."
    )
    reference: Measurement | None = Field(description="Null where it was not measured.")
    subject: Measurement | None = Field(description="Null where it was not measured.")
    difference: float | None = Field(description="Subject less reference.")
    outcome: Outcome = Field(description="Of the subject, against the reference.")
    verdict: Literal["", "now kept", "now outside"] = Field(
        description="Whether the subject keeps a limit the reference does not, or the reverse."
    )


class ComparedSection(Part):
    """Metrics that belong together."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Key, used as an anchor.")
    title: str
    metrics: tuple[ComparedMetric, ...]


class Difference(Part):
    """Something the two were made with that differs."""

    name: str
    reference: str
    subject: str


class Comparison(Document):
    """Two sides, metric by metric.

    `comparison_schema()` is the published schema of `to_json()`; `model_validate_json` reads it
    back.
    """

    schema_version: Literal[1] = Field(
        default=1, description="Raised when a field goes or changes its meaning."
    )
    title: str
    reference: Side
    subject: Side
    sections: tuple[ComparedSection, ...]

    @computed_field(description="What the two were made with that is not the same.")
    @property
    def differences(self) -> tuple[Difference, ...]:
        """Facts that are not the same on both sides, in the order of the subject's."""
        names = dict.fromkeys([*self.subject.facts, *self.reference.facts])
        return tuple(
            Difference(
                name=name,
                reference=self.reference.facts.get(name, ""),
                subject=self.subject.facts.get(name, ""),
            )
            for name in names
            if self.reference.facts.get(name) != self.subject.facts.get(name)
        )

    @property
    def metrics(self) -> tuple[ComparedMetric, ...]:
        """Every metric, section by section."""
        return tuple(metric for section in self.sections for metric in section.metrics)

    @property
    def changed(self) -> tuple[ComparedMetric, ...]:
        """Metrics whose verdict changed."""
        return tuple(metric for metric in self.metrics if metric.verdict)

    @computed_field(description="The finding in two sentences.")
    @property
    def summary(self) -> str:
        counts = {
            outcome: sum(metric.outcome == outcome for metric in self.metrics)
            for outcome in ("better", "worse", "same", "different")
        }
        told = (
            f"Of {len(self.metrics)} metrics {self.subject.label} has {counts['better']} better, "
            f"{counts['worse']} worse and {counts['same']} the same as {self.reference.label}; "
            f"{counts['different']} differ without a better or worse."
        )
        if not self.changed:
            return f"{told} No limit is newly kept or broken."
        kept = [metric.title for metric in self.changed if metric.verdict == "now kept"]
        broken = [metric.title for metric in self.changed if metric.verdict == "now outside"]
        parts = [
            f"{verdict}: {', '.join(titles)}"
            for verdict, titles in (("Now kept", kept), ("Now outside", broken))
            if titles
        ]
        return f"{told} {'. '.join(parts)}."

    @property
    def pictures(self) -> tuple[tuple[Figure | None, Figure | None], ...]:
        """Pictures of reference and subject by name; None where one side has not got it."""
        ours = {figure.name: figure for figure in self.subject.figures}
        theirs = {figure.name: figure for figure in self.reference.figures}
        names = dict.fromkeys([*ours, *theirs])
        return tuple((theirs.get(name), ours.get(name)) for name in names)

    def to_json(self) -> str:
        """The comparison as JSON, keys in a fixed order; pictures without their bytes."""
        bare = {"figures": {"__all__": {"data"}}}
        return self.model_dump_json(indent=2, exclude={"reference": bare, "subject": bare})

    def to_html(self) -> str:
        """One file that needs no other and no network; escapes all text."""
        return page("comparison.html.j2", comparison=self)

    def to_markdown(self) -> str:
        """The comparison as Markdown."""
        labels = (markdown(self.reference.label), markdown(self.subject.label))
        lines = [f"## {markdown(self.title)}", "", markdown(self.summary), ""]
        if self.differences:
            lines += ["### Made with", "", markdown_row(("", *labels)), "|---|---|---|"]
            lines += [
                markdown_row((markdown(d.name), markdown(d.reference), markdown(d.subject)))
                for d in self.differences
            ]
            lines.append("")
        for section in self.sections:
            lines += [f"### {markdown(section.title)}", "", *_markdown_table(section, labels), ""]
        return "\n".join(lines)


def comparison_schema() -> str:
    """The JSON Schema of `Comparison.to_json()`, as published."""
    return published_schema(Comparison)


def compare_metric(
    name: str,
    stage: str,
    reference: Measurement | None,
    subject: Measurement | None,
    *,
    title: str = "",
    unit: str = "",
    definition: str = "",
    better: Better | None = None,
) -> ComparedMetric:
    """Both values of one metric with their difference and what to make of it."""
    before = _number(reference)
    after = _number(subject)
    difference = None if before is None or after is None else after - before
    return ComparedMetric(
        name=name,
        title=title or name,
        unit=unit,
        stage=stage,
        definition=definition,
        better=better,
        reference=reference,
        subject=subject,
        difference=difference,
        outcome=_outcome(before, after, better),
        verdict=_verdict(reference, subject),
    )


def better_by(limit: Limit | None) -> Better | None:
    """Which value is better where a limit says so."""
    if limit is None:
        return None
    if limit.relation == "within":
        return "nearer zero"
    return "higher" if limit.relation == "at least" else "lower"


def _number(part: Measurement | None) -> float | None:
    if part is None or part.value is None or not math.isfinite(part.value):
        return None
    return part.value


def _outcome(before: float | None, after: float | None, better: Better | None) -> Outcome:
    if before is None or after is None:
        return "not comparable"
    if before == after:
        return "same"
    if better is None:
        return "different"
    if better == "nearer zero":
        before, after = -abs(before), -abs(after)
    elif better == "lower":
        before, after = -before, -after
    if before == after:
        return "same"
    return "better" if after > before else "worse"


def _verdict(
    before: Measurement | None, after: Measurement | None
) -> Literal["", "now kept", "now outside"]:
    was = before.passed if before is not None else None
    now = after.passed if after is not None else None
    if was is None or now is None or was == now:
        return ""
    return "now kept" if now else "now outside"


def _markdown_table(section: ComparedSection, labels: tuple[str, str]) -> Iterable[str]:
    yield markdown_row(("metric", "stage", *labels, "difference", "unit", ""))
    yield "|---|---|--:|--:|--:|---|---|"
    for metric in section.metrics:
        yield markdown_row(
            (
                markdown(metric.title),
                metric.stage,
                format_value(_number(metric.reference), metric.unit),
                format_value(_number(metric.subject), metric.unit),
                format_difference(metric.difference, metric.unit),
                markdown(metric.unit),
                ", ".join(text for text in (metric.outcome, metric.verdict) if text),
            )
        )

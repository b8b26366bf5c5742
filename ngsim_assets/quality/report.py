"""The report of quality as a document: one model, and its JSON, HTML and Markdown forms.

Belongs here: the shape of a report of any domain (accounting, score, metrics before and after,
rules, reference figures, pictures, provenance) and how it is written out. Does not belong here:
what is measured, any name of a metric, any picture's content, how points are given (rating.py).
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, computed_field

from ngsim_assets.quality.rating import Criterion, Rating, RatingPart
from ngsim_assets.quality.writing import (
    NOT_MEASURED,
    Document,
    Part,
    format_threshold,
    format_value,
    markdown,
    markdown_row,
    page,
    published_schema,
)


class Measurement(Part):
    """One value of a metric at one stage, and the verdict on it."""

    value: float | None = Field(description="Value in the metric's unit, null where undefined.")
    passed: bool | None = Field(
        default=None, description="Whether it keeps the metric's limit, null where none applies."
    )


class Limit(Part):
    """What a metric is held against, and who says so."""

    threshold: float = Field(description="In the metric's unit.")
    relation: Literal["at most", "at least", "within"] = Field(
        description="'within' bounds the absolute value."
    )
    basis: str = Field(description="Source of the threshold.")

    def keeps(self, value: float) -> bool:
        """Whether `value` keeps the limit."""
        if self.relation == "at least":
            return value >= self.threshold
        return (abs(value) if self.relation == "within" else value) <= self.threshold


class Metric(Part):
    """One measured quantity, as delivered and after cleaning."""

    name: str = Field(description="Key, the same as in the table of metrics.")
    title: str
    unit: str = Field(description="Unit of every value; empty for a pure number.")
    definition: str = Field(description="Exactly how it is computed.")
    source: str = Field(
        default="", description="Whose definition that is, empty where it is nobody else's."
    )
    limit: Limit | None = None
    distribution: str = Field(
        default="",
        description="Distribution of which this is one class, empty for most. Classes of one are "
        "drawn as bars on one scale.",
    )
    raw: Measurement | None = Field(default=None, description="Before cleaning.")
    cleaned: Measurement | None = Field(default=None, description="After cleaning.")

    @property
    def failed(self) -> bool:
        """Whether either value is outside the limit."""
        return any(part is not None and part.passed is False for part in (self.raw, self.cleaned))


class Section(Part):
    """Metrics that belong together."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Key, used as an anchor.")
    title: str
    introduction: str = ""
    metrics: tuple[Metric, ...]

    @property
    def failed(self) -> tuple[Metric, ...]:
        """Metrics outside their limits."""
        return tuple(metric for metric in self.metrics if metric.failed)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """Metrics that have a value at some stage."""
        return tuple(metric for metric in self.metrics if any(_values(metric)))

    @property
    def unmeasured(self) -> tuple[Metric, ...]:
        """Metrics that found nothing to measure."""
        return tuple(metric for metric in self.metrics if not any(_values(metric)))

    def length(self, metric: Metric, part: Measurement | None) -> float:
        """A value against the largest of its distribution, in percent: the length of its bar."""
        classes = [m for m in self.metrics if m.distribution == metric.distribution]
        largest = max((part.value or 0.0 for m in classes for part in _values(m)), default=0.0)
        value = part.value if part is not None else None
        return 100 * max(0.0, value) / largest if value and largest > 0 else 0.0


def _values(metric: Metric) -> list[Measurement]:
    parts = (metric.raw, metric.cleaned)
    return [part for part in parts if part is not None and part.value is not None]


class RuleCount(Part):
    """How many rows one rule rejected or flagged."""

    rule: str
    severity: Literal["reject", "flag"]
    rows: int = Field(ge=0)
    description: str = ""
    source: str = Field(default="", description="Source of the rule's threshold.")


class ReferenceTable(Part):
    """Figures of others, printed beside ours as context and never compared by machine."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Figure(Part):
    """A picture, with what it shows in words for whoever cannot see it."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$", description="Key, and file name without suffix.")
    title: str
    alt: str = Field(min_length=1, description="What the picture shows.")
    caption: str
    media_type: Literal["image/png", "image/svg+xml"]
    data: bytes = Field(default=b"", description="The file's bytes, base64 in JSON.")

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"

    @property
    def filename(self) -> str:
        """Name with the suffix of its type."""
        return f"{self.name}.{'png' if self.media_type == 'image/png' else 'svg'}"


class SourceFile(Part):
    """A file the report goes back to."""

    name: str
    sha256: str


class Origin(Part):
    """What the report was made from: enough to make it again."""

    run_id: str
    code_version: str
    version: int | None = Field(
        default=None, description="Version of the table of metrics that holds the values."
    )
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    sources: tuple[SourceFile, ...] = ()
    generated_at: datetime | None = Field(
        default=None,
        description="Only where the caller asks for it: without, equal input gives equal bytes.",
    )


class DataQualityReport(Document):
    """Everything measured about one partition, before and after cleaning.

    `report_schema()` is the published schema of `to_json()`; `model_validate_json` reads it back.
    """

    schema_version: Literal[1] = Field(
        default=1, description="Raised when a field goes or changes its meaning."
    )
    title: str
    subtitle: str = ""
    partition: dict[str, str] = Field(description="Partition labels, outermost first.")
    summary: str = Field(description="The finding in one or two sentences.")
    raw_label: str = Field(default="As delivered", description="Heading of values before.")
    cleaned_label: str = Field(
        default="Cleaned",
        description="Heading of values after; empty where nothing is cleaned: one column then.",
    )
    ratings: tuple[Rating, ...] = Field(
        default=(), description="Score of each stage with its parts."
    )
    sections: tuple[Section, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    references: tuple[ReferenceTable, ...] = ()
    figures: tuple[Figure, ...] = ()
    origin: Origin

    @computed_field(description="Names of metrics outside their limits.")
    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.outside)

    @computed_field(description="Metrics that have a limit and a value to hold against it.")
    @property
    def judged(self) -> int:
        return sum(
            any(part is not None and part.passed is not None for part in (m.raw, m.cleaned))
            for m in self._metrics()
        )

    @property
    def outside(self) -> tuple[Metric, ...]:
        """Metrics outside their limits."""
        return tuple(metric for metric in self._metrics() if metric.failed)

    @property
    def verdict(self) -> str:
        """One line on limits kept."""
        if not self.judged:
            return "No metric has a limit to keep."
        kept = self.judged - len(self.failed)
        return f"{kept} of {self.judged} limits kept."

    @property
    def scores(self) -> str:
        """One line on the scores, empty where nothing was rated."""
        told = [
            f"{rating.label.lower()} {rating.score:.1f}"
            for rating in self.ratings
            if rating.score is not None
        ]
        if not told:
            return "No score: too little was measured." if self.ratings else ""
        return f"Score of 100: {', '.join(told)}."

    @property
    def rated(self) -> tuple[tuple[Criterion, tuple[RatingPart | None, ...]], ...]:
        """Every criterion of any stage, with its part in each."""
        parts = [{p.criterion.metric: p for p in rating.parts} for rating in self.ratings]
        criteria = {p.criterion.metric: p.criterion for r in self.ratings for p in r.parts}
        return tuple(
            (criterion, tuple(stage.get(name) for stage in parts))
            for name, criterion in criteria.items()
        )

    def metric(self, name: str) -> Metric | None:
        """The metric of that name, None if the report has none."""
        return next((metric for metric in self._metrics() if metric.name == name), None)

    def to_json(self, *, figures: bool = False) -> str:
        """The report as JSON, keys in a fixed order; `figures` adds the pictures' bytes."""
        left_out = None if figures else {"figures": {"__all__": {"data"}}}
        return self.model_dump_json(indent=2, exclude=left_out)

    def to_html(self) -> str:
        """One file that needs no other and no network; escapes all text."""
        return page(
            "report.html.j2",
            report=self,
            shown=shown,
            limit_text=limit_text,
            verdict_text=verdict_text,
        )

    def to_markdown(self, *, figures: Collection[str] = ()) -> str:
        """The report as Markdown; `figures` names the pictures to embed as data URIs.

        They stand where the page has them, after the first section.
        """
        lines = [f"## {markdown(self.title)}", ""]
        if self.subtitle:
            lines += [markdown(self.subtitle), ""]
        told = (self.summary, self.scores, self.verdict)
        lines += [" ".join(markdown(text) for text in told if text), ""]
        if self.ratings:
            lines += ["### Score", "", *self._markdown_ratings(), ""]
        for place, section in enumerate(self.sections):
            lines += [f"### {markdown(section.title)}", "", *self._markdown_metrics(section), ""]
            if place == 0:
                lines += self._markdown_figures(figures)
        if not self.sections:
            lines += self._markdown_figures(figures)
        if self.rules:
            lines += ["### Rules", "", "| rule | effect | rows | meaning |", "|---|---|--:|---|"]
            lines += [
                markdown_row(
                    (f"`{rule.rule}`", rule.severity, f"{rule.rows:,}", markdown(rule.description))
                )
                for rule in self.rules
            ]
            lines.append("")
        return "\n".join(lines)

    def _markdown_figures(self, names: Collection[str]) -> Iterable[str]:
        for figure in self.figures:
            if figure.name in names and figure.data:
                yield from (f"### {markdown(figure.title)}", "")
                yield from (f"![{markdown(figure.alt)}]({figure.uri})", "")
                yield from (markdown(figure.caption), "")

    def _markdown_ratings(self) -> Iterable[str]:
        yield markdown_row(("points", *(markdown(rating.label) for rating in self.ratings)))
        yield "|---|" + "--:|" * len(self.ratings)
        for criterion, parts in self.rated:
            metric = self.metric(criterion.metric)
            title = metric.title if metric is not None else criterion.metric
            yield markdown_row((markdown(title), *(points_text(part) for part in parts)))
        scores = (
            NOT_MEASURED if rating.score is None else f"**{rating.score:.1f}** of 100"
            for rating in self.ratings
        )
        yield markdown_row(("**Score**", *scores))

    def _markdown_metrics(self, section: Section) -> Iterable[str]:
        labels = [markdown(label) for label in (self.raw_label, self.cleaned_label) if label]
        yield markdown_row(("metric", *labels, "unit", "limit", ""))
        yield "|---|" + "--:|" * len(labels) + "---|---|---|"
        for metric in section.metrics:
            yield markdown_row(
                (
                    markdown(metric.title),
                    *(
                        shown(part, metric.unit)
                        for part in (metric.raw, metric.cleaned)[: len(labels)]
                    ),
                    markdown(metric.unit),
                    markdown(limit_text(metric)),
                    verdict_text(metric),
                )
            )

    def _metrics(self) -> Iterable[Metric]:
        return (metric for section in self.sections for metric in section.metrics)


def report_schema() -> str:
    """The JSON Schema of `DataQualityReport.to_json()`, as published."""
    return published_schema(DataQualityReport)


def points_text(part: RatingPart | None) -> str:
    """Points earned of those possible; a dash where the metric is left out."""
    if part is None or part.points is None or part.possible is None:
        return NOT_MEASURED
    return f"{part.points:.1f} of {part.possible:.1f}"


def shown(part: Measurement | None, unit: str) -> str:
    """A measurement as text; a dash where there is none."""
    return NOT_MEASURED if part is None else format_value(part.value, unit)


def limit_text(metric: Metric) -> str:
    """A metric's limit as text, empty without one."""
    if metric.limit is None:
        return ""
    sign = {"at most": "≤ ", "at least": "≥ ", "within": "± "}[metric.limit.relation]
    if metric.limit.relation == "within" and metric.limit.threshold == 0:
        sign = ""
    return f"{sign}{format_threshold(metric.limit.threshold)} {metric.unit}".strip()


def verdict_text(metric: Metric) -> str:
    """'kept' or 'outside', empty where nothing was held against a limit."""
    if metric.failed:
        return "outside"
    judged = any(p is not None and p.passed for p in (metric.raw, metric.cleaned))
    return "kept" if judged else ""

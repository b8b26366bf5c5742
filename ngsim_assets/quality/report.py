"""The report of quality as a document: one model, and its JSON, HTML and Markdown forms.

Belongs here: the shape of a report of any domain (accounting, metrics before and after, rules,
reference figures, pictures, provenance) and how it is written out. Does not belong here: what
is measured, any name of a metric, any picture's content.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, cast

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

NOT_MEASURED = "–"


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64"
    )


class Measurement(_Part):
    """One value of a metric at one stage, and the verdict on it."""

    value: float | None = Field(description="Value in the metric's unit, null where undefined.")
    passed: bool | None = Field(
        default=None, description="Whether it keeps the metric's limit, null where none applies."
    )


class Limit(_Part):
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


class Metric(_Part):
    """One measured quantity, as delivered and after cleaning."""

    name: str = Field(description="Key, the same as in the table of metrics.")
    title: str
    unit: str = Field(description="Unit of every value; empty for a pure number.")
    definition: str = Field(description="Exactly how it is computed.")
    source: str = Field(default="", description="Whose definition that is.")
    limit: Limit | None = None
    raw: Measurement | None = Field(default=None, description="Before cleaning.")
    cleaned: Measurement | None = Field(default=None, description="After cleaning.")

    @property
    def failed(self) -> bool:
        """Whether either value is outside the limit."""
        return any(part is not None and part.passed is False for part in (self.raw, self.cleaned))


class Section(_Part):
    """Metrics that belong together."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Key, used as an anchor.")
    title: str
    introduction: str = ""
    metrics: tuple[Metric, ...]


class RuleCount(_Part):
    """How many rows one rule rejected or flagged."""

    rule: str
    severity: Literal["reject", "flag"]
    rows: int = Field(ge=0)
    description: str = ""
    source: str = Field(default="", description="Source of the rule's threshold.")


class ReferenceTable(_Part):
    """Figures of others, printed beside ours as context and never compared by machine."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Figure(_Part):
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


class SourceFile(_Part):
    """A file the report goes back to."""

    name: str
    sha256: str


class Origin(_Part):
    """What the report was made from: enough to make it again."""

    run_id: str
    code_version: str
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    sources: tuple[SourceFile, ...] = ()
    generated_at: datetime | None = Field(
        default=None,
        description="Only where the caller asks for it: without, equal input gives equal bytes.",
    )


class DataQualityReport(_Part):
    """Everything measured about one partition, before and after cleaning.

    `DataQualityReport.model_json_schema(mode="serialization")` is the published schema of
    `to_json()`; `model_validate_json` reads it back.
    """

    schema_version: Literal[1] = 1
    title: str
    subtitle: str = ""
    partition: dict[str, str] = Field(description="Partition labels, outermost first.")
    summary: str = Field(description="The finding in one or two sentences.")
    raw_label: str = Field(default="As delivered", description="Heading of values before.")
    cleaned_label: str = Field(default="Cleaned", description="Heading of values after.")
    sections: tuple[Section, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    references: tuple[ReferenceTable, ...] = ()
    figures: tuple[Figure, ...] = ()
    origin: Origin

    @model_validator(mode="before")
    @classmethod
    def _derive_again(cls, content: Any) -> Any:
        """What is computed from the rest is not taken from outside."""
        if not isinstance(content, dict):
            return content
        given = cast("dict[str, Any]", content)
        return {name: part for name, part in given.items() if name not in _DERIVED}

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

    def to_json(self, *, figures: bool = False) -> str:
        """The report as JSON, keys in a fixed order; `figures` adds the pictures' bytes."""
        left_out = None if figures else {"figures": {"__all__": {"data"}}}
        return self.model_dump_json(indent=2, exclude=left_out)

    def to_html(self) -> str:
        """One file that needs no other and no network; escapes all text."""
        return _template().render(
            report=self, shown=shown, limit_text=limit_text, verdict_text=verdict_text
        )

    def to_markdown(self, *, figures: Collection[str] = ()) -> str:
        """The report as Markdown; `figures` names the pictures to embed as data URIs."""
        lines = [f"## {_md(self.title)}", ""]
        if self.subtitle:
            lines += [_md(self.subtitle), ""]
        lines += [f"{_md(self.summary)} {_md(self.verdict)}", ""]
        for section in self.sections:
            lines += [f"### {_md(section.title)}", "", *self._markdown_metrics(section), ""]
        if self.rules:
            lines += ["### Rules", "", "| rule | effect | rows | meaning |", "|---|---|--:|---|"]
            lines += [
                _row((f"`{rule.rule}`", rule.severity, f"{rule.rows:,}", _md(rule.description)))
                for rule in self.rules
            ]
            lines.append("")
        for figure in self.figures:
            if figure.name in figures and figure.data:
                lines += [
                    f"### {_md(figure.title)}",
                    "",
                    f"![{_md(figure.alt)}]({figure.uri})",
                    "",
                    _md(figure.caption),
                    "",
                ]
        return "\n".join(lines)

    def _markdown_metrics(self, section: Section) -> Iterable[str]:
        yield _row(("metric", _md(self.raw_label), _md(self.cleaned_label), "unit", "limit", ""))
        yield "|---|--:|--:|---|---|---|"
        for metric in section.metrics:
            yield _row(
                (
                    _md(metric.title),
                    shown(metric.raw, metric.unit),
                    shown(metric.cleaned, metric.unit),
                    _md(metric.unit),
                    _md(limit_text(metric)),
                    verdict_text(metric),
                )
            )

    def _metrics(self) -> Iterable[Metric]:
        return (metric for section in self.sections for metric in section.metrics)


_DERIVED = frozenset(DataQualityReport.model_computed_fields)


def format_value(value: float | None, unit: str = "") -> str:
    """A value as people read it: whole counts in full, measures to four digits."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and (abs(value) >= 1000 or unit in _COUNTED):
        return _minus(f"{int(value):,}")
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{_minus(digits)}×10{str(int(power)).translate(_RAISED)}"
    decimals = max(1, 3 - size)
    return _minus(f"{value:,.{decimals}f}")


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
    return f"{sign}{_minus(f'{metric.limit.threshold:,g}')} {metric.unit}".strip()


def verdict_text(metric: Metric) -> str:
    """'kept' or 'outside', empty where nothing was held against a limit."""
    if metric.failed:
        return "outside"
    judged = any(p is not None and p.passed for p in (metric.raw, metric.cleaned))
    return "kept" if judged else ""


# Units whose whole values are counts: they are never shown with decimals.
_COUNTED = frozenset({"rows", "points", "trajectories", "gaps", "changes", "vehicles", "frames"})

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _md(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no broken table rows."""
    plain = html.escape(" ".join(text.split()), quote=False)
    for mark in ("\\", "|", "*", "_", "`", "[", "]", "#", "~"):
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ngsim_assets.quality", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")

"""Questions to the reports: `ngsim report`, and one report held against another.

Belongs here: how reports and comparisons are shown on a terminal, and where their files go. Does
not belong here: what is in them (report.py, comparison.py), which versions there are (history.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ngsim_assets import console
from ngsim_assets.highway import overview, reporting, stages
from ngsim_assets.highway.comparison import compared
from ngsim_assets.highway.history import Measured, measured
from ngsim_assets.highway.questions import AsJson, Key, known_recording
from ngsim_assets.quality.comparison import ComparedSection
from ngsim_assets.quality.report import (
    DataQualityReport,
    Measurement,
    limit_text,
    points_text,
    shown,
    verdict_text,
)
from ngsim_assets.quality.writing import format_difference, format_value
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.atomic import write_atomically

_DIFFERING = ("better", "worse", "different")


def add_to(app: typer.Typer) -> None:
    """Register the command of this module on `app`."""
    example = "ngsim report 'us-101|2005-06-15T0750' --compare @-1 --html changed.html"
    app.command(epilog=f"Example: {example}")(report)


def report(
    key: Key,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option(help="Print the report as Markdown.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER",
            help="Hold the recording against another one (its key), or against an earlier "
            "version of itself: @-1 is the one before the current, @7 is version 7.",
        ),
    ] = None,
) -> None:
    """Where the quality report of a recording is, and what it says in short.

    With --compare the metrics that differ side by side (in files and JSON all of them): values,
    difference, which is better, limits newly kept or broken, and what differs in parameters, code
    and delivered rows. After a change of NGSIM_GAP_LIMIT or NGSIM_CLEANING_METHOD and another
    ngsim ingest: ngsim report KEY --compare @-1
    """
    settings = load_settings()
    if compare is not None:
        _compare(settings, key, compare, as_json=as_json, markdown=markdown, html=html)
        return
    wanted = known_recording(settings, key)
    stored = overview.stored_report(stages.open_platform(settings), wanted)
    page = reporting.report_folder(settings.reports, wanted) / "report.html"
    if html is not None:
        write_atomically(html, page.read_bytes())
        console.note(f"report: {html.resolve()}")
    if as_json:
        console.print_json(stored.model_dump(mode="json"))
    elif markdown:
        typer.echo(stored.to_markdown())
    elif html is None:
        _show(stored)
        console.note(f"report: {page.resolve()}")
        console.note("every metric: ngsim report KEY --markdown, or --json")


def _show(report: DataQualityReport) -> None:
    """The finding, the score and the limits; the report has the rest."""
    for text in (report.title, report.summary, report.scores, report.verdict):
        if text:
            console.out.print(text, markup=False)
    console.print_table(
        "Score",
        [
            {
                "metric": criterion.metric,
                **{
                    f"{rating.label}, points": points_text(part)
                    for rating, part in zip(report.ratings, parts, strict=True)
                },
                "why": criterion.why,
            }
            for criterion, parts in report.rated
        ],
    )
    console.print_table(
        "Limits",
        [
            {
                "metric": metric.name,
                report.raw_label: shown(metric.raw, metric.unit),
                report.cleaned_label: shown(metric.cleaned, metric.unit),
                "unit": metric.unit,
                "limit": limit_text(metric),
                "": verdict_text(metric),
            }
            for section in report.sections
            for metric in section.metrics
            if metric.limit is not None
        ],
    )


def _compare(
    settings: Settings, key: str, other: str, *, as_json: bool, markdown: bool, html: Path | None
) -> None:
    platform = stages.open_platform(settings)
    subject = _measured(settings, platform, key)
    # @-1 alone means the recording asked about
    named = other if not other.startswith("@") else f"{subject.key}{other}"
    reference = _measured(settings, platform, named)
    with console.working("comparing"):
        comparison = compared(platform, subject, reference, pictures=html is not None)
    if html is not None:
        write_atomically(html, comparison.to_html())
        console.note(f"comparison: {html.resolve()}")
    if as_json:
        typer.echo(comparison.to_json())
    elif markdown:
        typer.echo(comparison.to_markdown())
    elif html is None:
        labels = (comparison.reference.label, comparison.subject.label)
        console.out.print(comparison.summary, markup=False)
        console.print_table(
            "Made with",
            [
                {"what": part.name, labels[0]: part.reference, labels[1]: part.subject}
                for part in comparison.differences
            ],
        )
        for section in comparison.sections:
            differing = tuple(m for m in section.metrics if m.outcome in _DIFFERING)
            if differing:
                rows = _rows(section.model_copy(update={"metrics": differing}), labels)
                console.print_table(section.title, rows)
        console.note("metrics that are the same: --markdown, --json or --html FILE")


def _rows(section: ComparedSection, labels: tuple[str, str]) -> list[dict[str, object]]:
    """A section as rows of text, numbers to the right."""

    def number(part: Measurement | None, unit: str) -> str:
        return format_value(part.value if part is not None else None, unit)

    columns = {
        labels[0]: [number(metric.reference, metric.unit) for metric in section.metrics],
        labels[1]: [number(metric.subject, metric.unit) for metric in section.metrics],
        "difference": [format_difference(m.difference, m.unit) for m in section.metrics],
    }
    for name, texts in columns.items():
        width = max(len(name), *(len(text) for text in texts))
        columns[name] = [text.rjust(width) for text in texts]
    return [
        {
            "metric": metric.name,
            "stage": metric.stage,
            **{name: texts[place] for name, texts in columns.items()},
            "unit": metric.unit,
            "": metric.outcome.replace("not comparable", ""),
            "limit": metric.verdict,
        }
        for place, metric in enumerate(section.metrics)
    ]


def _measured(settings: Settings, platform: stages.Platform, text: str) -> Measured:
    """The version of a recording's metrics that `KEY`, `KEY@-1` or `KEY@7` names."""
    key, at, version = text.partition("@")
    return measured(platform, known_recording(settings, key), version or at)

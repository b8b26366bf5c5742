"""Every quality metric of the highway domain, once, and the page that lists them.

Belongs here: the order of sections, and their documentation. Does not belong here: the metrics
themselves (catalogue_of_rows.py and its like), the numbers that definitions share (metrics.py),
any computation.
"""

from __future__ import annotations

from collections.abc import Iterable

from ngsim_assets.highway.assessment import (
    catalogue_of_motion,
    catalogue_of_residuals,
    catalogue_of_rows,
    catalogue_of_traffic,
)
from ngsim_assets.highway.assessment.metrics import HERE, MetricDefinition, MetricSection
from ngsim_assets.highway.sites import SITES, Site


def catalogue(site: Site) -> tuple[MetricSection, ...]:
    """Every metric of one site, in the order a report shows them: how vehicles move first."""
    return (
        catalogue_of_rows.rows(),
        catalogue_of_motion.jerk(),
        catalogue_of_motion.acceleration(site),
        catalogue_of_motion.speed(site),
        catalogue_of_motion.consistency(),
        catalogue_of_traffic.platoon(),
        catalogue_of_traffic.headways(),
        catalogue_of_rows.lanes_and_vehicles(site),
        catalogue_of_residuals.residual(),
        catalogue_of_traffic.traffic(site),
        catalogue_of_rows.completeness(),
        catalogue_of_rows.coverage(site),
        catalogue_of_rows.duplicates(),
    )


def metrics_page() -> str:
    """METRICS.md: every metric with unit, stages, definition, source and limit.

    A metric whose definition or limit differs between sites has a row for each.
    """
    lines = [
        "# Quality metrics",
        "",
        "Generated from the code by `make docs`. Stages: `raw` is of delivered rows, `validated`",
        "of those that passed, as delivered (before), `cleaned` of reconstructed points (after).",
        "What has nothing to measure is null. A limit holds at the stage it is written for; a",
        "metric without an accepted limit has none. Without a source, the definition is ours.",
        "",
        "Rows that a rule rejected or flagged are metrics too, `rejected:<rule>` and",
        "`flagged:<rule>`, in rows, at stage `raw`; [RULES.md](RULES.md) lists the rules.",
    ]
    catalogues = {site.highway_id: catalogue(site) for site in SITES.values()}
    for number, section in enumerate(next(iter(catalogues.values()))):
        lines += ["", f"## {section.title}", ""]
        lines += [section.introduction, ""] if section.introduction else []
        lines += [
            "| metric | unit | stages | definition | source | limit |",
            "|---|---|---|---|---|---|",
        ]
        lines += _rows({site: sections[number] for site, sections in catalogues.items()})
    return "\n".join(lines) + "\n"


def _rows(sections: dict[str, MetricSection]) -> Iterable[str]:
    """A row per metric, one per wording where sites differ."""
    found: dict[str, dict[MetricDefinition, list[str]]] = {}
    for site, section in sections.items():
        for metric in section.metrics:
            found.setdefault(metric.name, {}).setdefault(metric, []).append(site)
    for name, wordings in found.items():
        for metric, sites in wordings.items():
            where = "" if len(sites) == len(sections) else f"<br>({', '.join(sites)})"
            cells = (
                f"`{name}`{where}",
                metric.unit,
                ", ".join(metric.stages),
                f"**{metric.title}.** {metric.definition}",
                "" if metric.source == HERE else metric.source,
                _limit(metric),
            )
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _limit(metric: MetricDefinition) -> str:
    return f"{', '.join(metric.limited_at)}: {metric.limit_text}" if metric.limit else ""

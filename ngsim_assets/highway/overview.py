"""What the lake knows about a recording: counts, reports, and what is out of date.

Belongs here: reading what stages recorded. Does not belong here: what makes a table out of date
(staleness.py), writing.
"""

from __future__ import annotations

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import corpus_row, report_folder
from ngsim_assets.highway.stages import Platform
from ngsim_assets.highway.staleness import standings
from ngsim_assets.quality.report import DataQualityReport


class NoReport(NgsimAssetsError):
    """A recording whose report has not been made."""

    def __init__(self, key: PartitionKey) -> None:
        super().__init__(f"{key} has no report yet", f"make it: ngsim build '{key}'")


def recording_summary(platform: Platform, key: PartitionKey) -> dict[str, object]:
    """A recording's line for people: rows at each stage, vehicles, metrics outside limits."""
    row = corpus_row(platform, key)
    return {
        "recording": str(key),
        "raw": row["rows_raw"],
        "validated": row["rows_validated"],
        "quarantined": row["rows_quarantined"],
        "cleaned": row["points_cleaned"],
        "trajectories": row["trajectories"],
        "metrics failed": row["metrics_failed"],
        "score": row["score"],
    }


def stale_tables(platform: Platform, key: PartitionKey) -> list[str]:
    """Tables of a recording that a build would write, in building order; see `staleness`."""
    return [standing.table.name for standing in standings(platform, key) if standing.reasons]


def stored_report(platform: Platform, key: PartitionKey) -> DataQualityReport:
    """The report of a recording as it was last made, without pictures; NoReport if never."""
    path = report_folder(platform.reports, key) / "report.json"
    if not path.exists():
        raise NoReport(key)
    return DataQualityReport.model_validate_json(path.read_text())

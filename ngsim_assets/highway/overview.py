"""What the lake knows about a recording: counts, reasons, reports, and what is out of date.

Belongs here: reading and comparing what stages recorded. Does not belong here: writing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import clean, model
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import corpus_row, report_folder
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import CODE_VERSIONS, TRAFFIC_GRID, Platform, identity
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table

# Each table of a recording with the one it is built from, in building order.
_BUILT_FROM: Mapping[Table, Table | None] = {
    model.RAW_TRAJECTORIES: None,
    model.VALIDATED_POINTS: model.RAW_TRAJECTORIES,
    model.CLEANED_TRAJECTORIES: model.VALIDATED_POINTS,
    model.TRAJECTORY_SEGMENTS: model.CLEANED_TRAJECTORIES,
    model.TRAFFIC_STATE: model.CLEANED_TRAJECTORIES,
    model.QUALITY_METRICS: model.CLEANED_TRAJECTORIES,
}


class NoReport(NgsimAssetsError):
    """A recording whose report has not been made."""

    def __init__(self, key: PartitionKey) -> None:
        super().__init__(f"{key} has no report yet", "ngsim ingest FILE makes it")


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
    """Tables of a recording that are missing or older than their input, code or parameters.

    A table is judged by the provenance stored with it: hashes of what it was built from, the
    stage's code version, the parameters. Whatever hangs on a stale table is stale; metrics are,
    too, where the report's files do not tell of them, as after a run that was killed.
    """
    stale: list[str] = []
    commits: dict[str, Commit | None] = {}
    for table, source in _BUILT_FROM.items():
        commit = commits[table.name] = platform.lake.current(table, identity(key))
        expected = _expected_sources(platform, key, source, commits)
        if (
            commit is None
            or (source is not None and source.name in stale)
            or tuple(commit.provenance.sources) != expected
            or commit.provenance.code_version != CODE_VERSIONS[_stage_of(table)]
            or dict(commit.provenance.parameters) != _parameters(platform, table, key)
            or (table is model.QUALITY_METRICS and not _is_told(platform, key, commit))
        ):
            stale.append(table.name)
    return stale


def stored_report(platform: Platform, key: PartitionKey) -> DataQualityReport:
    """The report of a recording as it was last made, without pictures; NoReport if never."""
    path = report_folder(platform.reports, key) / "report.json"
    if not path.exists():
        raise NoReport(key)
    return DataQualityReport.model_validate_json(path.read_text())


def _is_told(platform: Platform, key: PartitionKey, metrics: Commit) -> bool:
    """Whether the report's files are of these metrics; report.json is the last one written."""
    path = report_folder(platform.reports, key) / "report.json"
    if not path.exists():
        return False
    return json.loads(path.read_text())["origin"]["version"] == metrics.version


def _expected_sources(
    platform: Platform,
    key: PartitionKey,
    source: Table | None,
    commits: Mapping[str, Commit | None],
) -> tuple[str, ...]:
    if source is None:
        return (platform.landing.partition_hash(str(key)),)
    commit = commits[source.name]
    return commit.content if commit is not None else ()


def _stage_of(table: Table) -> str:
    return "quality_report" if table is model.QUALITY_METRICS else table.name


def _parameters(platform: Platform, table: Table, key: PartitionKey) -> dict[str, object]:
    if table is model.VALIDATED_POINTS:
        return _as_stored(asdict(platform.validation))
    if table is model.CLEANED_TRAJECTORIES:
        return _as_stored(clean.record(SITES[key.highway_id], platform.cleaning))
    if table is model.TRAJECTORY_SEGMENTS:
        return _as_stored(asdict(platform.cleaning))
    if table is model.TRAFFIC_STATE:
        return dict(TRAFFIC_GRID)
    return {}


def _as_stored(parameters: Mapping[str, object]) -> dict[str, object]:
    return json.loads(json.dumps(parameters))

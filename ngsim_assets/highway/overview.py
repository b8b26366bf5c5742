"""What the lake knows about a recording: counts, reports, and what is out of date.

Belongs here: reading what stages recorded. Does not belong here: what makes a table out of date
(staleness.py), writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model
from ngsim_assets.highway.assessment.metrics import CLEANED
from ngsim_assets.highway.assessment.rating import QUALITY_SCORE
from ngsim_assets.highway.data_versions import partition_of, table_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import (
    corpus_row,
    reason_rows,
    report_folder,
    rows_of,
    summarised,
)
from ngsim_assets.highway.stages import CODE_VERSIONS, Platform
from ngsim_assets.highway.staleness import ASSETS, Standing, standings
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.storage.live import live_commits
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table

SUPERSEDED = "superseded"
"""Rule that rows break in whose place a later file has others."""

_MUCH = 0.1
"""Share of superseded rows from which files are said to disagree."""


class NoReport(NgsimAssetsError):
    """A recording whose report has not been made."""

    def __init__(self, key: PartitionKey) -> None:
        super().__init__(f"{key} has no report yet", f"make it: ngsim build '{key}'")


class LiveTables:
    """What is live of every recording in every table, read once: for questions about many."""

    def __init__(self, platform: Platform) -> None:
        self._commits = {
            table: live_commits(platform.lake, table) for table in map(table_of, ASSETS)
        }

    def current(self, table: Table, partition: Mapping[str, str]) -> Commit | None:
        """As `ParquetStorage.current`, at the moment this was made."""
        return self._commits[table].get(tuple(partition[name] for name in table.identity))

    def rows(self, asset: str, key: PartitionKey) -> int:
        """Rows of a recording, as the log tells them."""
        commit = self.current(table_of(asset), partition_of(asset, key))
        return commit.rows if commit is not None else 0


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


def recording_summaries(
    platform: Platform, keys: Iterable[PartitionKey], live: LiveTables
) -> dict[PartitionKey, dict[str, object]]:
    """`recording_summary` of many, by the numbers in the log and one look at all metrics."""
    scored = (pl.col("metric") == QUALITY_SCORE) & (pl.col("stage") == CLEANED)
    judged = (
        platform.lake.scan(model.QUALITY_METRICS)
        .group_by("highway_id", "recording")
        .agg((~pl.col("passed")).sum(), pl.col("value").filter(scored).first())
    )
    told: dict[tuple[str, str], tuple[int, float | None]] = {}
    # a file that is damaged makes its table out of date, and that is told
    with suppress(OSError, pl.exceptions.ComputeError):
        for highway, recording, failed, score in judged.collect().iter_rows():
            told[highway, recording] = (failed, score)
    return {
        key: {
            "recording": str(key),
            "raw": live.rows("raw_trajectories", key),
            "validated": live.rows("validated_points", key),
            "quarantined": live.rows("quarantine", key),
            "cleaned": live.rows("cleaned_trajectories", key),
            "trajectories": live.rows("trajectory_segments", key),
            **dict(
                zip(
                    ("metrics failed", "score"),
                    told.get((key.highway_id, key.recording), (0, None)),
                    strict=True,
                )
            ),
        }
        for key in keys
    }


def standings_of(
    platform: Platform, keys: Iterable[PartitionKey], live: LiveTables | None = None
) -> dict[PartitionKey, list[Standing]]:
    """`standings` of many recordings, of which the tables are read once."""
    seen = live or LiveTables(platform)
    return {key: standings(platform, key, current=seen.current) for key in keys}


def stale_tables(platform: Platform, key: PartitionKey) -> list[str]:
    """Tables of a recording that a build would write, in building order; see `staleness`."""
    return [standing.table.name for standing in standings(platform, key) if standing.reasons]


def disagreement(platform: Platform, key: PartitionKey) -> str:
    """What to say of a recording whose files tell different things of the same moments, if any do.

    A corrected delivery changes some rows. Where it is a large share, one of the files is likely
    not of this recording: simulated, or of another day.
    """
    superseded = reason_rows(platform, key).get(SUPERSEDED, 0)
    files = [delivery.file.name for delivery in platform.landing.deliveries(str(key))]
    rows = rows_of(platform, model.RAW_TRAJECTORIES, key)
    if len(files) < 2 or superseded < _MUCH * rows:
        return ""
    return (
        f"{key}: {superseded:,} of {rows:,} rows are superseded by later files: {', '.join(files)}"
        f" disagree; if one is not of this recording: ngsim rollback '{key}' --to @-1"
    )


def summary_is_current(platform: Platform) -> bool:
    """Whether `corpus_summary` is as it was written and tells of what the tables hold now."""
    commit = platform.lake.current(model.CORPUS_SUMMARY, {})
    if commit is None:
        return not platform.landing.partitions()
    return (
        commit.provenance.sources == summarised(platform)
        and commit.provenance.code_version == CODE_VERSIONS[model.CORPUS_SUMMARY.name]
        and not platform.lake.verify(model.CORPUS_SUMMARY, {})
    )


def stored_report(platform: Platform, key: PartitionKey) -> DataQualityReport:
    """The report of a recording as it was last made, without pictures; NoReport if never."""
    path = report_folder(platform.reports, key) / "report.json"
    if not path.exists():
        raise NoReport(key)
    return DataQualityReport.model_validate_json(path.read_text())

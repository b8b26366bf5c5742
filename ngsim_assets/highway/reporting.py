"""What is told of a recording once its tables stand: metrics, report, its place in the corpus.

Belongs here: the last stages, from lake to lake and to the report's files. Does not belong
here: what is measured (assess.py), what a report looks like (quality/report.py).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from ngsim_assets import __version__
from ngsim_assets.highway import assess, sql_catalog
from ngsim_assets.highway.assessment.metrics import CLEANED
from ngsim_assets.highway.assessment.rating import QUALITY_SCORE, with_scores
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    CORPUS_SUMMARY,
    QUALITY_METRICS,
    QUARANTINE,
    RAW_TRAJECTORIES,
    TABLES,
    TRAJECTORY_SEGMENTS,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.report import recording_report
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import (
    CODE_VERSIONS,
    FLAGGED,
    MOVED_APART,
    Platform,
    built,
    identity,
    provenance,
    read_from,
)
from ngsim_assets.highway.validation.validation_rules import validation_rules
from ngsim_assets.quality.report import DataQualityReport, Origin, SourceFile
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.parquet import Commit, Provenance
from ngsim_assets.storage.schema import Table


def store_report(platform: Platform, key: PartitionKey) -> tuple[Commit, DataQualityReport]:
    """Measure a recording before and after: `quality_metrics`, report.html and report.json."""
    commit = store_metrics(platform, key)
    return commit, write_report(platform, key)


def write_report(platform: Platform, key: PartitionKey) -> DataQualityReport:
    """report.html and report.json of the metrics and points that are live.

    Nothing is measured anew, so that after a rollback the report is of the metrics of then.
    """
    from ngsim_assets.highway.plots import recording_figures

    site = SITES[key.highway_id]
    metrics = platform.lake.scan(QUALITY_METRICS, identity(key)).collect()
    made = built(platform, CLEANED_TRAJECTORIES, key).provenance
    judged = built(platform, VALIDATED_POINTS, key).provenance
    raw = built(platform, RAW_TRAJECTORIES, key)
    report = recording_report(
        metrics,
        row_counts(platform, key),
        site,
        key.recording,
        Origin(
            run_id=made.run_id,
            code_version=f"{__version__} (report {CODE_VERSIONS['quality_report']})",
            version=built(platform, QUALITY_METRICS, key).version,
            parameters={
                "validation": dict(judged.parameters),
                "cleaning": dict(made.parameters),
            },
            sources=tuple(
                SourceFile(name=file.name, sha256=file.sha256)
                for file in read_from(platform, raw, key)
            ),
        ),
        rules=validation_rules(site, platform.validation),
        figures=recording_figures(
            platform.lake.scan(VALIDATED_POINTS, identity(key)),
            platform.lake.scan(CLEANED_TRAJECTORIES, identity(key)),
            site,
        ),
    )
    folder = report_folder(platform.reports, key)
    write_atomically(folder / "report.html", report.to_html())
    # last, since it tells that the report of these metrics is complete
    write_atomically(folder / "report.json", report.to_json())
    return report


def store_metrics(platform: Platform, key: PartitionKey) -> Commit:
    """Measure a recording as `quality_metrics`."""
    site = SITES[key.highway_id]
    cleaned = built(platform, CLEANED_TRAJECTORIES, key)
    # rows that were refused are counted too, and they may change where cleaned points do not
    refused = platform.lake.current(QUARANTINE, {**identity(key), "stage": "validated"})
    also = [built(platform, VALIDATED_POINTS, key), *([refused] if refused is not None else [])]
    metrics = assess.assess(
        platform.lake.scan(VALIDATED_POINTS, identity(key)),
        platform.lake.scan(CLEANED_TRAJECTORIES, identity(key)),
        row_counts(platform, key),
        site,
        key.recording,
        validation_rules(site, platform.validation),
    )
    return platform.lake.replace(
        QUALITY_METRICS,
        identity(key),
        [with_scores(metrics)],
        provenance(platform, "quality_report", {}, cleaned, also=also),
    )


def row_counts(platform: Platform, key: PartitionKey) -> assess.RowCounts:
    """What became of each delivered row of a recording, by rule and flag."""
    validated = built(platform, VALIDATED_POINTS, key)
    return assess.RowCounts(
        raw=built(platform, RAW_TRAJECTORIES, key).rows,
        validated=validated.rows,
        quarantined=rows_of(platform, QUARANTINE, key),
        by_reason=reason_rows(platform, key),
        by_flag={
            name.removeprefix(FLAGGED): rows
            for name, rows in validated.provenance.rows.items()
            if name.startswith(FLAGGED)
        },
        moved_apart=built(platform, CLEANED_TRAJECTORIES, key).provenance.rows.get(MOVED_APART),
    )


def store_corpus_summary(platform: Platform) -> Commit:
    """Every recording of the lake side by side as `corpus_summary`, and the DuckDB catalog.

    Both speak of the lake as a whole, so both are made when recordings have changed.
    """
    told_of = summarised(platform)  # before reading: what changes meanwhile is not told
    keys = [PartitionKey.parse(key) for key in platform.landing.partitions()]
    rows = [corpus_row(platform, key) for key in keys]
    commit = platform.lake.replace(
        CORPUS_SUMMARY,
        {},
        [pl.DataFrame(rows, schema=CORPUS_SUMMARY.schema, orient="row")] if rows else [],
        Provenance(
            run_id=platform.run_id,
            code_version=CODE_VERSIONS["corpus_summary"],
            sources=told_of,
        ),
    )
    sql_catalog.write(platform)
    return commit


def summarised(platform: Platform) -> tuple[str, ...]:
    """One hash for all that a summary of the corpus made now would tell of."""
    tables = (table for table in TABLES.values() if table.partition_by)
    content = hashlib.sha256("\n".join(platform.landing.partitions()).encode())
    for table in tables:
        for path in sorted(file.path for file in platform.lake.files(table)):
            content.update(path.encode())
    return (content.hexdigest(),)


def corpus_row(platform: Platform, key: PartitionKey) -> dict[str, object]:
    """What the lake holds of one recording, in the columns of `corpus_summary`."""
    scored = (pl.col("metric") == QUALITY_SCORE) & (pl.col("stage") == CLEANED)
    told = (
        platform.lake.scan(QUALITY_METRICS, identity(key))
        .select(
            metrics_failed=(~pl.col("passed")).sum(),
            score=pl.col("value").filter(scored).first(),
        )
        .collect()
        .row(0, named=True)
    )
    return {
        "highway_id": key.highway_id,
        "recording": key.recording,
        "date": key.date,
        "rows_raw": rows_of(platform, RAW_TRAJECTORIES, key),
        "rows_validated": rows_of(platform, VALIDATED_POINTS, key),
        "rows_quarantined": rows_of(platform, QUARANTINE, key),
        "points_cleaned": rows_of(platform, CLEANED_TRAJECTORIES, key),
        "trajectories": rows_of(platform, TRAJECTORY_SEGMENTS, key),
        "metrics_failed": told["metrics_failed"] or 0,
        "score": told["score"],
    }


def reason_rows(platform: Platform, key: PartitionKey) -> dict[str, int]:
    """Quarantined rows of a recording by rule, most frequent first."""
    counts = (
        platform.lake.scan(QUARANTINE, identity(key))
        .select(pl.col("reasons").list.explode())
        .group_by("reasons")
        .len()
        .sort("len", "reasons", descending=[True, False])
        .collect()
    )
    return dict(counts.iter_rows())


def rows_of(platform: Platform, table: Table, key: PartitionKey) -> int:
    """Rows of a recording in the current version of `table`, read from the rows themselves."""
    return platform.lake.scan(table, identity(key)).select(pl.len()).collect().item()


def report_folder(reports: Path, key: PartitionKey) -> Path:
    """Where the report files of a recording are."""
    return reports / key.highway_id / key.recording

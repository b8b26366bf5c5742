"""What is told of a session once its tables stand: metrics, report.

Belongs here: the last stage, from lake to lake and to the report's files. Does not belong here:
what is measured (assess.py), what a report looks like (report.py, quality/report.py).
"""

from __future__ import annotations

import json

from ngsim_assets import __version__
from ngsim_assets.f1.assess import SessionScans, assess
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.errors import NothingStoredOf
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.platform import F1Platform, identity, report_folder
from ngsim_assets.f1.recipes import BUILT_FROM, CODE_VERSIONS, REPORT, TABLE_OF, sources_of
from ngsim_assets.f1.report import session_report
from ngsim_assets.f1.sources.places import Found
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.quality.report import DataQualityReport, Origin, SourceFile
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.parquet import Commit, Provenance
from ngsim_assets.storage.schema import Table


def store_report(platform: F1Platform, key: SessionKey) -> tuple[Commit, DataQualityReport]:
    """Measure a session: `f1_quality_metrics`, report.html and report.json.

    NothingStoredOf if any of its tables was never written.
    """
    commit = store_metrics(platform, key)
    return commit, write_report(platform, key)


def store_metrics(platform: F1Platform, key: SessionKey) -> Commit:
    """Measure a session as `f1_quality_metrics`."""
    built = {asset: _built(platform, TABLE_OF[asset], key) for asset in BUILT_FROM[REPORT]}
    metrics = assess(key, scans(platform, key), simulated=Found(key).simulated)
    return platform.lake.replace(
        F1_QUALITY_METRICS,
        identity(key),
        [metrics],
        Provenance(
            run_id=platform.run_id,
            code_version=CODE_VERSIONS[REPORT],
            sources=sources_of(REPORT, {name: commit.content for name, commit in built.items()}),
            rows={name: commit.rows for name, commit in built.items()},
        ),
    )


def write_report(platform: F1Platform, key: SessionKey) -> DataQualityReport:
    """report.html and report.json of the metrics and rows that are live.

    Nothing is measured anew, so that after a rollback the report is of the metrics of then.
    """
    from ngsim_assets.f1.plots import session_figures

    measured = _built(platform, F1_QUALITY_METRICS, key)
    delivered = _built(platform, F1_MESSAGES, key).provenance
    report = session_report(
        platform.lake.scan(F1_QUALITY_METRICS, identity(key)).collect(),
        key,
        Origin(
            run_id=measured.provenance.run_id,
            code_version=f"{__version__} (report {CODE_VERSIONS[REPORT]})",
            version=measured.version,
            parameters={},
            sources=tuple(
                SourceFile(name=file.name, sha256=file.sha256) for file in delivered.files
            ),
        ),
        figures=session_figures(scans(platform, key)),
    )
    folder = report_folder(platform.reports, key)
    write_atomically(folder / "report.html", report.to_html())
    # last, since it tells that the report of these metrics is complete
    write_atomically(folder / "report.json", report.to_json())
    return report


def report_fault(platform: F1Platform, key: SessionKey, metrics: Commit) -> str:
    """What is wrong with a report's files; empty if they are there and of these metrics."""
    folder = report_folder(platform.reports, key)
    try:
        told = json.loads((folder / "report.json").read_bytes())["origin"]["version"]
    except FileNotFoundError:
        return "the report is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return "report.json cannot be read"
    if not (folder / "report.html").exists():
        return "report.html is missing"
    return "" if told == metrics.version else f"the report is of version {told}"


def scans(platform: F1Platform, key: SessionKey) -> SessionScans:
    """The tables of a session as metrics look at them."""
    session = identity(key)
    lake = platform.lake
    return SessionScans(
        messages=lake.scan(F1_MESSAGES, session),
        laps=lake.scan(F1_LAPS, session),
        weather=lake.scan(F1_WEATHER, session),
        track_status=lake.scan(F1_TRACK_STATUS, session),
        race_control=lake.scan(F1_RACE_CONTROL, session),
        session_status=lake.scan(F1_SESSION_STATUS, session),
        neutralisations=lake.scan(F1_NEUTRALISATIONS, session),
        quarantine=lake.scan(F1_QUARANTINE, session),
        telemetry=lake.scan(F1_TELEMETRY, session),
        positions=lake.scan(F1_POSITIONS, session),
    )


def _built(platform: F1Platform, table: Table, key: SessionKey) -> Commit:
    commit = platform.lake.current(table, identity(key))
    if commit is None:
        raise NothingStoredOf(str(key), table.name)
    return commit

"""Where the domain's things are: tables, deliveries, records of sessions, reports.

Belongs here: opening all of it from the settings, the name of a session's partition, one writer of
a session at a time. Does not belong here: what is read or written (delivered.py, stages.py),
nothing of Dagster.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.settings import Settings
from ngsim_assets.storage import locks
from ngsim_assets.storage.parquet import ParquetStorage, WriteOptions


@dataclass(frozen=True)
class F1Platform:
    """Where a stage reads and writes, and how much it may take.

    Attributes:
        lake: the tables. store: what was delivered. reports: folder of report files.
        sessions: folder of what is known of each delivered session, a record each.
        catalog: DuckDB file with a view per table.
        run_id: recorded with every write.
        chunk_messages: messages of telemetry that are decoded at a time.
    """

    lake: ParquetStorage
    store: DownloadStore
    reports: Path
    sessions: Path
    catalog: Path
    run_id: str = "local"
    chunk_messages: int = 1_000


def open_f1(settings: Settings, run_id: str = "local") -> F1Platform:
    """The platform that `settings` describe; `run_id` is recorded with every write."""
    options = WriteOptions(
        compression=settings.compression,
        level=settings.compression_level,
        row_group_rows=settings.row_group_rows,
    )
    return F1Platform(
        lake=ParquetStorage(settings.lake, options),
        store=DownloadStore(settings.downloads),
        reports=settings.reports,
        sessions=settings.f1_sessions,
        catalog=settings.catalog,
        run_id=run_id,
    )


def identity(key: SessionKey) -> dict[str, str]:
    """The partition columns that name a session in every table."""
    return {"session": str(key)}


def report_folder(reports: Path, key: SessionKey) -> Path:
    """Where the report files of a session are."""
    return reports / "f1" / str(key)


@contextmanager
def alone(platform: F1Platform, key: SessionKey) -> Generator[None, None, None]:
    """Wait until nobody else writes a table of the session, and keep others waiting.

    Held by a stage from the moment it looks at its input until its output is live, and by a
    rollback from its first table to its last. Not reentrant.
    """
    with locks.alone(platform.lake.root, f"f1_{key}"):
        yield

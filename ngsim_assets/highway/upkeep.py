"""Looking after the lake: is everything as it was written, what is in the way, how big is it.

Belongs here: what is done to every table, in which order, and what came of it. Does not belong
here: how a table does it (storage), who asks for it (sensors.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model, sql_catalog
from ngsim_assets.highway.building import alone
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import write_report
from ngsim_assets.highway.stages import Platform
from ngsim_assets.highway.staleness import report_fault
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import sweep_temporaries
from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.parquet import Damage
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager

_ABANDONED = 3600.0
"""Seconds after which a temporary file's writer is dead: it writes a few kB."""


class DamageFound(NgsimAssetsError):
    """Live files of the lake that are not as they were written."""

    def __init__(self, damages: Sequence[Damage]) -> None:
        self.damages = tuple(damages)
        first = damages[0]
        others = f" (and {len(damages) - 1} more files)" if len(damages) > 1 else ""
        super().__init__(f"{first.path} {first.problem}{others}", first.fix)


@dataclass(frozen=True)
class TableUpkeep:
    """What upkeep found and did to one table.

    Attributes:
        damages: live files that are not as they were written.
        rows, files, live_bytes: of the current version; 0 where its log is damaged.
        versions, readable: how many there are, and how many of them can be read.
        history_bytes: of files of earlier versions only.
        swept: files that killed writers had left. vacuumed: files of versions past retention
            that were removed. freed_bytes: of both.
    """

    table: str
    damages: tuple[Damage, ...] = ()
    rows: int = 0
    files: int = 0
    live_bytes: int = 0
    versions: int = 0
    readable: int = 0
    history_bytes: int = 0
    swept: int = 0
    vacuumed: int = 0
    freed_bytes: int = 0

    def row(self) -> dict[str, int | str]:
        """For people and machines: the numbers in a line."""
        numbers: dict[str, int | str] = {
            name: value for name, value in vars(self).items() if isinstance(value, int)
        }
        return {"table": self.table, "damaged": len(self.damages), **numbers}

    def sentence(self) -> str:
        """For people: what there is to say."""
        said = [
            f"{value:,} {name.replace('_', ' ')}"
            for name, value in self.row().items()
            if isinstance(value, int) and value
        ]
        return f"{self.table}: {', '.join(said) or 'empty'}"


def upkeep(
    platform: Platform, settings: Settings, tell: Callable[[str], object] = lambda line: None
) -> list[TableUpkeep]:
    """Verify every live file, sweep, vacuum by retention, write reports and catalog anew.

    Args:
        tell: called with a line for each table that is done, and for each report.

    A report is written anew where its files are missing or of other metrics than are live.

    A table with damaged files is not vacuumed: an older version may be what mends it; and the
    catalog stays as it is, since its views could not be bound. Damage is part of the result and
    raises nothing. Raises DiskFull and ReadOnlyLake.
    """
    manager = DataVersionManager(platform.lake)
    sweep_records(platform, settings)
    done: list[TableUpkeep] = []
    for table in sql_catalog.shown(platform).values():
        done.append(_look_after(platform, settings, manager, table))
        tell(done[-1].sentence())
    if not damages_in(done):
        _mend_reports(platform, tell)
        sql_catalog.write(platform)
    return done


def _mend_reports(platform: Platform, tell: Callable[[str], object]) -> None:
    for partition in platform.lake.partitions(model.QUALITY_METRICS):
        key = PartitionKey(partition["highway_id"], partition["recording"])
        with alone(platform, key):
            metrics = platform.lake.current(model.QUALITY_METRICS, partition)
            problem = report_fault(platform, key, metrics) if metrics is not None else ""
            if problem:
                write_report(platform, key)
        if problem:
            tell(f"{key}: {problem}, written anew")


def sweep_records(platform: Platform, settings: Settings) -> list[Path]:
    """Remove what killed writers left outside the tables, and downloads that nobody needs."""
    removed = platform.landing.sweep()
    with suppress(DamagedRecord):  # then nothing goes; the next download tells of it and mends it
        removed += DownloadStore(settings.downloads).sweep().paths
    for folder in (platform.reports, settings.failures, settings.rollbacks):
        removed += sweep_temporaries(folder, older_than=_ABANDONED)
    return removed


def damages_in(tables: Sequence[TableUpkeep]) -> list[Damage]:
    """Every damage that upkeep found."""
    return [damage for table in tables for damage in table.damages]


def _look_after(
    platform: Platform, settings: Settings, manager: DataVersionManager, table: Table
) -> TableUpkeep:
    lake = platform.lake
    damages = tuple(lake.verify(table))
    try:
        swept, vacuumed, freed = len(lake.sweep(table)), 0, 0
        if not damages:
            removed = manager.vacuum(
                table, settings.keep_days, settings.keep_versions, run_id=platform.run_id
            )
            swept, vacuumed = swept + removed.leftovers, removed.files
            freed = removed.bytes + removed.leftover_bytes
        files = lake.files(table)
        use = manager.use(table)
    except DamagedFile as error:
        told = damages or (Damage(table.name, {}, error.path, error.reason, error.fix),)
        return TableUpkeep(table.name, told)
    return TableUpkeep(
        table=table.name,
        damages=damages,
        rows=sum(file.rows for file in files),
        files=len(files),
        live_bytes=use.live,
        versions=use.versions,
        readable=use.readable,
        history_bytes=use.history,
        swept=swept,
        vacuumed=vacuumed,
        freed_bytes=freed,
    )

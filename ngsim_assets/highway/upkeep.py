"""Looking after the lake: is everything as it was written, is anything in the way, how big is it.

Belongs here: what is done to every table, in which order, and what came of it. Does not belong
here: how a table does it (storage), who asks for it (sensors.py, the command line).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model
from ngsim_assets.highway.stages import Platform
from ngsim_assets.settings import Settings
from ngsim_assets.storage.catalog import write_catalog
from ngsim_assets.storage.parquet import Damage
from ngsim_assets.storage.schema import Table

Tell = Callable[[str], None]


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
        rows, files, bytes: live. damages: live files that are not as they were written.
        swept: files that killed writers had left. versions: that can be read.
        vacuumed, vacuumed_bytes: files of versions past retention that were removed.
    """

    table: str
    rows: int
    files: int
    bytes: int
    versions: int
    damages: tuple[Damage, ...]
    swept: int
    vacuumed: int
    vacuumed_bytes: int

    def row(self) -> dict[str, int | str]:
        """For people and machines: a line of numbers."""
        return {
            "table": self.table,
            "rows": self.rows,
            "files": self.files,
            "bytes": self.bytes,
            "versions": self.versions,
            "damaged": len(self.damages),
            "swept": self.swept,
            "vacuumed": self.vacuumed,
            "vacuumed_bytes": self.vacuumed_bytes,
        }


def upkeep(
    platform: Platform, settings: Settings, tell: Tell = lambda line: None
) -> list[TableUpkeep]:
    """Verify every live file, sweep, vacuum by retention, write the catalog anew.

    Args:
        tell: called with a line for each table that is done.

    A table with damaged files is not vacuumed: an older version may be what mends it. Damage is
    part of the result and raises nothing. Raises DiskFull and ReadOnlyLake.
    """
    tables: list[TableUpkeep] = []
    for table in model.TABLES.values():
        tables.append(_look_after(platform, settings, table))
        done = ", ".join(
            f"{value:,} {name}"
            for name, value in tables[-1].row().items()
            if value and name != "table"
        )
        tell(f"{table.name}: {done or 'empty'}")
    write_catalog(platform.catalog, platform.lake, model.TABLES.values())
    return tables


def damages_in(tables: Sequence[TableUpkeep]) -> list[Damage]:
    """Every damage that upkeep found."""
    return [damage for table in tables for damage in table.damages]


def _look_after(platform: Platform, settings: Settings, table: Table) -> TableUpkeep:
    damages = tuple(platform.lake.verify(table))
    swept = platform.lake.sweep(table)
    files = platform.lake.files(table)
    return TableUpkeep(
        table=table.name,
        rows=sum(file.rows for file in files),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        versions=len(platform.lake.history(table)),
        damages=damages,
        swept=len(swept),
        vacuumed=0,
        vacuumed_bytes=0,
    )

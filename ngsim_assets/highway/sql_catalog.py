"""The platform in SQL: the lake's tables, now or then, and listings of what was delivered.

Belongs here: what the catalog shows beside the lake, and which versions it was asked for. Does
not belong here: SQL itself (storage/catalog.py), how an answer is shown (questions.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import DeliveredFile, Record, Share
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.model import TABLES
from ngsim_assets.highway.stages import Platform
from ngsim_assets.storage import catalog
from ngsim_assets.storage.errors import NoSuchVersion
from ngsim_assets.storage.listings import Listing, typed
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager

if TYPE_CHECKING:
    import duckdb

_TIME = pl.Datetime("us", "UTC")
_DELIVERIES = {
    "name": pl.String(),
    "partition": pl.String(),
    "rows": pl.Int64(),
    "sha256": pl.String(),
    "size": pl.Int64(),
    "path": pl.String(),
    "member": pl.String(),
    "packed_sha256": pl.String(),
    "also_at": pl.List(pl.String()),
    "taken_in": _TIME,
    "same_rows_as": pl.String(),
}
_REJECTED = {
    "path": pl.String(),
    "member": pl.String(),
    "size": pl.Int64(),
    "modified": _TIME,
    "error": pl.String(),
    "problem": pl.String(),
    "fix": pl.String(),
}


class NoVersionNamed(NgsimAssetsError):
    """A text that names neither a time nor a version of a table."""

    exit_code = 2

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"{wanted!r} names no time and no version of a table",
            "give a time (2026-03-01T12:00, UTC), or TABLE@12, TABLE@v1.2.0, TABLE@-1",
        )


class NoSuchTable(NgsimAssetsError):
    """A name that no table has."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str] = TABLES) -> None:
        super().__init__(f"no table {name}", f"tables: {', '.join(known)}")


class NothingYet(NgsimAssetsError):
    """A time before anything was stored."""

    exit_code = 2

    def __init__(self, wanted: str, first: datetime | None) -> None:
        super().__init__(
            f"nothing was stored yet at {wanted}",
            f"the first table is of {first:%Y-%m-%dT%H:%M:%S} UTC"
            if first
            else "ngsim ingest FILE makes the tables",
        )


def shown(platform: Platform) -> dict[str, Table]:
    """Tables that the catalog has a view of: those of the highway, and of others in its lake."""
    return {**TABLES, **{table.name: table for table in platform.others}}


def ask(platform: Platform, sql: str, versions: Sequence[str] = ()) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that holds what `sql` names, of now or of `versions`.

    For `versions` see `as_of`.
    """
    tables = shown(platform)
    return catalog.connect(
        platform.lake,
        tables.values(),
        more=listings(platform.landing),
        at=as_of(platform.lake, versions, tables),
        sql=sql,
    )


def write(platform: Platform) -> None:
    """Write the catalog file of the platform anew; raises DiskFull, ReadOnlyLake."""
    catalog.write_catalog(
        platform.catalog,
        platform.lake,
        shown(platform).values(),
        more=listings(platform.landing),
    )


def as_of(
    lake: ParquetStorage, versions: Sequence[str], tables: Mapping[str, Table] = TABLES
) -> dict[str, tuple[Table, int]]:
    """The table and version behind each view that shows another than the current version.

    Args:
        versions: a time (every table as it was then), or TABLE@12, TABLE@v1.2.0, TABLE@-1,
            TABLE@TIME. Such a version is shown by two views, `TABLE` and `"TABLE@12"` as it was
            written; of several of one table the last has the plain name.
        tables: those that may be named.

    Raises NoVersionNamed, NoSuchTable, NoSuchVersion, NothingYet.
    """
    manager = DataVersionManager(lake)
    at: dict[str, tuple[Table, int]] = {}
    for wanted in versions:
        name, mark, version = wanted.partition("@")
        if not mark:
            at |= _all_at(manager, wanted, tables)
            continue
        if name not in tables:
            raise NoSuchTable(name, tables) if name else NoVersionNamed(wanted)
        table = tables[name]
        at[name] = at[wanted] = (table, manager.find(table, version).number)
    return at


def listings(landing: LandingZone) -> dict[str, Listing]:
    """Listings of what was delivered: `deliveries` and `rejected`."""
    return {"deliveries": lambda: _deliveries(landing), "rejected": lambda: _rejected(landing)}


def _all_at(
    manager: DataVersionManager, wanted: str, tables: Mapping[str, Table]
) -> Mapping[str, tuple[Table, int]]:
    try:
        datetime.fromisoformat(wanted)
    except ValueError:
        raise NoVersionNamed(wanted) from None
    found = {name: (table, _at(manager, table, wanted)) for name, table in tables.items()}
    if all(version == catalog.NOT_YET for _, version in found.values()):
        known = (manager.versions(table) for table in tables.values())
        raise NothingYet(wanted, min((made[-1].timestamp for made in known if made), default=None))
    return found


def _at(manager: DataVersionManager, table: Table, time: str) -> int:
    try:
        return manager.find(table, time).number
    except NoSuchVersion:
        return catalog.NOT_YET


def _deliveries(landing: LandingZone) -> pl.DataFrame:
    """A line for each partition in each live file, and for the rows of it that none took."""
    with landing.reading() as record:
        return typed([*_delivered(record)], _DELIVERIES)


def _delivered(record: Record) -> Iterator[dict[str, object]]:
    first: dict[tuple[str, Content], str] = {}
    for file in record.files:
        for partition, share in file.partitions.items():
            known = first.setdefault((partition, share.content), file.sha256)
            same = known if known != file.sha256 else None
            yield _line(record, file, share) | {"partition": partition, "same_rows_as": same}
        if file.unassigned is not None:
            yield _line(record, file, file.unassigned)


def _line(record: Record, file: DeliveredFile, share: Share) -> dict[str, object]:
    held, *others = file.claims
    return {
        "name": file.name,
        "rows": share.rows,
        "sha256": file.sha256,
        "size": file.size,
        "path": held.path,
        "member": held.member,
        "packed_sha256": held.sha256,
        "also_at": [claim.path for claim in others],
        "taken_in": _written(record.root / file.folder / part for part in share.parts),
    }


def _written(parts: Iterator[Path]) -> datetime | None:
    """When the rows were put into the landing zone, None if no file of them is there."""
    found = [part.stat().st_mtime for part in parts if part.exists()]
    return datetime.fromtimestamp(min(found), UTC) if found else None


def _rejected(landing: LandingZone) -> pl.DataFrame:
    rows = [
        {
            "path": entry.path,
            "member": entry.member,
            "size": entry.size,
            "modified": datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC),
            "error": entry.error,
            "problem": entry.problem,
            "fix": entry.fix,
        }
        for entry in landing.rejected()
    ]
    return typed(rows, _REJECTED)

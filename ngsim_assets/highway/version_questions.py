"""Which versions there are, what they take on the disk, and removing old ones: versions, vacuum.

Belongs here: how versions are asked for and shown. Does not belong here: what a version is and
what is kept (storage/versions.py, storage/retention.py), going back to one (rollback.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import sql_catalog, stages, upkeep
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.questions import AsJson, NoSuchRecording, table_named, whole_lake
from ngsim_assets.highway.stages import Platform
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.retention import Vacuumed, files_below
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager, TableVersion

TableName = Annotated[
    str | None, typer.Option("--table", help="One table only; without it, all of them.")
]

_RUN = 8
"""Characters of a run's id that are shown to people."""


class NotVacuumed(NgsimAssetsError):
    """Tables that a vacuum could not be done on; of those nothing was removed."""

    def __init__(self, tables: Sequence[str]) -> None:
        super().__init__(f"not vacuumed: {', '.join(tables)}", "the reasons are above")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module on `app`."""
    examples = {
        versions: "ngsim versions 'us-101|2005-06-15T0750' --table cleaned_trajectories",
        vacuum: "ngsim vacuum --keep-days 7 --keep-versions 3 --dry-run",
    }
    for command, example in examples.items():
        app.command(epilog=f"Example: {example}")(command)


def versions(
    context: typer.Context,
    key: Annotated[
        str | None,
        typer.Argument(help="Partition key; without one, versions of all recordings."),
    ] = None,
    table: TableName = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    storage: Annotated[
        bool, typer.Option("--storage", help="What each table takes on the disk instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Versions of the tables: what changed when, by which run, and whether it can still be read.

    v2.3.1: the second form of the columns, in it the third time that rows or columns were added,
    and since then one correction. Numbers count the changes of the whole table. Runs that came to
    the same rows make no version. Any of a version's names goes with ngsim query --version and
    ngsim rollback --to: v2.3.1, its number, @-1 for the one before the current, a time (UTC).

    Report files are not versioned, only the newest is kept; the metrics in them are:
    ngsim report KEY --compare @-1
    """
    platform = whole_lake(context)
    wanted = _tables(platform, table)
    if storage:
        _show_use(platform, wanted, as_json=as_json)
        return
    manager = DataVersionManager(platform.lake)
    found = _found(platform, manager, wanted, key)
    shown = found[:limit]
    if as_json:
        console.print_json([_for_machines(version) for version in shown])
        return
    console.print_table(f"Versions of {key or 'all recordings'}", [_row(one) for one in shown])
    if len(found) > limit:
        console.note(f"{len(found) - limit:,} older ones: --limit {len(found)}")


def vacuum(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be removed.")
    ] = False,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, help="Days that replaced versions stay; else NGSIM_KEEP_DAYS."),
    ] = None,
    keep_versions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Versions per partition that stay at any age; else NGSIM_KEEP_VERSIONS."
        ),
    ] = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Remove the files of versions that need not be readable any more, and leftovers.

    A version stays readable for as long as it is live, for some days after, and while it is among
    the newest of its partition. What a vacuumed version was stays on record. Delivered rows and
    report files are not touched.
    """
    settings = load_settings()
    days = settings.keep_days if keep_days is None else keep_days
    newest = settings.keep_versions if keep_versions is None else keep_versions
    platform = whole_lake(context, settings)
    manager = DataVersionManager(platform.lake)
    done: list[Vacuumed] = []
    failed: list[str] = []
    for one in _tables(platform, table):
        try:
            with console.working(f"vacuuming {one.name}"):
                done.append(manager.vacuum(one, days, newest, dry_run, run_id=platform.run_id))
        except NgsimAssetsError as error:
            failed.append(one.name)
            console.fail(error, debug=False)
    if table is None and not dry_run:
        upkeep.sweep_records(platform, settings)
    if as_json:
        console.print_json([asdict(one) for one in done])
    else:
        title = "Would be removed" if dry_run else "Removed"
        touched = [one for one in done if one.files or one.leftovers]
        console.print_table(title, [_removed(one) for one in touched])
        freed = sum(one.bytes + one.leftover_bytes for one in done)
        kept = f"{days:g} days and {newest} versions per partition are kept"
        console.note(f"{_size(freed)} {'would be freed' if dry_run else 'freed'}; {kept}")
    if failed:
        raise NotVacuumed(failed)


def _tables(platform: Platform, name: str | None) -> list[Table]:
    if name is None:
        return list(sql_catalog.shown(platform).values())
    return [table_named(platform, name)]


def _found(
    platform: Platform, manager: DataVersionManager, tables: Sequence[Table], key: str | None
) -> list[TableVersion]:
    """Versions of these tables, of one recording if there is a key, the newest first."""
    recording = stages.identity(PartitionKey.parse(key)) if key else None
    found = [
        version
        for table in tables
        if recording is None or recording.keys() <= set(table.identity)
        for version in manager.versions(table, recording)
    ]
    # of a recording that was never there, tables still tell of their columns
    if key and not any(version.rows or version.rows_before for version in found):
        raise NoSuchRecording(key, platform.landing.partitions())
    return sorted(found, key=lambda version: version.timestamp, reverse=True)


def _row(version: TableVersion) -> dict[str, object]:
    """A version's line for people."""
    difference = version.rows - version.rows_before
    return {
        "table": version.table,
        "version": version.semantic,
        "number": str(version.number),
        "time (UTC)": f"{version.timestamp:%Y-%m-%d %H:%M:%S}",
        "change": version.change,
        "partition": "|".join(version.partition.values()),
        "rows": version.rows,
        "±": f"{difference:+,}" if difference else "",
        "run": version.run_id[:_RUN],
        "code": version.code_version,
        "": _state(version),
    }


def _state(version: TableVersion) -> str:
    """Whether it can be read, in a word."""
    if version.readable:
        return "live" if version.live else ""
    return "live, damaged" if version.live else "vacuumed"


def _for_machines(version: TableVersion) -> dict[str, object]:
    return {**asdict(version), "timestamp": version.timestamp.isoformat()}


def _show_use(platform: Platform, tables: Sequence[Table], *, as_json: bool) -> None:
    manager = DataVersionManager(platform.lake)
    used = [manager.use(table) for table in tables]
    unversioned = {
        "landing": _bytes_below(platform.landing.root),
        "reports": _bytes_below(platform.reports),
    }
    if as_json:
        told = [{**asdict(use), "total": use.total} for use in used]
        console.print_json({"tables": told, "not versioned": unversioned})
        return
    console.print_table(
        "On the disk",
        [
            {
                "table": use.table,
                "live": _size(use.live),
                "history": _size(use.history),
                "leftovers": _size(use.leftovers),
                "log": _size(use.log),
                "all": _size(use.total),
                "versions": use.versions,
                "readable": use.readable,
            }
            for use in used
            if use.total
        ],
    )
    everything = sum(use.total for use in used)
    others = ", ".join(f"{name} {_size(size)}" for name, size in unversioned.items())
    console.note(f"lake {_size(everything)}; not versioned: {others}")


def _removed(vacuumed: Vacuumed) -> Mapping[str, object]:
    return {
        "table": vacuumed.table,
        "versions": len(vacuumed.versions),
        "files": vacuumed.files,
        "size": _size(vacuumed.bytes),
        "leftovers": vacuumed.leftovers,
        "their size": _size(vacuumed.leftover_bytes),
    }


def _bytes_below(folder: Path) -> int:
    return sum(size for _, size in files_below(folder))


def _size(size: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} B"

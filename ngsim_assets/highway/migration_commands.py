"""The command that brings tables of an earlier release to the columns of this one: migrate.

Belongs here: what is asked and how plan and result are shown. Does not belong here: the plan and
the migration (storage/migration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import sql_catalog
from ngsim_assets.highway.questions import table_named, whole_lake
from ngsim_assets.highway.stages import Platform
from ngsim_assets.storage.migration import Migrated, MigrationPlan, migrate, migration_plan
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table


class NameTheTable(NgsimAssetsError):
    """An option that loses something, without the table it is meant for."""

    exit_code = 2

    def __init__(self, option: str) -> None:
        super().__init__(
            f"{option} without a table", f"name the table it is meant for: migrate TABLE {option}"
        )


class NotMigrated(NgsimAssetsError):
    """Tables that are not as the model has them still."""

    def __init__(self, tables: Sequence[str]) -> None:
        super().__init__(f"{', '.join(tables)} cannot be migrated as asked", "see above")


def add_to(app: typer.Typer) -> None:
    """Register the command of this module on `app`."""
    app.command("migrate", epilog="Example: ngsim migrate cleaned_trajectories --dry-run")(
        migrate_tables
    )


def migrate_tables(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="Table; without one, every table.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, change nothing.")
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Column that only the lake has and that may go; may be repeated."),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start the table again, empty, in place of converting."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document for machines.")
    ] = False,
) -> None:
    """Bring tables of the lake to the columns and types of this release, each in one commit.

    New columns need no migration. What is renamed, wider, narrower or gone is rewritten file by
    file, and only if every value stays the same. Older versions stay readable as they were.
    """
    platform = whole_lake(context)
    wanted = _wanted(platform, table)
    if table is None and (drop or restart):
        raise NameTheTable("--restart" if restart else "--drop")
    plans = [(each, migration_plan(platform.lake, each)) for each in wanted]
    told: list[dict[str, object]] = []
    failed: list[str] = []
    for each, plan in plans:
        obstacles = [] if restart else plan.obstacles(drop or ())
        result = {**_summary(plan), "obstacles": obstacles, "migrated": False}
        if not as_json:
            _show(plan)
        if dry_run:
            failed += [each.name] if obstacles else []
            for obstacle in obstacles:
                console.note(f"in the way: {obstacle}")
        else:
            try:
                done = _migrate(platform.lake, each, drop or (), restart=restart)
            except NgsimAssetsError as error:
                failed.append(each.name)
                console.fail(error, debug=False)
            else:
                result |= {"migrated": done.changed, "version": done.version, "rows": done.rows}
                result["restarted"] = done.restarted
                if done.changed:
                    console.note(_sentence(done))
        told.append(result)
    if as_json:
        console.print_json(told)
    elif not any(plan.changes or plan.folders for _, plan in plans):
        console.note("every table that there is has the columns of this release")
    if failed:
        raise NotMigrated(failed)


def _wanted(platform: Platform, name: str | None) -> list[Table]:
    if name is None:
        return list(sql_catalog.shown(platform).values())
    return [table_named(platform, name)]


def _migrate(lake: ParquetStorage, table: Table, drop: Sequence[str], *, restart: bool) -> Migrated:
    with console.step_progress() as progress:
        task = progress.add_task(f"migrating {table.name}", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return migrate(lake, table, drop=drop, restart=restart, run_id="migrate", progress=show)


def _show(plan: MigrationPlan) -> None:
    if plan.changes:
        console.print_table(
            plan.table,
            [
                {
                    "column": step.column,
                    "action": step.action,
                    "lake": step.before,
                    "model": step.after,
                    "why": step.why,
                }
                for step in plan.changes
            ],
        )
    if plan.folders:
        console.note(f"{plan.table}: {plan.folders}")
    if plan.is_needed:
        console.note(f"{plan.table}: {plan.files:,} files, {plan.bytes / 1e6:,.1f} MB to rewrite")
    for column, count in plan.nulls.items():
        console.note(
            f"{plan.table}: {column} holds {count:,} nulls and the model allows none; they stay"
            " until their recordings are built again: ngsim build --force"
        )


def _summary(plan: MigrationPlan) -> dict[str, object]:
    return {
        "table": plan.table,
        "version": plan.version,
        "needed": plan.is_needed,
        "steps": [step.record() for step in plan.steps],
        "folders": plan.folders,
        "nulls": dict(plan.nulls),
        "files": plan.files,
        "bytes": plan.bytes,
    }


def _sentence(done: Migrated) -> str:
    table = done.plan.table
    if done.restarted:
        return f"{table}: empty from version {done.version} on; ngsim build --force fills it again"
    if not done.plan.is_needed:
        return f"{table}: version {done.version} has the new columns; no file was rewritten"
    return (
        f"{table}: {done.rows:,} rows of {done.partitions:,} partitions in version {done.version}"
    )

"""Questions to the platform about itself: `ngsim status` and `ngsim verify`.

Belongs here: what is asked of whom, and how the answers are shown. Does not belong here: what is
out of date (staleness.py), what is damaged (verification.py), how big anything is (storage).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ngsim_assets import console
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.automation import failures
from ngsim_assets.highway import (
    health,
    incoming,
    overview,
    rollback,
    sql_catalog,
    stages,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.questions import AsJson, known_recording, table_named, whole_lake
from ngsim_assets.highway.staleness import Standing
from ngsim_assets.highway.verification import DamageFound, to_verify
from ngsim_assets.observability.health import Check
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.versions import DataVersionManager

_SHOWN = 20
"""Files named of one kind; --json names all."""


Daemon = Callable[[Settings], Check]
"""Tells whether Dagster's daemon lives."""


def add_to(app: typer.Typer, daemon: Daemon) -> None:
    """Register the commands of this module on `app`."""

    @app.command(epilog="Example: ngsim status --json")
    def status(context: typer.Context, as_json: AsJson = False) -> None:
        """What is stored and out of date and why, what failed, which files wait, what it all takes.

        First what must hold for anything to be done: the disk, the daemon, the hosts that data
        comes from. Damage is noticed as far as it can be without reading: files that are missing
        or of another size. ngsim verify reads everything.
        """
        settings = load_settings()
        _status(whole_lake(context, settings), settings, daemon, as_json=as_json)

    app.command(epilog="Example: ngsim verify 'us-101|2005-06-15T0750'")(verify)


def _status(
    platform: stages.Platform, settings: Settings, daemon: Daemon, *, as_json: bool
) -> None:
    recordings = _recordings(platform)
    failed = failures.standing(settings)
    unfinished = rollback.unfinished(settings)
    waiting = _incoming(settings)
    rejected = [asdict(entry) for entry in platform.landing.rejected()]
    manager = DataVersionManager(platform.lake)
    storage = [
        {"table": table.name, **asdict(manager.use(table))}
        for table in sql_catalog.shown(platform).values()
    ]
    disk, breakers = health.disk(settings), health.breakers(settings)
    platform_itself = (disk, daemon(settings), breakers, health.downloads(settings))
    if as_json:
        console.print_json(
            {
                "data": str(settings.data.resolve()),
                "disk_free_bytes": disk.data["free_bytes"],
                **{check.name: check.summary() for check in platform_itself},
                "recordings": recordings,
                "summary_is_current": overview.summary_is_current(platform),
                "failed_builds": [failure.summary() for failure in failed],
                "unfinished_rollbacks": [asdict(plan) for plan in unfinished],
                "incoming": waiting,
                "rejected_files": rejected,
                "storage": storage,
            }
        )
        return
    console.note(f"data: {settings.data.resolve()}")
    for check in platform_itself:
        console.note(_told(check))
    console.print_table("Recordings", [_counts(row) for row in recordings])
    if stale := [_why_stale(row) for row in recordings if row["stale"] or row["held"]]:
        console.print_table("Out of date, or held", stale)
    for plan in unfinished:
        console.note(f"a rollback of {plan.key} stopped half-way; finish it: {plan.command}")
    if not overview.summary_is_current(platform):
        console.note("corpus_summary is out of date: ngsim build")
    if failed:
        console.print_table("Failed builds", [_failed(failure) for failure in failed])
    _show_incoming(waiting)
    if rejected:
        console.print_table("Rejected files", [_rejected(entry) for entry in rejected[:_SHOWN]])
        if len(rejected) > _SHOWN:
            console.note(f"and {len(rejected) - _SHOWN:,} more of these: --json")
    if any(row["versions"] for row in storage):
        there = [row for row in storage if row["versions"]]
        console.print_table("Storage", [_in_megabytes(row) for row in there])


def verify(
    context: typer.Context,
    key: Annotated[
        str | None, typer.Argument(help="Partition key; none: everything.", show_default=False)
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read everything that is stored and compare its hashes; changes nothing.

    Live files of the tables by SHA-256, delivered rows in the landing zone by their content hash,
    reports by whether they are of the stored metrics, downloads by SHA-256. With each damage goes
    the command that mends it. The exit code is 1 where anything is damaged.
    """
    settings = load_settings()
    platform = whole_lake(context, settings)
    if table is not None:
        table_named(platform, table)
    wanted = None if key is None else known_recording(settings, key)
    parts = to_verify(platform, DownloadStore(settings.downloads), wanted, table)
    faults = []
    with console.file_progress() as progress:
        task = progress.add_task("verifying", total=sum(part.bytes for part in parts))
        for part in parts:
            progress.update(task, description=part.name)
            faults += part.faults()
            progress.update(task, advance=part.bytes)
    read = sum(part.bytes for part in parts)
    if as_json:
        console.print_json({"bytes_read": read, "damages": [fault.row() for fault in faults]})
    else:
        for fault in faults:
            place = f"{fault.where} {fault.recording}".strip()
            console.out.print(
                f"{place}: {fault.path}: {fault.problem}", markup=False, soft_wrap=True
            )
            console.out.print(f"  mend it: {fault.fix}", markup=False, soft_wrap=True)
    if faults:
        raise DamageFound(len(faults))
    console.note(f"all is as it was written ({read / 1e6:,.1f} MB read)")


def _recordings(platform: stages.Platform) -> list[dict[str, Any]]:
    keys = [PartitionKey.parse(key) for key in platform.landing.partitions()]
    live = overview.LiveTables(platform)
    summaries = overview.recording_summaries(platform, keys, live)
    found = overview.standings_of(platform, keys, live)
    successes = health.last_success(found)
    return [
        {
            **summaries[key],
            "stale": [standing.table.name for standing in found[key] if standing.reasons],
            "why": _why(found[key]),
            "held": [standing.table.name for standing in found[key] if standing.held],
            "last_success": successes[str(key)],
        }
        for key in keys
    ]


def _why(found: Sequence[Standing]) -> list[dict[str, str]]:
    return [
        {"table": standing.table.name, "why": reason.why, "told": reason.told}
        for standing in found
        for reason in standing.reasons
    ]


def _counts(row: dict[str, Any]) -> dict[str, Any]:
    hidden = {"stale", "why", "held", "last_success"}
    shown = {name: value for name, value in row.items() if name not in hidden}
    newest = max((str(told["time"]) for told in row["last_success"].values()), default="")
    return {**shown, "last built (UTC)": newest.removesuffix("+00:00").replace("T", " ")}


def _told(check: Check) -> str:
    """A check's line: its status stands in front where it is not well."""
    return f"{check.name}: {'' if check.status == 'ok' else f'{check.status}: '}{check.detail}"


def _why_stale(row: dict[str, Any]) -> dict[str, Any]:
    """A recording's line: what is out of date and why, in one cell."""
    roots = [entry for entry in row["why"] if entry["why"] not in {"follows", "missing"}]
    told = [f"{entry['table']}: {entry['told']}" for entry in roots[:3]]
    missing = [entry["table"] for entry in row["why"] if entry["why"] == "missing"]
    if missing:
        told.append(f"not built: {', '.join(missing)}")
    return {
        "recording": row["recording"],
        "out of date": "; ".join(told),
        "held by a rollback": ", ".join(row["held"]),
    }


def _incoming(settings: Settings) -> dict[str, Any]:
    # a folder that nobody has made yet is an empty one
    there = settings.incoming_folder.exists()
    seen = incoming.changes(settings) if there else incoming.Changes()
    return {
        "folder": str(settings.incoming_folder.resolve()),
        "ready": [str(path) for path in seen.ready],
        "settling": [str(path) for path in seen.settling],
        "times_in_the_future": sorted(seen.unsure),
        "gone": [str(path) for path in seen.gone],
        "known": seen.known,
        "unreadable_folders": [str(path) for path in seen.unreadable],
        "notes": list(seen.notes),
    }


def _show_incoming(waiting: dict[str, Any]) -> None:
    for what, told in (
        ("ready", "waits to be taken in: ngsim ingest"),
        ("settling", "is still being written"),
        ("times_in_the_future", "has a time in the future"),
        ("gone", "is gone; its rows are kept"),
        ("unreadable_folders", "cannot be looked into"),
    ):
        files = waiting[what]
        for path in files[:_SHOWN]:
            console.note(f"{path} {told}")
        if len(files) > _SHOWN:
            console.note(f"and {len(files) - _SHOWN:,} more of these")
    for note in waiting["notes"]:
        console.note(note)


def _in_megabytes(row: dict[str, Any]) -> dict[str, Any]:
    sizes = ("live", "history", "leftovers", "log")
    shown = {name: value for name, value in row.items() if name not in sizes}
    return {**shown, **{f"{name}, MB": round(row[name] / 1e6, 2) for name in sizes}}


def _failed(failure: failures.Failure) -> dict[str, Any]:
    return {
        "recording": failure.recording or "all",
        "step": failure.step,
        "attempts": failure.attempts,
        "time (UTC)": f"{failure.time:%Y-%m-%d %H:%M:%S}",
        "cause": failure.cause,
    }


def _rejected(entry: dict[str, Any]) -> dict[str, Any]:
    """A refused file's line: where it lies now, and what is wrong without its name once more."""
    return {
        "path": entry["aside"] or entry["path"],
        "member": entry["member"],
        "problem": entry["problem"].removeprefix(entry["path"]).lstrip(":, "),
        "fix": entry["fix"],
    }

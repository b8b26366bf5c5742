"""Questions to what is stored of sessions: sessions, report, export, versions, verify.

Belongs here: commands that read tables and reports, and how the answer is shown. Does not belong
here: what is known of a session (overview.py), commands that build (commands.py).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1 import overview
from ngsim_assets.f1.arrival.holdings import held_of
from ngsim_assets.f1.errors import F1Error
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, identity, open_f1, report_folder
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.quality.report import DataQualityReport, limit_text, shown, verdict_text
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import writing
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager, TableVersion

SessionText = Annotated[
    str,
    typer.Argument(
        metavar="SESSION", help="Key of a session, for example 2025-05-03_miami_sprint."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
TableName = Annotated[
    str | None,
    typer.Option("--table", help="One table only, for example f1_laps; without it, all of them."),
]
Form = Literal["csv", "json"]

_RUN = 8
"""Characters of a run's id that are shown to people."""


class DamageFound(F1Error):
    """Something that is stored of sessions is not as it was written."""

    def __init__(self, found: int) -> None:
        files = "1 file is" if found == 1 else f"{found} files are"
        super().__init__(f"{files} not as written", "each is named above, with what mends it")


class NotUpToDate(F1Error):
    """Sessions that are not what would be built of their files now."""

    def __init__(self, late: int, total: int) -> None:
        super().__init__(f"{late} of {total} sessions are not up to date", "ngsim f1 build")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module on `app`."""
    key = "2025-05-03_miami_sprint"
    examples = {
        sessions: "ngsim f1 sessions --json",
        report: f"ngsim f1 report {key} --html miami.html",
        export: f"ngsim f1 export {key} --table f1_laps --format csv --output laps.csv",
        versions: f"ngsim f1 versions {key} --table f1_laps",
        verify: f"ngsim f1 verify {key}",
    }
    for command, example in examples.items():
        app.command(epilog=f"Example: {example}")(command)


def sessions(
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 where a session is not up to date.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sessions that are held: rows of each, score of its report, whether it is up to date."""
    platform = open_f1(load_settings())
    with console.working("reading what is stored"):
        found = overview.standings(platform, overview.known_sessions(platform))
    if as_json:
        console.print_json([standing.summary() for standing in found])
    else:
        console.print_table("Sessions", [standing.row() for standing in found])
        if not found:
            console.note("hand over files by ngsim f1 ingest PATH, or ngsim f1 historical 2025")
    late = sum(not standing.up_to_date for standing in found)
    if check and late:
        raise NotUpToDate(late, len(found))


def report(
    session: SessionText,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option(help="Print the report as Markdown.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
) -> None:
    """Where the quality report of a session is, and what it says in short."""
    platform = open_f1(load_settings())
    key = overview.known_session(platform, session)
    stored = overview.stored_report(platform, key)
    page = report_folder(platform.reports, key) / "report.html"
    if html is not None:
        with writing(html):
            write_atomically(html, page.read_bytes())
        console.note(f"report: {html.resolve()}")
    if as_json:
        console.print_json(stored.model_dump(mode="json"))
    elif markdown:
        typer.echo(stored.to_markdown())
    elif html is None:
        _show(stored)
        console.note(f"report: {page.resolve()}")
        console.note(f"every metric: ngsim f1 report {key} --markdown, or --json")


def export(
    session: SessionText,
    table: TableName = None,
    form: Annotated[Form, typer.Option("--format", help="Form of the files.")] = "csv",
    output: Annotated[
        Path | None,
        typer.Option(
            help="File of one table, folder of all; without it standard output, or a folder that "
            "is named after the session."
        ),
    ] = None,
) -> None:
    """Write what the tables hold of a session as CSV or JSON, a file per table.

    CSV has lists as JSON text, a null as an empty field and an empty text as "". JSON has a list
    of rows.
    """
    from ngsim_assets.f1.export import export as write

    platform = open_f1(load_settings())
    key = overview.known_session(platform, session)
    if table is not None:
        one = overview.table_named(table)
        if output is None:
            with tempfile.TemporaryDirectory(prefix="ngsim-export-") as folder:
                path = Path(folder) / one.name
                write(platform.lake, one, key, path, form)
                with path.open() as written:
                    shutil.copyfileobj(written, sys.stdout)
            return
        with writing(output), console.working(f"writing {output.name}"):
            make_folder(output.parent)
            rows = write(platform.lake, one, key, output, form)
        console.note(f"{output}: {rows:,} rows")
        return
    folder = output or Path(str(key))
    with console.step_progress() as progress:
        task = progress.add_task("exporting", total=len(TABLES))
        for one in TABLES:
            progress.update(task, description=one.name)
            path = folder / f"{one.name}.{form}"
            with writing(path):
                make_folder(folder)
                rows = write(platform.lake, one, key, path, form)
            progress.update(task, advance=1)
            console.note(f"{path}: {rows:,} rows")


def versions(
    session: SessionText,
    table: TableName = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Versions of a session's tables: what changed when, by which run, can it still be read.

    Names of versions are as in ngsim versions, which has those of all sessions. Any of them goes
    with ngsim query --version and ngsim f1 rollback --to.
    """
    platform = open_f1(load_settings())
    key = overview.known_session(platform, session)
    wanted = TABLES if table is None else (overview.table_named(table),)
    manager = DataVersionManager(platform.lake)
    with console.working("reading the logs"):
        found = sorted(
            (version for one in wanted for version in manager.versions(one, identity(key))),
            key=lambda version: version.timestamp,
            reverse=True,
        )
    if as_json:
        told = [{**asdict(one), "timestamp": one.timestamp.isoformat()} for one in found[:limit]]
        console.print_json(told)
        return
    console.print_table(f"Versions of {key}", [_row(one) for one in found[:limit]])
    if len(found) > limit:
        console.note(f"{len(found) - limit:,} older ones: --limit {len(found)}")


def verify(
    session: Annotated[
        str | None,
        typer.Argument(metavar="SESSION", help="Key of a session; none: all.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read what is stored of sessions and compare its hashes; changes nothing.

    Live files of the tables by SHA-256, delivered files by theirs, reports by whether they are of
    the stored metrics. With each damage goes what mends it. ngsim verify does all of that for
    everything else, too. The exit code is 1 where anything is damaged.
    """
    platform = open_f1(load_settings())
    keys = (
        overview.known_sessions(platform)
        if session is None
        else [overview.known_session(platform, session)]
    )
    faults: list[dict[str, str]] = []
    with console.step_progress() as progress:
        task = progress.add_task("verifying", total=len(keys) * (len(TABLES) + 2))
        for key in keys:
            for table in TABLES:
                progress.update(task, description=f"{key} {table.name}", advance=1)
                faults += _faults(platform, table, key)
            progress.update(task, description=f"{key} files", advance=1)
            faults += _file_faults(platform, key)
            problem = overview.report_fault(platform, key)
            if problem:
                folder = report_folder(platform.reports, key)
                faults.append(_fault("report", key, folder, problem, f"ngsim f1 build {key}"))
            progress.update(task, advance=1)
    if as_json:
        console.print_json({"sessions": [str(key) for key in keys], "damages": faults})
    else:
        for fault in faults:
            told = f"{fault['where']} {fault['session']}: {fault['path']}: {fault['problem']}"
            console.out.print(told, markup=False, soft_wrap=True)
            console.out.print(f"  mend it: {fault['fix']}", markup=False, soft_wrap=True)
    if faults:
        raise DamageFound(len(faults))
    console.note(f"{len(keys)} sessions are as they were written")


def _faults(platform: F1Platform, table: Table, key: SessionKey) -> Iterable[dict[str, str]]:
    for damage in platform.lake.verify(table, identity(key)):
        yield _fault(table.name, key, damage.path, damage.problem, damage.fix)


def _file_faults(platform: F1Platform, key: SessionKey) -> Iterable[dict[str, str]]:
    """Delivered files that are gone, or not those that came."""
    from ngsim_assets.acquisition.objects import damage_of

    try:
        held = held_of(platform.store, key)
    except NgsimAssetsError as error:
        yield _fault("files", key, platform.store.manifests, error.problem, error.fix)
        return
    feeds = [file.artifact for file in (*held.feeds, *held.copies)]
    for artifact in (*feeds, *held.historical, *held.forecasts):
        damage = damage_of(artifact.path)
        if damage is not None:
            problem = f"its SHA-256 is not the one it is named for: {damage.found}"
            fix = f"rm -r {artifact.path.parent}; hand it over or fetch it again: {artifact.url}"
            yield _fault("files", key, artifact.path, problem, fix)


def _fault(where: str, key: SessionKey, path: Path, problem: str, fix: str) -> dict[str, str]:
    return {
        "where": where,
        "session": str(key),
        "path": str(path),
        "problem": problem,
        "fix": fix,
    }


def _show(report: DataQualityReport) -> None:
    """The finding, the score and the limits; the report has the rest."""
    for text in (report.title, report.summary, report.scores, report.verdict):
        if text:
            console.out.print(text, markup=False)
    console.print_table(
        "Limits",
        [
            {
                "metric": metric.name,
                "value": shown(metric.raw, metric.unit),
                "unit": metric.unit,
                "limit": limit_text(metric),
                "": verdict_text(metric),
            }
            for section in report.sections
            for metric in section.metrics
            if metric.limit is not None
        ],
    )


def _row(version: TableVersion) -> dict[str, object]:
    """A version's line for people."""
    difference = version.rows - version.rows_before
    damaged = "live, damaged" if version.live else "vacuumed"
    return {
        "table": version.table,
        "version": version.semantic,
        "number": str(version.number),
        "time (UTC)": f"{version.timestamp:%Y-%m-%d %H:%M:%S}",
        "change": version.change,
        "rows": version.rows,
        "±": f"{difference:+,}" if difference else "",
        "run": version.run_id[:_RUN],
        "": ("live" if version.live else "") if version.readable else damaged,
    }

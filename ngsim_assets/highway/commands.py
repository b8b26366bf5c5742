"""Commands of the highway that read files and tables: no Dagster in here.

Belongs here: what a user asks for and how the answer is shown. Does not belong here: how it is
computed; each command is a few lines around the stages, the lake and the catalog.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import TaskID

from ngsim_assets import console
from ngsim_assets.highway import (
    incoming,
    intake,
    lineage_questions,
    measuring,
    migration_commands,
    model,
    questions,
    report_questions,
    reporting,
    scores,
    serve_command,
    stages,
    status_questions,
    version_questions,
)
from ngsim_assets.highway.arrival.intake_results import Intake, IntakeProgress, Rejected
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.simulation.write_source import LayoutName
from ngsim_assets.settings import Settings, load_settings

Key = Annotated[str, typer.Argument(help="Partition key, for example us-101|2005-06-15T0750.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]


# the command says what a user calls the file, the layouts say what FHWA calls the form
_LAYOUTS: Mapping[str, LayoutName] = {
    "txt": "text",
    "csv": "csv",
    "export": "export",
    "api": "api",
}


def add_to(app: typer.Typer, daemon: status_questions.Daemon) -> None:
    """Register the commands of this module on `app`; `daemon` tells whether Dagster's lives."""
    app.command(epilog="Example: ngsim simulate us101.txt --format txt --minutes 15")(simulate)
    app.command(epilog="Example: ngsim check trajectories-0750am-0805am.txt")(check)
    report_questions.add_to(app)
    questions.add_to(app)
    status_questions.add_to(app, daemon)
    serve_command.add_to(app, daemon)
    lineage_questions.add_to(app)
    scores.add_to(app)
    migration_commands.add_to(app)
    version_questions.add_to(app)


def take_in(
    settings: Settings,
    paths: Sequence[Path] | None,
    highway: str | None = None,
    recording: str | None = None,
    *,
    measured: bool = True,
) -> tuple[list[Intake], int]:
    """Take files into the landing zone with a progress bar; what came in, and how many failed.

    Without `paths` those that wait in the incoming folder. Rows of no recording go to quarantine
    at once.

    Args:
        measured: whether it counts for the metrics.
    """
    platform = stages.open_platform(settings)
    taken: list[Intake] = []
    failed = 0
    source = measuring.COMMAND_LINE if paths else measuring.INCOMING
    measuring_it = measuring.taking_in(settings, source) if measured else nullcontext(iter)
    with measuring_it as watched, console.file_progress() as progress:
        bars: dict[tuple[Path, str], TaskID] = {}

        def show(seen: IntakeProgress) -> None:
            bar = bars.get((seen.path, seen.name))
            if bar is None:
                bar = progress.add_task(seen.name, total=seen.bytes_total)
                bars[seen.path, seen.name] = bar
            progress.update(bar, completed=seen.bytes_done)

        results = (
            intake.take_in_all(
                paths, platform.landing, highway=highway, recording=recording, progress=show
            )
            if paths
            else incoming.load(platform, settings, progress=show, on_wait=console.note)
        )
        for result in watched(results):
            if isinstance(result, Rejected):
                failed += 1
                console.fail(result.error, debug=False)
                if result.aside is not None:
                    console.note(f"moved to {console.shown_path(result.aside)}")
                continue
            if isinstance(result, Intake):
                taken.append(result)
            console.note(result.sentence())
    stages.store_unassigned(platform)
    return taken, failed


def simulate(
    path: Annotated[Path, typer.Argument(help="File to write.")],
    layout: Annotated[
        Literal["txt", "csv", "export", "api"], typer.Option("--format", help="Kind of file.")
    ] = "txt",
    highway: Annotated[str, typer.Option(help="Site: us-101 or i-80.")] = "us-101",
    minutes: Annotated[float, typer.Option(help="Length of the recording.")] = 15.0,
    seed: Annotated[int, typer.Option(help="Same seed, same file.")] = 1,
    congestion: Annotated[
        Literal["free", "moderate", "congested"], typer.Option(help="How dense the traffic is.")
    ] = "moderate",
    noise: Annotated[
        Literal["none", "white", "correlated", "hand-over", "light", "ngsim", "severe"],
        typer.Option(help="How the cameras err."),
    ] = "ngsim",
    faults: Annotated[
        float, typer.Option(help="Share of rows made faulty; labels are written beside.")
    ] = 0.0,
) -> None:
    """Write a simulated recording as NGSIM would have delivered it, with the truth beside it.

    FILE.truth.parquet holds the exact trajectories, FILE.labels.parquet the injected faults.
    """
    from ngsim_assets.highway.simulate import Scenario, simulate_to

    scenario = Scenario(
        highway_id=highway, minutes=minutes, congestion=congestion, noise=noise, seed=seed
    )
    with console.working(f"simulating {minutes:g} min of {highway}"):
        written = simulate_to(path, scenario, layout=_LAYOUTS[layout], faults=faults)
    console.note(f"{console.shown_path(path)}: {written.rows:,} rows")


def simulate_demo(settings: Settings, *, minutes: float, seed: int, faults: float) -> Path:
    """The demo's file: congested traffic on US-101 with labelled faults, as delivered in 2005."""
    path = settings.data / "incoming" / "trajectories-0750am-0805am.txt"
    simulate(path, minutes=minutes, seed=seed, faults=faults)
    return path


def show_demo(settings: Settings, keys: Sequence[PartitionKey]) -> None:
    """What the demo made: a line per table, the rules that fired, where the report is."""
    platform = stages.open_platform(settings)
    for key in keys:
        console.print_table(
            f"Tables of {key}",
            [
                {
                    "table": table.name,
                    "rows": reporting.rows_of(platform, table, key),
                    "what": table.description,
                }
                for table in model.TABLES.values()
                if table.partition_by
            ],
        )
        console.print_table(
            "Quarantined rows by rule",
            [{"rule": r, "rows": n} for r, n in reporting.reason_rows(platform, key).items()],
        )
        report_file = (reporting.report_folder(settings.reports, key) / "report.html").resolve()
        console.out.print(f"report: {report_file}", markup=False, soft_wrap=True)


def check(
    file: Annotated[Path, typer.Argument(help="File or archive to look at.")],
    highway: Annotated[str | None, typer.Option(help="Site, if the file names none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate a file without storing anything: recordings, rows, and every rule broken."""
    with tempfile.TemporaryDirectory(prefix="ngsim-check-") as folder:
        settings = load_settings(data=Path(folder))
        taken, failed = take_in(settings, [file], highway, None, measured=False)
        opened = stages.open_platform(settings)
        keys = sorted({key for result in taken for key in result.keys})
        counts = {key: _judged(opened, key) for key in keys}
        reasons = {key: reporting.reason_rows(opened, key) for key in keys}
    if as_json:
        console.print_json(
            {
                "file": str(file),
                "files": [result.summary() for result in taken],
                "recordings": [{**counts[key], "reasons": reasons[key]} for key in keys],
            }
        )
    else:
        for key in keys:
            console.print_table(f"Rows of {key}", [counts[key]])
            console.print_table(
                "Refused by rule", [{"rule": rule, "rows": n} for rule, n in reasons[key].items()]
            )
    if failed:
        raise typer.Exit(1)


def _judged(platform: stages.Platform, key: PartitionKey) -> dict[str, object]:
    stages.store_raw(platform, key)
    valid, refused = stages.store_validated(platform, key)
    return {
        "recording": str(key),
        "rows": valid.rows + refused.rows,
        "passed": valid.rows,
        "refused": refused.rows,
    }

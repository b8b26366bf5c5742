"""The `ngsim` command: what the daemon does by itself, by hand; and questions to the tables.

Belongs here: the application, how it fails, and the commands that run the asset graph. Does not
belong here: how it is run (runs.py), commands that only read files and tables, which live with
their domain (highway/commands.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from ngsim_assets import __version__, console, runs, session_runs
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1 import command_line as f1
from ngsim_assets.f1 import tables as f1_tables
from ngsim_assets.highway import (
    commands,
    download_commands,
    gallery,
    overview,
    traffic_questions,
    watching,
)
from ngsim_assets.highway import rollback as going_back
from ngsim_assets.highway.arrival.intake_results import Intake
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.questions import AsJson, Key, known_recording
from ngsim_assets.highway.stages import Platform, open_platform, store_unassigned
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.errors import writing

app = typer.Typer(
    name="ngsim",
    help="Vehicle trajectories: raw recordings in, trustworthy, versioned, queryable tables out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
commands.add_to(app, runs.daemon)
gallery.add_to(app)
traffic_questions.add_to(app)
app.add_typer(f1.application(session_runs))

Paths = Annotated[
    list[Path], typer.Argument(help="Files, archives or folders of NGSIM data.", show_default=False)
]
MaybePaths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files, archives or folders of NGSIM data; none: the incoming folder.",
        show_default=False,
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Argument(help="Partition keys; none: all recordings.", show_default=False),
]
Force = Annotated[bool, typer.Option(help="Rebuild also what is up to date.")]
TableName = Literal[
    "raw_trajectories",
    "validated_points",
    "quarantine",
    "cleaned_trajectories",
    "trajectory_segments",
    "traffic_state",
    "quality_metrics",
]
Highway = Annotated[
    str | None,
    typer.Option(help="Site of files that do not name one, for example us-101."),
]
Recording = Annotated[
    str | None,
    typer.Option(help="Recording of files that hold one, for example 2005-06-15T0750."),
]


class SomeFailed(NgsimAssetsError):
    """Part of what was asked for could not be done; the rest was."""

    def __init__(self, what: str, failed: int, total: int) -> None:
        super().__init__(f"{failed} of {total} {what} failed", "each is named above")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _application(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print it.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    del debug, version  # main() looks for the first itself, since usage errors come before this


@app.command(epilog="Example: ngsim init")
def init() -> None:
    """Create the data folder and Dagster's instance, safely also when several start at once."""
    settings = load_settings()
    with writing(settings.data):
        settings.data.mkdir(parents=True, exist_ok=True)
    with runs.open_instance(settings):
        watching.provide_folder(settings)
    console.note(f"data: {settings.data.resolve()}")
    console.note(f"put files into: {settings.incoming_folder.resolve()}")
    console.note(f"DAGSTER_HOME: {os.environ['DAGSTER_HOME']}")


@app.command(epilog="Example: ngsim register trajectories-0750am-0805am.txt")
def register(
    paths: Paths, highway: Highway = None, recording: Recording = None, as_json: AsJson = False
) -> None:
    """Take files in and register their recordings as partitions; prints the partition keys.

    Files are read once into the landing zone. Then, for each key printed:
    dagster asset materialize -m ngsim_assets.definitions --select '*' --partition KEY
    """
    settings = load_settings()
    taken, failed = commands.take_in(settings, paths, highway, recording)
    with runs.open_instance(settings) as instance:
        runs.register(settings, instance)
    if as_json:
        console.print_json([intake.summary() for intake in taken])
    else:
        for key in _keys_of(taken):
            typer.echo(str(key))
    if failed:
        raise SomeFailed("files", failed, failed + len(taken))


@app.command(epilog="Example: ngsim ingest trajectories-0750am-0805am.txt rows.csv")
def ingest(
    paths: MaybePaths = None,
    highway: Highway = None,
    recording: Recording = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Take files in and build every table and report of the recordings that changed.

    Without files: take in what waits in the incoming folder (NGSIM_INCOMING, below the data folder
    by default), as the daemon does, and build whatever is out of date. A file there that cannot
    be taken in is moved aside, with the reason beside it; files given by name stay where they are.
    """
    settings = load_settings()
    if not paths and (highway or recording):
        raise typer.BadParameter("--highway and --recording say of which files: name them")
    taken, failed = commands.take_in(settings, paths, highway, recording)
    with runs.open_instance(settings) as instance:
        runs.register(settings, instance)
        keys = _keys_of(taken) if paths else _delivered(settings)
        built = runs.build(settings, instance, keys, force=force)
    shown = [key for key in keys if paths or key in built.reasons or key in _keys_of(taken)]
    opened = open_platform(settings)
    if paths:
        _tell_of_others(opened, keys)
    rows = [overview.recording_summary(opened, key) for key in shown]
    if as_json:
        console.print_json(
            {
                "files": [intake.summary() for intake in taken],
                "recordings": rows,
                **built.summary(),
            }
        )
    else:
        console.print_table("Recordings", rows)
    if failed or built.failed:
        broken = failed + len(built.failed)
        raise SomeFailed("files and recordings", broken, failed + len(taken) + len(keys))


download_commands.add_to(app, ingest)


@app.command(epilog="Example: ngsim build 'us-101|2005-06-15T0750' --force")
def build(keys: Keys = None, force: Force = False, as_json: AsJson = False) -> None:
    """Build what is out of date of these recordings, or of all, and what hangs on it.

    Out of date is what is missing, what was built from other rows, with other code or parameters
    than there are now, and what has lost a file; ngsim status tells which. --force builds also what
    is up to date: that mends damaged files and ends what a rollback holds.
    """
    settings = load_settings()
    wanted = [known_recording(settings, key) for key in keys or ()]
    with runs.open_instance(settings) as instance:
        runs.register(settings, instance)
        if not keys:
            wanted = _delivered(settings)
            store_unassigned(open_platform(settings))
        built = runs.build(settings, instance, wanted, force=force)
    opened = open_platform(settings)
    rows = [overview.recording_summary(opened, key) for key in built.tables]
    if as_json:
        console.print_json({"recordings": rows, **built.summary()})
    elif rows:
        console.print_table("Built", rows)
    if built.failed:
        raise SomeFailed("recordings", len(built.failed), len(wanted))


@app.command(epilog="Example: ngsim rollback 'us-101|2005-06-15T0750' --to @-1")
def rollback(
    key: Key,
    to: Annotated[
        str,
        typer.Option(
            metavar="STATE",
            help="@-1 (before the last run that changed anything), a time (2026-03-01T12:00, "
            "UTC), or a version of its quality_metrics, or of --table: 12, v1.4.2.",
        ),
    ],
    table: Annotated[TableName | None, typer.Option(help="Only this table.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and do nothing.")] = False,
    build: Annotated[
        bool, typer.Option(help="Rebuild here what hangs on it, or leave that to the daemon.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Make the tables of a recording, or one of them, what they were before.

    The old files become live again as a new version, so this can itself be rolled back. They are
    held: nothing rebuilds them while all stays as it is. New rows, other code or other parameters
    end that, and so does ngsim build KEY --force. What hangs on the tables is rebuilt, and report,
    corpus_summary and catalog are made again. If it is interrupted the same command finishes it.
    """
    settings = load_settings()
    wanted = known_recording(settings, key)
    plan = going_back.planned(open_platform(settings), settings, wanted, to, table)
    if not dry_run and plan.changes:
        with going_back.begun(settings, plan) as plan, runs.open_instance(settings) as instance:
            built = runs.roll_back(settings, instance, wanted, plan, build=build)
    else:
        built = runs.Built()
    told = {
        "recording": key,
        "to": to,
        "done": plan.changes and not dry_run,
        "tables": [step.row() for step in plan.steps],
        **built.summary(),
    }
    if as_json:
        console.print_json(told)
    else:
        console.print_table(f"Rollback of {key} to {to}", [step.row() for step in plan.steps])
        if not plan.changes:
            console.note(f"{key} is as it was then: nothing to do")
        elif dry_run:
            console.note("nothing was done: --dry-run")
        else:
            console.note(f"held until something new comes, or: ngsim build '{key}' --force")
    if built.failed:
        raise SomeFailed("recordings", len(built.failed), 1)


@app.command(epilog="Example: ngsim demo --minutes 15")
def demo(
    minutes: Annotated[float, typer.Option(help="Length of the simulated recording.")] = 15.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulation and its faults.")] = 1,
    faults: Annotated[float, typer.Option(help="Share of rows made faulty.")] = 0.005,
) -> None:
    """Simulate a US-101 recording with labelled faults, run the whole graph on it, report.

    Everything goes to a folder of its own, demo below NGSIM_DATA: simulated rows never mix with
    delivered ones.
    """
    settings = load_settings()
    # a gateway would take simulated rows for what this machine has delivered
    settings = settings.model_copy(update={"data": settings.data / "demo", "pushgateway": ""})
    os.environ["NGSIM_PUSHGATEWAY"] = ""
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home.absolute())
    os.environ["NGSIM_DATA"] = str(settings.data.absolute())
    source = commands.simulate_demo(settings, minutes=minutes, seed=seed, faults=faults)
    taken, failed = commands.take_in(settings, [source], None, None)
    keys = _keys_of(taken)
    with runs.open_instance(settings) as instance:
        runs.register(settings, instance)
        built = runs.build(settings, instance, keys)
    if failed or built.failed:
        raise SomeFailed("steps of the demo", failed + len(built.failed), 1 + len(keys))
    commands.show_demo(settings, keys)


def main() -> None:
    """Entry point: every failure becomes one line and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    logs.configure_from_environment()
    try:
        # tables of other domains, for the commands that are about everything in the lake
        code = app(arguments, standalone_mode=False, obj=f1_tables.TABLES)
    except typer.Exit as stop:
        code = stop.exit_code
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        console.note("interrupted; what was finished is stored, run the same command again")
        code = 130
    except Exception as error:  # the last line of defence: one line instead of a traceback
        show = getattr(error, "show", None)  # usage errors know how to print themselves
        usage = callable(show)
        code = console.misused(error, show) if usage else console.fail(error, debug=debug)
    raise SystemExit(code or 0)


def _keys_of(taken: Iterable[Intake]) -> list[PartitionKey]:
    """Recordings of the files that were taken in, sorted."""
    return sorted({key for intake in taken for key in intake.keys}, key=str)


def _tell_of_others(platform: Platform, keys: Collection[PartitionKey]) -> None:
    """Say that recordings other than `keys` are out of date, as after a run that was killed."""
    known = [PartitionKey.parse(key) for key in platform.landing.partitions()]
    others = [key for key in known if key not in set(keys)]
    stale = [
        key
        for key, found in overview.standings_of(platform, others).items()
        if any(standing.reasons for standing in found)
    ]
    if stale:
        console.note(f"{len(stale)} other recordings are out of date: ngsim build")


def _delivered(settings: Settings) -> list[PartitionKey]:
    """Every recording that the landing zone holds rows of, sorted."""
    return [PartitionKey.parse(key) for key in open_platform(settings).landing.partitions()]


if __name__ == "__main__":
    main()

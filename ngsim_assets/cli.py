"""The `ngsim` command: what the daemon does by itself, by hand; and questions to the tables.

Belongs here: the application, how it fails, and the commands that drive Dagster. Commands that
only read files and tables live with their domain (highway/commands.py).
"""

from __future__ import annotations

import fcntl
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from ngsim_assets import __version__, console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import commands, gallery, overview, traffic_questions
from ngsim_assets.highway.arrival.intake_results import Intake
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import open_platform
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import writing

if TYPE_CHECKING:
    import dagster as dg

app = typer.Typer(
    name="ngsim",
    help="Vehicle trajectories: raw recordings in, trustworthy, versioned, queryable tables out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
commands.add_to(app)
gallery.add_to(app)
traffic_questions.add_to(app)

Paths = Annotated[
    list[Path], typer.Argument(help="Files, archives or folders of NGSIM data.", show_default=False)
]
Highway = Annotated[
    str | None,
    typer.Option(help="Site of files that do not name one, for example us-101."),
]
Recording = Annotated[
    str | None,
    typer.Option(help="Recording of files that hold one, for example 2005-06-15T0750."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]


class RunFailed(NgsimAssetsError):
    """The asset graph stopped for a recording."""

    def __init__(self, key: str, step: str, reason: str) -> None:
        super().__init__(
            f"{key}: {step} failed: {reason}",
            "the tables before it are stored; correct the cause and run the same command again",
        )


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
    with _instance(settings):
        pass
    console.note(f"data: {settings.data.resolve()}")
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
    with _instance(settings) as instance:
        keys = _register_all(settings, instance, taken)
    if as_json:
        console.print_json([intake.summary() for intake in taken])
    else:
        for key in keys:
            typer.echo(str(key))
    if failed:
        raise SomeFailed("files", failed, failed + len(taken))


@app.command(epilog="Example: ngsim ingest trajectories-0750am-0805am.txt rows.csv")
def ingest(
    paths: Paths,
    highway: Highway = None,
    recording: Recording = None,
    as_json: AsJson = False,
    force: Annotated[bool, typer.Option(help="Rebuild also what is up to date.")] = False,
) -> None:
    """Take files in and build every table and report of the recordings that changed."""
    settings = load_settings()
    taken, failed = commands.take_in(settings, paths, highway, recording)
    with _instance(settings) as instance:
        keys = _register_all(settings, instance, taken)
        broken = _build(settings, instance, keys, force=force)
    opened = open_platform(settings)
    rows = [overview.recording_summary(opened, key) for key in keys]
    if as_json:
        console.print_json({"files": [intake.summary() for intake in taken], "recordings": rows})
    else:
        console.print_table("Recordings", rows)
    if failed or broken:
        raise SomeFailed("files and recordings", failed + broken, failed + len(taken) + len(keys))


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
    settings = settings.model_copy(update={"data": settings.data / "demo"})
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home.absolute())
    os.environ["NGSIM_DATA"] = str(settings.data.absolute())
    source = commands.simulate_demo(settings, minutes=minutes, seed=seed, faults=faults)
    taken, failed = commands.take_in(settings, [source], None, None)
    with _instance(settings) as instance:
        keys = _register_all(settings, instance, taken)
        broken = _build(settings, instance, keys, force=False)
    if failed or broken:
        raise SomeFailed("steps of the demo", failed + broken, 1 + len(keys))
    commands.show_demo(settings, keys)


def main() -> None:
    """Entry point: every failure becomes one line and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = app(arguments, standalone_mode=False)
    except typer.Exit as stop:
        code = stop.exit_code
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        console.note("interrupted; what was finished is stored, run the same command again")
        code = 130
    except Exception as error:  # the last line of defence: one line instead of a traceback
        show = getattr(error, "show", None)
        if callable(show):  # usage errors know how to print themselves
            show()
            code = 2
        else:
            code = console.fail(error, debug=debug)
    raise SystemExit(code or 0)


def _register_all(
    settings: Settings, instance: dg.DagsterInstance, taken: list[Intake]
) -> list[PartitionKey]:
    from ngsim_assets.highway.resources import register as register_partition

    landing = open_platform(settings).landing
    keys = sorted({key for intake in taken for key in intake.keys}, key=str)
    for key in keys:
        rows = sum(delivery.rows for delivery in landing.deliveries(str(key)))
        register_partition(instance, key, landing.partition_hash(str(key)), rows)
    return keys


def _build(
    settings: Settings, instance: dg.DagsterInstance, keys: list[PartitionKey], *, force: bool
) -> int:
    """Run the graph for every key that is not up to date; how many failed."""
    stale = [key for key in keys if force or overview.stale_tables(open_platform(settings), key)]
    if len(stale) < len(keys):
        console.note(f"{len(keys) - len(stale)} of {len(keys)} recordings are up to date")
    if not stale:
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngsim_assets.definitions import BUILD_RECORDING, SUMMARISE_CORPUS, defs

        build, summarise = (
            defs.resolve_job_def(name) for name in (BUILD_RECORDING, SUMMARISE_CORPUS)
        )
    failed = 0
    with console.past_capture(), console.step_progress() as progress:
        task = progress.add_task("building", total=len(stale) * len(build.nodes))
        for place, key in enumerate(stale):

            def show(step: str, key: PartitionKey = key) -> None:
                progress.update(task, description=f"{key} {step}", advance=1)

            try:
                _run(build, instance, str(key), show)
            except RunFailed as error:
                failed += 1
                console.fail(error, debug=False)
            progress.update(task, completed=(place + 1) * len(build.nodes))
        progress.update(task, description="summarising the corpus")
        _run(summarise, instance, None)
    return failed


def _run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    key: str | None,
    show: Callable[[str], None] = lambda step: None,
) -> None:
    """Run `job` in this process, telling `show` the name of each step as it starts."""

    def listen(event: dg.EventLogEntry) -> None:
        if event.dagster_event is not None and event.dagster_event.is_step_start:
            show(str(event.dagster_event.step_key))

    run_id = str(uuid4())
    instance.add_event_listener(run_id, listen)
    result = job.execute_in_process(
        instance=instance,
        run_id=run_id,
        partition_key=key,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if result.success:
        return
    for event in result.all_events:
        if event.is_step_failure:
            raise RunFailed(key or "corpus", str(event.step_key), _cause(event, result.run_id))
    raise RunFailed(key or "corpus", "the run", "no step says why; see the Dagster UI")


def _cause(event: dg.DagsterEvent, run_id: str) -> str:
    """The innermost error of a failed step in one line: what it says, or what kind it is."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"run {run_id} tells no reason"
    kind, _, message = error.message.strip().partition(": ")
    known = error.cls_name in {kind.__name__ for kind in _subclasses(NgsimAssetsError)}
    return message if known else f"{kind}: {message}; the traceback is with run {run_id}"


def _subclasses(kind: type[NgsimAssetsError]) -> Iterator[type[NgsimAssetsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance; DAGSTER_HOME defaults to a folder inside the data folder.

    A fresh SQLite instance opened by several processes at once breaks for good, so opening is
    done under a lock.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.dagster_home).absolute()
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        os.environ["DAGSTER_HOME"] = str(home)
        with (home / ".opening.lock").open("w") as lock, warnings.catch_warnings():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "dagster.yaml").exists():
                write_atomically(home / "dagster.yaml", _instance_configuration())
            warnings.simplefilter("ignore")
            import dagster as dg

            instance = dg.DagsterInstance.get()
    try:
        yield instance
    finally:
        instance.dispose()


def _instance_configuration() -> str:
    """The project's dagster.yaml: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    found = [
        path
        for path in (package / "dagster.yaml", package.parent / "dagster.yaml")
        if path.exists()
    ]
    return found[0].read_text() if found else ""


if __name__ == "__main__":
    main()

"""`ngsim f1 test`: whether this installation works, without network and in under a minute.

Belongs here: sending a simulated race the whole way, and showing what held. Does not belong here:
the race and the comparisons (self_test.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import polars as pl
import typer

from ngsim_assets import console
from ngsim_assets.f1 import commands_live, self_test
from ngsim_assets.f1.building import Runs
from ngsim_assets.f1.commands_stored import AsJson
from ngsim_assets.f1.errors import F1Error
from ngsim_assets.f1.platform import open_f1
from ngsim_assets.f1.self_test import Finding
from ngsim_assets.f1.simulate import SimulatedSession
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.atomic import make_folder
from ngsim_assets.storage.errors import writing


class NotHeld(F1Error):
    """Something of a simulated race did not come out as it is known to be."""

    def __init__(self, failed: int, total: int, folder: str) -> None:
        where = f"look at {folder}" if folder else "run it again with --keep FOLDER and look there"
        super().__init__(f"{failed} of {total} comparisons did not hold", where)


def add_to(app: typer.Typer, runs: Runs) -> None:
    """Register the command on `app`; `runs` runs the asset graph."""

    @app.command("test", epilog="Example: ngsim f1 test --keep /tmp/f1-test")
    def _test(
        keep: Annotated[
            Path | None,
            typer.Option(
                metavar="FOLDER", help="Work in this folder, which must not be there, and leave it."
            ),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Prove this installation: a simulated race goes the whole way and is held to its truth.

        Files are taken in, folded, judged and stored by the asset graph; the same race is received
        live; with NGSIM_POSTGRES_DSN both homes are compared, and the race is taken away there. The
        simulator knows every lap, phase, observation and row. Nothing else outside the folder is
        touched, nothing is asked of the network. The exit code is 0 only if everything held.
        """
        settings = load_settings()
        with _folder_of_its_own(settings, keep) as own:
            findings = prove(own, runs)
        if as_json:
            held = all(finding.held for finding in findings)
            console.print_json({"held": held, "findings": [one.row() for one in findings]})
        else:
            console.print_table("A simulated race, as it came out", [one.row() for one in findings])
        failed = sum(not finding.held for finding in findings)
        if failed:
            raise NotHeld(failed, len(findings), str(keep or ""))
        console.note("everything held")


class FolderIsThere(F1Error):
    """A folder to work in that has something in it."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is there already", "name a folder that is not, or remove it")


def prove(settings: Settings, runs: Runs) -> list[Finding]:
    """Send a simulated race the whole way in the data folder of `settings`; what held."""
    with console.working("simulating a race"):
        race = self_test.write_race(settings.data / "source")
    files = settings.data / "source" / str(race.scenario.session)
    return [*_from_files(settings, runs, race, files), *_live(settings, runs, race, files)]


def _from_files(
    settings: Settings, runs: Runs, race: SimulatedSession, files: Path
) -> list[Finding]:
    """Taken in as files, built twice: the second time there is nothing to do."""
    from ngsim_assets.f1.taking_in import take_in

    key = race.scenario.session
    with console.working("taking it in"):
        taken = list(take_in(settings, [files]))
    built = runs.build(settings, [key])
    platform = open_f1(settings)
    findings = [
        Finding(
            "taken in and built",
            str(key),
            "; ".join([*(str(one.error) for one in taken if one.error), *built.failed.values()])
            or ", ".join(sorted({str(one.session) for one in taken})),
            all(one.session == key for one in taken) and bool(taken) and not built.failed,
        ),
        *self_test.held_against(platform, race),
        self_test.report_held(platform, race),
    ]
    take_in(settings, [files])
    again = runs.build(settings, [key])
    told = ", ".join(again.assets.get(key, [])) or "nothing built"
    findings.append(Finding("the same files again", "nothing built", told, not again.assets))
    return [*findings, *_second_home(settings, race)]


def _live(settings: Settings, runs: Runs, race: SimulatedSession, files: Path) -> list[Finding]:
    """Received live, as fast as it is taken, by an installation that has nothing of it."""
    from ngsim_assets.f1.live.replay import replay

    # the first one's rows in PostgreSQL have been compared; this is about tables
    own = settings.model_copy(update={"data": settings.data / "live", "postgres_dsn": None})
    with _environment_of(own):
        result = commands_live.receive(own, replay(files), None)
        told = result.problem or "; ".join(result.health.sentences()[1:])
        findings = [Finding("live: received", "the session is over", told, result.ok)]
        return findings + self_test.held_against(open_f1(own), race, "live")


def _second_home(settings: Settings, race: SimulatedSession) -> Sequence[Finding]:
    """Both homes hold the same rows, where there are two; then the race is taken away there."""
    if settings.postgres_dsn is None:
        return []
    from ngsim_assets.f1.second_home import KEPT, second_home

    home, key = second_home(settings), race.scenario.session
    if home is None:
        return []
    with home, console.working("comparing with PostgreSQL"):
        compared = home.compare_session(open_f1(settings), key)
        for kept in KEPT.values():
            nothing = pl.DataFrame(schema=kept.table.schema)
            home.put(kept.table, key, nothing, version=f"self-test {uuid4()}")
    return [
        Finding(
            f"PostgreSQL: {one.table}",
            f"{one.rows_here:,} equal rows",
            "equal" if one.agrees else f"{one.rows_there:,} rows, not the same",
            one.agrees,
        )
        for one in compared
    ]


@contextmanager
def _folder_of_its_own(settings: Settings, keep: Path | None) -> Generator[Settings]:
    """Settings whose data are elsewhere, for this process as a whole; put back afterwards."""
    if keep is not None and keep.exists():
        raise FolderIsThere(keep)
    with tempfile.TemporaryDirectory(prefix="ngsim-f1-test-") as temporary:
        folder = (keep or Path(temporary) / "data").absolute()
        with writing(folder):
            make_folder(folder)
        changes = {"data": folder, "f1_recordings": None, "pushgateway": ""}
        own = settings.model_copy(update=changes)
        with _environment_of(own):
            yield own


@contextmanager
def _environment_of(settings: Settings) -> Generator[None]:
    """Have the asset graph, which reads the environment, work where `settings` say."""
    wanted = {
        "NGSIM_DATA": str(settings.data),
        "DAGSTER_HOME": str(settings.dagster_home),
        "NGSIM_PUSHGATEWAY": "",
    }
    before = {name: os.environ.get(name) for name in (*wanted, "NGSIM_F1_RECORDINGS")}
    os.environ.update(wanted)
    os.environ.pop("NGSIM_F1_RECORDINGS", None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

"""Taking sessions in, building and rolling back: what those commands do.

Belongs here: what a user asks for and how the answer is shown. Does not belong here: options
(command_line.py), how it is done (taking_in.py, stages.py), Dagster, which is handed in as `Runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngsim_assets import console
from ngsim_assets.f1 import overview
from ngsim_assets.f1.arriving import Arrival, Gone, Postponed, Took, arrivals_of
from ngsim_assets.f1.building import Built, Runs
from ngsim_assets.f1.errors import F1Error
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, open_f1, report_folder
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.events import Observer
    from ngsim_assets.f1.taking_in import Taken


class SomeSessionsFailed(F1Error):
    """Part of what was asked for could not be done; the rest was."""

    def __init__(self, what: str, failed: int, total: int) -> None:
        super().__init__(f"{failed} of {total} {what} failed", "each is named above")


class NothingAt(F1Error):
    """Paths to take in of which one is not there; nothing was taken in."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no {path}", "name files or folders that are there")


def ingest(
    settings: Settings,
    runs: Runs,
    paths: Sequence[Path],
    session: SessionKey | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Take files and folders in, or what waits, and build the sessions that changed."""
    for path in paths:
        if not path.exists():
            raise NothingAt(path)
    taken = _taken_in(settings, paths, session) if paths else _waiting_taken_in(settings)
    for one in taken:
        if one.error is not None:
            console.fail(one.error, debug=False)
        else:
            console.note(f"{console.shown_path(one.path)}: {one.session}, {one.status}")
            for warning in one.warnings:
                console.note(f"  {warning}")
    refused = [one for one in taken if one.error is not None]
    platform = open_f1(settings)
    told = {one.session for one in taken if one.session is not None and one.taken}
    keys = sorted(told) if paths else overview.known_sessions(platform)
    built = runs.build(settings, keys, force=force) if keys else Built()
    shown = sorted({*told, *built.assets, *built.failed})
    _show(platform, shown, built, as_json=as_json, more={"files": [one.summary() for one in taken]})
    if not taken and not keys and not as_json:
        console.note(f"nothing waits in {settings.f1_folder}: ngsim f1 ingest PATH")
    if refused or built.failed:
        failed, total = len(refused) + len(built.failed), len(refused) + len(keys)
        raise SomeSessionsFailed("files and sessions", failed, max(failed, total))


def build(
    settings: Settings, runs: Runs, texts: Sequence[str], *, force: bool, as_json: bool
) -> None:
    """Build what is out of date of these sessions, or of all."""
    platform = open_f1(settings)
    keys = [overview.known_session(platform, text) for text in texts]
    keys = keys or overview.known_sessions(platform)
    built = runs.build(settings, keys, force=force)
    _show(platform, sorted({*built.assets, *built.failed}), built, as_json=as_json)
    if built.failed:
        raise SomeSessionsFailed("sessions", len(built.failed), len(keys))


def roll_back(
    settings: Settings,
    runs: Runs,
    text: str,
    wanted: str,
    table: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the tables of a session what they were before."""
    from ngsim_assets.f1 import rollback

    platform = open_f1(settings)
    key = overview.known_session(platform, text)
    plan = rollback.planned(platform, settings, key, wanted, table)
    done = plan.changes and not dry_run
    built = Built()
    if done:
        with rollback.begun(settings, plan) as plan:
            built = runs.roll_back(settings, key, plan)
    if as_json:
        told = {"session": text, "to": wanted, "done": done}
        tables = [step.row() for step in plan.steps]
        console.print_json({**told, "tables": tables, **built.summary()})
    else:
        console.print_table(f"Rollback of {key} to {wanted}", [step.row() for step in plan.steps])
        if not plan.changes:
            console.note(f"{key} is as it was then: nothing to do")
        elif dry_run:
            console.note("nothing was done: --dry-run")
        else:
            console.note(f"held until something new comes, or: ngsim f1 build {key} --force")
    if built.failed:
        raise SomeSessionsFailed("sessions", len(built.failed), 1)


def _taken_in(settings: Settings, paths: Sequence[Path], session: SessionKey | None) -> list[Taken]:
    from ngsim_assets.acquisition.observers.progress import showing_progress
    from ngsim_assets.f1.taking_in import take_in

    with showing_progress() as progress:
        return list(
            take_in(settings, paths, session=session, observers=_observers(settings, progress))
        )


def _waiting_taken_in(settings: Settings) -> list[Taken]:
    """What waits in the folder of sessions, as the daemon takes it in."""
    from ngsim_assets.acquisition.observers.progress import showing_progress
    from ngsim_assets.f1.taking_in import take_in

    if not settings.f1_folder.is_dir():
        return []
    found: list[Taken] = []
    with showing_progress() as progress:
        observers = _observers(settings, progress)

        def take(arrival: Arrival) -> Iterable[Taken]:
            return take_in(settings, arrival.handed, observers=observers)

        results = arrivals_of(settings).take_all(
            take, lambda taken: not taken.taken, on_wait=console.note
        )
        for result in results:
            match result:
                case Took():
                    found += result.results
                case Gone() | Postponed():
                    console.note(result.sentence())
    return found


def _observers(settings: Settings, progress: Observer) -> list[Observer]:
    """Who is told of files as they come: people by a progress bar, machines by the log."""
    if settings.log != "json":
        return [progress]
    from ngsim_assets.acquisition.observers.log import LogObserver

    return [LogObserver()]


def _show(
    platform: F1Platform,
    keys: Sequence[SessionKey],
    built: Built,
    *,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Sessions after a build: a line each, and where their reports are."""
    found = overview.standings(platform, keys)
    if as_json:
        sessions = [
            {**standing.summary(), "report": _page(platform, standing.key)} for standing in found
        ]
        console.print_json({**(more or {}), "sessions": sessions, **built.summary()})
        return
    if found:
        console.print_table("Sessions", [standing.row() for standing in found])
    for standing in found:
        if page := _page(platform, standing.key):
            console.note(f"report: {page}")


def _page(platform: F1Platform, key: SessionKey) -> str | None:
    """Where the page of a session's report is, None if there is none."""
    page = report_folder(platform.reports, key) / "report.html"
    return str(page.resolve()) if page.is_file() else None

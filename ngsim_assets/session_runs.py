"""Runs of the asset graph for sessions of Formula 1: what the daemon does by itself, by hand.

Belongs here: which assets of a session are run, what Dagster is told, how far it is. Does not
belong here: Dagster's instance and how a job is run (runs.py), what is out of date
(f1/overview.py), what a user types and sees (f1/command_line.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from ngsim_assets import console, runs
from ngsim_assets.automation.failures import CHECKS
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1 import overview
from ngsim_assets.f1.building import Built
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import alone, open_f1
from ngsim_assets.f1.recipes import REPORT, TABLE_OF
from ngsim_assets.f1.stages import store_session
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.highway import sql_catalog
from ngsim_assets.highway.stages import open_platform
from ngsim_assets.settings import Settings
from ngsim_assets.storage.rollbacks import Plan, forget

if TYPE_CHECKING:
    import dagster as dg

_PASSES = 2
"""Builds of one session in one go: tables that get other rows make what hangs on them late."""


def register(settings: Settings) -> None:
    """Tell Dagster of everything that was delivered; see `Runs`."""
    with runs.open_instance(settings) as instance:
        _register(settings, instance)


def build(settings: Settings, keys: Sequence[SessionKey], *, force: bool = False) -> Built:
    """Build what is out of date of each session, all of it if `force`; see `Runs`."""
    with runs.open_instance(settings) as instance:
        _register(settings, instance)
        return _build_all(settings, instance, keys, force=force)


def roll_back(settings: Settings, key: SessionKey, plan: Plan, *, build: bool = True) -> Built:
    """Carry out a planned rollback, tell Dagster, rebuild what hangs on it; see `Runs`."""
    from ngsim_assets.f1 import rollback

    platform = open_f1(settings, plan.run_id)
    with runs.open_instance(settings) as instance:
        with console.past_capture(), console.step_progress() as progress:
            task = progress.add_task("rolling back", total=len(plan.steps) + 1)

            def show(step: str) -> None:
                progress.update(task, description=f"{key} {step}", advance=1)

            restored = rollback.carry_out(platform, key, plan, show)
        _register(settings, instance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ngsim_assets.f1.resources import report_restored

            report_restored(instance, settings, platform, key, restored)
        built = Built()
        if build:
            # what is rebuilt belongs to it, so that undoing it undoes both
            unused = not instance.has_run(plan.run_id)
            run_id = plan.run_id if unused else None
            built = _build_all(settings, instance, [key], run_id=run_id)
    _refresh_catalog(settings)
    return built


def _register(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Tell Dagster of every session that was delivered; one that cannot be read is no hindrance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngsim_assets.f1.resources import register_delivered

        unread: dict[SessionKey, NgsimAssetsError] = {}
        register_delivered(instance, open_f1(settings), unread=unread)
    for key, error in unread.items():
        console.note(f"{key}: {error}")


def _build_all(
    settings: Settings,
    instance: dg.DagsterInstance,
    keys: Sequence[SessionKey],
    *,
    force: bool = False,
    run_id: str | None = None,
) -> Built:
    """As `build`; the first run is called `run_id`, if one is given."""
    built = Built()
    due: dict[SessionKey, tuple[str, ...]] = {}
    for key in keys:
        try:
            due[key] = _due(settings, key, instance, force=force)
        except NgsimAssetsError as error:
            built.failed[key] = str(error)
            console.fail(error, debug=False)
    stale = [key for key, assets in due.items() if assets]
    if not keys:
        console.note("no sessions: hand over files by ngsim f1 ingest PATH")
    elif len(stale) < len(due):
        console.note(f"{len(due) - len(stale)} of {len(keys)} sessions are up to date")
    if not stale:
        return built
    job = _job()
    with console.past_capture(), console.step_progress() as progress:
        task = progress.add_task("building", total=sum(_steps(due[key]) for key in stale))
        for place, key in enumerate(stale):

            def show(step: str, key: SessionKey = key) -> None:
                counted = not step.endswith(CHECKS)  # those take no time
                progress.update(task, description=f"{key} {step}", advance=counted)

            try:
                if force:
                    run_id = run_id or str(uuid4())
                    progress.update(task, description=f"{key} reading")
                    _write_anew(settings, key, run_id)
                built.assets[key] = _build_one(settings, instance, job, key, due[key], run_id, show)
            except runs.RunFailed as error:
                built.failed[key] = error.reason
                runs.remember(settings, str(key), error)
                console.fail(error, debug=False)
            except NgsimAssetsError as error:
                built.failed[key] = str(error)
                console.fail(error, debug=False)
            run_id = None
            done = sum(_steps(due[other]) for other in stale[: place + 1])
            progress.update(task, completed=done)
        progress.update(task, description="writing the catalog")
        _refresh_catalog(settings)
    return built


def _build_one(
    settings: Settings,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    key: SessionKey,
    due: tuple[str, ...],
    run_id: str | None,
    show: Callable[[str], None],
) -> list[str]:
    """Run what is due until nothing is; the assets that were built. Raises RunFailed."""
    everything = len(due) == len(_assets())
    done: dict[str, None] = {}
    for _ in range(_PASSES):
        if not due:
            break
        steps = runs.run_job(job, instance, str(key), due, run_id, show)
        runs.resolve(settings, str(key), steps)
        run_id = None
        done |= dict.fromkeys(due)
        late = _due(settings, key, instance)
        due = tuple(asset for asset in late if asset not in done)
    if everything:
        forget(settings.rollbacks, str(key))
    there = settings.postgres_dsn is not None
    return [asset for asset in done if there or asset in TABLE_OF]


def _write_anew(settings: Settings, key: SessionKey, run_id: str) -> None:
    """Write the tables of a session whether they are up to date or not; the run then tells of it.

    Files that were damaged are written again so, and what a rollback held is held no more.
    """
    platform = open_f1(settings, run_id)
    with alone(platform, key):
        store_session(platform, key, force=True)


def _due(
    settings: Settings, key: SessionKey, instance: dg.DagsterInstance, *, force: bool = False
) -> tuple[str, ...]:
    """Assets to run, in building order. All tables of a session are one step.

    Those of a session that was received live, or fetched, may be up to date without Dagster's
    knowledge: then a run tells it, and writes nothing.
    """
    import dagster as dg

    from ngsim_assets.automation.instances import told_of
    from ngsim_assets.f1.data_versions import POSTGRES

    storage, name = instance.event_log_storage, str(key)
    late = set(overview.late_assets(open_f1(settings), key))
    last = next(reversed([asset for asset in TABLE_OF if asset != REPORT]))
    if force or late - {REPORT} or name not in told_of(storage, dg.AssetKey(last)):
        return _assets()
    there = told_of(storage, dg.AssetKey(POSTGRES)).get(name)
    if late or there is None or there.origin != _origin_of_home(settings, key):
        late.add(POSTGRES)
    return tuple(asset for asset in _assets() if asset in late)


def _origin_of_home(settings: Settings, key: SessionKey) -> str:
    """What the second home of a session would be made of now."""
    from ngsim_assets.automation.versions import origin_of
    from ngsim_assets.f1.data_versions import CODE_VERSIONS, POSTGRES, inputs_now, recipe_of

    recipe = recipe_of(settings, POSTGRES, CODE_VERSIONS[POSTGRES])
    return origin_of(recipe, inputs_now(open_f1(settings), POSTGRES, key))


def _assets() -> tuple[str, ...]:
    """Every asset of a session, in building order; without a second home that step says so."""
    from ngsim_assets.f1.data_versions import POSTGRES

    return (*TABLE_OF, POSTGRES)


def _steps(assets: Sequence[str]) -> int:
    """Steps of a run: all tables are one."""
    return (
        min(1, len(set(assets) & set(TABLE_OF) - {REPORT}))
        + len(set(assets) - set(TABLE_OF))
        + (REPORT in assets)
    )


def _refresh_catalog(settings: Settings) -> None:
    """Views of the catalog's file show what the tables hold now."""
    sql_catalog.write(open_platform(settings, others=TABLES))


def _job() -> dg.JobDefinition:
    """What builds a session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngsim_assets.definitions import BUILD_SESSION, defs

        return defs.resolve_job_def(BUILD_SESSION)

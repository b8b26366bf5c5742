"""Runs of the asset graph in this process: what the daemon does by itself, by hand.

Belongs here: Dagster's instance, running jobs on it, what it is told. Does not belong here: what
a user types and sees (cli.py), what is out of date (highway/staleness.py), which assets there are.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ngsim_assets import console
from ngsim_assets.automation import failures
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import overview, rollback
from ngsim_assets.highway.data_versions import table_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import open_platform
from ngsim_assets.highway.staleness import ASSETS, TOGETHER, Standing, standings
from ngsim_assets.observability import heartbeats
from ngsim_assets.observability.health import Check
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import writing

if TYPE_CHECKING:
    import dagster as dg

_PASSES = 3
"""Builds of one recording in one go: a table that gets other rows than was foreseen makes those
after it out of date."""


class RunFailed(NgsimAssetsError):
    """The asset graph stopped for a recording."""

    def __init__(self, key: str, step: str, reason: str, run_id: str) -> None:
        self.step = step
        self.reason = reason
        self.run_id = run_id
        super().__init__(
            f"{key or 'corpus'}: {step} failed: {reason}",
            "the tables before it are stored; correct the cause and run the same command again",
        )


@dataclass
class Built:
    """What a build did.

    Attributes:
        tables: by recording, assets that were built. failed: recordings that could not be.
        reasons: by recording, why its tables were out of date.
    """

    tables: dict[PartitionKey, list[str]] = field(default_factory=dict)
    reasons: dict[PartitionKey, list[str]] = field(default_factory=dict)
    failed: list[PartitionKey] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """For machines: everything, as plain values."""
        return {
            "built": {str(key): tables for key, tables in self.tables.items()},
            "why": {str(key): reasons for key, reasons in self.reasons.items() if reasons},
            "failed": [str(key) for key in self.failed],
        }


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance; DAGSTER_HOME defaults to a folder inside the data folder.

    A fresh SQLite instance opened by several processes at once breaks for good, so opening is
    done under a lock.
    """
    home = _home(settings)
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
    except Exception as error:
        if "sqlite3." not in str(error):
            raise
        with writing(home):  # what SQLite says of a full disk takes lines and names no file
            raise
    finally:
        instance.dispose()


def daemon(settings: Settings) -> Check:
    """Whether Dagster's daemon lives; cheap, and creates no instance where there is none.

    Dagster is asked only where its heartbeats are not in the SQLite file of its home, and where it
    matters which kinds of daemon it wants: parts of what runs may have been switched off.
    """
    home = _home(settings)
    try:
        beats = heartbeats.recorded(home)
        certain = not heartbeats.is_elsewhere(home) and not heartbeats.depends_on_required(beats)
    except sqlite3.Error:  # of another release, or locked: Dagster says what is wrong with it
        certain, beats = False, {}
    if certain:
        return heartbeats.judged(beats)
    with open_instance(settings) as instance:
        told = {
            kind: heartbeats.Heartbeat(
                beat.timestamp, beat.errors[0].message.strip() if beat.errors else ""
            )
            for kind, beat in instance.get_daemon_heartbeats().items()
        }
        return heartbeats.judged(told, instance.get_required_daemon_types())


def register(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Tell Dagster of every recording that was delivered, and of its content where that is new."""
    from ngsim_assets.highway.resources import register_delivered

    register_delivered(instance, open_platform(settings).landing)


def roll_back(
    settings: Settings,
    instance: dg.DagsterInstance,
    key: PartitionKey,
    plan: rollback.Plan,
    *,
    build: bool,
) -> Built:
    """Carry out a planned rollback, tell Dagster, rebuild what hangs on it if `build`."""
    platform = open_platform(settings, plan.run_id)
    with console.past_capture(), console.step_progress() as progress:
        task = progress.add_task("rolling back", total=len(plan.steps) + 1)

        def show(step: str) -> None:
            progress.update(task, description=f"{key} {step}", advance=1)

        restored = rollback.carry_out(platform, key, plan, show)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngsim_assets.highway.automation import report_restored

        register(settings, instance)
        report_restored(instance, platform, key, restored)
    if not build:
        return Built()
    # what is rebuilt belongs to it, so that undoing it undoes both
    unused = not instance.has_run(plan.run_id)
    return _build_all(settings, instance, [key], run_id=plan.run_id if unused else None)


def build(
    settings: Settings,
    instance: dg.DagsterInstance,
    keys: Sequence[PartitionKey],
    *,
    force: bool = False,
) -> Built:
    """Build what is out of date of each recording, all of it if `force`, then the summary.

    Tables that are up to date, or held by a rollback, are left alone unless `force`. A recording
    that fails is told, remembered (failures.py) and does not stop the others.
    """
    return _build_all(settings, instance, keys, force=force)


def _build_all(
    settings: Settings,
    instance: dg.DagsterInstance,
    keys: Sequence[PartitionKey],
    *,
    force: bool = False,
    run_id: str | None = None,
) -> Built:
    """As `build`; the first run is called `run_id`, if one is given."""
    platform = open_platform(settings)
    built = Built()
    due: dict[PartitionKey, Sequence[str]] = {}
    failed = failures.standing(settings)
    for key, found in overview.standings_of(platform, keys).items():
        again = [failure.step for failure in failed if failure.recording == str(key)]
        due[key] = ASSETS if force else _due(found, again)
        if due[key]:
            built.reasons[key] = _reasons(found)
    stale = [key for key in keys if due[key]]
    if not keys:
        console.note("no recordings: hand over files by ngsim ingest FILE")
    elif len(stale) < len(keys):
        console.note(f"{len(keys) - len(stale)} of {len(keys)} recordings are up to date")
    if not stale and overview.summary_is_current(platform):
        return built
    build_recording, summarise = _jobs()
    with console.past_capture(), console.step_progress() as progress:
        task = progress.add_task("building", total=1 + sum(len(due[key]) for key in stale))
        for place, key in enumerate(stale):
            if built.reasons[key]:
                console.note(f"{key}: {'; '.join(built.reasons[key])}")

            def show(step: str, key: PartitionKey = key) -> None:
                progress.update(task, description=f"{key} {step}", advance=1)

            try:
                _build_one(settings, instance, build_recording, key, due[key], run_id, show)
            except RunFailed as error:
                built.failed.append(key)
                remember(settings, str(key), error)
                console.fail(error, debug=False)
            else:
                built.tables[key] = [table_of(asset).name for asset in due[key]]
                disagreement = overview.disagreement(platform, key)
                if disagreement and not TOGETHER.isdisjoint(due[key]):
                    console.note(disagreement)
            run_id = None
            done = sum(len(due[other]) for other in stale[: place + 1])
            progress.update(task, completed=done)
        progress.update(task, description="summarising the corpus")
        try:
            resolve(settings, "", run_job(summarise, instance, None))
        except RunFailed as error:
            remember(settings, "", error)
            raise
    return built


def _build_one(
    settings: Settings,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    key: PartitionKey,
    due: Sequence[str],
    run_id: str | None,
    show: Callable[[str], None],
) -> None:
    before: Sequence[str] = ()
    for _ in range(_PASSES):
        if not due or due == before:
            break
        resolve(settings, str(key), run_job(job, instance, str(key), due, run_id, show))
        run_id = None
        before, due = due, _due(standings(open_platform(settings), key))
    if before == ASSETS:
        rollback.forget(settings, key)


def _due(found: Iterable[Standing], failed: Collection[str] = ()) -> tuple[str, ...]:
    """Assets to build, in building order: what is out of date, and what failed its checks.

    Args:
        failed: steps that are left failed. Rows that a check refuses are stored, and up to date.
    """
    late = {
        standing.asset
        for standing in found
        if standing.reasons or f"{standing.table.name}{failures.CHECKS}" in failed
    }
    late |= TOGETHER if late & TOGETHER else set()
    return tuple(asset for asset in ASSETS if asset in late)


def _reasons(found: Iterable[Standing]) -> list[str]:
    """Why a recording is built, where that is more than that its tables were not there yet."""
    told = [
        f"{standing.table.name}: {reason.told}"
        for standing in found
        for reason in standing.reasons
        if reason.why not in {"missing", "follows"}
    ]
    return told if any(standing.commit for standing in found) else []


def _jobs() -> tuple[dg.JobDefinition, dg.JobDefinition]:
    """What builds a recording, and what sums all of them up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ngsim_assets.definitions import BUILD_RECORDING, SUMMARISE_CORPUS, defs

        return defs.resolve_job_def(BUILD_RECORDING), defs.resolve_job_def(SUMMARISE_CORPUS)


def run_job(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    key: str | None,
    assets: Sequence[str] = (),
    run_id: str | None = None,
    show: Callable[[str], None] = lambda step: None,
) -> list[str]:
    """Run `assets` of `job`, or all of it; returns the steps that were done.

    Args:
        show: told the name of each step as it starts.

    Raises RunFailed.
    """
    import dagster as dg

    def listen(event: dg.EventLogEntry) -> None:
        if event.dagster_event is not None and event.dagster_event.is_step_start:
            show(str(event.dagster_event.step_key))

    run_id = run_id or str(uuid4())
    instance.add_event_listener(run_id, listen)
    result = job.execute_in_process(
        instance=instance,
        run_id=run_id,
        partition_key=key,
        asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if result.success:
        return [str(event.step_key) for event in result.all_events if event.is_step_success]
    for event in result.all_events:
        if event.is_step_failure:
            refused = {
                check.check_name: check.description or ""
                for check in result.get_asset_check_evaluations()
                if not check.passed and check.blocking
            }
            cause = failures.cause_of(event.step_failure_data.error, result.run_id, refused)
            raise RunFailed(key or "", str(event.step_key), cause, result.run_id)
    raise RunFailed(key or "", failures.UNKNOWN_STEP, "no step says why", result.run_id)


def remember(settings: Settings, recording: str, error: RunFailed) -> None:
    """Put a failed run on record; `recording` is the partition it was of, empty for all."""
    failures.record(
        settings,
        failures.Failure(recording, error.step, error.reason, error.run_id, datetime.now(UTC)),
    )


def resolve(settings: Settings, recording: str, steps: Sequence[str]) -> None:
    """Take failures of these steps, which have succeeded now, off record."""
    failures.resolve(settings, recording, steps)


def _home(settings: Settings) -> Path:
    """Where Dagster's instance is."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.dagster_home).absolute()


def _instance_configuration() -> str:
    """The project's dagster.yaml: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    found = [
        path
        for path in (package / "dagster.yaml", package.parent / "dagster.yaml")
        if path.exists()
    ]
    return found[0].read_text() if found else ""

"""What runs by itself: taking in files that arrive, upkeep.

Belongs here: when Dagster asks for which run, and what a run tells Dagster. Does not belong here:
which files wait (incoming.py), when to try again (automation/watching.py), what upkeep does
(upkeep.py), which assets are built (automation.py), failed and lost runs (automation/sensors.py).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import dagster as dg

from ngsim_assets.acquisition.incremental import Changes
from ngsim_assets.automation.failures import NOTHING_LEFT_FAILED
from ngsim_assets.automation.instances import tidy
from ngsim_assets.automation.sensors import sensors_of_builds
from ngsim_assets.automation.watching import ATTEMPTS, Memory, Try, answer
from ngsim_assets.highway import incoming, measuring, stages, upkeep
from ngsim_assets.highway.intake_log import IntakeLog
from ngsim_assets.highway.resources import HighwayPlatform, register_delivered
from ngsim_assets.highway.watching import provide_folder
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings

TAKE_IN_FILES = "take_in_files"
UPKEEP = "upkeep"

_WAITING = "ngsim/waiting"
_ROWS_SHOWN = 200
_REGISTER_EVERY = 30.0
_EVERY = 10
_DEFAULT = dg.DefaultSensorStatus.RUNNING


# taking in -----------------------------------------------------------------------------------


@dg.op(pool=TAKE_IN_FILES)
def take_in(context: dg.OpExecutionContext, platform: HighwayPlatform) -> None:
    """Read waiting files into the landing zone; tell Dagster which recordings they change."""
    settings, opened = platform.settings(), platform.open(context.run.run_id)
    told = IntakeLog(context.log)
    registered_at = time.monotonic()
    registered = 0

    def register() -> None:
        nonlocal registered, registered_at
        news = register_delivered(context.instance, opened.landing, context.run.run_id)
        for key in news:
            context.log.info("%s: new content, its tables are to be rebuilt", key)
        registered += len(news)
        registered_at = time.monotonic()

    try:
        with (
            logs.bound(run=context.run.run_id, source="incoming"),
            logs.step(TAKE_IN_FILES) as done,
            measuring.taking_in(settings, measuring.INCOMING) as measured,
        ):
            for result in measured(
                incoming.load(opened, settings, progress=told.progress, on_wait=context.log.info)
            ):
                told.result(result)
                done.update({name.replace(" ", "_"): n for name, n in told.counts().items()})
                if time.monotonic() - registered_at > _REGISTER_EVERY:
                    register()
            stages.store_unassigned(opened)
    except Exception:
        # what was taken in until then is known at once; if not even that can be, why it ended
        # says more than that does, and the next run makes up for it
        with suppress(Exception):
            register()
        raise
    register()
    lists = {name: _table(rows) for name, rows in told.lists().items()}
    context.add_output_metadata(
        {**told.counts(), "recordings with new content": registered, **lists}
    )


@dg.job(
    name=TAKE_IN_FILES,
    description="Reads the files that wait in the incoming folder, sorts their rows into "
    "recordings, and tells automation which of these have new content.",
    # a file that arrives goes before builds that wait for their turn
    tags={"ngsim/kind": "intake", "dagster/priority": "10"},
)
def take_in_files() -> None:
    """Graph of one step, since files share the landing zone."""
    take_in()


@dg.sensor(
    job_name=TAKE_IN_FILES,
    minimum_interval_seconds=_EVERY,
    default_status=_DEFAULT,
    description="Looks for new, changed and gone files in the incoming folder, by their sizes and "
    "times alone, and asks for one run at a time to take in those that are complete.",
)
def incoming_files(
    context: dg.SensorEvaluationContext, platform: HighwayPlatform
) -> dg.SensorResult:
    """One look at the incoming folder and at the runs that were asked for before."""
    settings = platform.settings()
    memory = Memory.of(context.cursor)
    if memory is None:
        context.log.warning(
            "the cursor is damaged or not this sensor's, and discarded: %.80r", context.cursor
        )
        memory = Memory()
    records = context.instance.get_run_records(
        dg.RunsFilter(job_name=TAKE_IN_FILES), limit=ATTEMPTS + 1
    )
    going = [record.dagster_run.run_id for record in records if not record.dagster_run.is_finished]
    if going:
        return _skip(memory, f"run {going[0]} is still taking files in")
    provide_folder(settings)
    seen = incoming.changes(settings, last_seen=memory.unsure)
    for note in seen.notes:
        context.log.warning(note)
    memory = replace(memory, unsure=seen.unsure)
    reason = _reason_to_run(settings, seen, records)
    if not reason:
        return _skip(memory, _nothing_to_do(settings, seen))
    told = answer(memory, seen.digest, reason, [_try(record) for record in records], time.time())
    if told.alarm:
        context.log.error(told.alarm)
    if not told.run_key:
        return _skip(told.memory, told.reason)
    context.log.info(told.reason)
    tags = {_WAITING: told.waiting, "ngsim/files": str(len(seen.ready))}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=told.run_key, tags=tags)],
        cursor=told.memory.cursor(),
    )


def _try(record: dg.RunRecord) -> Try:
    run = record.dagster_run
    return Try(run.tags.get(_WAITING, ""), run.is_success, record.end_time, run.run_id)


def _reason_to_run(settings: Settings, seen: Changes, records: Sequence[dg.RunRecord]) -> str:
    """Why there should be a run now, empty if nothing calls for it. `records`: newest first."""
    folder = settings.incoming_folder
    if seen.ready:
        return f"{_files(len(seen.ready))} waiting in {folder}"
    if seen.gone:
        return f"{_files(len(seen.gone))} gone from {folder}"
    if records and not records[0].dagster_run.is_success:
        return "the last run that took files in did not finish"
    if not records and any((settings.landing / "files").glob("[!.]*")):
        return "this Dagster instance does not know yet what the landing zone holds"
    return ""


def _nothing_to_do(settings: Settings, seen: Changes) -> str:
    folder = settings.incoming_folder
    growing = len(seen.settling) + len(seen.unsure)
    if growing:
        return f"{_files(growing)} still being written in {folder}"
    if folder in seen.unreadable:
        return f"there is no folder {folder}, or it cannot be looked into"
    if seen.unreadable:
        return f"nothing new in {folder}; {seen.unreadable[0]} cannot be looked into"
    return f"nothing new in {folder}; {_files(seen.known)} known"


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def _skip(memory: Memory, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=memory.cursor())


# upkeep --------------------------------------------------------------------------------------


@dg.op(pool=UPKEEP)
def look_after_lake(context: dg.OpExecutionContext, platform: HighwayPlatform) -> None:
    """Verify every live file, sweep, vacuum by retention, write the catalog anew, sum up."""
    settings, opened = platform.settings(), platform.open(context.run.run_id)
    with logs.bound(run=context.run.run_id), logs.step(UPKEEP) as done:
        tables = upkeep.upkeep(opened, settings, context.log.info)
        done["rows"] = {table.table: table.rows for table in tables}
    measuring.looked_after(settings)
    news = register_delivered(context.instance, opened.landing, context.run.run_id)
    tick_logs = tidy(context.instance)
    damages = upkeep.damages_in(tables)
    metadata: dict[str, dg.MetadataValue | int] = {
        "tables": _table([table.row() for table in tables]),
        "bytes live": sum(table.live_bytes for table in tables),
        "bytes of history": sum(table.history_bytes for table in tables),
        "bytes freed": sum(table.freed_bytes for table in tables),
        "damaged files": len(damages),
        "recordings registered late": len(news),
        "logs of ticks removed": tick_logs,
    }
    if damages:
        listed = [{"file": str(d.path), "problem": d.problem, "fix": d.fix} for d in damages]
        raise dg.Failure(
            str(upkeep.DamageFound(damages)),
            {**metadata, "damage": _table(listed)},
            allow_retries=False,
        )
    context.add_output_metadata(metadata)


@dg.job(
    name=UPKEEP,
    description="Verifies every live file, removes what killed writers left and versions past "
    "retention, and writes the catalog anew. Fails if a file is damaged.",
    tags={"ngsim/kind": "upkeep"},
)
def upkeep_job() -> None:
    """Graph of one step, since tables are looked after one by one."""
    look_after_lake()


daily_upkeep = dg.ScheduleDefinition(
    name="daily_upkeep",
    job=upkeep_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Upkeep at night.",
)

JOBS = [take_in_files, upkeep_job]
SENSORS = [
    incoming_files,
    *sensors_of_builds(dg.AssetCheckKey(dg.AssetKey("corpus_summary"), NOTHING_LEFT_FAILED)),
]
SCHEDULES = [daily_upkeep]


def _table(rows: Iterable[Mapping[str, str | int]]) -> dg.TableMetadataValue:
    """The first of `rows` as a table of the UI."""
    records = [dg.TableRecord(row) for row in list(rows)[:_ROWS_SHOWN]]
    return dg.MetadataValue.table(records)

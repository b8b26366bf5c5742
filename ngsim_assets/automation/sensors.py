"""What tells of builds that failed, are mended or were lost, of whatever domain they are.

One set of sensors for the whole installation, since runs and their failures are on record in one
place: `sensors_of_builds(check)`. The record names a partition by its key and a step by
its name, so steps of all domains have names of their own.

Belongs here: when Dagster looks for such runs, and what it is told. Does not belong here: the
records (failures.py, living_runs.py), what takes files in (a domain's sensors.py).
"""

from datetime import UTC, datetime
from typing import Protocol

import dagster as dg

from ngsim_assets.automation import failures, living_runs
from ngsim_assets.automation.failures import NOTHING_LEFT_FAILED, UNKNOWN_STEP, Failure, cause_of
from ngsim_assets.settings import Settings

_PARTITION = "dagster/partition"
_LATER_RUNS = 200
_EVERY = 10
_DEFAULT = dg.DefaultSensorStatus.RUNNING


class Place(Protocol):
    """A resource that knows where the records are."""

    def settings(self) -> Settings:
        """Settings in force."""
        ...


Platform = dg.ResourceParam[Place]


def sensors_of_builds(check: dg.AssetCheckKey) -> list[dg.SensorDefinition]:
    """Sensors that remember failed builds, forget mended ones, and end lost runs.

    They ask the resource `platform` where the records are.

    Args:
        check: stands for every remembered failure, and is evaluated when one comes or goes.
    """
    return [_failed_builds(check), _mended_builds(check), lost_runs]


def _failed_builds(check: dg.AssetCheckKey) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        minimum_interval_seconds=_EVERY,
        default_status=_DEFAULT,
        monitor_all_code_locations=True,  # runs of the command line belong to none
        description="Remembers each build that failed, until it succeeds: `ngsim status` and the "
        f"asset check {NOTHING_LEFT_FAILED} show them.",
    )
    def failed_builds(context: dg.RunFailureSensorContext, platform: Platform) -> None:
        """Record what failed in a run that has just failed."""
        settings = platform.settings()
        for failure in _failures_of(context):
            if not _is_mended(context.instance, failure):
                counted = failures.record(settings, failure)
                context.log.error(
                    "%s failed (%d): %s", counted.subject, counted.attempts, counted.cause
                )
        _tell(context.instance, settings, check)

    return failed_builds


def _mended_builds(check: dg.AssetCheckKey) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=3 * _EVERY,
        default_status=_DEFAULT,
        description="Forgets failures whose step has succeeded since.",
    )
    def mended_builds(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SkipReason:
        """Look whether what failed was built since, by whatever means."""
        settings = platform.settings()
        standing = failures.standing(settings)
        mended = [failure for failure in standing if _is_mended(context.instance, failure)]
        for failure in mended:
            failures.resolve(settings, failure.recording, {failure.step})
            context.log.info("%s is built", failure.subject)
        if mended:
            _tell(context.instance, settings, check)
        return dg.SkipReason(failures.finding(settings).detail)

    return mended_builds


@dg.sensor(
    minimum_interval_seconds=_EVERY,
    default_status=_DEFAULT,
    description="Ends runs whose process died with the machine or the daemon: nobody else "
    "would, and their partitions would count as being built for ever.",
)
def lost_runs(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Report dead runs as failed, if they were dead at the last tick too."""
    settings = platform.settings()
    dead = living_runs.dead_runs(settings)
    seen_before = set((context.cursor or "").split(","))
    ended = 0
    for run_id in dead:
        run = context.instance.get_run_by_id(run_id)
        if run is None:
            continue  # another instance's
        if not run.is_finished:
            if run_id not in seen_before:
                continue  # whoever started it may be about to say so
            context.instance.report_run_failed(
                run, "its process ended without a word: killed, out of memory, or a restart"
            )
            context.log.error("run %s (%s) was lost, ended as failed", run_id, run.job_name)
            ended += 1
        living_runs.bury(settings, run_id)
    reason = f"lost runs that were ended: {ended:,}" if ended else "no run is lost"
    return dg.SensorResult(skip_reason=reason, cursor=",".join(dead[:_LATER_RUNS]))


def _failures_of(context: dg.RunFailureSensorContext) -> list[Failure]:
    run = context.dagster_run
    refused: dict[str, str] = {}
    for entry in context.instance.all_logs(
        run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ):
        check = entry.asset_check_evaluation
        if check is not None and check.blocking and not check.passed:
            refused[check.check_name] = check.description or ""
    causes = {
        str(event.step_key): cause_of(event.step_failure_data.error, run.run_id, refused)
        for event in context.get_step_failure_events()
    }
    if not causes:
        going = _steps(context.instance, run.run_id, "IN_PROGRESS")
        wanted = [key.to_user_string() for key in run.asset_selection or ()]
        likely = going or (wanted if len(wanted) == 1 else [UNKNOWN_STEP])
        causes = dict.fromkeys(likely, _end_of(context))
    now = datetime.now(UTC)
    return [
        Failure(run.tags.get(_PARTITION, ""), step, cause, run.run_id, now)
        for step, cause in causes.items()
    ]


def _end_of(context: dg.RunFailureSensorContext) -> str:
    """Why a run ended in which no step failed: what its launcher noticed, or who ended it said."""
    noticed = context.instance.all_logs(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT
    )
    for event in reversed(noticed):
        told = event.dagster_event.message if event.dagster_event is not None else None
        if told and "Run execution process" in told:
            return f"its process was lost: {told[told.index('Run') :].split('. ')[0]}"
    return context.failure_event.message or "it ended without a word"


def _is_mended(instance: dg.DagsterInstance, failure: Failure) -> bool:
    """Whether a run after the one that failed did the step. Runs are ordered as they were made,
    which a clock moved back does not change."""
    failed = instance.get_run_record_by_id(failure.run_id)
    tags = {_PARTITION: failure.recording} if failure.recording else {}
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for record in instance.get_run_records(
        dg.RunsFilter(statuses=ended, tags=tags), limit=_LATER_RUNS
    ):
        run = record.dagster_run
        if failed is not None and record.storage_id <= failed.storage_id:
            return False
        if bool(run.tags.get(_PARTITION)) != bool(failure.recording):
            continue
        if failure.step == UNKNOWN_STEP:
            if run.is_success:
                return True
        elif failure.step in _steps(instance, run.run_id, "SUCCESS"):
            return True
    return False


def _steps(instance: dg.DagsterInstance, run_id: str, status: str) -> list[str]:
    """Steps of a run that are in a status."""
    found = instance.get_run_step_stats(run_id)
    return [step.step_key for step in found if step.status and step.status.value == status]


def _tell(instance: dg.DagsterInstance, settings: Settings, check: dg.AssetCheckKey) -> None:
    """Evaluate the standing check now, not when its asset is next made."""
    found = failures.finding(settings)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=found.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.detail,
        )
    )

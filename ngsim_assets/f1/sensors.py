"""What runs by itself for Formula 1: taking in sessions that arrive in the watched folder.

Belongs here: when Dagster asks for which run, and what a run tells Dagster. Does not belong here:
what waits in the folder (arriving.py), reading it (taking_in.py), which assets are built
(automation.py), failures and lost runs, which are those of every domain (automation/sensors.py).
"""

# Dagster's decorators are typed in part
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dagster as dg

from ngsim_assets.acquisition.observers.to_logger import ToLogger
from ngsim_assets.automation.watching import ATTEMPTS, Memory, Try, answer
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.arriving import (
    Arrival,
    Gone,
    Postponed,
    Took,
    Waiting,
    arrivals_of,
    state_of_deliveries,
)
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.resources import F1Resource, register_delivered
from ngsim_assets.f1.taking_in import Taken, take_in
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings
from ngsim_assets.storage.errors import StorageError

TAKE_IN_SESSIONS = "take_in_sessions"

_WAITING = "ngsim/waiting"
_KNOWN = "ngsim/deliveries"
"""What a run registered: `state_of_deliveries` then. A tag, since it is true of one instance."""

_NOTHING = "none"
_ROWS_SHOWN = 200
_REGISTER_EVERY = 30.0
_EVERY = 10


class _Told:
    """What a run says of what it took in: lines while it goes on, lists when it is done."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.rows: dict[str, list[dict[str, str | int]]] = {}

    def result(self, result: Took[Taken] | Gone | Postponed) -> None:
        """What became of an arrival."""
        if isinstance(result, Took):
            for taken in result.results:
                self._taken(taken)
        elif isinstance(result, Gone):
            self._log.warning(result.sentence())
            self._add("gone", path=str(result.path))
        else:
            self._log.info(result.sentence())
            self._add("postponed", path=str(result.path), reason=result.reason)

    def _taken(self, taken: Taken) -> None:
        error = taken.error
        if error is not None:
            self._log.warning(f"refused: {error}")
            row = {"path": str(taken.path), "problem": error.problem, "fix": error.fix}
            self._add("refused", **row)
            return
        self._log.info(f"{taken.path}: {taken.kind} of {taken.session}, {taken.status}")
        for warning in taken.warnings:
            self._log.warning(f"{taken.session}: {warning}")
        self._add(
            "taken in",
            session=str(taken.session),
            kind=taken.kind,
            status=taken.status,
            path=str(taken.path),
            warnings="; ".join(taken.warnings),
        )

    def unread(self, errors: Mapping[SessionKey, NgsimAssetsError]) -> None:
        """Sessions of which nobody can tell what they hold."""
        for key, error in errors.items():
            self._log.error(f"{key}: {error}")
            self._add("unreadable", session=str(key), problem=error.problem, fix=error.fix)

    def counts(self) -> dict[str, int]:
        """How many things came to what."""
        kinds = ("taken in", "refused", "gone", "postponed")
        return {name: len(self.rows.get(name, ())) for name in kinds}

    def lists(self) -> dict[str, dg.TableMetadataValue]:
        """A line per thing, by what it came to; no list is empty."""
        return {f"{name}, by name": _table(rows) for name, rows in self.rows.items()}

    def _add(self, outcome: str, **row: str | int) -> None:
        self.rows.setdefault(outcome, []).append(row)


@dg.op(pool=TAKE_IN_SESSIONS)
def take_in_waiting_sessions(context: dg.OpExecutionContext, f1: F1Resource) -> None:
    """Take in what waits in the folder; tell Dagster which sessions it changes."""
    settings, opened = f1.settings(), f1.open(context.run.run_id)
    told = _Told(context.log)
    observers = [ToLogger(context.log)]
    unread: dict[SessionKey, NgsimAssetsError] = {}
    registered_at = time.monotonic()
    registered = 0

    def register() -> None:
        nonlocal registered, registered_at
        unread.clear()
        state = state_of_deliveries(opened.store)  # before looking: what comes later is not known
        for key in register_delivered(context.instance, opened, context.run.run_id, unread):
            context.log.info("%s: new content, its tables are to be rebuilt", key)
            registered += 1
        context.instance.add_run_tags(context.run.run_id, {_KNOWN: state or _NOTHING})
        registered_at = time.monotonic()

    def take(arrival: Arrival) -> Iterator[Taken]:
        context.log.info("reading %s", arrival.path)
        for taken in take_in(settings, arrival.handed, observers=observers):
            if isinstance(taken.error, StorageError):
                raise taken.error  # it is not the fault of what arrived, which comes again
            yield taken

    try:
        with (
            logs.bound(run=context.run.run_id, source="f1"),
            logs.step(TAKE_IN_SESSIONS) as done,
        ):
            for result in arrivals_of(settings).take_all(
                take, lambda taken: not taken.taken, on_wait=context.log.info
            ):
                told.result(result)
                done.update({name.replace(" ", "_"): n for name, n in told.counts().items()})
                if time.monotonic() - registered_at > _REGISTER_EVERY:
                    register()
    except Exception:
        # what was taken in until then is known at once; if not even that can be, why it ended
        # says more than that does, and the next run makes up for it
        with suppress(Exception):
            register()
        raise
    register()
    told.unread(unread)
    context.add_output_metadata(
        {**told.counts(), "sessions with new content": registered, **told.lists()}
    )


@dg.job(
    name=TAKE_IN_SESSIONS,
    description="Reads recordings and folders of feeds that wait in the folder of sessions, and "
    "tells automation which sessions have new content.",
    # what arrives goes before builds that wait for their turn
    tags={"ngsim/kind": "f1 intake", "dagster/priority": "10"},
)
def take_in_sessions() -> None:
    """Graph of one step, since what arrives shares the store of downloads."""
    take_in_waiting_sessions()


@dg.sensor(
    job_name=TAKE_IN_SESSIONS,
    minimum_interval_seconds=_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for new, changed and gone recordings and folders of feeds in the folder of "
    "sessions, by their sizes and times alone, and asks for one run at a time to take in those "
    "that are complete.",
)
def f1_sessions(context: dg.SensorEvaluationContext, f1: F1Resource) -> dg.SensorResult:
    """One look at the folder of sessions and at the runs that were asked for before."""
    settings = f1.settings()
    memory = Memory.of(context.cursor)
    if memory is None:
        context.log.warning(
            "the cursor is damaged or not this sensor's, and discarded: %.80r", context.cursor
        )
        memory = Memory()
    records = context.instance.get_run_records(
        dg.RunsFilter(job_name=TAKE_IN_SESSIONS), limit=ATTEMPTS + 1
    )
    going = [record.dagster_run.run_id for record in records if not record.dagster_run.is_finished]
    if going:
        return _skip(memory, f"run {going[0]} is still taking sessions in")
    _provide_folder(settings)
    seen = arrivals_of(settings).waiting(memory.unsure)
    for note in seen.notes:
        context.log.warning(note)
    memory = replace(memory, unsure=seen.unsure)
    delivered = state_of_deliveries(f1.open("sensor").store)
    reason = _reason_to_run(settings, seen, records, delivered)
    if not reason:
        return _skip(memory, _nothing_to_do(settings, seen))
    told = answer(
        memory, seen.digest or delivered, reason, [_try(record) for record in records], time.time()
    )
    if told.alarm:
        context.log.error(told.alarm)
    if not told.run_key:
        return _skip(told.memory, told.reason)
    context.log.info(told.reason)
    tags = {_WAITING: told.waiting, "ngsim/arrivals": str(len(seen.ready))}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=told.run_key, tags=tags)],
        cursor=told.memory.cursor(),
    )


JOBS = [take_in_sessions]
SENSORS = [f1_sessions]


def _provide_folder(settings: Settings) -> None:
    """Create the folder below the data, so that there is a place to put sessions.

    One that `NGSIM_F1_RECORDINGS` names is somebody else's, and so is data that is not there.
    """
    if settings.f1_recordings is None and settings.data.is_dir():
        with suppress(OSError):
            settings.f1_folder.mkdir(parents=True, exist_ok=True)


def _try(record: dg.RunRecord) -> Try:
    run = record.dagster_run
    return Try(run.tags.get(_WAITING, ""), run.is_success, record.end_time, run.run_id)


def _reason_to_run(
    settings: Settings, seen: Waiting, records: Sequence[dg.RunRecord], delivered: str
) -> str:
    """Why there should be a run now, empty if nothing calls for it.

    Args:
        records: of earlier runs, newest first. delivered: state of all deliveries.
    """
    folder = settings.f1_folder
    if seen.ready:
        return f"{_things(len(seen.ready))} waiting in {folder}"
    if seen.gone:
        return f"{_things(len(seen.gone))} gone from {folder}"
    if records and not records[0].dagster_run.is_success:
        return "the last run that took sessions in did not finish"
    known = records[0].dagster_run.tags.get(_KNOWN, "") if records else ""
    if delivered and delivered != known:
        return "sessions were delivered that this Dagster instance does not know yet"
    return ""


def _nothing_to_do(settings: Settings, seen: Waiting) -> str:
    folder = settings.f1_folder
    if seen.growing:
        return f"{_things(seen.growing)} still being written in {folder}"
    if folder in seen.unreadable:
        return f"there is no folder {folder}, or it cannot be looked into"
    if seen.unreadable:
        return f"nothing new in {folder}; {seen.unreadable[0]} cannot be looked into"
    refused = f", {seen.refused:,} of them refused" if seen.refused else ""
    return f"nothing new in {folder}; {seen.known:,} files known{refused}"


def _things(count: int) -> str:
    return f"{count:,} recording or folder" if count == 1 else f"{count:,} recordings or folders"


def _skip(memory: Memory, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=memory.cursor())


def _table(rows: Iterable[Mapping[str, str | int]]) -> dg.TableMetadataValue:
    """The first of `rows` as a table of the UI."""
    records = [dg.TableRecord(row) for row in list(rows)[:_ROWS_SHOWN]]
    return dg.MetadataValue.table(records)

"""Rollback: tables of a recording as they were, and held so until something new comes.

A rollback is planned as a whole and refused as a whole; then each table gets one commit that
names the old files again. What is to be done is on record before the first commit and until all
that follows from it is done, so one that was killed is finished by the same command.

Belongs here: which tables go back to which version, and against what they are held. Does not
belong here: how a table goes back (storage/restoring.py), what a version is called
(storage/versions.py), who rebuilds what hangs on the tables.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.building import alone
from ngsim_assets.highway.data_versions import RAW_FILES, partition_of, table_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import write_report
from ngsim_assets.highway.stages import Platform
from ngsim_assets.highway.staleness import ASSETS, inputs_of, would_be_built
from ngsim_assets.highway.states import state
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import DamagedFile, writing
from ngsim_assets.storage.parquet import Commit, Provenance
from ngsim_assets.storage.verify import damages


class CannotRollBack(NgsimAssetsError):
    """A version that cannot be live again; nothing was changed."""

    def __init__(self, key: PartitionKey, reasons: Sequence[str]) -> None:
        super().__init__(
            f"{key} cannot be rolled back, nothing was changed: {'; '.join(reasons)}",
            f"choose another version: ngsim versions '{key}'",
        )


class OtherRollbackUnfinished(NgsimAssetsError):
    """A rollback of the recording stopped half-way, and this is not the same one."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            f"a rollback of {plan.key} to {plan.wanted} stopped half-way",
            f"finish it first: {plan.command}; or rebuild all of it: ngsim build '{plan.key}' "
            "--force",
        )


class RollbackRunning(NgsimAssetsError):
    """Another process is rolling the same recording back."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is being rolled back by another process", "wait until it is done")


@dataclass(frozen=True)
class Step:
    """One table's part of a rollback.

    Attributes:
        asset: whose table it is. before, rows_before: version that is live, and its rows.
        to, rows: version that will be live again, and its rows.
        changes: whether other files become live.
    """

    asset: str
    before: int
    rows_before: int
    to: int
    rows: int
    changes: bool

    def row(self) -> dict[str, object]:
        """For people and machines: a line."""
        return {
            "table": table_of(self.asset).name,
            "from version": self.before,
            "to version": self.to,
            "rows before": self.rows_before,
            "rows after": self.rows,
            "changes": self.changes,
        }


@dataclass(frozen=True)
class Plan:
    """A rollback of one recording, as it was asked for and what it comes to.

    Attributes:
        wanted, table: as asked for; no table means all. run_id: recorded with every commit.
        delivered: content of the delivered rows when it was planned, which it is held against.
        steps: in building order.
    """

    key: str
    wanted: str
    table: str | None
    run_id: str
    planned: datetime
    delivered: str
    steps: tuple[Step, ...]

    @property
    def changes(self) -> bool:
        """Whether any table gets other rows."""
        return any(step.changes for step in self.steps)

    @property
    def command(self) -> str:
        """What finishes it."""
        table = f" --table {self.table}" if self.table else ""
        return f"ngsim rollback '{self.key}'{table} --to {self.wanted}"


def plan(platform: Platform, key: PartitionKey, wanted: str, table: str | None = None) -> Plan:
    """What `wanted`, see `states.state`, comes to: which tables go from which version to which.

    Raises CannotRollBack where a version is not whole any more. Changes nothing.
    """
    steps: list[Step] = []
    refused: list[str] = []
    for asset, version in state(platform, key, wanted, table).items():
        try:
            steps.append(_step(platform, asset, key, version))
        except NgsimAssetsError as error:
            refused.append(error.problem)
    if refused:
        raise CannotRollBack(key, refused)
    return Plan(
        key=str(key),
        wanted=wanted,
        table=table,
        run_id=str(uuid4()),
        planned=datetime.now(UTC),
        delivered=platform.landing.partition_hash(str(key)),
        steps=tuple(steps),
    )


def planned(
    platform: Platform, settings: Settings, key: PartitionKey, wanted: str, table: str | None = None
) -> Plan:
    """`plan`, or what is left on record of the same rollback, if that was interrupted."""
    for left in unfinished(settings):
        if left.key == str(key) and (left.wanted, left.table) == (wanted, table):
            return left
    return plan(platform, key, wanted, table)


def carry_out(
    platform: Platform, key: PartitionKey, plan: Plan, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Make the planned versions live, and the report's files agree with them; assets restored.

    Args:
        tell: called with the name of each table before it is restored.

    May be called again for the same plan: what is done stays done. A table is held against what
    it would be built from now, with this code and these parameters. Raises as
    `ParquetStorage.restore`; tables done before stay as they are then.
    """
    restored: list[str] = []
    with alone(platform, key):
        content: dict[str, tuple[str, ...]] = {RAW_FILES: (plan.delivered,)}
        versions = {step.asset: step.to for step in plan.steps}
        for asset in ASSETS:
            commit: Commit | None
            if asset in versions:
                tell(asset)
                held_against = would_be_built(platform, asset, key, inputs_of(asset, content))
                commit = platform.lake.restore(
                    table_of(asset),
                    partition_of(asset, key),
                    versions[asset],
                    Provenance(run_id=plan.run_id),
                    held_against,
                )
                restored.append(asset)
            else:
                commit = platform.lake.current(table_of(asset), partition_of(asset, key))
            content[asset] = commit.content if commit is not None else ()
        if "quality_report" in restored:
            tell("report")
            write_report(platform, key)
    return restored


def _step(platform: Platform, asset: str, key: PartitionKey, version: int) -> Step:
    """What an asset's part comes to; raises where a file of that version is not as written."""
    table, partition = table_of(asset), partition_of(asset, key)
    live = platform.lake.current(table, partition)
    files = platform.lake.files(table, partition, version=version)
    held = live.files if live is not None else ()
    changes = {file.path for file in files} != {file.path for file in held}
    damage = next(damages(table.name, platform.lake.root / table.name, files), None)
    if damage is not None and changes:
        raise DamagedFile(table.name, damage.path, damage.problem)
    return Step(
        asset=asset,
        before=live.version if live is not None else -1,
        rows_before=live.rows if live is not None else 0,
        to=version,
        rows=sum(file.rows for file in files),
        changes=changes,
    )


# what is on record of it -------------------------------------------------------------------------


@contextmanager
def begun(settings: Settings, wanted: Plan) -> Iterator[Plan]:
    """Have a rollback on record while the block runs; off it when the block ends without error.

    Yields the plan to carry out: that of the same rollback where one was interrupted. Raises
    OtherRollbackUnfinished, RollbackRunning.
    """
    path = _path(settings, wanted.key)
    with writing(path):
        make_folder(path.parent)
        with path.with_suffix(".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RollbackRunning(wanted.key) from None
            left = _read(path)
            if left is not None and (left.wanted, left.table) != (wanted.wanted, wanted.table):
                raise OtherRollbackUnfinished(left)
            if left is None:
                write_atomically(path, json.dumps(asdict(wanted), indent=1, default=str))
            yield left or wanted
            path.unlink(missing_ok=True)


def unfinished(settings: Settings) -> list[Plan]:
    """Rollbacks that stopped half-way or are going on, by recording."""
    found = (_read(path) for path in sorted(settings.rollbacks.glob("[!.]*.json")))
    return [plan for plan in found if plan is not None]


def forget(settings: Settings, key: PartitionKey) -> None:
    """A build of the whole recording ends a rollback that stopped half-way."""
    _path(settings, str(key)).unlink(missing_ok=True)


def _path(settings: Settings, key: str) -> Path:
    return settings.rollbacks / f"{key.replace('|', '_')}.json"


def _read(path: Path) -> Plan | None:
    """The plan at `path`; None where there is none, or none that was written whole."""
    try:
        return TypeAdapter(Plan).validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None

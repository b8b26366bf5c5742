"""Rollback: tables of one thing as they were, and held so until something new comes.

A rollback is planned as a whole and refused as a whole; then each table gets one commit that
names the old files again. What is to be done is on record before the first commit and until all
that follows from it is done, so one that was killed is finished by the same command.

Belongs here: which tables go back to which version, and the record of it. Does not belong here:
which assets there are and against what they are held (the domains), how a table goes back
(restoring.py), who rebuilds what hangs on the tables.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import DamagedFile, writing
from ngsim_assets.storage.parquet import Commit, ParquetStorage, Provenance
from ngsim_assets.storage.states import Place, Subject, state
from ngsim_assets.storage.verify import damages

Contents = Mapping[str, tuple[str, ...]]
"""Content hashes by asset, and by what was delivered."""


class CannotRollBack(NgsimAssetsError):
    """A version that cannot be live again; nothing was changed."""

    def __init__(self, subject: str, reasons: Sequence[str], command: str) -> None:
        super().__init__(
            f"{subject} cannot be rolled back, nothing was changed: {'; '.join(reasons)}",
            f"choose another version: {command.replace('rollback', 'versions')} '{subject}'",
        )


class OtherRollbackUnfinished(NgsimAssetsError):
    """A rollback of the same thing stopped half-way, and this is not the same one."""

    def __init__(self, plan: Plan) -> None:
        build = plan.program.replace("rollback", "build")
        super().__init__(
            f"a rollback of {plan.key} to {plan.wanted} stopped half-way",
            f"finish it first: {plan.command}; or rebuild all of it: {build} '{plan.key}' --force",
        )


class RollbackRunning(NgsimAssetsError):
    """Another process is rolling the same thing back."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is being rolled back by another process", "wait until it is done")


@dataclass(frozen=True)
class Step:
    """One table's part of a rollback.

    Attributes:
        asset: whose table it is. before, rows_before: version that is live, and its rows.
        to, rows: version that will be live again, and its rows.
        changes: whether other files become live. table: its name, if it is not the asset's.
    """

    asset: str
    before: int
    rows_before: int
    to: int
    rows: int
    changes: bool
    table: str = ""

    def row(self) -> dict[str, object]:
        """For people and machines: a line."""
        return {
            "table": self.table or self.asset,
            "from version": self.before,
            "to version": self.to,
            "rows before": self.rows_before,
            "rows after": self.rows,
            "changes": self.changes,
        }


@dataclass(frozen=True)
class Plan:
    """A rollback of one thing, as it was asked for and what it comes to.

    Attributes:
        wanted, table: as asked for; no table means all. run_id: recorded with every commit.
        delivered: content of what was delivered when it was planned, which it is held against.
        steps: in building order. program: the command that rolls such a thing back.
    """

    key: str
    wanted: str
    table: str | None
    run_id: str
    planned: datetime
    delivered: str
    steps: tuple[Step, ...]
    program: str = "ngsim rollback"

    @property
    def changes(self) -> bool:
        """Whether any table gets other rows."""
        return any(step.changes for step in self.steps)

    @property
    def command(self) -> str:
        """What finishes it."""
        table = f" --table {self.table}" if self.table else ""
        return f"{self.program} '{self.key}'{table} --to {self.wanted}"


def plan_of(
    lake: ParquetStorage,
    subject: Subject,
    wanted: str,
    *,
    asset: str | None = None,
    table: str | None = None,
    delivered: str,
    program: str,
) -> Plan:
    """What `wanted`, see `states.state`, comes to: which tables go from which version to which.

    Args:
        asset: only that one, whose table was asked for as `table`.

    Raises CannotRollBack where a version is not whole any more. Changes nothing.
    """
    steps: list[Step] = []
    refused: list[str] = []
    for name, version in state(lake, subject, wanted, asset).items():
        try:
            steps.append(_step(lake, name, subject.places[name], version))
        except NgsimAssetsError as error:
            refused.append(error.problem)
    if refused:
        raise CannotRollBack(subject.name, refused, program)
    return Plan(
        key=subject.name,
        wanted=wanted,
        table=table,
        run_id=str(uuid4()),
        planned=datetime.now(UTC),
        delivered=delivered,
        steps=tuple(steps),
        program=program,
    )


def carry_out(
    lake: ParquetStorage,
    subject: Subject,
    plan: Plan,
    delivered: str,
    held_against: Callable[[str, Contents], tuple[str, ...]],
    tell: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Make the planned versions live; the assets that were restored, in building order.

    Args:
        delivered: name of what was delivered among the contents that `held_against` gets.
        held_against: what would decide the rows of an asset if it were built of contents now.
        tell: called with the name of each table before it is restored.

    May be called again for the same plan: what is done stays done. Raises as
    `ParquetStorage.restore`; tables done before stay as they are then.
    """
    restored: list[str] = []
    content: dict[str, tuple[str, ...]] = {delivered: (plan.delivered,)}
    versions = {step.asset: step.to for step in plan.steps}
    for asset, place in subject.places.items():
        commit: Commit | None
        if asset in versions:
            tell(asset)
            commit = lake.restore(
                place.table,
                place.partition,
                versions[asset],
                Provenance(run_id=plan.run_id),
                held_against(asset, content),
            )
            restored.append(asset)
        else:
            commit = lake.current(place.table, place.partition)
        content[asset] = commit.content if commit is not None else ()
    return restored


def _step(lake: ParquetStorage, asset: str, place: Place, version: int) -> Step:
    """What an asset's part comes to; raises where a file of that version is not as written."""
    table = place.table
    live = lake.current(table, place.partition)
    files = lake.files(table, place.partition, version=version)
    held = live.files if live is not None else ()
    changes = {file.path for file in files} != {file.path for file in held}
    damage = next(damages(table.name, lake.root / table.name, files), None)
    if damage is not None and changes:
        raise DamagedFile(table.name, damage.path, damage.problem)
    return Step(
        asset=asset,
        before=live.version if live is not None else -1,
        rows_before=live.rows if live is not None else 0,
        to=version,
        rows=sum(file.rows for file in files),
        changes=changes,
        table=table.name,
    )


# what is on record of it -------------------------------------------------------------------------


@contextmanager
def begun(folder: Path, wanted: Plan) -> Iterator[Plan]:
    """Have a rollback on record in `folder` while the block runs; off it when it ends well.

    Yields the plan to carry out: that of the same rollback where one was interrupted. Raises
    OtherRollbackUnfinished, RollbackRunning.
    """
    path = _path(folder, wanted.key)
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


def unfinished(folder: Path) -> list[Plan]:
    """Rollbacks that stopped half-way or are going on, by what they are of."""
    found = (_read(path) for path in sorted(folder.glob("[!.]*.json")))
    return [plan for plan in found if plan is not None]


def begun_before(folder: Path, key: str, wanted: str, table: str | None) -> Plan | None:
    """What is on record of the same rollback, if that was interrupted."""
    for left in unfinished(folder):
        if left.key == key and (left.wanted, left.table) == (wanted, table):
            return left
    return None


def forget(folder: Path, key: str) -> None:
    """A build of all of it ends a rollback that stopped half-way."""
    _path(folder, key).unlink(missing_ok=True)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key.replace('|', '_')}.json"


def _read(path: Path) -> Plan | None:
    """The plan at `path`; None where there is none, or none that was written whole."""
    try:
        return TypeAdapter(Plan).validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None

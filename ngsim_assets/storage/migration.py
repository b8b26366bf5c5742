"""Bringing a table of the lake to the model: what would become of each column, and doing it.

Belongs here: the plan, the checked conversion of values, one commit. Does not belong here: which
difference needs what (evolution.py), the log (delta.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import polars as pl

from ngsim_assets.storage.claims import claimed
from ngsim_assets.storage.delta import DeltaLog
from ngsim_assets.storage.errors import DamagedFile, MigrationRefused
from ngsim_assets.storage.evolution import Picked, Step, StoredColumns, View, folder_fault
from ngsim_assets.storage.manifest import DataFile, Lineage, Provenance
from ngsim_assets.storage.origins import origin_of
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.partition_writer import PartitionWriter, Written
from ngsim_assets.storage.reading import read_file
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.snapshots import Snapshot
from ngsim_assets.storage.turns import turns
from ngsim_assets.storage.verify import is_sound

_BY_ITSELF = {"keep", "add", "refine"}

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class MigrationPlan:
    """What would become of a table.

    Attributes:
        version: of the table now, None if there is none.
        steps: one per column, see `Step`.
        folders: how the folders differ, empty if they do not.
        unnamed: columns that name a partition in the model and are no folders in the lake.
        nulls: nulls by column in columns that the model allows none in; they stay as they are
            until their partitions are built again.
        files, bytes: what would be rewritten.
    """

    table: str
    version: int | None
    steps: tuple[Step, ...] = ()
    folders: str = ""
    unnamed: tuple[str, ...] = ()
    nulls: Mapping[str, int] = field(default_factory=dict[str, int])
    files: int = 0
    bytes: int = 0

    @property
    def is_needed(self) -> bool:
        """Whether rows of the model cannot be written before a migration."""
        return bool(self.folders) or any(step.action not in _BY_ITSELF for step in self.steps)

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if step.action != "keep")

    def obstacles(self, drop: Collection[str] = ()) -> list[str]:
        """What has to be settled first; `drop` are the columns that may go."""
        found = [f"{step.fault()}: {step.why}" for step in self.steps if step.action == "refuse"]
        found += [f"{self.folders}: {name} names no partition there" for name in self.unnamed]
        return found + [
            f"column {step.column} ({step.before}) is in the lake only and would be lost"
            for step in self.steps
            if step.action == "drop" and step.column not in drop
        ]


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    Attributes:
        version: the table's version with the model's columns, None if there is no table.
        changed: False if there was nothing to do.
        restarted: whether the table was emptied instead of rewritten.
        partitions, rows: what it holds in the new form.
    """

    plan: MigrationPlan
    version: int | None
    changed: bool = False
    restarted: bool = False
    partitions: int = 0
    rows: int = 0


def migration_plan(storage: ParquetStorage, table: Table) -> MigrationPlan:
    """What `migrate` would do to every column of `table`, without doing anything."""
    log = storage.log(table)
    snapshot = log.current()
    if snapshot is None:
        return MigrationPlan(table.name, None)
    counted = log.null_counts()
    nulls = {name: counted[name] for name in table.columns if counted.get(name)}
    return MigrationPlan(
        table.name,
        snapshot.version,
        tuple(log.steps(snapshot.stored)),
        folder_fault(table, snapshot.stored),
        tuple(name for name in table.identity if name not in snapshot.stored.partition_by),
        {name: count for name, count in nulls.items() if name in table.required},
        len(snapshot.files),
        sum(file.bytes for file in snapshot.files),
    )


def migrate(
    storage: ParquetStorage,
    table: Table,
    *,
    drop: Collection[str] = (),
    restart: bool = False,
    run_id: str = "",
    progress: Progress | None = None,
) -> Migrated:
    """Bring the table in the lake to the columns, types and folders of the model, in one commit.

    Every value that is converted is checked to be the same there and back; a partition keeps
    its record: run, code, parameters, sources. Older versions stay as they are. Killed anywhere,
    the table is the old one or the new one; what is left over goes with the next write. A table
    that is as the model has it is left alone.

    Args:
        drop: columns of the lake that the model has not and that may go.
        restart: instead of converting, start again with an empty table.
        run_id: recorded with the migration.
        progress: called with files done and files in all.

    Raises:
        MigrationRefused: if a column cannot be converted, a value would change, or a column
            would be lost that `drop` does not name; nothing was changed.
        DamagedFile: if a file is not as it was written. DiskFull, ReadOnlyLake.
    """
    plan = migration_plan(storage, table)
    unknown = set(drop) - {step.column for step in plan.steps if step.action == "drop"}
    if unknown and plan.is_needed:
        raise MigrationRefused(
            table.name,
            [f"{', '.join(sorted(unknown))} cannot be dropped: the model has it, or the lake not"],
            f"`ngsim migrate {table.name} --dry-run` tells which columns only the lake has",
        )
    if plan.version is None:
        return Migrated(plan, None)
    if not plan.is_needed:
        version = storage.log(table).open().version
        return Migrated(plan, version, changed=version != plan.version)
    obstacles = [] if restart else plan.obstacles(drop)
    if obstacles:
        raise MigrationRefused(table.name, obstacles)
    work = _Migration(storage, table, plan, run_id, progress or (lambda done, total: None))
    return work.restart() if restart else work.rewrite()


class _Migration:
    """One migration at work; every file it writes has the same write in its name."""

    def __init__(
        self,
        storage: ParquetStorage,
        table: Table,
        plan: MigrationPlan,
        run_id: str,
        progress: Progress,
    ) -> None:
        self._storage = storage
        self._table = table
        self._plan = plan
        self._run_id = run_id
        self._progress = progress
        self._log: DeltaLog = storage.log(table)
        self._write = uuid4().hex[:12]
        self._done: dict[tuple[str, ...], _Rewritten] = {}

    def restart(self) -> Migrated:
        """An empty table with the model's columns."""
        for _ in turns():
            newest = self._newest()
            if newest is None:
                break
            lineage = self._lineage([])
            version = self._log.migrate(newest, lineage, ())
            if version is not None:
                return Migrated(self._plan, version, changed=True, restarted=True)
        return self._overtaken()

    def rewrite(self) -> Migrated:
        """The same rows in the model's columns; rewrites again what others replaced meanwhile."""
        with claimed(self._storage.root / self._table.name, self._write):
            try:
                for _ in turns():
                    newest = self._newest()
                    if newest is None:
                        break
                    self._rewrite(newest)
                    written = [one for done in self._done.values() for one in done.written]
                    version = self._log.migrate(
                        newest,
                        self._lineage([done.lineage for done in self._done.values()]),
                        [action for _, action in written],
                    )
                    if version is not None:
                        rows = sum(file.rows for file, _ in written)
                        return Migrated(self._plan, version, True, False, len(self._done), rows)
                for done in self._done.values():
                    done.writer.discard()
            except BaseException:
                for done in self._done.values():
                    done.writer.discard()
                raise
        return self._overtaken()

    def _newest(self) -> Snapshot | None:
        """The table now, None if another process has given it other columns."""
        newest = self._log.current()
        if newest is None or tuple(self._log.steps(newest.stored)) != self._plan.steps:
            return None
        return newest if folder_fault(self._table, newest.stored) == self._plan.folders else None

    def _overtaken(self) -> Migrated:
        """Somebody else was quicker; MigrationRefused if the table still is not the model's."""
        plan = migration_plan(self._storage, self._table)
        if plan.is_needed:
            raise MigrationRefused(
                self._table.name,
                ["another process changed its columns meanwhile"],
                "run it again",
            )
        return Migrated(plan, plan.version)

    def _lineage(self, partitions: Sequence[Lineage]) -> Lineage:
        steps = [step.record() for step in self._plan.steps]
        return Lineage.of_migration(self._table.name, self._write, partitions, steps, self._run_id)

    def _rewrite(self, newest: Snapshot) -> None:
        """Write what is not written yet of the files of `newest`; discard what they are not."""
        live: dict[tuple[str, ...], list[DataFile]] = {}
        for file in newest.files:
            key = tuple(file.partition[name] for name in self._table.identity)
            live.setdefault(key, []).append(file)
        for key, done in list(self._done.items()):
            if done.files != live.get(key):
                done.writer.discard()
                del self._done[key]
        finished = sum(len(done.files) for done in self._done.values())
        for key, files in live.items():
            if key in self._done:
                continue
            self._done[key] = self._rewritten(newest, key, files, finished)
            finished += len(files)

    def _rewritten(
        self, newest: Snapshot, key: tuple[str, ...], files: list[DataFile], finished: int
    ) -> _Rewritten:
        identity = dict(zip(self._table.identity, key, strict=True))
        options = self._storage.options
        if not self._plan.folders:
            options = replace(options, file_rows=1)  # a file for a file: whole vehicles stay so
        writer = PartitionWriter(
            self._table, identity, self._storage.root / self._table.name, options, self._write
        )
        view = _all_of(newest.stored)

        def frames() -> Iterator[pl.DataFrame]:
            for number, file in enumerate(files):
                self._progress(finished + number, len(newest.files))
                if not is_sound(self._log.folder, [file]):
                    path = self._log.folder / file.path
                    raise DamagedFile(
                        self._table.name,
                        path,
                        "it is not as it was written",
                        "bring it back from a backup, or start the table again:"
                        f" ngsim migrate {self._table.name} --restart, ngsim build --force",
                    )
                names = view.schema.names()
                frame = read_file(
                    self._table.name, view, self._log.folder, file, names, physical=False
                )
                yield converted(self._table, self._plan.steps, frame, "|".join(key))

        try:
            written = writer.write(frames())
        except BaseException:
            writer.discard()
            raise
        self._progress(finished + len(files), len(newest.files))
        made = tuple(file for file, _ in written)
        origin = origin_of(self._log.records(newest.version), identity, files)
        if origin is None:
            told = Lineage.of(self._table.name, identity, "", files, Provenance())
            lineage = told.moved_to(self._write, made, newest.version, "replace")
        else:
            operation = origin.made.operation
            lineage = origin.newest.whole(files).moved_to(
                self._write,
                made,
                origin.version,
                "replace" if operation == "append" else operation,
            )
        return _Rewritten(files, writer, written, lineage)


@dataclass(frozen=True)
class _Rewritten:
    """A partition in its new form: the files it was read from and those written."""

    files: list[DataFile]
    writer: PartitionWriter
    written: list[Written]
    lineage: Lineage


def converted(table: Table, steps: Sequence[Step], frame: pl.DataFrame, place: str) -> pl.DataFrame:
    """A frame of the lake's columns in the model's; `place` says in errors where it is from.

    MigrationRefused if a value is not the same in its new type, or would be rounded.
    """
    columns: list[pl.Series] = []
    faults: list[str] = []
    for step in steps:
        if not step.after:
            continue
        column = table.columns[step.column]
        if not step.source:
            columns.append(
                pl.Series(step.column, [None], column.dtype).new_from_index(0, frame.height)
            )
            continue
        old = frame[step.source]
        try:
            new = old if old.dtype == column.dtype else old.cast(column.dtype, strict=False)
            same = new.cast(old.dtype, strict=False).eq_missing(old)
        except pl.exceptions.ComputeError as error:  # more digits than a decimal has
            faults.append(f"column {step.column}: in a file of {place}, {error}")
            continue
        if column.resolution is not None:
            steps_of = new / column.resolution
            same &= (steps_of.round(0, mode="half_to_even") == steps_of).fill_null(value=True)
        if not same.all():
            other = old.filter(~same)
            faults.append(
                f"column {step.column}: {len(other):,} of {len(old):,} values in a file of {place}"
                f" are not the same as {step.after}, for example {other[0]}"
            )
        columns.append(new.alias(step.column))
    if faults:
        raise MigrationRefused(table.name, faults)
    return pl.DataFrame(columns)


def _all_of(stored: StoredColumns) -> View:
    """Every column as the lake has it."""
    columns = stored.columns.items()
    return View(stored, tuple(Picked(name, name, column.dtype) for name, column in columns))

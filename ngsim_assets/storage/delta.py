"""The Delta log of one table: what is live in which version, and one atomic commit.

Belongs here: everything that calls deltalake. Does not belong here: data files' content.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder
from ngsim_assets.storage.encoding import arrow_schema
from ngsim_assets.storage.errors import (
    DamagedFile,
    MigrationNeeded,
    UnknownVersion,
    writing,
)
from ngsim_assets.storage.evolution import (
    Step,
    StoredColumns,
    View,
    compare,
    described,
    folder_fault,
    unreadable,
    unwritable,
    view_as_it_was,
    view_of,
)
from ngsim_assets.storage.log_damage import drop_damaged_checkpoints, log_damage
from ngsim_assets.storage.manifest import LINEAGE, DataFile, Lineage
from ngsim_assets.storage.records import CommitRecord, CommitRecords
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.snapshots import Snapshot, null_counts, snapshot_of, stored_columns

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction

_KEEP_LOG = {"delta.logRetentionDuration": "interval 36500 days"}
"""Versions are provenance: the log is never cleaned up behind the user's back."""


class DeltaLog:
    """One table's log. Keeps the newest snapshot it has seen and follows the log cheaply."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.folder = folder
        self._table = table
        self._lock = RLock()
        self._delta: DeltaTable | None = None
        self._snapshot: Snapshot | None = None
        self._records = CommitRecords(folder, table.name)

    def current(self) -> Snapshot | None:
        """The newest version, None if there is no table."""
        with self._lock:
            delta = self._newest()
            if delta is None:
                return None
            if self._snapshot is None or self._snapshot.version != delta.version():
                self._snapshot = snapshot_of(delta)
            return self._snapshot

    def at(self, version: int) -> Snapshot:
        """The given version, whether or not its files are still there; UnknownVersion if none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        newest = self.current()
        if newest is None or not 0 <= version <= newest.version:
            raise UnknownVersion(self._table.name, version)
        try:
            return snapshot_of(DeltaTable(self.folder, version=version))
        except DeltaError as error:
            raise UnknownVersion(self._table.name, version) from error

    def _opened(self, version: int) -> DeltaTable:
        """The table as it was at `version`, to commit on top of; DamagedFile if it is not whole."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return DeltaTable(self.folder, version=version)
        except DeltaError as error:
            raise log_damage(self._table.name, self.folder / "_delta_log", error) from error

    def open(self) -> Snapshot:
        """The newest version of the table, which is created, or given new columns, if need be.

        SchemaMismatch if its columns cannot become those of the model.
        """
        with self._lock:
            if self._newest() is None:
                self._create()
            self._evolve()
            snapshot = self.current()
        if snapshot is None:
            raise FileNotFoundError(self.folder)
        return snapshot

    def commit(
        self,
        base: Snapshot,
        lineage: Lineage,
        files: Sequence[AddAction] | None,
    ) -> int | None:
        """Make the version after `base`: the partition of `lineage` holds `files`, no others.

        Without files (None, not empty) the rows stay and only the record is added. Returns the
        new version, or None if another commit took its number.
        """
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import CommitProperties

        delta = self._opened(base.version)
        filters = [(name, "=", value) for name, value in lineage.partition.items()] or None
        if files is not None:
            self._writable(delta)  # its columns may have changed since the files were written
        try:
            with writing(self.folder), self._committing():
                delta.create_write_transaction(
                    list(files or ()),
                    mode="append" if files is None else "overwrite",
                    schema=delta.schema(),
                    partition_by=list(self._table.partition_by),
                    partition_filters=None if files is None else filters,
                    commit_properties=CommitProperties(
                        custom_metadata={LINEAGE: lineage.record}, max_commit_retries=0
                    ),
                )
                self._sync(base.version + 1)
        except CommitFailedError:
            return None
        return base.version + 1

    def exchange(
        self,
        base: Snapshot,
        lineage: Lineage,
        added: Sequence[AddAction],
        removed: Sequence[DataFile],
        *,
        just_written: bool = False,
    ) -> int | None:
        """Make the version after `base`: without the files `removed`, with the files `added`.

        Files that were just written are to have the table's columns: MigrationNeeded if those
        changed meanwhile. Returns the new version, or None if another commit took its number.
        """
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import CommitProperties, RemoveAction

        now = int(time.time() * 1000)
        gone = [
            RemoveAction(
                file.path,
                data_change=True,
                deletion_timestamp=now,
                size=file.bytes,
                partition_values=dict(file.partition),
            )
            for file in removed
        ]
        delta = self._opened(base.version)
        if just_written:
            self._writable(delta)
        try:
            with writing(self.folder), self._committing():
                delta.create_write_transaction(
                    [*added, *gone],
                    mode="append",
                    schema=delta.schema(),
                    partition_by=list(self._table.partition_by),
                    commit_properties=CommitProperties(
                        custom_metadata={LINEAGE: lineage.record}, max_commit_retries=0
                    ),
                )
                self._sync(base.version + 1)
        except CommitFailedError:
            return None
        return base.version + 1

    def changed_columns(self, version: int) -> list[str]:
        """What the columns of `version` have that the newest version would not show as it was.

        Columns that came later are no change: rows from before have nulls there.
        """
        newest = self.current()
        if newest is None:
            return []
        before, now = self.at(version).stored, newest.stored
        faults: list[str] = []
        for name, column in before.columns.items():
            if name not in now.columns:
                faults.append(f"column {name} is no longer in the table")
            elif not column.is_kept_by(now.columns[name]):
                faults.append(
                    f"column {name} was {described(column)}, is {described(now.columns[name])}"
                )
        if before.partition_by != now.partition_by:
            faults.append("the table was partitioned by other columns")
        return faults

    def migrate(self, base: Snapshot, lineage: Lineage, files: Sequence[AddAction]) -> int | None:
        """Make the version after `base`: the model's columns, and `files`, no others.

        Returns the new version, or None if there was another commit since `base`.
        """
        from deltalake import Schema
        from deltalake.transaction import CommitProperties, create_table_with_add_actions

        with self._lock, self._committing(alone=True), writing(self.folder):
            newest = self._newest()
            if newest is None or newest.version() != base.version:
                return None
            # not create_write_transaction: it leaves protocol and partition columns as they are,
            # and where those are others now, its commit cannot be read
            create_table_with_add_actions(
                str(self.folder),
                Schema.from_arrow(arrow_schema(self._table)),
                list(files),
                mode="overwrite",
                partition_by=list(self._table.partition_by),
                name=self._table.name,
                description=self._table.description,
                configuration=_KEEP_LOG,
                commit_properties=CommitProperties(
                    custom_metadata={LINEAGE: lineage.record}, max_commit_retries=0
                ),
            )
            self._sync(base.version + 1)
        return base.version + 1

    def view(
        self,
        snapshot: Snapshot,
        names: Collection[str] | None = None,
        folders: Collection[str] = (),
    ) -> View:
        """How the model's columns are read from the newest version.

        MigrationNeeded if one of `names` (None: any) cannot be read as it is, or one of `folders`
        is not what the lake is partitioned by.
        """
        steps = self.steps(snapshot.stored)
        faults = unreadable(steps, self._table.schema.names() if names is None else names)
        if not set(folders) <= set(snapshot.stored.partition_by):
            faults.append(folder_fault(self._table, snapshot.stored))
        if faults:
            raise MigrationNeeded(self._table.name, faults)
        return view_of(self._table, snapshot.stored, steps)

    def view_as_it_was(self, snapshot: Snapshot) -> View:
        """How an older version is read: see `evolution.view_as_it_was`."""
        return view_as_it_was(self._table, snapshot.stored, compare(self._table, snapshot.stored))

    def steps(self, stored: StoredColumns) -> list[Step]:
        """How the columns of the newest version differ from the model's, see `compare`."""
        steps = compare(self._table, stored)
        if all(step.action != "add" for step in steps):
            return steps  # only what the lake lacks needs the long way back through the records
        past = [
            step
            for record in self.records()
            if record.lineage is not None and record.lineage.operation == "migrate"
            for step in record.lineage.record["parameters"]["steps"]
        ]
        return compare(self._table, stored, past)

    def null_counts(self) -> dict[str, int]:
        """Nulls in the newest version by column, as far as the log counts them."""
        delta = self._newest()
        return null_counts(delta) if delta else {}

    def records(self, version: int | None = None) -> Iterator[CommitRecord]:
        """What each commit says, from `version` (None: the newest) back to the first.

        Read as far back as they are asked for; those that cannot be read are left out.
        """
        with self._lock:
            delta = self._newest()
        if delta is not None:
            newest = delta.version() if version is None else version
            yield from self._records.newest_first(newest)

    def record(self, version: int) -> CommitRecord:
        """What the commit of one version says; DamagedFile if that cannot be read."""
        return self._records.get(version)

    def unreadable_records(self) -> list[DamagedFile]:
        """Why commits cannot be read, those that cannot."""
        with self._lock:
            delta = self._newest()
        return list(self._records.unreadable(delta.version())) if delta else []

    def history(self) -> dict[int, Mapping[str, Any]]:
        """`commitInfo` of every version, oldest first; those that cannot be read are left out."""
        return {record.version: record.info for record in reversed([*self.records()])}

    def _newest(self) -> DeltaTable | None:
        """The table as of now; DamagedFile if its log cannot be read."""
        from deltalake.exceptions import DeltaError

        with self._lock:
            log = self.folder / "_delta_log"
            try:
                self._follow(log)
            except DeltaError as error:
                self._delta = None
                try:
                    if not drop_damaged_checkpoints(log):
                        raise
                    self._follow(log)
                except DeltaError:
                    raise log_damage(self._table.name, log, error) from error
            return self._delta

    def _follow(self, log: Path) -> None:
        """Open the table or read on what others have committed."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            if not log.is_dir():
                self._delta = self._snapshot = None
                self._records.forget()
            elif self._delta is None:
                self._delta = DeltaTable(self.folder)
            else:
                self._delta.update_incremental()
        except TableNotFoundError:
            self._delta = None

    def _create(self) -> None:
        """Create the table, unless another process is quicker."""
        from deltalake import DeltaTable, Schema
        from deltalake.exceptions import DeltaError

        try:
            with writing(self.folder):
                make_folder(self.folder)
                DeltaTable.create(
                    self.folder,
                    schema=Schema.from_arrow(arrow_schema(self._table)),
                    partition_by=list(self._table.partition_by),
                    name=self._table.name,
                    description=self._table.description,
                    configuration=_KEEP_LOG,
                )
                self._sync(0)
        except DeltaError:
            if self._newest() is None:
                raise

    def _evolve(self) -> None:
        """Add what the model has more than the table; refuse every other difference."""
        from deltalake import Schema

        with self._committing():
            delta = self._newest()
            if delta is None:
                return
            steps = self._writable(delta)
            if all(step.action == "keep" for step in steps):
                return
        with self._committing(alone=True), writing(self.folder):
            delta = self._newest()
            if delta is None:
                return
            steps = self._writable(delta)  # another process may have been quicker
            schema = Schema.from_arrow(arrow_schema(self._table))
            fields = {field.name: field for field in schema.fields}
            added = [fields[step.column] for step in steps if step.action == "add"]
            if added:
                delta.alter.add_columns(added)
                self._sync(delta.version())
            for step in steps:
                if step.action == "refine":
                    delta.alter.set_column_metadata(step.column, fields[step.column].metadata)
                    self._sync(delta.version())

    def _writable(self, delta: DeltaTable) -> list[Step]:
        """How the table becomes the model's; MigrationNeeded where writing cannot make it so."""
        stored = stored_columns(delta)
        steps = self.steps(stored)
        faults = unwritable(self._table, stored, steps)
        if faults:
            raise MigrationNeeded(self._table.name, faults)
        return steps

    @contextmanager
    def _committing(self, *, alone: bool = False) -> Iterator[None]:
        """Commits of this program share the log, a change of columns has it for itself.

        So no file of the old columns is named by a commit after the columns changed.
        """
        log = self.folder / "_delta_log"
        descriptor = os.open(log, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _sync(self, version: int) -> None:
        """deltalake does not fsync: put the commit and its name on the disk."""
        log = self.folder / "_delta_log"
        sync_file(log / f"{version:020}.json")
        sync_folder(log)

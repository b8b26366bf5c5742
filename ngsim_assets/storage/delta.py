"""The Delta log of one table: what is live in which version, and one atomic commit.

Belongs here: everything that calls deltalake. Does not belong here: data files' content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder
from ngsim_assets.storage.encoding import arrow_schema
from ngsim_assets.storage.errors import (
    DamagedFile,
    SchemaMismatch,
    UnknownVersion,
    writing,
)
from ngsim_assets.storage.manifest import LINEAGE, DataFile, Lineage
from ngsim_assets.storage.schema import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field
    from deltalake.transaction import AddAction

_KEEP_LOG = {"delta.logRetentionDuration": "interval 36500 days"}
"""Versions are provenance: the log is never cleaned up behind the user's back."""


@dataclass(frozen=True)
class Snapshot:
    """Files of one version of a table, in order of their rows."""

    version: int
    files: tuple[DataFile, ...]

    def of(self, partition: Mapping[str, str] | None) -> tuple[DataFile, ...]:
        """Files whose partition columns agree with `partition`."""
        wanted = (partition or {}).items()
        return tuple(file for file in self.files if wanted <= file.partition.items())


class DeltaLog:
    """One table's log. Keeps the newest snapshot it has seen and follows the log cheaply."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.folder = folder
        self._table = table
        self._lock = RLock()
        self._delta: DeltaTable | None = None
        self._snapshot: Snapshot | None = None
        self._history: dict[int, dict[str, Any]] = {}

    def current(self) -> Snapshot | None:
        """The newest version, None if there is no table."""
        with self._lock:
            delta = self._newest()
            if delta is None:
                return None
            if self._snapshot is None or self._snapshot.version != delta.version():
                self._snapshot = _snapshot_of(delta)
            return self._snapshot

    def at(self, version: int) -> Snapshot:
        """The given version; UnknownVersion if there is none or its files were vacuumed."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        newest = self.current()
        if newest is None or not 0 <= version <= newest.version:
            raise UnknownVersion(self._table.name, version)
        try:
            snapshot = _snapshot_of(DeltaTable(self.folder, version=version))
        except DeltaError as error:
            raise UnknownVersion(self._table.name, version) from error
        if not all((self.folder / file.path).exists() for file in snapshot.files):
            raise UnknownVersion(self._table.name, version)
        return snapshot

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
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import CommitProperties

        delta = DeltaTable(self.folder, version=base.version)
        filters = [(name, "=", value) for name, value in lineage.partition.items()] or None
        try:
            with writing(self.folder):
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

    def columns(self) -> set[str]:
        """Names of the table's columns, none if there is no table."""
        delta = self._newest()
        return {field.name for field in delta.schema().fields} if delta else set()

    def history(self) -> dict[int, dict[str, Any]]:
        """`commitInfo` of every version, oldest first."""
        with self._lock:
            delta = self._newest()
            if delta is None:
                return {}
            known = max(self._history, default=-1)
            if known < delta.version():
                for info in delta.history(delta.version() - known):
                    self._history[info["version"]] = info
            return dict(sorted(self._history.items()))

    def _newest(self) -> DeltaTable | None:
        """The table as of now; DamagedFile if its log cannot be read."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        with self._lock:
            log = self.folder / "_delta_log"
            try:
                if not log.is_dir():
                    self._delta = self._snapshot = None
                    self._history = {}
                elif self._delta is None:
                    self._delta = DeltaTable(self.folder)
                else:
                    self._delta.update_incremental()
            except TableNotFoundError:
                self._delta = None
            except DeltaError as error:
                raise DamagedFile(self._table.name, log, str(error).splitlines()[0]) from error
            return self._delta

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
        """Add columns the model has and the table has not; refuse every other difference."""
        from deltalake import Schema

        delta = self._newest()
        if delta is None:
            return
        have = {field.name: field for field in delta.schema().fields}
        want = {field.name: field for field in Schema.from_arrow(arrow_schema(self._table)).fields}
        faults = [
            f"column {name} is {_type(have[name])} in the lake, {_type(field)} in the model"
            for name, field in want.items()
            if name in have and have[name].type != field.type
        ]
        faults += [f"column {name} is in the lake only" for name in have if name not in want]
        folders = delta.metadata().partition_columns
        if folders != list(self._table.partition_by):
            faults.append(
                f"the lake is partitioned by {', '.join(folders)},"
                f" the model by {', '.join(self._table.partition_by)}"
            )
        if faults:
            raise SchemaMismatch(
                self._table.name,
                faults,
                f"move {self.folder} aside and materialize the table again",
            )
        added = [field for name, field in want.items() if name not in have]
        if added:
            with writing(self.folder):
                delta.alter.add_columns(added)
                self._sync(delta.version())

    def _sync(self, version: int) -> None:
        """deltalake does not fsync: put the commit and its name on the disk."""
        log = self.folder / "_delta_log"
        sync_file(log / f"{version:020}.json")
        sync_folder(log)


def _type(field: Field) -> str:
    from deltalake.schema import PrimitiveType

    return field.type.type if isinstance(field.type, PrimitiveType) else str(field.type)


def _snapshot_of(delta: DeltaTable) -> Snapshot:
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    columns = delta.metadata().partition_columns
    files = [
        DataFile(
            path=unquote(row["path"]),
            partition={name: str(row[f"partition.{name}"]) for name in columns},
            rows=row["num_records"] or 0,
            bytes=row["size_bytes"],
        )
        for row in actions.select(
            "path", "size_bytes", "num_records", *(f"partition.{name}" for name in columns)
        ).iter_rows(named=True)
    ]
    return Snapshot(delta.version(), tuple(sorted(files, key=lambda file: file.order)))

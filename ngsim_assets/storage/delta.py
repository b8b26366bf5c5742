"""The Delta log of one table: what is live in which version, and one atomic commit.

Belongs here: everything that calls deltalake. Does not belong here: data files' content.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder
from ngsim_assets.storage.encoding import arrow_schema
from ngsim_assets.storage.errors import SchemaMismatch, UnknownVersion
from ngsim_assets.storage.manifest import LINEAGE, DataFile
from ngsim_assets.storage.schema import Table

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction

_LONGEST_STATISTIC = 64
"""Strings longer than this get no minimum and maximum: a log is no place for whole lines."""

_KEEP_LOG = {"delta.logRetentionDuration": "interval 36500 days"}
"""Versions are provenance: the log is never cleaned up behind the user's back."""


class Snapshot:
    """Files of one version of a table."""

    def __init__(self, version: int, files: tuple[DataFile, ...]) -> None:
        self.version = version
        self.files = files

    def of(self, partition: Mapping[str, str] | None) -> tuple[DataFile, ...]:
        """Files whose partition columns agree with `partition`, in order of their rows."""
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
        self._lineage: dict[int, dict[str, Any]] = {}

    def exists(self) -> bool:
        """Whether the table has been created."""
        return (self.folder / "_delta_log").is_dir() and self._open() is not None

    def current(self) -> Snapshot | None:
        """The newest version, None if there is no table."""
        with self._lock:
            delta = self._open()
            if delta is None:
                return None
            if self._snapshot is None or self._snapshot.version != delta.version():
                self._snapshot = _snapshot(delta)
            return self._snapshot

    def at(self, version: int) -> Snapshot:
        """The given version; UnknownVersion if there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return _snapshot(DeltaTable(self.folder, version=version))
        except DeltaError as error:
            raise UnknownVersion(self._table.name, version) from error

    def create(self) -> Snapshot:
        """The newest version of a table that now exists, whoever created it."""
        from deltalake import DeltaTable, Schema
        from deltalake.exceptions import DeltaError

        found = self.current()
        if found is None:
            make_folder(self.folder)
            try:
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
                if self.current() is None:  # not the race for creating it
                    raise
            found = self.current()
        if found is None:
            raise FileNotFoundError(self.folder)
        return found

    def commit(
        self,
        files: Sequence[AddAction],
        identity: Mapping[str, str],
        base: Snapshot,
        lineage: Mapping[str, Any],
    ) -> int | None:
        """Replace the files of `identity` by `files` in the version after `base`.

        Returns the new version, or None if another commit took its number.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import CommitProperties

        delta = DeltaTable(self.folder, version=base.version)
        try:
            delta.create_write_transaction(
                list(files),
                mode="overwrite",
                schema=delta.schema(),
                partition_by=list(self._table.partition_by),
                partition_filters=[(name, "=", value) for name, value in identity.items()] or None,
                commit_properties=CommitProperties(
                    custom_metadata={LINEAGE: dict(lineage)}, max_commit_retries=0
                ),
            )
        except CommitFailedError:
            return None
        self._sync(base.version + 1)
        return base.version + 1

    def require_schema(self) -> None:
        """SchemaMismatch unless the table on disk has the columns and types of the model."""
        delta = self._open()
        if delta is None:
            return
        have = {field.name: field.type for field in delta.schema().fields}
        from deltalake import Schema

        want = {f.name: f.type for f in Schema.from_arrow(arrow_schema(self._table)).fields}
        faults = [
            f"column {name} is {have[name]} in the lake and {kind} in the model"
            for name, kind in want.items()
            if name in have and have[name] != kind
        ]
        faults += [f"column {name} is in the lake only" for name in have if name not in want]
        if list(self._table.partition_by) != delta.metadata().partition_columns:
            faults.append(
                f"the lake is partitioned by {delta.metadata().partition_columns},"
                f" the model by {list(self._table.partition_by)}"
            )
        if faults:
            raise SchemaMismatch(
                self._table.name,
                faults,
                f"move {self.folder} aside and materialize the table again",
            )

    def history(self) -> dict[int, dict[str, Any]]:
        """`commitInfo` of every version, oldest first."""
        with self._lock:
            delta = self._open()
            if delta is None:
                return {}
            newest = max(self._lineage, default=-1)
            if newest < delta.version():
                for info in delta.history(delta.version() - newest):
                    self._lineage[info["version"]] = info
            return dict(sorted(self._lineage.items()))

    def _open(self) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with self._lock:
            if not (self.folder / "_delta_log").is_dir():
                self._delta = None
                self._snapshot = None
                self._lineage = {}
            elif self._delta is None:
                try:
                    self._delta = DeltaTable(self.folder)
                except TableNotFoundError:
                    return None
            else:
                self._delta.update_incremental()
            return self._delta

    def _sync(self, version: int) -> None:
        """deltalake does not fsync: put the commit and its name on the disk."""
        log = self.folder / "_delta_log"
        sync_file(log / f"{version:020}.json")
        sync_folder(log)


def _snapshot(delta: DeltaTable) -> Snapshot:
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


def add_action(file: DataFile, footer: pq.FileMetaData) -> AddAction:
    """The file as the log names it, with its statistics, so that readers can skip it."""
    from deltalake.transaction import AddAction

    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values=file.partition,
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(footer)),
    )


def _statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """Delta statistics of a file: smallest, largest and number of nulls per plain column."""
    smallest: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(footer.num_columns):
        name = footer.schema.column(index).path
        if "." in name:
            continue
        groups = [
            footer.row_group(group).column(index).statistics
            for group in range(footer.num_row_groups)
        ]
        if any(group is None or not group.has_null_count for group in groups):
            continue
        nulls[name] = sum(group.null_count for group in groups)
        filled = [
            group for group in groups if group.null_count < group.num_values + group.null_count
        ]
        if not filled or not all(group.has_min_max for group in filled):
            continue
        low = _json(min(group.min for group in filled), up=False)
        high = _json(max(group.max for group in filled), up=True)
        if low is not None and high is not None:
            smallest[name] = low
            largest[name] = high
    return {
        "numRecords": footer.num_rows,
        "minValues": smallest,
        "maxValues": largest,
        "nullCount": nulls,
    }


def _json(value: Any, *, up: bool) -> Any:
    """A bound as Delta writes it; times are whole milliseconds, so the upper one is rounded up."""
    if isinstance(value, bool):
        return None
    if isinstance(value, datetime):
        if up:
            value += timedelta(microseconds=999)
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_STATISTIC else None
    return value

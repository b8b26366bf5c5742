"""ParquetStorage: partitioned Delta tables, replaced a partition at a time.

A partition is replaced, or added to, in one commit: its files are written, hashed and on the disk
before the log names them, so a reader, a crash or another writer sees the old rows or the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from ngsim_assets.storage.appending import appended
from ngsim_assets.storage.claims import claimed, sweep_leftovers, sweep_staged
from ngsim_assets.storage.delta import DeltaLog, Snapshot
from ngsim_assets.storage.encoding import WriteOptions
from ngsim_assets.storage.errors import ConflictingWrite, DamagedFile, VacuumedVersion, writing
from ngsim_assets.storage.evolution import StoredColumns
from ngsim_assets.storage.manifest import (
    Commit,
    DataFile,
    Lineage,
    Provenance,
    SourceFile,
    Version,
)
from ngsim_assets.storage.origins import live_commit, origin_of, time_of
from ngsim_assets.storage.partition_writer import PartitionWriter, Written
from ngsim_assets.storage.partitions import checked, identity_of
from ngsim_assets.storage.reading import read_file, scan_files
from ngsim_assets.storage.restoring import restored
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.turns import turns
from ngsim_assets.storage.verify import Damage, damages, is_sound

__all__ = [
    "Commit",
    "Damage",
    "DataFile",
    "ParquetStorage",
    "Provenance",
    "SourceFile",
    "Version",
    "WriteOptions",
]


class ParquetStorage:
    """Tables below one folder (`$NGSIM_DATA/lake`), each a Delta table in its own folder.

    Safe for several threads and processes at once.
    """

    def __init__(self, root: Path, options: WriteOptions | None = None) -> None:
        self.root = root
        self.options = options or WriteOptions()
        self._logs: dict[Table, DeltaLog] = {}

    def replace(
        self,
        table: Table,
        partition: Mapping[str, str],
        chunks: Iterable[pl.DataFrame],
        provenance: Provenance | None = None,
    ) -> Commit:
        """Make the rows of `chunks` the content of `partition`, in one commit.

        `partition` names at least the identity columns; columns it names may be absent from
        the chunks. Rows keep the order they come in; a chunk is never split over two files of
        one Hive folder. At most `options.threads` chunks are in the making while the next one
        is asked for. No chunks: the partition becomes empty.

        The same content as is live stays live; where it came out of other sources, parameters
        or code, that is recorded. Raises SchemaMismatch, InvalidPartition, ConflictingWrite,
        DiskFull, ReadOnlyLake; what was live before then still is.
        """
        values = checked(table, partition)
        base = self.log(table).open()
        self._sweep(table, staged=False)
        write = uuid4().hex[:12]
        folder = self.root / table.name
        with claimed(folder, write):
            writer = PartitionWriter(table, values, folder, self.options, write)
            try:
                written = writer.write(chunks)
                commit = self._commit(
                    table, values, base, write, written, provenance or Provenance()
                )
            except BaseException:
                writer.discard()
                raise
            if not commit.changed:
                writer.discard()
            return commit

    def append(
        self,
        table: Table,
        partition: Mapping[str, str],
        chunks: Iterable[pl.DataFrame],
        batch: str,
        provenance: Provenance | None = None,
    ) -> Commit:
        """Put the rows of `chunks` behind those of `partition`, in one commit: none is rewritten.

        A batch is told by its name: while its rows are live it is not put there again, whoever
        tries and whatever became of the try before. Names are the caller's. `changed` tells whether
        rows came. Raises as `replace`: ConflictingWrite if the partition was replaced meanwhile;
        batches of others in between do no harm.
        """
        values = checked(table, partition)
        log = self.log(table)
        base = log.open()
        self._sweep(table, staged=False)
        return appended(
            log, base, table, values, chunks, batch, provenance or Provenance(), self.options
        )

    def restore(
        self,
        table: Table,
        partition: Mapping[str, str],
        version: int,
        provenance: Provenance | None = None,
        held_against: Sequence[str] = (),
    ) -> Commit:
        """Make the rows that `partition` had in `version` its content again, in one commit.

        The files of that version are named again, nothing is copied. `held_against` are the
        sources the partition would be built from now; they are recorded with it, and say until
        when it is to stay. Of `provenance` the run is recorded; what the rows were made from
        stays as it was told in that version. Where the same files are live already, and held
        against or built from those sources if any are given, nothing is done.

        Raises UnknownVersion, VacuumedVersion if files of it were removed, DamagedFile if one
        is not as it was written, SchemaMismatch if the table has other columns since,
        ConflictingWrite, DiskFull, ReadOnlyLake; what was live before then still is.
        """
        identity = identity_of(table, checked(table, partition))
        run_id = (provenance or Provenance()).run_id
        return restored(self.log(table), table, identity, version, run_id, tuple(held_against))

    def scan(
        self,
        table: Table,
        partition: Mapping[str, str] | None = None,
        *,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Rows of the table, or of the folders that agree with `partition`, lazily.

        The schema is the model's, partition columns included; rows of a folder come in the
        order they were written. An absent table or partition is an empty frame. MigrationNeeded
        where the lake has a column in a form that cannot be read without changing a value.

        A `version` is read as it was, whatever became of the table since: the model's columns
        (null where it had none such), but in its own name and type what the model has in another
        form, and then the columns that the model has no more. UnknownVersion for a version the
        table never had, VacuumedVersion for one whose files were removed.
        """
        log = self.log(table)
        snapshot = log.current() if version is None else log.at(version)
        if snapshot is None:
            return pl.LazyFrame(schema=table.schema)
        folders = snapshot.stored.partition_by
        named = {name: value for name, value in (partition or {}).items() if name in folders}
        files = self.files(table, named, version=version)
        view = log.view(snapshot) if version is None else log.view_as_it_was(snapshot)
        rows = scan_files(view, log.folder, files)
        for name, value in (partition or {}).items():
            if name not in folders:
                rows = rows.filter(pl.col(name).cast(pl.String) == value)
        return rows

    def frames(
        self,
        table: Table,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        *,
        physical: bool = False,
    ) -> Iterator[pl.DataFrame]:
        """Rows of the partition in order, one frame per data file, as one version holds them.

        Decimals come as integers in units of the last place if `physical`, which costs less
        to read and to hold: Int32 up to nine digits, else Int64. DamagedFile if a file cannot
        be read, VacuumedVersion if it was replaced and removed since the first was read,
        MigrationNeeded if a column cannot be read without changing a value.
        """
        log = self.log(table)
        snapshot = log.current()
        wanted = table.schema.names() if columns is None else columns
        if snapshot is None:
            return
        view = log.view(snapshot, wanted, folders=partition)
        for file in snapshot.of(partition):
            try:
                frame = read_file(table.name, view, log.folder, file, wanted, physical=physical)
            except DamagedFile:
                if file not in self.files(table, partition):  # replaced and vacuumed meanwhile
                    self.files(table, partition, version=snapshot.version)
                raise
            yield frame

    def current(self, table: Table, partition: Mapping[str, str]) -> Commit | None:
        """What is live in the partition and which write made it; None if it was never written.

        A partition that was replaced by no rows has a commit without files.
        """
        log = self.log(table)
        snapshot = log.current()
        if snapshot is None:
            return None
        identity = identity_of(table, checked(table, partition))
        live = snapshot.of(identity)
        origin = origin_of(log.records(), identity, live)
        if origin is None and not live:
            return None
        return live_commit(table, identity, live, origin)

    def partitions(self, table: Table) -> list[dict[str, str]]:
        """Identity of every partition that has rows, sorted.

        MigrationNeeded if the lake's folders do not tell it.
        """
        log = self.log(table)
        snapshot = log.current()
        if snapshot is None:
            return []
        log.view(snapshot, (), folders=table.identity)
        found = {tuple(file.partition[name] for name in table.identity) for file in snapshot.files}
        return [dict(zip(table.identity, values, strict=True)) for values in sorted(found)]

    def files(
        self,
        table: Table,
        partition: Mapping[str, str] | None = None,
        *,
        version: int | None = None,
    ) -> list[DataFile]:
        """Data files of a version, in order of their rows; paths are below `root / table.name`.

        UnknownVersion for a version the table never had, VacuumedVersion if files of it, as far
        as they agree with `partition`, were removed.
        """
        log = self.log(table)
        if version is None:
            snapshot = log.current()
            return list(snapshot.of(partition)) if snapshot else []
        files = log.at(version).of(partition)
        gone = sum(not (log.folder / file.path).exists() for file in files)
        if gone:
            raise VacuumedVersion(table.name, version, partition or {}, gone, len(files))
        return list(files)

    def stored_columns(self, table: Table, *, version: int | None = None) -> StoredColumns | None:
        """The columns of a version as the lake has them, None if there is no table."""
        log = self.log(table)
        snapshot = log.current() if version is None else log.at(version)
        return snapshot.stored if snapshot else None

    def history(self, table: Table) -> list[Version]:
        """Every version of the table, newest first."""
        return [
            _version(table.name, number, info)
            for number, info in reversed(self.log(table).history().items())
        ]

    def verify(
        self,
        table: Table,
        partition: Mapping[str, str] | None = None,
        *,
        progress: Callable[[DataFile], None] | None = None,
    ) -> list[Damage]:
        """Read every live file and compare its SHA-256 with what was written.

        Commits of the log whose record cannot be read are damage, too, unless only a partition is
        asked for. `progress` is called with every file that was read; `files` tells before how
        many there are.
        """
        log = self.log(table)
        try:
            snapshot = log.current()
        except DamagedFile as error:
            fix = f"restore {error.path} from a backup, or move {log.folder} aside and rebuild"
            return [Damage(table.name, {}, error.path, error.reason, fix)]
        files = snapshot.of(partition) if snapshot else ()
        found = list(
            damages(table.name, log.folder, files, rebuilt_by=table.rebuilt_by, progress=progress)
        )
        unread = log.unreadable_records() if partition is None else ()
        return found + [
            Damage(table.name, {}, error.path, f"cannot be read: {error.reason}", error.fix)
            for error in unread
        ]

    def sweep(self, table: Table) -> list[Path]:
        """Remove files that killed writers left behind, and return their paths.

        Every write does the same first, but for the Delta library's own temporary files.
        """
        return self._sweep(table, staged=True)

    def _sweep(self, table: Table, *, staged: bool) -> list[Path]:
        log = self.log(table)

        def is_committed(write: str) -> bool:
            snapshot = log.current()
            if snapshot is not None and any(file.write == write for file in snapshot.files):
                return True
            lineages = (record.lineage for record in log.records())
            return any(lineage is not None and lineage.write == write for lineage in lineages)

        with writing(log.folder):
            removed = sweep_leftovers(log.folder, is_committed)
            return removed + sweep_staged(log.folder) if staged else removed

    def log(self, table: Table) -> DeltaLog:
        """The table's Delta log."""
        return self._logs.setdefault(table, DeltaLog(self.root / table.name, table))

    def _commit(
        self,
        table: Table,
        partition: Mapping[str, str],
        base: Snapshot,
        write: str,
        written: Sequence[Written],
        provenance: Provenance,
    ) -> Commit:
        """Make `written` live, unless the same content is or somebody else's now is."""
        log = self.log(table)
        identity = identity_of(table, partition)
        files = tuple(file for file, _ in written)
        before = base.of(identity)
        for _ in turns():
            newest = log.current() or base
            live = newest.of(identity)
            if _same_content(live, files) and is_sound(log.folder, live):
                origin = origin_of(log.records(), identity, live)
                lineage = Lineage.of(
                    table.name,
                    identity,
                    origin.made.write if origin else write,
                    live,
                    provenance,
                    operation="confirm" if origin else "replace",
                    confirmed=origin.newest if origin else None,
                )
                # what a rollback holds is up to date again as built: that, too, is recorded
                told = origin is not None and (
                    origin.newest.same_origin(lineage) and not origin.newest.held_against
                )
                if told or log.commit(newest, lineage, None) is not None:
                    return live_commit(
                        table, identity, live, origin_of(log.records(), identity, live)
                    )
            elif live != before:
                raise ConflictingWrite(table.name, identity, newest.version)
            else:
                lineage = Lineage.of(table.name, identity, write, files, provenance)
                actions = [action for _, action in written]
                if log.commit(newest, lineage, actions) is not None:
                    made = origin_of(log.records(), identity, files)
                    return replace(live_commit(table, identity, files, made), changed=True)
        raise ConflictingWrite(table.name, identity, base.version)


def _same_content(live: Sequence[DataFile], files: Sequence[DataFile]) -> bool:
    return sorted(file.content for file in live) == sorted(file.content for file in files)


def _version(table: str, number: int, info: Mapping[str, Any]) -> Version:
    lineage = Lineage.in_commit(info)
    files = lineage.files if lineage else None
    before = (lineage.appended_to if lineage else None) or {"files": 0, "rows": 0, "bytes": 0}
    return Version(
        table=table,
        version=number,
        timestamp=time_of(info),
        operation=lineage.operation if lineage else str(info.get("operation", "")).lower(),
        partition=lineage.partition if lineage else {},
        rows=before["rows"] + sum(file["rows"] for file in files) if files is not None else None,
        bytes=before["bytes"] + sum(file["bytes"] for file in files) if files is not None else None,
        files=before["files"] + len(files) if files is not None else None,
        write=lineage.write if lineage else "",
        provenance=lineage.provenance if lineage else Provenance(),
        restored=lineage.restored if lineage else None,
        held_against=lineage.held_against if lineage else (),
    )

"""ParquetStorage: partitioned Delta tables, replaced a partition at a time.

A partition is replaced in one commit: the files are written, hashed and on the disk before
the log names them, so a reader, a crash or another writer sees the old rows or the new ones.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import polars as pl

from ngsim_assets.storage.atomic import make_folder, sync_folder
from ngsim_assets.storage.delta import DeltaLog, Snapshot, add_action
from ngsim_assets.storage.encoding import ParquetEncoder, WriteOptions, fit
from ngsim_assets.storage.errors import (
    ConflictingWrite,
    InvalidPartition,
    SchemaMismatch,
    writing,
)
from ngsim_assets.storage.manifest import (
    LINEAGE,
    Commit,
    DataFile,
    Provenance,
    lineage_of,
    provenance_of,
)
from ngsim_assets.storage.schema import Table

if TYPE_CHECKING:
    from deltalake.transaction import AddAction

_COMMIT_ATTEMPTS = 200
_PARTITION_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class ParquetStorage:
    """Tables below one folder (`$NGSIM_DATA/lake`), each a Delta table in its own folder."""

    def __init__(self, root: Path, options: WriteOptions | None = None) -> None:
        self.root = root
        self.options = options or WriteOptions()
        self._logs: dict[str, DeltaLog] = {}

    def replace(
        self,
        table: Table,
        partition: Mapping[str, str],
        chunks: Iterable[pl.DataFrame],
        provenance: Provenance | None = None,
    ) -> Commit:
        """Make the rows of `chunks` the content of `partition`, in one commit.

        `partition` names at least the identity columns; columns it names may be absent from
        the chunks. Rows keep the order they come in, a chunk is never split over two files of
        one folder. At most `options.threads` chunks are being written while the next is made.
        The same content as is live makes no version.

        Raises SchemaMismatch, InvalidPartition, ConflictingWrite, DiskFull, ReadOnlyLake;
        what was live before then still is.
        """
        values = _checked(table, partition)
        log = self._log(table)
        with writing(log.folder):
            base = log.create()
            log.require_schema()
            writer = _Writer(table, values, log.folder, self.options)
            try:
                added = writer.write(chunks)
                return self._commit(table, values, log, base, added, writer, provenance)
            except BaseException:
                writer.discard()
                raise

    def scan(
        self,
        table: Table,
        partition: Mapping[str, str] | None = None,
        *,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Rows of the table (or of the partition) in its logical schema, lazily.

        An absent table or partition is an empty frame. UnknownVersion for a version the table
        never had.
        """
        log = self._log(table)
        snapshot = log.current() if version is None else log.at(version)
        files = snapshot.of(partition) if snapshot else ()
        return _scan(table, log.folder, files)

    def frames(
        self, table: Table, partition: Mapping[str, str], columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Rows of the partition, one frame per data file, in order."""
        log = self._log(table)
        snapshot = log.current()
        for file in snapshot.of(partition) if snapshot else ():
            frame = _scan(table, log.folder, (file,))
            yield (frame.select(columns) if columns is not None else frame).collect()

    def current(self, table: Table, partition: Mapping[str, str]) -> Commit | None:
        """What is live in the partition and which write made it, None if nothing is."""
        log = self._log(table)
        snapshot = log.current()
        if snapshot is None:
            return None
        values = _checked(table, partition)
        files = snapshot.of(_identity(table, values))
        if not files:
            return None
        writes = {file.write for file in files}
        for version, info in reversed(log.history().items()):
            lineage = info.get(LINEAGE, {})
            if lineage.get("write") in writes:
                return _commit_of(
                    table,
                    values,
                    version,
                    files,
                    provenance_of(lineage),
                    changed=False,
                    timestamp_ms=info.get("timestamp"),
                )
        return _commit_of(table, values, snapshot.version, files, Provenance(), changed=False)

    def partitions(self, table: Table) -> list[dict[str, str]]:
        """Identity of every partition that has rows, sorted."""
        snapshot = self._log(table).current()
        found = {
            tuple(file.partition[name] for name in table.identity)
            for file in (snapshot.files if snapshot else ())
        }
        return [dict(zip(table.identity, values, strict=True)) for values in sorted(found)]

    def _log(self, table: Table) -> DeltaLog:
        return self._logs.setdefault(table.name, DeltaLog(self.root / table.name, table))

    def _commit(
        self,
        table: Table,
        partition: Mapping[str, str],
        log: DeltaLog,
        base: Snapshot,
        added: list[tuple[DataFile, AddAction]],
        writer: _Writer,
        provenance: Provenance | None,
    ) -> Commit:
        identity = _identity(table, partition)
        files = tuple(file for file, _ in added)
        known = provenance or Provenance()
        lineage = lineage_of(table.name, identity, writer.write_id, files, known)
        before = base.of(identity)
        for attempt in range(_COMMIT_ATTEMPTS):
            newest = log.create()
            live = newest.of(identity)
            if sorted(f.content for f in live) == sorted(f.content for f in files):
                writer.discard()
                return self.current(table, partition) or _commit_of(
                    table, partition, newest.version, (), known, changed=False
                )
            if live != before:
                raise ConflictingWrite(table.name, identity, newest.version)
            version = log.commit([action for _, action in added], identity, newest, lineage)
            if version is not None:
                return _commit_of(
                    table,
                    partition,
                    version,
                    files,
                    known,
                    changed=True,
                    timestamp_ms=int(time.time() * 1000),
                )
            time.sleep(random.uniform(0, 0.005 * min(attempt + 1, 20)))  # noqa: S311 - spreads retries
        raise ConflictingWrite(table.name, identity, base.version)


class _Writer:
    """The data files of one write."""

    def __init__(
        self, table: Table, partition: Mapping[str, str], folder: Path, options: WriteOptions
    ) -> None:
        self.write_id = uuid4().hex[:12]
        self._table = table
        self._partition = partition
        self._folder = folder
        self._options = options
        self._encoder = ParquetEncoder(table, options)
        self._free = tuple(name for name in table.partition_by if name not in partition)
        self._waiting: dict[tuple[str, ...], list[pl.DataFrame]] = {}
        self._written: list[Path] = []

    def write(self, chunks: Iterable[pl.DataFrame]) -> list[tuple[DataFile, AddAction]]:
        """Write every chunk; returns the files, on the disk, in order."""
        done: list[tuple[DataFile, AddAction]] = []
        running: set[Future[tuple[DataFile, AddAction]]] = set()
        number = 0
        with ThreadPoolExecutor(self._options.threads, "parquet") as pool:
            for folder, frame in self._files(chunks):
                running.add(pool.submit(self._write, folder, frame, number))
                number += 1
                del frame
                if len(running) >= self._options.threads:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    done += [future.result() for future in finished]
            done += [future.result() for future in running]
        for folder in {path.parent for path in self._written}:
            sync_folder(folder)
        return sorted(done, key=lambda one: one[0].order)

    def discard(self) -> None:
        """Remove the files again."""
        for path in self._written:
            path.unlink(missing_ok=True)

    def _files(
        self, chunks: Iterable[pl.DataFrame]
    ) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
        """Frames that make one file each, with the values of their free partition columns."""
        for chunk in chunks:
            for values, frame in self._split(self._fit(chunk)):
                waiting = self._waiting.setdefault(values, [])
                waiting.append(frame)
                if sum(piece.height for piece in waiting) >= self._options.file_rows:
                    yield values, pl.concat(self._waiting.pop(values))
        for values in sorted(self._waiting):
            yield values, pl.concat(self._waiting[values])
        self._waiting.clear()

    def _fit(self, chunk: pl.DataFrame) -> pl.DataFrame:
        named = [name for name in self._partition if name in chunk.columns]
        for name in named:
            if not (chunk[name].cast(pl.String) == self._partition[name]).all():
                raise SchemaMismatch(
                    self._table.name,
                    [f"column {name} has other values than {self._partition[name]}"],
                )
        return fit(self._table, chunk.drop(named), self._partition)

    def _split(self, frame: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
        if frame.is_empty():
            return
        if not self._free:
            yield (), frame
            return
        parts = frame.partition_by(self._free, maintain_order=True, include_key=False, as_dict=True)
        for values, part in parts.items():
            yield tuple(str(value) for value in values), part

    def _write(
        self, values: tuple[str, ...], frame: pl.DataFrame, number: int
    ) -> tuple[DataFile, AddAction]:
        partition = dict(self._partition) | dict(zip(self._free, values, strict=True))
        partition = {name: partition[name] for name in self._table.partition_by}
        _checked(self._table, partition)
        content, footer = self._encoder.encode(frame)
        digest = hashlib.sha256(content).hexdigest()
        relative = "/".join(
            [f"{name}={value}" for name, value in partition.items()]
            + [f"{number:05d}-{digest}-{self.write_id}.parquet"]
        )
        path = self._folder / relative
        make_folder(path.parent)
        self._written.append(path)
        _write_synced(path, content)
        file = DataFile(relative, partition, frame.height, content.size)
        return file, add_action(file, footer)


def _write_synced(path: Path, content: object) -> None:
    import os

    with path.open("wb") as file:
        file.write(content)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def _scan(table: Table, folder: Path, files: Sequence[DataFile]) -> pl.LazyFrame:
    if not files:
        return pl.LazyFrame(schema=table.schema)
    hive = {name: table.schema[name] for name in table.partition_by}
    stored = {name: dtype for name, dtype in table.schema.items() if name not in hive}
    return pl.scan_parquet(
        [folder / file.path for file in files],
        schema=stored,
        hive_partitioning=bool(hive),
        hive_schema=hive or None,
        missing_columns="insert",
    ).select(table.schema.names())


def _checked(table: Table, partition: Mapping[str, str]) -> dict[str, str]:
    """The partition in the order of the table's columns; InvalidPartition if it is none."""
    unknown = [name for name in partition if name not in table.partition_by]
    missing = [name for name in table.identity if name not in partition]
    if unknown or missing:
        raise InvalidPartition(
            table.name,
            partition,
            "; ".join(
                [f"{name} is no partition column" for name in unknown]
                + [f"{name} is not given" for name in missing]
            ),
        )
    for name, value in partition.items():
        if not _PARTITION_VALUE.fullmatch(str(value)):
            raise InvalidPartition(table.name, partition, f"{name} is {value!r}")
    return {name: str(partition[name]) for name in table.partition_by if name in partition}


def _identity(table: Table, partition: Mapping[str, str]) -> dict[str, str]:
    return {name: partition[name] for name in table.identity}


def _commit_of(
    table: Table,
    partition: Mapping[str, str],
    version: int,
    files: tuple[DataFile, ...],
    provenance: Provenance,
    *,
    changed: bool,
    timestamp_ms: int | None = None,
) -> Commit:
    return Commit(
        table=table.name,
        partition=_identity(table, partition),
        version=version,
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        files=files,
        changed=changed,
        provenance=provenance,
        write=next((file.write or "" for file in files), ""),
        timestamp_ms=timestamp_ms,
    )

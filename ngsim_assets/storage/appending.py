"""Rows put behind those of a partition: streams that go on for hours, and nothing rewritten.

A batch has a name, and its name is in those of its files: whether it is there already is told by
what is live, however the try before ended.

Belongs here: the place and the name of a batch, one commit. Does not belong here: files
(partition_writer.py), what is in a batch, replacing (parquet.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from ngsim_assets.storage.claims import claimed
from ngsim_assets.storage.delta import DeltaLog
from ngsim_assets.storage.encoding import WriteOptions
from ngsim_assets.storage.errors import ConflictingWrite
from ngsim_assets.storage.manifest import Commit, DataFile, Lineage, Provenance
from ngsim_assets.storage.origins import live_commit, origin_of
from ngsim_assets.storage.partition_writer import PartitionWriter, Written
from ngsim_assets.storage.partitions import identity_of
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.snapshots import Snapshot
from ngsim_assets.storage.turns import turns


def appended(
    log: DeltaLog,
    base: Snapshot,
    table: Table,
    partition: Mapping[str, str],
    chunks: Iterable[pl.DataFrame],
    batch: str,
    provenance: Provenance,
    options: WriteOptions,
) -> Commit:
    """See `ParquetStorage.append`; `partition` is checked."""
    identity = identity_of(table, partition)
    since = _since(log, identity)
    named = json.dumps([table.name, identity, since, batch], sort_keys=True)
    write = hashlib.sha256(named.encode()).hexdigest()[:12]
    with claimed(log.folder, write):
        live = (log.current() or base).of(identity)
        if any(file.write == write for file in live):
            return _live(log, table, identity, live)
        first = 1 + max((int(file.order[0] or 0) for file in live), default=-1)
        writer = PartitionWriter(table, partition, log.folder, options, write, first)
        try:
            written = writer.write(chunks)
            if not written:
                return _live(log, table, identity, live)
            return _committed(log, base, table, identity, since, write, written, provenance)
        except BaseException:
            writer.discard()
            raise


def _committed(
    log: DeltaLog,
    base: Snapshot,
    table: Table,
    identity: Mapping[str, str],
    since: int,
    write: str,
    written: Sequence[Written],
    provenance: Provenance,
) -> Commit:
    files = tuple(file for file, _ in written)
    for _ in turns():
        newest = log.current() or base
        if _since(log, identity) != since:
            break
        before = newest.of(identity)
        lineage = Lineage.of(
            table.name,
            identity,
            write,
            files,
            provenance,
            operation="append",
            appended_to=before,
        )
        actions = [action for _, action in written]
        if log.exchange(newest, lineage, actions, [], just_written=True) is not None:
            return replace(_live(log, table, identity, (*before, *files)), changed=True)
    raise ConflictingWrite(table.name, identity, base.version)


def _since(log: DeltaLog, identity: Mapping[str, str]) -> int:
    """The version that last made the partition anything but longer, -1 if none did.

    It is part of a batch's name: what was replaced since is put there again, into files of its own.
    """
    for record in log.records():
        lineage = record.lineage.about(identity) if record.lineage else None
        if lineage is not None and lineage.operation not in {"append", "confirm"}:
            return record.version
    return -1


def _live(
    log: DeltaLog, table: Table, identity: Mapping[str, str], live: tuple[DataFile, ...]
) -> Commit:
    return live_commit(table, identity, live, origin_of(log.records(), identity, live))

"""Every live partition of a table at once.

Belongs here: one pass over a table's files and records. Does not belong here: what a partition's
commit is (origins.py).
"""

from __future__ import annotations

from ngsim_assets.storage.manifest import Commit, DataFile, Lineage
from ngsim_assets.storage.origins import live_commit, origin_of
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.records import CommitRecord
from ngsim_assets.storage.schema import Table


def live_commits(storage: ParquetStorage, table: Table) -> dict[tuple[str, ...], Commit]:
    """What `ParquetStorage.current` says of each partition, by its identity's values.

    Costs one pass over the log, where asking for each of n partitions costs n.
    """
    log = storage.log(table)
    snapshot = log.current()
    if snapshot is None:
        return {}
    log.view(snapshot, (), folders=table.identity)  # folders tell partitions, or it refuses
    files: dict[tuple[str, ...], list[DataFile]] = {}
    for file in snapshot.files:
        files.setdefault(tuple(file.partition[name] for name in table.identity), []).append(file)
    records: dict[tuple[str, ...], list[CommitRecord]] = {}
    for record in log.records(snapshot.version):
        for partition in _about(table, record.lineage):
            records.setdefault(partition, []).append(record)
    found: dict[tuple[str, ...], Commit] = {}
    for partition in {**records, **files}:
        identity = dict(zip(table.identity, partition, strict=True))
        live = files.get(partition, ())
        origin = origin_of(records.get(partition, ()), identity, live)
        if origin is not None or live:
            found[partition] = live_commit(table, identity, live, origin)
    return found


def _about(table: Table, lineage: Lineage | None) -> list[tuple[str, ...]]:
    """Identities that a record is about."""
    if lineage is None:
        return []
    parts = lineage.record["partitions"] if lineage.operation == "migrate" else [lineage.record]
    return [
        tuple(part["partition"][name] for name in table.identity)
        for part in parts
        if set(table.identity) <= set(part["partition"])
    ]

"""Where live rows come from: the version that made them live and the newest record about them.

Belongs here: reading a table's records back to the write, rollback or migration behind some
files. Does not belong here: reading the log itself (delta.py), the records' form (manifest.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ngsim_assets.storage.manifest import Commit, DataFile, Lineage, Provenance
from ngsim_assets.storage.records import CommitRecord
from ngsim_assets.storage.schema import Table


class Origin(NamedTuple):
    """The version that made some files live.

    Attributes:
        made: its record.
        newest: the newest record about the same rows, `made` or a confirmation of it.
    """

    version: int
    timestamp: datetime
    made: Lineage
    newest: Lineage


def origin_of(
    records: Iterable[CommitRecord],
    identity: Mapping[str, str],
    live: Sequence[DataFile],
) -> Origin | None:
    """Where the live files of a partition come from, None if the records do not tell.

    `records` are those up to the version in which they are live, the newest first.
    """
    writes = {file.write for file in live}
    newest: Lineage | None = None
    for record in records:
        lineage = record.lineage.about(identity) if record.lineage else None
        if lineage is None:
            continue
        if live and lineage.write not in writes:
            continue
        if not live and lineage.files:
            return None  # the last record is of rows that another program has taken back
        newest = newest or lineage
        if lineage.operation != "confirm":
            return Origin(record.version, time_of(record.info), lineage, newest)
    return None


def live_commit(
    table: Table, identity: Mapping[str, str], live: Sequence[DataFile], origin: Origin | None
) -> Commit:
    """The live state of a partition; with `changed` False."""
    return Commit(
        table=table.name,
        partition=identity,
        version=origin.version if origin else -1,
        rows=sum(file.rows for file in live),
        bytes=sum(file.bytes for file in live),
        files=tuple(live),
        changed=False,
        provenance=origin.newest.provenance if origin else Provenance(),
        write=origin.made.write if origin else "",
        timestamp=origin.timestamp if origin else None,
        content=origin.newest.whole(live).content
        if origin
        else tuple(file.sha256 for file in live),
        operation=origin.made.operation if origin else "",
        restored=origin.made.restored if origin else None,
        held_against=origin.newest.held_against if origin else (),
    )


def time_of(info: Mapping[str, Any]) -> datetime:
    """Time of a commit by the clock of who made it, UTC."""
    return datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC)

"""Versions of a table as people name them: by number, v{major}.{minor}.{patch}, place or time.

Belongs here: the list of versions and the search in it. Does not belong here: which number a
change earns (folding.py), which versions are kept (retention.py), going back (restoring.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ngsim_assets.storage.errors import InvalidPartition, NoSuchVersion, NotAVersion
from ngsim_assets.storage.folding import Change, Folding, Identity
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.retention import (
    StorageUse,
    Vacuumed,
    data_files,
    is_readable,
    storage_use,
    vacuum,
)
from ngsim_assets.storage.schema import Table

_PLACE = re.compile(r"@?(-\d+)|@(0)", re.ASCII)
_NUMBER = re.compile(r"@?(\d+)", re.ASCII)
_SEMANTIC = re.compile(r"v(\d+(?:\.\d+){0,2})|(\d+(?:\.\d+){1,2})", re.ASCII)

_LISTED = 8
"""Versions that an error names."""


@dataclass(frozen=True)
class TableVersion:
    """One version of a table, or of one partition of it.

    Attributes:
        number: of the commit that made it, as in `scan(version=…)` and `restore`.
        semantic: v{major}.{minor}.{patch}. Numbers count the whole table's changes, so those of
            one partition have gaps.
        timestamp: when, UTC, by the clock of the machine that made it.
        operation: replace, rollback, migrate, create table, add column or another program's.
        change: what it changed, in words.
        partition: identity of the partition it is about, empty if it is about several or all.
        rows, rows_before: of that partition, after and before; of the table if of several.
        bytes: of the files that hold those rows.
        live: whether no later version of the same partition is.
        readable: whether its files are there; False once they were vacuumed.
        restored: the version whose files a rollback named again.
        held_against: see `Commit`.
    """

    table: str
    number: int
    semantic: str
    timestamp: datetime
    operation: str
    change: str
    partition: Mapping[str, str]
    rows: int
    rows_before: int
    bytes: int
    run_id: str
    code_version: str
    live: bool
    readable: bool
    restored: int | None = None
    held_against: tuple[str, ...] = ()


class DataVersionManager:
    """Versions of the tables of one lake, folded from their Delta logs.

    Nothing of it is stored: a table's commits are its versions. Raises DamagedFile where a
    commit's record cannot be read, since the numbers of later versions depend on it.
    """

    def __init__(self, storage: ParquetStorage) -> None:
        self._storage = storage
        self._foldings: dict[Table, Folding] = {}

    def versions(
        self, table: Table, partition: Mapping[str, str] | None = None
    ) -> list[TableVersion]:
        """Every version of the table, or those that changed `partition`, newest first.

        `partition` may name some of the identity columns only: then it is about every partition
        that agrees. Runs that only confirmed the rows that were live made no version.
        """
        unknown = [name for name in partition or {} if name not in table.identity]
        if unknown:
            problem = f"{', '.join(unknown)} names no partition"
            raise InvalidPartition(table.name, partition or {}, problem)
        folding = self._folded(table)
        on_disk = data_files(self._storage.root / table.name)
        shown: list[TableVersion] = []
        later: set[Identity | None] = set()
        for change in reversed(folding.changes):
            about = _about(table, change, partition)
            if partition is not None and not about:
                continue
            one = about[0] if len(about) == 1 else None
            version = _version(table, change, about)
            is_live = not later if one is None else one not in later
            readable = is_readable(folding, (change.after[i] for i in about), on_disk)
            shown.append(replace(version, live=is_live, readable=readable))
            later |= {*change.after, None}
        return shown

    def find(
        self, table: Table, wanted: str, partition: Mapping[str, str] | None = None
    ) -> TableVersion:
        """The version of the table, or of `partition`, that was live at what `wanted` names.

        `12` or `@12`: after commit 12. `@-1`: the one before the current one, and so on; `@0` is
        the current one. `v1.4.2`; `v1.4` is its last patch, `v1` the last of that form of the
        table. `2026-03-01T12:00`: at that time, UTC unless it names another zone; a day is its
        beginning. NoSuchVersion lists what there is.
        """
        versions = self.versions(table, partition)
        number = self._number(table, wanted.strip(), versions)
        found = next((v for v in versions if number is not None and v.number <= number), None)
        if found is None:
            raise NoSuchVersion(table.name, wanted, partition or {}, _listed(versions))
        return found

    def vacuum(
        self,
        table: Table,
        keep_days: float,
        keep_versions: int,
        dry_run: bool = False,
        *,
        run_id: str = "",
    ) -> Vacuumed:
        """Remove data files of versions that are not kept, and leftovers; see `retention`."""
        return vacuum(
            self._storage,
            table,
            lambda: self._folded(table),
            keep_days,
            keep_versions,
            dry_run=dry_run,
            run_id=run_id,
        )

    def use(self, table: Table) -> StorageUse:
        """What the table takes on the disk."""
        return storage_use(self._storage, table, self._folded(table))

    def _folded(self, table: Table) -> Folding:
        """The table's commits, folded up to now."""
        log = self._storage.log(table)
        snapshot = log.current()
        newest = snapshot.version if snapshot else -1
        folding = self._foldings.get(table)
        if folding is None or folding.newest > newest:  # the latter: the table was moved aside
            folding = self._foldings[table] = Folding(table)
        for version in range(folding.newest + 1, newest + 1):
            folding.add(log.record(version))
        return folding

    def _number(self, table: Table, wanted: str, versions: Sequence[TableVersion]) -> int | None:
        """The newest commit of what `wanted` names, None if there is no such version."""
        folding = self._folded(table)
        if (place := _PLACE.fullmatch(wanted)) is not None:
            back = -int(place[1] or place[2])
            return versions[back].number if back < len(versions) else None
        if (number := _NUMBER.fullmatch(wanted)) is not None:
            return int(number[1]) if int(number[1]) <= folding.newest else None
        if (semantic := _SEMANTIC.fullmatch(wanted)) is not None:
            parts = tuple(int(part) for part in (semantic[1] or semantic[2]).split("."))
            named = [c for c in folding.changes if c.semantic[: len(parts)] == parts]
            return named[-1].number if named else None
        moment = _moment(table, wanted)
        # by the order of commits, since a clock may have stood back for a while
        return next((n for n, time in reversed(folding.commits) if time <= moment), None)


def _about(table: Table, change: Change, partition: Mapping[str, str] | None) -> list[Identity]:
    """Partitions that the change is about, as far as they agree with `partition`."""
    wanted = (partition or {}).items()
    return [
        identity
        for identity in change.after
        if wanted <= dict(zip(table.identity, identity, strict=True)).items()
    ]


def _version(table: Table, change: Change, about: Sequence[Identity]) -> TableVersion:
    lineage = change.record.lineage
    after = [change.after[identity] for identity in about]
    return TableVersion(
        table=table.name,
        number=change.number,
        semantic=str(change.semantic),
        timestamp=change.timestamp,
        operation=lineage.operation if lineage else change.foreign_operation,
        change=change.what,
        partition=dict(zip(table.identity, about[0], strict=True)) if len(about) == 1 else {},
        rows=sum(state.rows for state in after),
        rows_before=sum(change.before[identity].rows for identity in about),
        bytes=sum(file.bytes for state in after for file in state.files),
        run_id=lineage.provenance.run_id if lineage else "",
        code_version=lineage.provenance.code_version if lineage else "",
        live=False,
        readable=False,
        restored=lineage.restored if lineage else None,
        held_against=lineage.held_against if lineage else (),
    )


def _moment(table: Table, wanted: str) -> datetime:
    """The time that `wanted` names, UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        raise NotAVersion(table.name, wanted) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _listed(versions: Sequence[TableVersion]) -> list[str]:
    told = [
        f"{version.semantic} (@{version.number}, {version.timestamp:%Y-%m-%dT%H:%M:%S} UTC)"
        for version in versions[:_LISTED]
    ]
    more = len(versions) - len(told)
    return [*told, f"and {more} older ones: ngsim versions"] if more else told

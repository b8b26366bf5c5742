"""Rollback: the files of an earlier version, live again.

Belongs here: which files, whether they are still as they were written, one commit. Does not
belong here: which version is wanted (versions.py), what is built from the table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from ngsim_assets.storage.delta import DeltaLog
from ngsim_assets.storage.errors import (
    ConflictingWrite,
    DamagedFile,
    SchemaMismatch,
    UnknownVersion,
    VacuumedVersion,
)
from ngsim_assets.storage.manifest import Commit, DataFile, Lineage, Provenance, is_given_up
from ngsim_assets.storage.origins import Origin, live_commit, origin_of
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.statistics import statistics_of
from ngsim_assets.storage.turns import turns
from ngsim_assets.storage.verify import damages

if TYPE_CHECKING:
    from deltalake.transaction import AddAction


def restored(
    log: DeltaLog,
    table: Table,
    identity: Mapping[str, str],
    version: int,
    run_id: str,
    held_against: tuple[str, ...],
) -> Commit:
    """See `ParquetStorage.restore`."""
    base = log.current()
    if base is None:
        raise UnknownVersion(table.name, version)
    wanted = log.at(version).of(identity)
    _check_columns(log, table, version)
    before = base.of(identity)
    told = origin_of(log.records(version), identity, wanted)
    actions: list[AddAction] | None = None
    for _ in turns():
        newest = log.current() or base
        live = newest.of(identity)
        if live == wanted:
            origin = origin_of(log.records(), identity, live)
            if _is_held(origin, held_against):
                return live_commit(table, identity, live, origin)
        elif live != before:
            raise ConflictingWrite(table.name, identity, newest.version)
        _check_kept(log, table, identity, version, wanted)
        if actions is None:  # once: reading the files takes the most time
            _check_files(log, table, identity, version, wanted)
            actions = [_named_again(log.folder, file) for file in wanted]
        lineage = told.newest.whole(wanted) if told else _untold(table, identity, wanted)
        made = log.exchange(
            newest,
            lineage.restored_by(run_id, version, held_against),
            [action for action in actions if action.path not in {file.path for file in live}],
            [file for file in live if file.path not in {other.path for other in wanted}],
        )
        if made is not None:
            commit = live_commit(
                table, identity, wanted, origin_of(log.records(), identity, wanted)
            )
            return replace(commit, changed=live != wanted)
    raise ConflictingWrite(table.name, identity, base.version)


def _is_held(origin: Origin | None, held_against: tuple[str, ...]) -> bool:
    """Whether files that are live stay live for as long as their sources are these."""
    if not held_against:
        return True
    if origin is None:
        return False
    return held_against in (origin.newest.held_against, origin.newest.provenance.sources)


def _check_columns(log: DeltaLog, table: Table, version: int) -> None:
    """SchemaMismatch if the rows of `version` would not be read as they were."""
    changed = log.changed_columns(version)
    if changed:
        raise SchemaMismatch(
            table.name,
            [f"since version {version}, {fault}" for fault in changed],
            "that version can be read with `ngsim query --version`, but not be live again;"
            " rebuild the table instead: ngsim build --force",
        )


def _check_kept(
    log: DeltaLog,
    table: Table,
    identity: Mapping[str, str],
    version: int,
    wanted: Sequence[DataFile],
) -> None:
    """VacuumedVersion if a vacuum gave a file up, though it may not have removed it yet."""
    given_up = {
        name for record in log.records() if record.lineage for name in record.lineage.given_up
    }
    gone = [file for file in wanted if is_given_up(file, given_up)]
    if gone:
        raise VacuumedVersion(table.name, version, identity, len(gone), len(wanted))


def _check_files(
    log: DeltaLog,
    table: Table,
    identity: Mapping[str, str],
    version: int,
    wanted: Sequence[DataFile],
) -> None:
    """VacuumedVersion or DamagedFile if a file is not as it was written."""
    gone = [file for file in wanted if not (log.folder / file.path).exists()]
    if gone:
        raise VacuumedVersion(table.name, version, identity, len(gone), len(wanted))
    damage = next(damages(table.name, log.folder, wanted), None)
    if damage is not None:
        raise DamagedFile(
            table.name,
            damage.path,
            damage.problem,
            f"version {version} cannot be live again; choose another one: ngsim versions",
        )


def _untold(table: Table, identity: Mapping[str, str], files: Sequence[DataFile]) -> Lineage:
    """A record for rows whose origin the log does not tell."""
    write = files[0].write if files else ""
    return Lineage.of(table.name, identity, write, files, Provenance())


def _named_again(folder: Path, file: DataFile) -> AddAction:
    from deltalake.transaction import AddAction

    footer = pq.read_metadata(folder / file.path)
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values=file.partition,
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(statistics_of(footer)),
    )

"""How long versions can be read: which data files are kept, which are removed, what they take.

Belongs here: the rule of what is kept, and the order of steps that makes removal safe. Does not
belong here: which files are live after which commit (folding.py), whose writes are going on
(claims.py).

Not the Delta library's vacuum: it goes by clock time alone, counts versions of the whole table,
knows nothing of writes in progress, and a rollback could name a file that it is about to remove.

Why nothing is lost, whoever else is at work and wherever a process is killed:

- Live files are never removed, nor those of writes in progress. What lies in the folder is
  listed first, then who is writing, then the log: a file from before the list that neither a
  writer holds nor the log names can become nobody's.
- The files to be removed are given up in a commit first. It fails if anything was committed
  since the log was read; from then on a rollback refuses those files, though they may still be
  there. So no rollback can name a file that is being removed, and after a kill the next vacuum
  removes what the record gave up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ngsim_assets.storage.claims import being_written
from ngsim_assets.storage.errors import ConflictingWrite, writing
from ngsim_assets.storage.folding import Folding, State
from ngsim_assets.storage.manifest import DataFile, Lineage, Provenance
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.turns import turns

_FIRST_DAY = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Vacuumed:
    """What a vacuum removed from a table, or would remove.

    Attributes:
        files, bytes: of versions that are no longer kept.
        leftovers, leftover_bytes: of writes that never became a version.
        versions: numbers of the versions that can be read no more.
        version: of the commit that gave the files up, None if there was nothing to give up.
    """

    table: str
    files: int
    bytes: int
    leftovers: int
    leftover_bytes: int
    versions: tuple[int, ...]
    version: int | None
    dry_run: bool


@dataclass(frozen=True)
class StorageUse:
    """Bytes of a table on the disk.

    Attributes:
        live: files of the current version. history: files of earlier versions only.
        leftovers: files that no version names and nobody is writing.
        log: commits, checkpoints and their index.
        versions: how many versions there are, readable: how many of them can be read.
    """

    table: str
    live: int
    history: int
    leftovers: int
    log: int
    versions: int
    readable: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.live + self.history + self.leftovers + self.log


def vacuum(
    storage: ParquetStorage,
    table: Table,
    folded: Callable[[], Folding],
    keep_days: float,
    keep_versions: int,
    *,
    dry_run: bool = False,
    run_id: str = "",
    now: datetime | None = None,
) -> Vacuumed:
    """Remove files of versions that are not kept, and what never became a version.

    `folded` gives the table's commits up to the newest. Raises DamagedFile, with nothing removed,
    where a commit's record cannot be read: what it names would be taken for nobody's.
    """
    log = storage.log(table)
    now = now or datetime.now(UTC)
    for _ in turns():
        on_disk = data_files(log.folder)
        if not dry_run:
            storage.sweep(table)
        writing_now = being_written(log.folder)
        base = log.current()
        if base is None:
            return Vacuumed(table.name, 0, 0, 0, 0, (), None, dry_run)
        folding = folded()
        if folding.newest != base.version:
            continue
        live = {file.path for file in base.files}
        keep = kept(folding, keep_days, keep_versions, now) | live
        named = {file.path: file for file in _named(folding)}
        old = {
            path: file
            for path, file in named.items()
            if path in on_disk
            and (path not in keep or (path not in live and folding.gave_up(file)))
        }
        leftovers = {
            path: size
            for path, size in on_disk.items()
            if path not in named and _is_ours(path) and _write(path) not in writing_now
        }
        unread = tuple(
            change.number
            for change in folding.changes
            if any(file.path in old for state in change.after.values() for file in state.files)
        )
        new = [file for file in old.values() if not folding.gave_up(file)]
        version: int | None = None
        if new and not dry_run:
            partly = {file.write for path, file in named.items() if path in keep}
            given_up = {file.path if file.write in partly else file.write for file in new}
            record = _record(table, sorted(given_up), keep_days, keep_versions, run_id)
            version = log.exchange(base, record, [], [])
            if version is None:
                continue
        if not dry_run:
            _remove(log.folder, [*old, *leftovers])
        return Vacuumed(
            table=table.name,
            files=len(old),
            bytes=sum(on_disk[path] for path in old),
            leftovers=len(leftovers),
            leftover_bytes=sum(leftovers.values()),
            versions=unread,
            version=version,
            dry_run=dry_run,
        )
    raise ConflictingWrite(table.name, {}, folded().newest)


def storage_use(storage: ParquetStorage, table: Table, folding: Folding) -> StorageUse:
    """What the table takes on the disk."""
    log = storage.log(table)
    sizes = dict(files_below(log.folder))
    snapshot = log.current()
    live = {file.path for file in snapshot.files} if snapshot else set[str]()
    named = {file.path for file in _named(folding)}
    writing_now = being_written(log.folder)
    taken = {"live": 0, "history": 0, "leftovers": 0, "log": 0, "being written": 0}
    for path, size in sizes.items():
        if path.startswith("_"):
            taken["log"] += size
        elif path in live:
            taken["live"] += size
        elif path in named:
            taken["history"] += size
        elif _write(path) not in writing_now:
            taken["leftovers"] += size
    readable = [is_readable(folding, change.after.values(), sizes) for change in folding.changes]
    return StorageUse(
        table=table.name,
        live=taken["live"],
        history=taken["history"],
        leftovers=taken["leftovers"],
        log=taken["log"],
        versions=len(readable),
        readable=sum(readable),
    )


def data_files(folder: Path) -> dict[str, int]:
    """Size of every file in the Hive folders of a table, by its path."""
    return {path: size for path, size in files_below(folder) if not path.startswith("_")}


def is_readable(folding: Folding, states: Iterable[State], on_disk: Container[str]) -> bool:
    """Whether every file of these states is there and stays there."""
    return all(
        file.path in on_disk and not folding.gave_up(file)
        for state in states
        for file in state.files
    )


def kept(folding: Folding, keep_days: float, keep_versions: int, now: datetime) -> set[str]:
    """Paths of the files of every version that is kept.

    Of each partition these are: what is live; the newest `keep_versions` contents, the live one
    among them; and what was live within the last `keep_days`. A clock that stood back or ran
    ahead for a while makes nothing older, see `_superseded_by`.
    """
    times = _superseded_by(folding.commits, now)
    age = timedelta(days=min(keep_days, timedelta.max.days))
    limit = now - min(age, now - _FIRST_DAY)  # as long as may be is for ever
    paths: set[str] = set()
    for states in folding.states.values():
        contents: set[frozenset[str]] = set()
        until = now
        for place, state in enumerate(reversed(states)):
            named = frozenset(file.path for file in state.files)
            contents.add(named or frozenset({""}))
            if place == 0 or len(contents) <= keep_versions or until >= limit:
                paths |= named
            until = times[state.number]
    return paths


def _superseded_by(commits: Sequence[tuple[int, datetime]], now: datetime) -> dict[int, datetime]:
    """When each commit had been made at the latest, by version.

    That is its own time, unless that lies before the time of an earlier commit, or is yet to
    come: then some clock was wrong, and the next commit whose time is neither stands in, or now.
    """
    latest = _FIRST_DAY
    right: list[bool] = []
    for _, time in commits:
        right.append(latest <= time <= now)
        latest = max(latest, time) if right[-1] else latest
    times: dict[int, datetime] = {}
    bound = now
    for (version, time), is_right in zip(reversed(commits), reversed(right), strict=True):
        bound = time if is_right else bound
        times[version] = bound
    return times


def _named(folding: Folding) -> Iterator[DataFile]:
    for states in folding.states.values():
        for state in states:
            yield from state.files


def _record(
    table: Table, given_up: Sequence[str], keep_days: float, keep_versions: int, run_id: str
) -> Lineage:
    rule = {"keep_days": keep_days, "keep_versions": keep_versions}
    lineage = Lineage.of(
        table.name, {}, "", (), Provenance(run_id, parameters=rule), operation="vacuum"
    )
    return Lineage({**lineage.record, "given_up": list(given_up)})


def _remove(folder: Path, paths: Iterable[str]) -> None:
    with writing(folder):
        for path in paths:
            (folder / path).unlink(missing_ok=True)


def files_below(folder: Path, inside: str = "") -> Iterator[tuple[str, int]]:
    """Path and size of every file below a folder; those that vanish meanwhile are left out."""
    with suppress(FileNotFoundError), os.scandir(folder / inside) as entries:
        for entry in entries:
            path = f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from files_below(folder, f"{path}/")
                continue
            with suppress(FileNotFoundError):
                yield path, entry.stat(follow_symlinks=False).st_size


def _write(path: str) -> str:
    return DataFile(path, {}, 0, 0).write


def _is_ours(path: str) -> bool:
    """Whether this program named the file: one of another program may be about to be committed."""
    return bool(_write(path))

"""What each commit of a table says, as far back as somebody asks.

Belongs here: the JSON files of a Delta log, read once and then from an index. Does not belong
here: what is live (delta.py reads that with the Delta library), what the records mean.

The library reads every action of every commit to tell the history: seconds after a year of
unattended writes. Here only the record of a commit is read, and every BLOCK of them is put into
one file below `<table>/_records`. That index is a copy: a part that is missing, damaged or of
another log is read from the log again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import DamagedFile, StorageError
from ngsim_assets.storage.manifest import DataFile, Lineage

BLOCK = 256
"""Commits of one part of the index."""

_TOLD_IN_FULL = {"replace", "confirm", "rollback", "vacuum"}
"""Operations whose record says which files are live after them in their partition."""


@dataclass(frozen=True)
class CommitRecord:
    """What one commit says.

    Attributes:
        info: its `commitInfo`.
        schema: the table's schema from here on, as JSON; None if the commit says nothing of it.
        added, removed: data files it names and paths it takes back; empty where the record in
            `info` says what is live after it.
        changes_content: False where files were only put together in another way.
    """

    version: int
    info: Mapping[str, Any]
    schema: str | None = None
    added: tuple[DataFile, ...] = ()
    removed: tuple[str, ...] = ()
    changes_content: bool = True

    @cached_property
    def lineage(self) -> Lineage | None:
        """This program's record, None if another one made the commit."""
        return Lineage.in_commit(self.info)

    @property
    def is_told_in_full(self) -> bool:
        """Whether `lineage` says which files are live after it, and not `added` and `removed`."""
        return self.lineage is not None and self.lineage.operation in _TOLD_IN_FULL


class CommitRecords:
    """Commits of the table in `folder`, by version."""

    def __init__(self, folder: Path, table: str) -> None:
        self._folder = folder
        self._table = table
        self._known: dict[int, CommitRecord] = {}
        self._opened: set[int] = set()

    def get(self, version: int) -> CommitRecord:
        """The commit that made `version`; DamagedFile if what it says cannot be read."""
        block = version // BLOCK
        if version not in self._known and block not in self._opened:
            self._opened.add(block)
            self._known.update(self._indexed(block))
        if version not in self._known:
            self._known[version] = self._read(version)
            self._index(block)
        return self._known[version]

    def newest_first(self, newest: int) -> Iterator[CommitRecord]:
        """Commits from `newest` back to the first; those that cannot be read are left out."""
        for version in range(newest, -1, -1):
            with suppress(DamagedFile):
                yield self.get(version)

    def unreadable(self, newest: int) -> Iterator[DamagedFile]:
        """Why commits up to `newest` cannot be read, those that cannot."""
        for version in range(newest + 1):
            try:
                self.get(version)
            except DamagedFile as error:
                yield error

    def forget(self) -> None:
        """Read everything anew: the log is another one."""
        self._known = {}
        self._opened = set()

    def _read(self, version: int) -> CommitRecord:
        path = self._path(version)
        try:
            return _parsed(version, path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no commit record"
            raise DamagedFile(
                self._table,
                path,
                f"{reason}",
                "rows are not affected; put this file back from a backup to see the version again",
            ) from error

    def _path(self, version: int) -> Path:
        return self._folder / "_delta_log" / f"{version:020}.json"

    def _part(self, block: int) -> Path:
        return self._folder / "_records" / f"{block * BLOCK:08}.jsonl"

    def _indexed(self, block: int) -> dict[int, CommitRecord]:
        """Commits of a block that the index has and that are still what the log says."""
        found: dict[int, CommitRecord] = {}
        try:
            lines = self._part(block).read_bytes().splitlines()
            for line in lines:
                seen, record = json.loads(line)
                version = record["version"]
                # a commit whose file is gone is known from here alone
                if version // BLOCK == block and _state(self._path(version)) in (seen, None):
                    files = tuple(DataFile(**file) for file in record.pop("added"))
                    removed = tuple(record.pop("removed"))
                    found[version] = CommitRecord(**record, added=files, removed=removed)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return found

    def _index(self, block: int) -> None:
        """Put a block into the index once every commit of it is known."""
        versions = range(block * BLOCK, (block + 1) * BLOCK)
        if not all(version in self._known for version in versions):
            return
        lines = [
            json.dumps([_state(self._path(version)), asdict(self._known[version])])
            for version in versions
        ]
        with suppress(StorageError):  # a lake that cannot be written to is read without
            write_atomically(self._part(block), "\n".join(lines) + "\n")


def _parsed(version: int, content: bytes) -> CommitRecord:
    """A commit; ValueError, KeyError, TypeError or AttributeError if it is none.

    An empty file is a commit that changes nothing, as it is to the Delta library: a power cut can
    leave one, of a commit that nobody was told of.
    """
    lines = content.splitlines()
    info: Mapping[str, Any] = {}
    for line in lines:
        if b'"commitInfo"' in line[:20]:
            info = json.loads(line)["commitInfo"]
            break
    record = CommitRecord(version, info)
    if record.is_told_in_full:  # nothing else of it is of use
        return record
    schema: str | None = None
    added: list[DataFile] = []
    removed: list[str] = []
    changes: list[bool] = []
    for line in lines:
        ((kind, action),) = json.loads(line).items()
        if kind == "commitInfo":
            info = action
        elif kind == "metaData":
            schema = action["schemaString"]
        elif kind == "add":
            changes.append(action.get("dataChange", True))
            added.append(_file(action))
        elif kind == "remove":
            changes.append(action.get("dataChange", True))
            removed.append(unquote(action["path"]))
    return CommitRecord(version, info, schema, tuple(added), tuple(removed), any(changes))


def _file(action: Mapping[str, Any]) -> DataFile:
    statistics = json.loads(action.get("stats") or "{}")
    return DataFile(
        path=unquote(action["path"]),
        partition={name: str(value) for name, value in action["partitionValues"].items()},
        rows=statistics.get("numRecords") or 0,
        bytes=action["size"],
    )


def _state(path: Path) -> list[int] | None:
    """What tells one content of a commit's file from another, None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns]

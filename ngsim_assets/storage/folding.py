"""A table's commits folded into versions: what each changed, and which number that earns.

Belongs here: the rules of v{major}.{minor}.{patch}, and which files are live after each commit.
Does not belong here: reading the log (records.py), files on the disk (versions.py, retention.py).

Folding goes forward from the first commit and looks at nothing else, so a version's number is
the same whenever, wherever and by whomever it is worked out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from ngsim_assets.storage.manifest import DataFile, Lineage, is_given_up
from ngsim_assets.storage.origins import time_of
from ngsim_assets.storage.records import CommitRecord
from ngsim_assets.storage.schema import Table

Identity = tuple[str, ...]
"""Values of a table's identity columns: one partition."""


class Semantic(NamedTuple):
    """v{major}.{minor}.{patch}: schema broken, content added, content corrected."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def broken(self) -> Semantic:
        """After a change that readers of the old columns cannot follow."""
        return Semantic(self.major + 1, 0, 0)

    def added(self) -> Semantic:
        """After rows or columns were added."""
        return Semantic(self.major, self.minor + 1, 0)

    def corrected(self) -> Semantic:
        """After rows were changed or removed."""
        return Semantic(self.major, self.minor, self.patch + 1)


@dataclass(frozen=True)
class State:
    """What a partition holds from one commit to the next about it."""

    number: int
    timestamp: datetime
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class Change:
    """A commit that changed what a table holds.

    Attributes:
        what: in words.
        before, after: of each partition that it changed; of all where it changed the columns.
        changes_columns: whether it did.
    """

    record: CommitRecord
    timestamp: datetime
    semantic: Semantic
    what: str
    before: Mapping[Identity, State]
    after: Mapping[Identity, State]
    changes_columns: bool = False

    @property
    def number(self) -> int:
        return self.record.version

    @property
    def foreign_operation(self) -> str:
        """What another program calls what it did."""
        return str(self.record.info.get("operation", "unknown")).lower()


class Folding:
    """The commits of one table so far.

    Attributes:
        changes: those that changed something, oldest first.
        states: of each partition, one for every time its files became others, oldest first.
        commits: number and time of every commit, oldest first.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[str, object] | None = None
        self.changes: list[Change] = []
        self.states: dict[Identity, list[State]] = {}
        self.commits: list[tuple[int, datetime]] = []
        self._given_up: set[str] = set()

    def add(self, record: CommitRecord) -> None:
        """Fold the next commit in."""
        timestamp = self._time(record)
        self.commits.append((record.version, timestamp))
        lineage = record.lineage
        if lineage is not None and lineage.operation == "vacuum":
            self._given_up.update(lineage.given_up)
        touched = {
            identity: State(record.version, timestamp, files)
            for identity, files in self._after(record).items()
            if _paths(files) != _paths(self.live(identity).files)
        }
        before = {identity: self.live(identity) for identity in touched}
        columns = _columns(record)
        added, broken = _compared(self._columns, columns)
        migrated = lineage is not None and lineage.operation == "migrate"
        for identity, state in touched.items():
            self.states.setdefault(identity, []).append(state)
        last = self.changes[-1].semantic if self.changes else Semantic(0, 0, 0)
        if self._columns is None or broken or migrated:
            semantic = last.broken()
        elif added or (
            record.changes_content
            and any(state.rows > before[identity].rows for identity, state in touched.items())
        ):
            semantic = last.added()
        elif touched and record.changes_content:
            semantic = last.corrected()
        else:
            return
        changes_columns = bool(self._columns is None or added or broken or migrated)
        change = Change(record, timestamp, semantic, "", before, touched, changes_columns)
        what = _told(change, lineage, added, is_first=self._columns is None)
        if changes_columns:
            everywhere = {identity: self.live(identity) for identity in self.states}
            change = replace(change, before={**everywhere, **before}, after=everywhere)
        self.changes.append(replace(change, what=what))
        if columns is not None:
            self._columns = columns

    @property
    def newest(self) -> int:
        """Number of the newest commit, -1 if there is none yet."""
        return self.commits[-1][0] if self.commits else -1

    def live(self, identity: Identity) -> State:
        """What a partition holds after the commits so far."""
        states = self.states.get(identity)
        return states[-1] if states else State(-1, time_of({}), ())

    def _time(self, record: CommitRecord) -> datetime:
        """Of the commit, or of the one before it where it has none."""
        if "timestamp" in record.info or not self.commits:
            return time_of(record.info)
        return self.commits[-1][1]

    def gave_up(self, file: DataFile) -> bool:
        """Whether a vacuum gave the file up, removed or not."""
        return is_given_up(file, self._given_up)

    def _after(self, record: CommitRecord) -> dict[Identity, tuple[DataFile, ...]]:
        """Files of each partition that the commit is about."""
        lineage = record.lineage
        if lineage is not None and record.is_told_in_full:
            if lineage.operation in {"confirm", "vacuum"}:
                return {}
            partition = lineage.partition
            files = tuple(
                DataFile(file["path"], partition, file["rows"], file["bytes"])
                for file in lineage.files
            )
            return {self._identity(partition): files}
        if lineage is not None and lineage.operation == "append":
            identity = self._identity(lineage.partition)
            return {identity: (*self.live(identity).files, *record.added)}
        live = {file.path: file for states in self.states.values() for file in states[-1].files}
        about = [live[path] for path in record.removed if path in live]
        identities = {self._identity(file.partition) for file in (*about, *record.added)}
        for file in about:
            del live[file.path]
        live.update({file.path: file for file in record.added})
        return {
            identity: tuple(
                file for file in live.values() if self._identity(file.partition) == identity
            )
            for identity in identities
        }

    def _identity(self, partition: Mapping[str, str]) -> Identity:
        return tuple(partition.get(name, "") for name in self._table.identity)


def _paths(files: Iterable[DataFile]) -> set[str]:
    return {file.path for file in files}


def _columns(record: CommitRecord) -> dict[str, object] | None:
    """Type of every column, None if the commit says nothing of them."""
    if record.schema is None:
        return None
    return {field["name"]: field["type"] for field in json.loads(record.schema)["fields"]}


def _compared(
    before: dict[str, object] | None, after: dict[str, object] | None
) -> tuple[list[str], list[str]]:
    """Columns that were added, and columns that are gone or of another type."""
    if before is None or after is None:
        return [], []
    added = [name for name in after if name not in before]
    broken = [name for name, kind in before.items() if after.get(name) != kind]
    return added, broken


def _told(change: Change, lineage: Lineage | None, added: list[str], *, is_first: bool) -> str:
    """What a commit changed, in words."""
    if is_first:
        return "table created"
    if lineage is not None and lineage.operation == "migrate":
        return "columns migrated"
    if added:
        return f"columns added: {', '.join(added)}"
    if lineage is None:
        return f"{change.foreign_operation} by another program"
    if lineage.operation == "rollback":
        return f"rolled back to version {lineage.restored}"
    ((identity, after),) = change.after.items()
    return _told_of_rows(change.before[identity], after)


def _told_of_rows(before: State, after: State) -> str:
    if not after.rows:
        return "emptied"
    if not before.rows:
        return "first rows"
    if after.rows != before.rows:
        return "rows added" if after.rows > before.rows else "rows corrected"
    if sorted(file.content for file in before.files) == sorted(f.content for f in after.files):
        return "damaged files written again"
    return "rows corrected"

"""What every live partition was made from, back to the files that were delivered.

Belongs here: following the records of writes from table to table, and saying where they end.
Does not belong here: one record's form (manifest.py), which version has which name (versions.py).

A write records the hashes of the data files it was computed from. A hash names one write of one
table, so the way back needs no knowledge of which table is made of which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ngsim_assets.storage.live import live_commits
from ngsim_assets.storage.manifest import Commit, Lineage, Provenance
from ngsim_assets.storage.origins import time_of
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table

Partition = tuple[str, ...]
"""Values of a table's identity columns."""


@dataclass(frozen=True)
class Made:
    """Rows of one partition as one version of its table made them.

    Attributes:
        version, timestamp: of the commit that made them live; -1 and None if no record tells.
        operation: replace, rollback or migrate; empty if no record tells.
        content: hashes that what is built from them records as its sources.
        provenance: of the newest run that produced them; empty if another program did.
        live: whether they are what the table holds now.
        restored, held_against: of a rollback, see `Commit`.
    """

    table: str
    partition: Mapping[str, str]
    version: int
    timestamp: datetime | None
    operation: str
    rows: int
    bytes: int
    files: int
    content: tuple[str, ...]
    provenance: Provenance
    live: bool
    restored: int | None = None
    held_against: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The partition in one word, `us-101|2005-06-15T0750`."""
        return "|".join(self.partition.values())

    @property
    def is_recorded(self) -> bool:
        """Whether this program's record of the write is there."""
        return bool(self.operation)


@dataclass(frozen=True)
class Source:
    """What some rows were made from, as far as records tell.

    Attributes:
        hashes: as recorded. made: the rows they stand for; None if no table of the lake has, or
            had, them.
    """

    hashes: tuple[str, ...]
    made: Made | None


class Origins:
    """The way back from live partitions of a lake, as of when it is first asked.

    Live partitions are looked up first; the whole history of the tables is read only where a
    partition was made from rows that are live no more.
    """

    def __init__(self, storage: ParquetStorage, tables: Iterable[Table]) -> None:
        self._storage = storage
        self._tables = tuple(tables)
        self._live: dict[Table, dict[Partition, Made]] = {}
        self._now: dict[str, list[Made]] | None = None
        self._ever: dict[str, list[Made]] | None = None

    def live(self, table: Table) -> list[Made]:
        """What every partition with rows holds now, sorted by partition."""
        if table not in self._live:
            self._live[table] = {
                partition: _made(commit)
                for partition, commit in live_commits(self._storage, table).items()
                if commit.files
            }
        return [made for _, made in sorted(self._live[table].items())]

    def sources(self, made: Made) -> list[Source]:
        """What it was made from, table by table; empty if no table is told."""
        if made.provenance.files:
            return []  # its sources are files from outside
        left = dict.fromkeys(made.provenance.sources)
        found: list[Source] = []
        for known in (self._of_now, self._of_ever):
            for sha256 in [*left]:
                # a version is a source as a whole: another one may share some of its files
                whole = [
                    one
                    for one in known().get(sha256, ())
                    if one.table != made.table and left.keys() >= set(one.content)
                ]
                if sha256 in left and whole:
                    best = max(whole, key=lambda one: (_in_common(one, made), one.version))
                    found.append(Source(best.content, best))
                    for each in best.content:
                        left.pop(each, None)
            if not left:
                break
        return [*found, Source(tuple(left), None)] if left else found

    def back(self, start: Iterable[Made]) -> Iterator[tuple[Made, list[Source]]]:
        """Everything that `start` was made from, directly or not, each once, with its sources."""
        seen: set[tuple[str, Partition, int]] = set()
        waiting = list(start)
        while waiting:
            made = waiting.pop()
            place = (made.table, tuple(made.partition.values()), made.version)
            if place in seen:
                continue
            seen.add(place)
            sources = self.sources(made)
            waiting += [source.made for source in sources if source.made is not None]
            yield made, sources

    def _of_now(self) -> dict[str, list[Made]]:
        if self._now is None:
            self._now = _by_hash(made for table in self._tables for made in self.live(table))
        return self._now

    def _of_ever(self) -> dict[str, list[Made]]:
        if self._ever is None:
            self._ever = _by_hash(
                made for table in self._tables for made in _ever_made(self._storage, table)
            )
        return self._ever


def _in_common(one: Made, other: Made) -> int:
    """How many names of partitions agree: the same bytes may be in two partitions."""
    return len(one.partition.items() & other.partition.items())


def _by_hash(those: Iterable[Made]) -> dict[str, list[Made]]:
    found: dict[str, list[Made]] = {}
    for made in those:
        for sha256 in made.content:
            found.setdefault(sha256, []).append(made)
    return found


def records_about(lineage: Lineage) -> Sequence[Lineage]:
    """Its records of one partition each: several where a commit is about all of them."""
    if lineage.operation == "migrate":
        return [Lineage(record) for record in lineage.record["partitions"]]
    return [lineage]


def _made(commit: Commit) -> Made:
    return Made(
        table=commit.table,
        partition=commit.partition,
        version=commit.version,
        timestamp=commit.timestamp,
        operation=commit.operation,
        rows=commit.rows,
        bytes=commit.bytes,
        files=len(commit.files),
        content=commit.content,
        provenance=commit.provenance,
        live=True,
        restored=commit.restored,
        held_against=commit.held_against,
    )


def _ever_made(storage: ParquetStorage, table: Table) -> Iterator[Made]:
    """Every content that a partition ever had, newest first."""
    for record in storage.log(table).records():
        for lineage in records_about(record.lineage) if record.lineage else ():
            if lineage.operation in {"confirm", "vacuum"}:
                continue
            yield Made(
                table=table.name,
                partition=lineage.partition,
                version=record.version,
                timestamp=time_of(record.info),
                operation=lineage.operation,
                rows=sum(file["rows"] for file in lineage.files),
                bytes=sum(file["bytes"] for file in lineage.files),
                files=len(lineage.files),
                content=lineage.content,
                provenance=lineage.provenance,
                live=False,
                restored=lineage.restored,
                held_against=lineage.held_against,
            )

"""What a write leaves on record: which files, which rows, from where, by which code.

Belongs here: the records and their JSON form inside a Delta commit. Does not belong here:
reading or writing the log (delta.py), data files (encoding.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

LINEAGE = "lineage"
"""Key of the record inside the Delta commit's `commitInfo`."""

_DELIVERED = "delivered"
"""Key of the source files inside the record, where `files` are those of the table."""

_APPENDED_TO = "appended_to"
"""Key of what an append tells of the files that were there before."""

_FILE_NAME = re.compile(
    r"(?P<order>\d{5})-(?P<sha256>[0-9a-f]{64})-(?P<write>[0-9a-f]{12})\.parquet$"
)


@dataclass(frozen=True)
class SourceFile:
    """A file from outside whose rows were written, as it was when they were read.

    Attributes:
        name: what the rows call it, once among the files of one partition.
        sha256: of its bytes, unpacked.
        path: where it lay, a path or a URL. member: its name inside the archive there, if any.
        packed_sha256: of the file at `path`, packed if it was; `sha256` itself if not.
        rows: of the partition.
        extras: facts about those rows that the domain keeps.
    """

    name: str
    sha256: str
    path: str = ""
    member: str | None = None
    packed_sha256: str = ""
    rows: int = 0
    extras: Mapping[str, int | str | None] = field(default_factory=dict[str, "int | str | None"])


@dataclass(frozen=True)
class Provenance:
    """Where the rows of one write come from.

    Attributes:
        run_id: the run that wrote them.
        code_version: version of the code that computed them.
        parameters: parameters of the computation, JSON values.
        sources: content hashes of what they were computed from.
        rows: row counts by name, for example read, kept, rejected.
        files: from outside, that the rows were read from, earliest delivery first. Told, not
            compared: the same content out of other files is of the same origin.
    """

    run_id: str = ""
    code_version: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    files: tuple[SourceFile, ...] = ()


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Its name is `<order>-<sha256>-<write>.parquet`: the place of its rows in the partition, the
    hash of its bytes, and the write that made it. So the files alone can be checked, put in
    order and told from leftovers, whatever happened to the log.

    Attributes:
        path: relative to the table's folder, with forward slashes.
        partition: value of every partition column, as in the folder names.
    """

    path: str
    partition: Mapping[str, str]
    rows: int
    bytes: int

    @property
    def order(self) -> tuple[str, str]:
        """Key that sorts files as their rows were given; files of other programs by path."""
        found = _FILE_NAME.search(self.path)
        return (found["order"] if found else "", self.path)

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes, empty if another program wrote the file."""
        found = _FILE_NAME.search(self.path)
        return found["sha256"] if found else ""

    @property
    def write(self) -> str:
        """The write that made the file, empty if another program did."""
        found = _FILE_NAME.search(self.path)
        return found["write"] if found else ""

    @property
    def content(self) -> tuple[str, str, str]:
        """Folder, place and hash: what the file holds and where, whichever write made it."""
        return (self.path.rpartition("/")[0], self.order[0], self.sha256)


@dataclass(frozen=True)
class Commit:
    """The live state of one partition and the write that made it.

    Attributes:
        partition: its identity columns.
        version: table version that brought these files.
        changed: False if the same content was live already, which then stayed.
        provenance: of the last run that produced this content.
        write: name of the write, part of its files' names.
        timestamp: time of the commit, UTC; None if there was nothing to commit.
        content: hashes that stand for its rows: those of its files, or, where a migration only
            put the same rows in another form, those of the files they were first written to.
            What is built from the partition records these as its sources.
        operation: what made these files live: replace, append, rollback; empty if the log does
            not tell. Of an append, `provenance` is that of the last one.
        restored: the version that a rollback took the files from, None unless it was one.
        held_against: sources in spite of which a rollback is to stay: while those are what the
            partition would be built from, it is up to date. Empty once anything newer of it
            was written or the same rows came out of a build again.
    """

    table: str
    partition: Mapping[str, str]
    version: int
    rows: int
    bytes: int
    files: tuple[DataFile, ...]
    changed: bool
    provenance: Provenance
    write: str
    timestamp: datetime | None
    content: tuple[str, ...] = ()
    operation: str = ""
    restored: int | None = None
    held_against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """One version of a table, as its log tells it.

    Attributes:
        operation: replace (rows of a partition), append (rows beside those it had), confirm (the
            same rows came out of other sources, parameters or code), rollback (files of an
            earlier version again), migrate (other columns or types, of all partitions), vacuum
            (files that no kept version names were removed), or what another program calls its
            own.
        partition: identity of the partition it is about, empty if it is about the table.
        rows: rows of that partition in this version, None if the log does not tell.
        write: the write whose files hold those rows.
        restored, held_against: of a rollback, see `Commit`.
    """

    table: str
    version: int
    timestamp: datetime
    operation: str
    partition: Mapping[str, str]
    rows: int | None
    bytes: int | None
    files: int | None
    write: str
    provenance: Provenance
    restored: int | None = None
    held_against: tuple[str, ...] = ()


class Lineage:
    """The record of one commit: which partition, by whom, from what, into which files.

    Operation `append` names the files that came and tells of those before them how many there were
    (`appended_to`): named again by every batch, they would make the log of a long stream endless.

    Operation `migrate` is about every partition at once: its `partition` is empty, `parameters`
    hold the steps (`{"steps": [{"column", "action", "before", "after", "why"}, …]}`) and
    `partitions` a record for each partition as it was (operation replace or rollback, same run,
    code, parameters, sources, rows), but for `write` and `files`, which are the migration's, and
    `before`: version and hashes of the files it was made from. Ask `about` for the record of one
    partition, whatever kind of commit it is in.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record

    @classmethod
    def of(
        cls,
        table: str,
        partition: Mapping[str, str],
        write: str,
        files: Sequence[DataFile],
        provenance: Provenance,
        *,
        operation: str = "replace",
        confirmed: Lineage | None = None,
        appended_to: Sequence[DataFile] | None = None,
    ) -> Lineage:
        """The record of a commit about to be made.

        `confirmed` is the one it confirms, `appended_to` are the files it leaves live, if any.
        """
        told = asdict(provenance)
        record = {
            "operation": operation,
            "table": table,
            "partition": dict(partition),
            "write": write,
            _DELIVERED: told.pop("files"),
            **told,
            "files": _listed(files),
        }
        if confirmed is not None and "before" in confirmed.record:
            record["before"] = confirmed.record["before"]
        if appended_to is not None:
            record[_APPENDED_TO] = {
                "files": len(appended_to),
                "rows": sum(file.rows for file in appended_to),
                "bytes": sum(file.bytes for file in appended_to),
            }
        # what comes back from the log is JSON: lists for tuples, so compare like with like
        return cls(json.loads(json.dumps(record)))

    @classmethod
    def in_commit(cls, info: Mapping[str, Any]) -> Lineage | None:
        """The record inside a `commitInfo`, None if another program made the commit."""
        record = info.get(LINEAGE)
        return cls(record) if isinstance(record, dict) and "operation" in record else None

    @classmethod
    def of_migration(
        cls,
        table: str,
        write: str,
        partitions: Sequence[Lineage],
        steps: Sequence[Mapping[str, str]],
        run_id: str,
    ) -> Lineage:
        """The record of a migration; `partitions` are of `moved_to`."""
        provenance = Provenance(run_id=run_id, parameters={"steps": list(steps)})
        record = cls.of(table, {}, write, (), provenance, operation="migrate").record
        return cls({**record, "partitions": [lineage.record for lineage in partitions]})

    def moved_to(
        self, write: str, files: Sequence[DataFile], version: int, operation: str
    ) -> Lineage:
        """The same rows in other files, as a migration puts them.

        `version` and `operation` are those of the commit that made the old ones live.
        """
        before = self.record.get("before") or {
            "version": version,
            "files": [file["sha256"] for file in self.files],
        }
        moved = {"operation": operation, "write": write, "files": _listed(files), "before": before}
        return Lineage({**self.record, **moved})

    def whole(self, files: Sequence[DataFile]) -> Lineage:
        """The record with `files`, all of the partition, where it is of an append."""
        if self.appended_to is None:
            return self
        record = {name: value for name, value in self.record.items() if name != _APPENDED_TO}
        return Lineage({**record, "files": _listed(files)})

    def restored_by(self, run_id: str, version: int, held_against: Sequence[str]) -> Lineage:
        """The same rows from the same origin, made live again as they were in `version`."""
        rollback = {"operation": "rollback", "run_id": run_id, "restored": version}
        return Lineage({**self.record, **rollback, "held_against": list(held_against)})

    def about(self, partition: Mapping[str, str]) -> Lineage | None:
        """The part of the record that is about this partition, None if there is none."""
        if self.operation == "vacuum":
            return None
        if self.operation == "migrate":
            parts = (Lineage(record) for record in self.record["partitions"])
            return next((part for part in parts if part.partition == partition), None)
        return self if self.partition == partition else None

    @property
    def content(self) -> tuple[str, ...]:
        """Hashes of the files as they were first written, before any migration."""
        before = self.record.get("before")
        return tuple(before["files"] if before else (file["sha256"] for file in self.files))

    @property
    def appended_to(self) -> Mapping[str, int] | None:
        """Files, rows and bytes that were there before an append, None for all other operations."""
        return self.record.get(_APPENDED_TO)

    @property
    def operation(self) -> str:
        return self.record["operation"]

    @property
    def restored(self) -> int | None:
        """The version a rollback went back to, None for every other operation."""
        return self.record.get("restored") if self.operation == "rollback" else None

    @property
    def given_up(self) -> tuple[str, ...]:
        """Writes, or paths of single files, that a vacuum gave up; see `is_given_up`."""
        return tuple(self.record["given_up"]) if self.operation == "vacuum" else ()

    @property
    def held_against(self) -> tuple[str, ...]:
        """What a rollback holds against, nothing for every other operation."""
        return tuple(self.record["held_against"]) if self.operation == "rollback" else ()

    @property
    def partition(self) -> dict[str, str]:
        return self.record["partition"]

    @property
    def write(self) -> str:
        return self.record["write"]

    @property
    def files(self) -> list[dict[str, Any]]:
        """Those it made live: path, sha256, rows, bytes; of every partition if it migrated them.

        Of an append those that it added; see `appended_to`.
        """
        if self.operation == "migrate":
            return [file for record in self.record["partitions"] for file in record["files"]]
        return self.record["files"]

    @property
    def provenance(self) -> Provenance:
        return Provenance(
            run_id=self.record["run_id"],
            code_version=self.record["code_version"],
            parameters=self.record["parameters"],
            sources=tuple(self.record["sources"]),
            rows=self.record["rows"],
            files=tuple(_source_file(record) for record in self.record.get(_DELIVERED, ())),
        )

    def same_origin(self, other: Lineage) -> bool:
        """Whether both come from the same sources, parameters and code, in whichever run."""
        return all(
            self.record[name] == other.record[name]
            for name in ("code_version", "parameters", "sources", "rows")
        )


def is_given_up(file: DataFile, given_up: Container[str]) -> bool:
    """Whether vacuums that gave up these writes and paths gave up the file."""
    return file.path in given_up or (bool(file.write) and file.write in given_up)


def _listed(files: Sequence[DataFile]) -> list[dict[str, Any]]:
    return [
        {"path": file.path, "sha256": file.sha256, "rows": file.rows, "bytes": file.bytes}
        for file in files
    ]


def _source_file(record: Mapping[str, Any]) -> SourceFile:
    """What an older or a newer record tells of a file, as far as it is known here."""
    known = {item.name for item in fields(SourceFile)}
    return SourceFile(**{name: value for name, value in record.items() if name in known})

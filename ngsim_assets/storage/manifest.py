"""What a write leaves on record: which files, which rows, from where, by which code.

Belongs here: the records and their JSON form inside a Delta commit. Does not belong here:
reading or writing the log (delta.py), data files (encoding.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LINEAGE = "lineage"
"""Key of the record inside the Delta commit's `commitInfo`."""

_FILE_NAME = re.compile(
    r"(?P<order>\d{5})-(?P<sha256>[0-9a-f]{64})-(?P<write>[0-9a-f]{12})\.parquet$"
)


@dataclass(frozen=True)
class Provenance:
    """Where the rows of one write come from.

    Attributes:
        run_id: the run that wrote them.
        code_version: version of the code that computed them.
        parameters: parameters of the computation, JSON values.
        sources: content hashes of what they were computed from.
        rows: row counts by name, for example read, kept, rejected.
    """

    run_id: str = ""
    code_version: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


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
    def sha256(self) -> str | None:
        """Hash of the file's bytes, None if another program wrote the file."""
        found = _FILE_NAME.search(self.path)
        return found["sha256"] if found else None

    @property
    def write(self) -> str | None:
        """The write that made the file, None if another program did."""
        found = _FILE_NAME.search(self.path)
        return found["write"] if found else None

    @property
    def content(self) -> tuple[tuple[tuple[str, str], ...], str, str | None]:
        """What the file holds and where, whichever write made it."""
        return (tuple(sorted(self.partition.items())), self.order[0], self.sha256)


@dataclass(frozen=True)
class Commit:
    """The live state of one partition and the write that made it.

    Attributes:
        version: table version that holds it.
        changed: False if the same content was live already and no version was made.
        write: name of the write, part of its files' names.
        timestamp_ms: time of the commit, milliseconds since the epoch, None if not committed.
    """

    table: str
    partition: Mapping[str, str]
    version: int
    rows: int
    bytes: int
    files: tuple[DataFile, ...]
    changed: bool
    provenance: Provenance
    write: str = ""
    timestamp_ms: int | None = None


def lineage_of(
    table: str,
    partition: Mapping[str, str],
    write: str,
    files: tuple[DataFile, ...],
    provenance: Provenance,
) -> dict[str, Any]:
    """The record as it goes into the commit."""
    return {
        "table": table,
        "partition": dict(partition),
        "write": write,
        "run_id": provenance.run_id,
        "code_version": provenance.code_version,
        "parameters": dict(provenance.parameters),
        "sources": list(provenance.sources),
        "rows": dict(provenance.rows),
        "files": [
            {"path": file.path, "sha256": file.sha256, "rows": file.rows, "bytes": file.bytes}
            for file in files
        ],
    }


def provenance_of(lineage: Mapping[str, Any]) -> Provenance:
    """The provenance inside a commit's record."""
    return Provenance(
        run_id=lineage.get("run_id", ""),
        code_version=lineage.get("code_version", ""),
        parameters=lineage.get("parameters", {}),
        sources=tuple(lineage.get("sources", ())),
        rows=lineage.get("rows", {}),
    )

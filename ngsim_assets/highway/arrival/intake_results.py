"""What taking a file in comes to, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.keys import PartitionKey


@dataclass(frozen=True, slots=True)
class IntakeProgress:
    """How far the reading of a file has come; bytes are of the file, or of an archive's member."""

    path: Path
    name: str
    bytes_done: int
    bytes_total: int
    rows: int


@dataclass(frozen=True)
class Intake:
    """What one file, or member of an archive, delivered.

    Attributes:
        path, name: where it lies, and what its rows say they came from.
        rows: read. partitions: rows by partition key. unassigned: rows that no partition took.
        changed: whether this call changed what the landing zone holds.
        note: why nothing was taken, empty where something was.
        touched: partitions that lost rows because this replaced what the path held before, and
            that other files still deliver. dropped: those that no file delivers any more; what
            is stored of them stays.
        unread: headers of columns that are not NGSIM's; what stands in them is not kept.
        lacking: columns every published file has, of which this one holds no value.
    """

    path: Path
    name: str
    rows: int
    partitions: Mapping[str, int] = field(default_factory=dict[str, int])
    unassigned: int = 0
    changed: bool = False
    note: str = ""
    touched: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def keys(self) -> list[PartitionKey]:
        """Partitions to bring up to date: those it holds rows of and those it touched, sorted."""
        return sorted(PartitionKey.parse(key) for key in {*self.partitions, *self.touched})

    def summary(self) -> dict[str, object]:
        """For machines: everything, as plain values."""
        return {
            "path": str(self.path),
            "name": self.name,
            "rows": self.rows,
            "partitions": dict(self.partitions),
            "unassigned": self.unassigned,
            "changed": self.changed,
            "note": self.note,
            "touched": sorted(self.touched),
            "dropped": sorted(self.dropped),
            "unread": list(self.unread),
            "lacking": list(self.lacking),
        }

    def sentence(self) -> str:
        """For people: one line."""
        parts = [f"{key} {rows:,}" for key, rows in self.partitions.items()]
        if self.unassigned:
            parts.append(f"of no recording {self.unassigned:,}")
        dropped = ", ".join(sorted(self.dropped))
        texts = [
            self.note,
            f"{self.rows:,} rows ({', '.join(parts)})" if self.partitions else "",
            f"no file delivers {dropped} any more, what is stored stays" if dropped else "",
            f"no values of {', '.join(self.lacking)}" if self.lacking else "",
            f"not NGSIM's and not kept: {', '.join(self.unread)}" if self.unread else "",
        ]
        return f"{self.name}: {'; '.join(text for text in texts if text)}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file, or member of an archive, that was not taken in, and why.

    `aside` is where the file was moved; None: it is left where it is, as it is.
    """

    path: Path
    name: str
    error: NgsimAssetsError
    aside: Path | None = None

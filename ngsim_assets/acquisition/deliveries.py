"""What the landing zone remembers of each delivery, and the delivered files at one moment.

Belongs here: the records and what can be told from them. Does not belong here: where they lie
and who may change them (landing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.listing import FileState


@dataclass(frozen=True, slots=True)
class Claim:
    """A path under which a delivered content was seen.

    Attributes:
        path: absolute. member: name inside an archive, None for a plain file.
        size, mtime_ns, sha256: of the file at `path`, the archive as a whole.
        order: counts claims over the whole landing zone; of two claims on one path and member
            the later one holds.
        ctime_ns, inode: of the file at `path`, 0 if not recorded.
    """

    path: str
    member: str | None
    size: int
    mtime_ns: int
    sha256: str
    order: int = 0
    ctime_ns: int = 0
    inode: int = 0

    @property
    def state(self) -> FileState:
        """What told the file at `path` from others."""
        return FileState(self.size, self.mtime_ns, self.ctime_ns, self.inode)

    @property
    def place(self) -> tuple[str, str | None]:
        """What can hold one content at a time."""
        return self.path, self.member


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of one partition in one delivered file.

    Attributes:
        rows: how many. content: hash of them. parts: file names in the delivery's folder.
        extras: facts the domain keeps beside them.
        since: sequence of the delivery that first brought this content, of those that it was
            live with one after the other; 0 for this delivery's own.
    """

    rows: int
    content: Content
    parts: tuple[str, ...]
    extras: Mapping[str, int | str | None] = field(default_factory=dict[str, "int | str | None"])
    since: int = 0


@dataclass(frozen=True)
class DeliveredFile:
    """The manifest of one delivered content.

    Attributes:
        name: what its rows say they came from; the name of the first path it was seen under.
        sha256, size: of the delivered bytes, unpacked.
        columns: delivered columns that hold any value.
        rows: rows read. partitions: where they went. unassigned: those that no partition took.
        options: what was told when it was taken in; told otherwise, it is another delivery.
        claims: the paths that hold it. sequence: order of delivery.
        unread: headers of columns that nobody here knows; what stands in them is not kept.
    """

    name: str
    sha256: str
    size: int
    columns: tuple[str, ...]
    rows: int
    partitions: Mapping[str, Share]
    unassigned: Share | None
    options: Mapping[str, str | None]
    claims: tuple[Claim, ...]
    sequence: int = 0
    unread: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.sequence:08d}-{self.sha256[:12]}"


@dataclass(frozen=True)
class Delivery:
    """What one file delivered of one partition; `parts` are the files its rows lie in."""

    partition: str
    file: DeliveredFile
    share: Share
    parts: tuple[Path, ...]

    @property
    def rows(self) -> int:
        """Rows of this partition in this file."""
        return self.share.rows


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file that could not be taken in. Its content is left as it is.

    Attributes:
        path, member: where it was, and which part of an archive is meant.
        size, mtime_ns: of the file then. error, problem, fix: what was wrong with it.
        aside: where it was moved, None if it was left where it is.
    """

    path: str
    member: str | None
    size: int
    mtime_ns: int
    error: str
    problem: str
    fix: str
    aside: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What has been delivered, at one moment.

    Attributes:
        root: folder of the deliveries' folders. files: live deliveries in the order they came.
    """

    root: Path
    files: tuple[DeliveredFile, ...]

    def deliveries(self, partition: str) -> list[Delivery]:
        """Live deliveries of one partition in the order their rows came first.

        Deliveries that hold the same rows are one: the first of them stands for all, since the
        same rows again, in another order, file or format, say nothing new. So they also keep
        their place among others when the file that first brought them goes.
        """
        found: dict[Content, Delivery] = {}
        for file in self.files:
            share = file.partitions.get(partition)
            if share is not None and share.content not in found:
                parts = self._paths(file, share)
                found[share.content] = Delivery(partition, file, share, parts)
        return sorted(found.values(), key=lambda item: item.share.since or item.file.sequence)

    def unassigned(self, file: DeliveredFile) -> tuple[Path, ...]:
        """Files with the rows of `file` that no partition took."""
        return self._paths(file, file.unassigned) if file.unassigned else ()

    def _paths(self, file: DeliveredFile, share: Share) -> tuple[Path, ...]:
        return tuple(self.root / file.folder / part for part in share.parts)

"""The trajectories in a downloaded archive, as files of their own.

Belongs here: which members of an archive are handed over, under which names, and their bytes.
Does not belong here: opening archives and refusing dangerous ones (reading/archives.py), what a
member is (reading/recognition.py).

The official archives hold each period as text, and as a CSV that a spreadsheet cut at its limit.
The text is taken, the CSV beside it is not: it could only repeat some of the same rows, or be
refused for what it lacks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ngsim_assets.highway.errors import EmptySource, MetricReconstruction, NotNgsim
from ngsim_assets.highway.formats import canonical_column
from ngsim_assets.highway.official.counting import Lines
from ngsim_assets.highway.source import SourceMember, survey
from ngsim_assets.storage.errors import writing

_PIECE = 2**18
_UNUSUAL = re.compile(r"[^A-Za-z0-9._ ()+-]")
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Chosen:
    """A member to hand over, and what it is to be called."""

    member: SourceMember
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What of an archive is handed over; `remarks`: what is not and should be known, a line each.

    Documents, empty files and the reconstruction that the archive of i-80 holds go without saying.
    """

    chosen: tuple[Chosen, ...]
    remarks: tuple[str, ...]


def choose(archive: Path) -> Choice:
    """Members of the zip at `archive` to hand over. Raises SourceError where it is refused."""
    found = survey(archive)
    texts = {_period(member) for member in found.members if _is_text(member)}
    wanted = [
        member for member in found.members if _is_text(member) or _period(member) not in texts
    ]
    remarks = [
        ignored.error.problem
        for ignored in found.ignored
        if not isinstance(ignored.error, NotNgsim | EmptySource | MetricReconstruction)
    ]
    names = _names(wanted)
    chosen = [Chosen(member, name) for member, name in zip(wanted, names, strict=True)]
    return Choice(tuple(chosen), tuple(remarks))


def unpack(member: SourceMember, target: Path) -> Lines:
    """Write the bytes of a member to `target`; its lines. Raises SourceError, DiskFull."""
    lines = Lines()
    with member.open() as packed, writing(target), target.open("wb") as file:
        while piece := packed.read(_PIECE):
            file.write(piece)
            lines.add(piece)
        file.flush()
        os.fsync(file.fileno())
    return lines


def rows_of(lines: Lines) -> int:
    """Rows of a member, whether a header stands above them or not."""
    first = re.split(r"[,;\s]", lines.header, maxsplit=1)[0].strip('"')
    return lines.rows if canonical_column(first) else lines.count


def _is_text(member: SourceMember) -> bool:
    return _path(member).suffix.lower() == ".txt"


def _period(member: SourceMember) -> str:
    """The same for text and CSV of one period, which lie side by side."""
    path = _path(member)
    return str(PurePosixPath(*member.inside[:-1], path.parent, path.stem.lower()))


def _path(member: SourceMember) -> PurePosixPath:
    return PurePosixPath(member.inside[-1].replace("\\", "/"))


def _names(members: Iterable[SourceMember]) -> list[str]:
    """A name of its own for each: its file name, folders before it where that is not enough."""
    names: list[str] = []
    for member in members:
        parts = [part for inside in member.inside for part in inside.replace("\\", "/").split("/")]
        for count in range(1, len(parts) + 1):
            name = _plain("-".join(parts[-count:]))
            if name.lower() not in {other.lower() for other in names}:
                break
        else:
            name = f"{len(names) + 1}-{_plain(parts[-1])}"
        names.append(name)
    return names


def _plain(name: str) -> str:
    """`name` in letters that every file system has; hidden and too long names are neither."""
    plain = _UNUSUAL.sub("_", name).lstrip(".")
    stem, suffix = os.path.splitext(plain)  # noqa: PTH122  # the parts, not a path
    return (stem[: _LONGEST - len(suffix[:20])] or "member") + suffix[:20]

"""Taking files in: read once, rows sorted into recordings, remembered so that nothing is redone.

The entrance for everything that hands files over or asks for their rows. Belongs here: which
files a path means. Does not belong here: what happens to one of them (file_intake.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.arrival.delivered import (
    agreed_t0,
    delivered_partition,
    delivered_rows,
    recording_t0,
    source_file,
    unassigned_partition,
    unassigned_rows,
)
from ngsim_assets.highway.arrival.file_intake import FileIntake, Progress
from ngsim_assets.highway.arrival.intake_results import Intake, IntakeProgress, Rejected
from ngsim_assets.highway.errors import NoFilesInFolder, SourceUnreadable, UnknownHighway
from ngsim_assets.highway.formats import canonical_locations
from ngsim_assets.highway.keys import check_recording
from ngsim_assets.highway.sites import SITES

__all__ = [
    "Intake",
    "IntakeProgress",
    "Rejected",
    "agreed_t0",
    "delivered_partition",
    "delivered_rows",
    "recording_t0",
    "source_file",
    "take_in",
    "take_in_all",
    "unassigned_partition",
    "unassigned_rows",
]

# Raised by hand when reading or sorting changes what becomes of the same bytes: files taken in
# before are then read again when they are handed over again.
READER = "1"


def take_in(
    path: Path,
    landing: LandingZone,
    *,
    highway: str | None = None,
    recording: str | None = None,
    progress: Progress | None = None,
) -> list[Intake]:
    """Take a file into the landing zone: one result, or one per member of an archive.

    Args:
        highway: site of rows that do not name one; recognised by clock or coordinates if not
            given. recording: recording of all rows, in place of what their clock says. What was
            told of a path once holds until told otherwise.
        progress: called after every batch, from the calling thread.

    A file the landing zone knows, by size and time or by content, is not read again. Good
    members of an archive are kept when others are bad. Raises the first error of a bad file
    (SourceError), BadPartitionKey and UnknownHighway for bad arguments, FileStillChanging.
    """
    results = list(
        take_in_all([path], landing, highway=highway, recording=recording, progress=progress)
    )
    for result in results:
        if isinstance(result, Rejected):
            raise result.error
    return [result for result in results if isinstance(result, Intake)]


def take_in_all(
    paths: Iterable[Path],
    landing: LandingZone,
    *,
    highway: str | None = None,
    recording: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Intake | Rejected]:
    """Take files in, one after the other; a bad one is recorded and the others go on.

    Folders are walked, hidden files left out. Raises only for bad arguments and where the
    landing zone itself cannot be used.
    """
    told: dict[str, str | None] = {
        "highway": None if highway is None else _canonical_highway(highway),
        "recording": None if recording is None else check_recording(recording),
        "reader": READER,
    }
    for path in paths:
        for file in _files_of(path):
            if isinstance(file, Rejected):
                yield file
            else:
                yield from FileIntake(file, landing, told, progress).results()


def _canonical_highway(name: str) -> str:
    try:
        return canonical_locations()[name.strip().lower()]
    except KeyError:
        raise UnknownHighway(name, list(SITES)) from None


def _files_of(path: Path) -> Iterator[Path | Rejected]:
    """`path` itself, or the files below it; what is wrong with a folder."""
    if not path.is_dir():
        yield path
        return
    unreadable: list[OSError] = []
    empty = True
    for folder, folders, names in os.walk(path, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        for file in files:
            if not file.is_dir():  # a link to a folder is not followed: it may lead in circles
                empty = False
                yield file
    for error in unreadable:
        reason = SourceUnreadable(str(error.filename), error.strerror or str(error))
        yield Rejected(Path(str(error.filename)), Path(str(error.filename)).name, reason)
    if empty and not unreadable:
        yield Rejected(path, path.name, NoFilesInFolder(str(path)))

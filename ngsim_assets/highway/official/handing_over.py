"""Downloaded files into the incoming folder, where the platform takes them in like any others.

Belongs here: where a file goes, and that the same content goes there once. Does not belong here:
what a download is (source.py), what becomes of files in the folder (incoming.py).

A file that was handed over belongs to the user: moved aside, renamed or deleted it stays so, until
the publisher has other content or somebody asks for it again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from ngsim_assets.acquisition.landing import absolute
from ngsim_assets.acquisition.sources import Artifact
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.watching import provide_folder
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import (
    make_folder,
    sweep_temporaries,
    sync_file,
    sync_folder,
    write_atomically,
)
from ngsim_assets.storage.errors import writing

FOLDER = "downloads"
"""Below the incoming folder."""

_RECORDS = "handed-over"
_FORMAT = 1
_LEFT_BY_KILLED = 3600.0

# A link cannot be made: another file system, one without links, too many of them already, or a
# system that allows links to files of one's own only.
_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
}


class IncomingMissing(NgsimAssetsError):
    """The incoming folder that was named is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"there is no folder {folder} to hand downloads over to",
            "mount or create it, or correct NGSIM_INCOMING; what was downloaded is kept",
        )


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of a file: `new` if it was put into the incoming folder now."""

    artifact: Artifact
    path: Path
    new: bool


def is_handed_over(artifact: Artifact) -> bool:
    """Whether a file is one of rows; an archive is not, its members are."""
    return not artifact.name.lower().endswith(".zip")


def hand_over(
    settings: Settings, artifacts: Iterable[Artifact], *, again: bool = False
) -> list[Handed]:
    """Put files of rows into the incoming folder, each content once unless `again`.

    Linked where that can be done, copied elsewhere; there whole or not at all. Raises
    IncomingMissing, DiskFull, ReadOnlyLake.
    """
    wanted = [artifact for artifact in artifacts if is_handed_over(artifact)]
    if not wanted:
        return []
    settings.data.mkdir(parents=True, exist_ok=True)
    provide_folder(settings)
    root = Path(absolute(settings.incoming_folder))
    if not root.is_dir():
        raise IncomingMissing(root)
    return [_hand_over(settings, root, artifact, again=again) for artifact in wanted]


def _hand_over(settings: Settings, root: Path, artifact: Artifact, *, again: bool) -> Handed:
    highway = artifact.resource.labels.get("highway", "all")
    target = root / FOLDER / highway / artifact.name
    record = settings.downloads / _RECORDS / highway / f"{artifact.name}.json"
    if not again and _last(record) == (str(target), artifact.sha256):
        return Handed(artifact, target, new=False)
    with writing(target):
        make_folder(target.parent)
        sweep_temporaries(target.parent, older_than=_LEFT_BY_KILLED)
        _place(artifact.path, target)
    told = {
        "format": _FORMAT,
        "path": str(target),
        "sha256": artifact.sha256,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_atomically(record, json.dumps(told, indent=2))
    return Handed(artifact, target, new=True)


def _last(record: Path) -> tuple[str, str] | None:
    """Where content was put last under a name, and which; None if nothing is known."""
    try:
        told = json.loads(record.read_bytes())
        return str(told["path"]), str(told["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # intake knows content it has seen


def _place(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copyfile(source, temporary)
            sync_file(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # where both were the same file it is still there
    sync_folder(target.parent)

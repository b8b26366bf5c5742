"""Recordings of the live hub, as files of this machine.

Belongs here: recordings as a place of sessions. Does not belong here: what their lines say
(reading/recordings.py), watching a folder for new ones.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.errors import FeedUnreadable, SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading import recordings
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.sources.places import Found, Parts

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

RECORDING = "recording.txt"


class Recorded:
    """Recordings, each of one session.

    Args:
        files: the session of each, None where the recording tells it itself.
    """

    kind: SourceKind = "signalr"

    def __init__(self, files: Mapping[Path, str | None]) -> None:
        self._named = {
            path: None if key is None else SessionKey.parse(key) for path, key in files.items()
        }
        self._files: dict[str, Path] = {}

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The session of each recording."""
        for path, key in self._named.items():
            found = Found(key) if key is not None else await in_thread(_found_in, path)
            self._files[str(found.key)] = path
            yield found

    def url_of(self, found: Found) -> str:
        """The file."""
        return self._files[str(found.key)].resolve().as_uri()

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The one file that has all topics."""
        return (RECORDING,)

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """The hash of the file; None if it went away."""
        path = self._files[str(found.key)]
        if not path.is_file():
            return None
        digest = await in_thread(_digest, path)
        return Description(version=f"sha256-{digest}", size=path.stat().st_size)

    async def take(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        description: Description,
    ) -> Sequence[Artifact]:
        """A copy of the file."""
        path = self._files[str(found.key)]

        def write(target: Path) -> int:
            try:
                shutil.copyfile(path, target)
            except OSError as error:
                raise FeedUnreadable(str(path), error.strerror or str(error)) from None
            with target.open("rb") as file:
                return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

        return [await session.keep(resource, RECORDING, write, url=self.url_of(found))]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _found_in(path: Path) -> Found:
    """The session that a recording tells."""
    info = of_messages(recordings.read_file(path, path.stem).messages)
    if info is None:
        raise SessionUnknown(str(path), "no SessionInfo in it")
    return Found.of(info)

"""Recordings of the live hub, as files of this machine.

Belongs here: recordings as a place of sessions. Does not belong here: what their lines say
(reading/recordings.py), watching a folder for new ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.errors import FeedUnreadable, NotAFeed, SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading.feed_lines import bounded
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import RecordingReader
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.sources.local_files import copied, digest_of, part_of
from ngsim_assets.f1.sources.places import Found, Parts

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

RECORDING = "recording.txt"


class Recorded:
    """Recordings, each of one session; there may be several of one session.

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
            found = Found(key) if key is not None else await in_thread(found_in, path)
            found = replace(found, part=part_of(path))
            self._files[found.part] = path
            yield found

    def url_of(self, found: Found) -> str:
        """The file."""
        return self._files[found.part].resolve().as_uri()

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The one file that has all topics."""
        return (RECORDING,)

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """The hash of the file; None if it went away."""
        path = self._files[found.part]
        if not path.is_file():
            return None
        digest = await in_thread(digest_of, path)
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
        path = self._files[found.part]

        def write(target: Path) -> int:
            return copied(path, target)

        return [await session.keep(resource, RECORDING, write, url=self.url_of(found))]


def found_in(path: Path) -> Found:
    """The session that a recording tells, read no further than to where it does.

    Raises FeedUnreadable; NotAFeed where no line is a message; SessionUnknown where none tells it.
    """
    reader = RecordingReader(path.stem, str(path))
    messages = 0
    try:
        with path.open("rb") as lines:
            for row, line in enumerate(bounded(lines), start=1):
                if messages and b"SessionInfo" not in line:
                    continue
                told = [item for item in reader.read(line, row) if isinstance(item, Message)]
                messages += len(told)
                info = of_messages(told)
                if info is not None:
                    return Found.of(info)
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None
    if not messages:
        raise NotAFeed(str(path), "none of its lines is a message")
    raise SessionUnknown(str(path), "no SessionInfo in it")

"""Feeds as files of this machine: folders of topic files, and responses of OpenF1 that were kept.

Each of them is one delivery of one session: it is known by where it lies, so that what is put
there anew takes the place of what was there, and nothing else's.

Belongs here: both as places, and what places of local files share. Does not belong here:
recordings (recorded.py), finding files (taking_in.py), what files say (reading/).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ngsim_assets.acquisition.errors import UnusableName
from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.errors import FeedUnreadable, NotAFeed, SessionUnknown
from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading import feed_lines, openf1
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.sessions import of_messages, of_openf1
from ngsim_assets.f1.sources.archive import lines_of
from ngsim_assets.f1.sources.places import Found, Parts
from ngsim_assets.f1.timing.folding import at

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

_INTRODUCTION: Final = f"SessionInfo{feed_lines.SUFFIX}"


class TopicFolder:
    """A folder of `.jsonStream` files of one session, as the archive has it."""

    kind: SourceKind = "livetiming"

    def __init__(self, folder: Path, session: SessionKey) -> None:
        self._folder = folder
        self._session = session
        names = (path.name for path in sorted(folder.glob(f"*{feed_lines.SUFFIX}")))
        self._topics = tuple(map(feed_lines.topic_of, names))

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The one session."""
        yield Found(self._session, part=part_of(self._folder))

    def url_of(self, found: Found) -> str:
        """The folder."""
        return self._folder.resolve().as_uri()

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The topics that are there, those nobody knows included."""
        return self._topics

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """The hash of the file of a topic; None if it went away."""
        path = self._path(part)
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
        """A copy of the file of a topic; none, and a warning, of what does not begin as one."""
        path = self._path(part)

        def write(target: Path) -> int:
            copied(path, target)
            return lines_of(target, str(path))

        return await _kept(session, resource, path, write)

    def _path(self, topic: str) -> Path:
        return self._folder / f"{topic}{feed_lines.SUFFIX}"


class Responses:
    """Responses of OpenF1 about one session, named after their endpoints, each by itself."""

    kind: SourceKind = "openf1"

    def __init__(self, files: Sequence[Path], session: SessionKey) -> None:
        self._session = session
        self._files = {part_of(path): path for path in sorted(files)}

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The one session, once for every file."""
        for part in self._files:
            yield Found(self._session, part=part)

    def url_of(self, found: Found) -> str:
        """The file."""
        return self._files[found.part].resolve().as_uri()

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The endpoints that are there."""
        told = (openf1.endpoint_of(path.name) for path in self._files.values())
        return tuple(sorted({endpoint for endpoint in told if endpoint is not None}))

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """The hash of the file, if it is of that endpoint and did not go away."""
        path = self._files[found.part]
        if openf1.endpoint_of(path.name) != part or not path.is_file():
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
        """A copy of the file; none, and a warning, of what is no array of rows."""
        path = self._files[found.part]

        def write(target: Path) -> int:
            copied(path, target)
            return len(rows_in(target, path))

        return await _kept(session, resource, path, write)


def part_of(path: Path) -> str:
    """Names a delivery of this machine: what lies elsewhere is another one."""
    return hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]


def digest_of(path: Path) -> str:
    """SHA-256 of a file; FeedUnreadable if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None


def copied(path: Path, target: Path) -> int:
    """Copy a file and count its lines; FeedUnreadable if it cannot be read."""
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None
    with target.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def rows_in(path: Path, told: Path | None = None) -> list[Json]:
    """Rows of a response; NotAFeed for anything else, FeedUnreadable if it cannot be read.

    Args:
        told: the file that errors name, by default the path.
    """
    source = str(told or path)
    try:
        found = read_json(path.read_bytes())
    except OSError as error:
        raise FeedUnreadable(source, error.strerror or str(error)) from None
    except Unusable as why:
        raise NotAFeed(source, f"no whole JSON: {why.detail}") from None
    if not isinstance(found, list):
        raise NotAFeed(source, f"a {type(found).__name__} instead of an array of rows")
    return found


async def _kept(
    session: Session,
    resource: Resource,
    path: Path,
    write: Callable[[Path], int],
) -> list[Artifact]:
    """The file at `path`, kept; a warning where it cannot be: the others go on."""
    try:
        return [await session.keep(resource, path.name, write, url=path.resolve().as_uri())]
    except (NotAFeed, FeedUnreadable, UnusableName) as error:
        await session.warn(resource, f"{path.name} is left out: {error.problem}")
        return []


def session_of_topics(folder: Path) -> SessionKey:
    """The session that a folder of topic files tells; SessionUnknown if it does not."""
    path = folder / _INTRODUCTION
    if not path.is_file():
        raise SessionUnknown(str(folder), f"no {_INTRODUCTION} in it")
    info = of_messages(feed_lines.read_file(path, folder.name).messages)
    if info is None:
        raise SessionUnknown(str(path), "none of its lines describes it")
    return info.key


def session_of_responses(files: Sequence[Path]) -> SessionKey:
    """The session that responses tell, by the name of its meeting where they have it.

    Raises SessionUnknown if they do not.
    """
    folder = str(min(files).parent)
    rows = [row for path in files if _is_of(path, "sessions") for row in rows_in(path)]
    if not rows:
        raise SessionUnknown(folder, "no response of OpenF1's sessions among its files")
    meetings = [row for path in files if _is_of(path, "meetings") for row in rows_in(path)]
    names = {whole(at(row, "meeting_key")): text(at(row, "meeting_name")) for row in meetings}
    return of_openf1(rows[0], folder, meeting=names.get(whole(at(rows[0], "meeting_key")))).key


def _is_of(path: Path, endpoint: str) -> bool:
    return openf1.endpoint_of(path.name) == endpoint

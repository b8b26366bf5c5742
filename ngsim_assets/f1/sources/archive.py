"""The archive of the live timing, over HTTP: seasons, sessions, a file per topic.

    <root>/2019/Index.json                                            sessions of a season
    <root>/2019/2019-09-08_Italian_Grand_Prix/2019-09-07_Qualifying/  a file per topic
        TimingData.jsonStream  TrackStatus.jsonStream  ...

The archive answers 404, or 403 as S3 does, for what it does not have.

Belongs here: its addresses, and what its answers mean. Does not belong here: which topics who
wants (timing.py and its neighbours), what lines say (reading/feed_lines.py).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.errors import AccessRefused, NotFound
from ngsim_assets.f1.errors import NotAFeed, SessionUnknown
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.reading.feed_lines import SUFFIX, read_lines
from ngsim_assets.f1.sessions import of_index, of_messages
from ngsim_assets.f1.sources.errors import NotASeason, SeasonNotThere
from ngsim_assets.f1.sources.places import Found, Parts, Wanted
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

_LINE = re.compile(rb"^(?:\xef\xbb\xbf)*\s*\d{1,3}:\d\d:\d\d", re.MULTILINE)
_LOOKED_AT = 1 << 20
_FIRST = "SessionInfo"
_SERVICE = "the archive of the live timing"


class Archive:
    """The archive that the settings name."""

    kind: SourceKind = "livetiming"

    def __init__(self, settings: Settings, wanted: Wanted) -> None:
        self._root = settings.f1_archive.rstrip("/")
        self._wanted = wanted
        self._absent: set[str] = set()

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The wanted sessions of every season, then those that are named by their path."""
        missing: list[str] = []
        for year in self._wanted.years:
            url = f"{self._root}/{year}/Index.json"
            resource = Resource(session.source, f"index/{year}", url)
            try:
                page = await session.get(resource, url)
            except (NotFound, AccessRefused):
                missing.append(str(year))
                continue
            for info in of_index(_season(page.body, url), url):
                if self._wanted.includes(info.key):
                    yield Found.of(info)
        for path in self._wanted.paths:
            found = await self._named(session, path.strip("/"))
            if found is None:
                missing.append(path)
            else:
                yield found
        if missing:
            raise SeasonNotThere(_SERVICE, missing)

    def url_of(self, found: Found) -> str:
        """Its folder."""
        return self._root if found.path is None else f"{self._root}/{found.path}"

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The topics."""
        return parts.topics

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """What the server says of the file of a topic; None if it has none.

        A session of the archive always has SessionInfo: where that is missing, the others are not
        asked for.
        """
        if found.path is None or (part != _FIRST and found.path in self._absent):
            return None
        try:
            looked = await session.look(resource, self._file(found, part))
        except (NotFound, AccessRefused):
            if part == _FIRST:
                self._absent.add(found.path)
            return None
        if part == _FIRST:
            self._absent.discard(found.path)
        return looked

    async def take(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        description: Description,
    ) -> Sequence[Artifact]:
        """The file of a topic, whole."""
        url = self._file(found, part)

        def check(path: Path) -> int:
            return lines_of(path, url)

        name = f"{part}{SUFFIX}"
        try:
            return [
                await session.download(
                    resource, url, name=name, description=description, check=check
                )
            ]
        except (NotFound, AccessRefused):
            return []

    def _file(self, found: Found, topic: str) -> str:
        return f"{self.url_of(found)}/{topic}{SUFFIX}"

    async def _named(self, session: Session, path: str) -> Found | None:
        """The session at `path`, as its own SessionInfo describes it; None if there is none."""
        url = f"{self._root}/{path}/{_FIRST}{SUFFIX}"
        try:
            page = await session.get(Resource(session.source, f"info/{path}", url), url)
        except (NotFound, AccessRefused):
            return None
        lines = page.body.splitlines(keepends=True)
        info = of_messages(read_lines(lines, path, _FIRST, url).messages)
        if info is None:
            raise SessionUnknown(url, f"no {_FIRST} in it")
        found = Found.of(info)
        return Found(found.key, found.start, found.end, found.circuit, path, found.number)


def lines_of(path: Path, url: str) -> int:
    """Lines of a topic file; NotAFeed if none of the first of them is one."""
    count = 0
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
        if _LINE.search(start) is None:
            raise NotAFeed(url, f"it begins with {start[:24]!r}" if start else "it is empty")
        file.seek(0)
        while block := file.read(1 << 20):
            count += block.count(b"\n")
    return count


def _season(body: bytes, url: str) -> Json:
    try:
        told = read_json(body)
    except Unusable as why:
        raise NotASeason(url, why.detail) from None
    if not isinstance(at(told, "Meetings"), list):
        raise NotASeason(url, "no Meetings in it")
    return told

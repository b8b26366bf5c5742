"""An ingestor of parts of sessions, whichever place they come from.

A resource is a session; its files are those of the wanted parts that the place has, and
`session.json`, which says what the session is and which parts there were. So a topic that is not
there, and a session of which nothing is there, are known, and no failures.

Belongs here: what all ingestors of sessions do. Does not belong here: places (places.py), which
parts an ingestor wants (timing.py and its neighbours).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin, SourceKind
from ngsim_assets.f1.reading import feed_lines, openf1, recordings
from ngsim_assets.f1.reading.messages import Reading
from ngsim_assets.f1.sources.places import Found, Parts, Place
from ngsim_assets.f1.sources.recorded import RECORDING
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

SESSION_FILE: Final = "session.json"
SOURCES: Final = ("f1-timing", "f1-weather", "f1-safety-car", "f1-telemetry")
"""Names of the ingestors that share files: what one holds, another one does not fetch."""


class FeedSource(AsyncDataSource):
    """The wanted parts of the sessions of a place; those that have not begun are left for later."""

    parts: Parts

    def __init__(self, settings: Settings, place: Place) -> None:
        self.place = place
        self._store = DownloadStore(settings.downloads)
        self._found: dict[str, Found] = {}
        self._looked: dict[str, dict[str, Description]] = {}

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        """One resource per session that has begun."""
        async for found in self.place.sessions(session):
            if has_begun(found):
                yield self._offer(found)

    def _offer(self, found: Found) -> Resource:
        # two recordings of one session are two resources: neither replaces the other
        key = "/".join(filter(None, (str(found.key), self.place.kind, found.part)))
        self._found[key] = found
        return Resource(self.name, key, self.place.url_of(found), {"session": str(found.key)})

    async def describe(self, session: Session, resource: Resource) -> Description:
        """Which parts there are; the version of all of them, where each has one."""
        found = self._found[resource.key]
        looked: dict[str, Description] = {}
        chosen = self.place.chosen(self.parts)
        for part in chosen:
            description = await self.place.look(session, resource, found, part)
            if description is not None:
                looked[part] = description
        self._looked[resource.key] = looked
        if not looked:
            await session.warn(resource, f"nothing of it is there: no {', '.join(chosen)}")
        return Description(version=_version(looked, chosen))

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        """The files of every part, then what the session is."""
        found = self._found[resource.key]
        files: dict[str, list[str]] = {}
        for part, looked in self._looked[resource.key].items():
            taken = await self._held_by_another(session, resource, found, part, looked)
            if not taken:
                taken = await self.place.take(session, resource, found, part, looked)
            for artifact in taken:
                files.setdefault(part, []).append(artifact.name)
                yield artifact
        missing = [part for part in self.place.chosen(self.parts) if part not in files]
        if not files and self._looked[resource.key]:
            await session.warn(resource, f"nothing of it is there: no {', '.join(missing)}")
        told = SessionFile(found.key, self.place.kind, found.simulated, files, tuple(missing))
        yield await session.keep(resource, SESSION_FILE, told.write, url=resource.url)

    async def _held_by_another(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        looked: Description,
    ) -> Sequence[Artifact]:
        """The file of a topic that another ingestor fetched in this version; mostly none."""
        if self.place.kind != "livetiming" or not looked.version:
            return ()
        url = f"{self.place.url_of(found)}/{part}{feed_lines.SUFFIX}"
        held = await in_thread(self._same, resource.key, url, looked.version)
        if held is None:
            return ()

        def write(target: Path) -> int | None:
            shutil.copyfile(held.path, target)
            return held.rows

        kept = await session.keep(resource, held.name, write, url=url, headers=held.headers)
        return (kept,) if kept.sha256 == held.sha256 else ()

    def _same(self, key: str, url: str, version: str) -> Artifact | None:
        for source in SOURCES:
            if source == self.name:
                continue
            with suppress(DamagedRecord):  # whose it is will hear of it
                held = self._store.held(source, key)
                for artifact in held.artifacts if held is not None else ():
                    if artifact.url == url and artifact.headers.get("etag") == version:
                        return artifact
        return None


@dataclass(frozen=True, slots=True)
class SessionFile:
    """What `session.json` says.

    Attributes:
        files: names of files by part. missing: parts that the place does not have.
    """

    key: SessionKey
    source: SourceKind
    simulated: bool
    files: Mapping[str, Sequence[str]]
    missing: tuple[str, ...]

    @property
    def available(self) -> bool:
        """Whether there is anything of the session."""
        return bool(self.files)

    @property
    def origin(self) -> Origin:
        """What rows of the files come from."""
        return Origin(self.key, self.source, simulated=self.simulated)

    def write(self, path: Path) -> int:
        """Write it to `path`; has no rows of data."""
        told = {
            "session": str(self.key),
            "source": self.source,
            "simulated": self.simulated,
            "files": {part: list(names) for part, names in self.files.items()},
            "missing": list(self.missing),
        }
        path.write_text(json.dumps(told, indent=1))
        return 0

    @classmethod
    def read(cls, path: Path) -> SessionFile:
        """What an ingestor wrote; NotAFeed for anything else."""
        try:
            told = json.loads(path.read_bytes())
            return cls(
                SessionKey.parse(told["session"]),
                told["source"],
                told["simulated"],
                told["files"],
                tuple(told["missing"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise NotAFeed(str(path), f"no {SESSION_FILE}: {error}") from None


def readings(artifacts: Iterable[Artifact]) -> tuple[SessionFile, dict[str, Reading]]:
    """What the files of one session say, by name; every line is a message or set aside.

    Raises NotAFeed where its `session.json` is not among them.
    """
    files = list(artifacts)
    described = next((item for item in files if item.name == SESSION_FILE), None)
    if described is None:
        raise NotAFeed(", ".join(item.name for item in files), f"no {SESSION_FILE} among them")
    session = SessionFile.read(described.path)
    key = str(session.key)
    read: dict[str, Reading] = {}
    for item in files:
        endpoint = openf1.endpoint_of(item.name) if item.name.endswith(".json") else None
        if item.name.endswith(feed_lines.SUFFIX):
            read[item.name] = feed_lines.read_file(item.path, key, name=item.url)
        elif item.name == RECORDING:
            read[item.name] = recordings.read_file(item.path, key, name=item.url)
        elif endpoint is not None and session.source == "openf1" and item.name != SESSION_FILE:
            read[item.name] = openf1.read_file(item.path, key, endpoint, name=item.url)
    return session, read


def has_begun(found: Found) -> bool:
    """Whether there can be anything of a session yet."""
    return found.start is None or found.simulated or found.start <= datetime.now(UTC)


def _version(looked: Mapping[str, Description], chosen: Sequence[str]) -> str:
    if not all(description.version for description in looked.values()):
        return ""
    told = json.dumps([[part, looked[part].version if part in looked else ""] for part in chosen])
    return hashlib.sha256(told.encode()).hexdigest()[:32]

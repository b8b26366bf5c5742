"""Which files the store of downloads holds of a session.

Ingestors share files, and the same file may be put in two places; of one address the newest
content counts, of equal files one.

Belongs here: finding files by their manifests. Does not belong here: reading them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.manifests import Manifest, read_manifest
from ngsim_assets.acquisition.sources import Artifact
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1.errors import BadSessionKey, DeliveryGone
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading import openf1
from ngsim_assets.f1.reading.feed_lines import SUFFIX, topic_of
from ngsim_assets.f1.sources.feed_source import SESSION_FILE, SOURCES
from ngsim_assets.f1.sources.forecasts import SERVICES
from ngsim_assets.f1.sources.historical_file import SOURCE as HISTORICAL
from ngsim_assets.f1.sources.local_source import LocalSource
from ngsim_assets.f1.sources.recorded import RECORDING

SESSION_SOURCES: Final = (*SOURCES, LocalSource.name, HISTORICAL)
"""Names of all ingestors that deliver sessions."""

_RANK: Final[dict[SourceKind, int]] = {"livetiming": 0, "signalr": 1, "openf1": 2}


@dataclass(frozen=True, slots=True)
class FeedFile:
    """A file of a feed.

    Attributes:
        told: its topic, its endpoint, or empty of a recording, which has all topics.
        name: what rows call it: the address it came from.
    """

    kind: SourceKind
    told: str
    artifact: Artifact

    @property
    def name(self) -> str:
        return self.artifact.url


@dataclass(slots=True)
class Held:
    """All files of one session.

    Attributes:
        feeds: in the order in which their messages are taken, the archive first; it depends on
            what there is, and not on what came first.
        copies: files left out as another one of `feeds` has the same content.
        historical: of FastF1, with their `session.json`. forecasts: every issue there is.
    """

    feeds: list[FeedFile] = field(default_factory=list[FeedFile])
    copies: list[FeedFile] = field(default_factory=list[FeedFile])
    historical: list[Artifact] = field(default_factory=list[Artifact])
    forecasts: list[Artifact] = field(default_factory=list[Artifact])

    @property
    def fingerprint(self) -> list[list[str]]:
        """Names and hashes of all files."""
        feeds = (file.artifact for file in self.feeds)
        every = (*feeds, *self.historical, *self.forecasts)
        return sorted([item.url, item.name, item.sha256] for item in every)

    def __bool__(self) -> bool:
        others = (item for item in self.historical if item.name != SESSION_FILE)
        return bool(self.feeds or self.forecasts) or any(True for _ in others)


def sessions_held(store: DownloadStore) -> list[SessionKey]:
    """Every session of which there is anything, by key."""
    found: set[SessionKey] = set()
    for source in SESSION_SOURCES:
        folder = store.manifests / source
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            with suppress(BadSessionKey):
                key = SessionKey.parse(path.name)
                if key not in found and _is_told_of(store, source, key):
                    found.add(key)
    return sorted(found)


def held_of(store: DownloadStore, session: SessionKey) -> Held:
    """The files of a session; none if nothing of it was delivered.

    Raises DamagedRecord where a manifest cannot be read, DeliveryGone where files are missing
    that one names: a session must not lose rows because its files were lost.
    """
    held = Held()
    feeds: list[FeedFile] = []
    for source in SESSION_SOURCES:
        for manifest in _manifests(store, source, session):
            if not manifest.contents:
                continue
            what = _what(manifest)
            if what in SERVICES:
                held.forecasts += _of_every_issue(store, manifest)
                continue
            files = _newest(store, session, manifest)
            if source == HISTORICAL:
                held.historical += files
            elif what in _RANK:
                feeds += (file for item in files if (file := _feed(what, item)) is not None)
    for file in _of_every_address(feeds):
        twin = any(
            (file.kind, file.told, file.artifact.sha256)
            == (other.kind, other.told, other.artifact.sha256)
            for other in held.feeds
        )
        (held.copies if twin else held.feeds).append(file)
    return held


def _manifests(store: DownloadStore, source: str, session: SessionKey) -> Iterator[Manifest]:
    folder = store.manifests / source / str(session)
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else ():
        manifest = read_manifest(path)
        if manifest is not None:
            yield manifest


def _is_told_of(store: DownloadStore, source: str, session: SessionKey) -> bool:
    try:
        return any(_tells(manifest) for manifest in _manifests(store, source, session))
    except DamagedRecord:
        return True  # who reads the session will hear of it, and no other one has to


def _what(manifest: Manifest) -> str:
    """`livetiming` of `2025-05-03_miami_sprint/livetiming/…`."""
    return manifest.key.split("/")[1]


def _tells(manifest: Manifest) -> bool:
    """Whether its newest content is more than the word that there is nothing."""
    return any(file.name != SESSION_FILE for item in manifest.contents[:1] for file in item.files)


def _newest(store: DownloadStore, session: SessionKey, manifest: Manifest) -> list[Artifact]:
    held = store.held_of(manifest)
    if held is None or not held.current:
        raise DeliveryGone(str(session), manifest.source, manifest.key)
    return list(held.artifacts)


def _of_every_issue(store: DownloadStore, manifest: Manifest) -> Iterator[Artifact]:
    """Files of all contents that are there: each is what was foretold at another time."""
    for content in manifest.contents:
        held = store.held_of(replace(manifest, contents=(content,)))
        yield from held.artifacts if held is not None else ()


def _feed(what: str, artifact: Artifact) -> FeedFile | None:
    """A file of a feed by its name; None of what is no feed."""
    if what == "livetiming" and artifact.name.endswith(SUFFIX):
        return FeedFile("livetiming", topic_of(artifact.name), artifact)
    if what == "signalr" and artifact.name == RECORDING:
        return FeedFile("signalr", "", artifact)
    if what == "openf1" and artifact.name != SESSION_FILE:
        endpoint = openf1.endpoint_of(artifact.name)
        return None if endpoint is None else FeedFile("openf1", endpoint, artifact)
    return None


def _of_every_address(files: Iterable[FeedFile]) -> list[FeedFile]:
    """The newest file of every address, by kind and address."""
    found: dict[tuple[SourceKind, str], FeedFile] = {}
    for file in files:
        known = found.get((file.kind, file.name))
        if known is None or _age(known) < _age(file):
            found[file.kind, file.name] = file
    return sorted(found.values(), key=lambda file: (_RANK[file.kind], file.name))


def _age(file: FeedFile) -> tuple[datetime, str]:
    return file.artifact.fetched_at, file.artifact.sha256

"""Files of this machine into the store of what was delivered: recordings, topic files, responses.

Belongs here: finding what there is below paths, of which session each is, and what became of it.
Does not belong here: how files are kept (acquisition/), places (sources/), tables (stages.py).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1 import measuring
from ngsim_assets.f1.errors import BadSessionKey, F1Error, FeedUnreadable, NotAFeed, SessionUnknown
from ngsim_assets.f1.formats import whole
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.reading import openf1
from ngsim_assets.f1.reading.feed_lines import SUFFIX
from ngsim_assets.f1.sources.local_files import (
    Responses,
    TopicFolder,
    rows_in,
    session_of_responses,
    session_of_topics,
)
from ngsim_assets.f1.sources.local_source import LocalSource
from ngsim_assets.f1.sources.places import Place
from ngsim_assets.f1.sources.recorded import Recorded, found_in
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.settings import Settings

Kind = Literal["recording", "topics", "responses", "nothing"]

_RECORDING: Final = ".txt"
_RESPONSE: Final = ".json"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one delivery of this machine.

    Attributes:
        path: a recording, or the folder of files. kind: what it is.
        session: of it, None if that is not known.
        result: of keeping its files, None if it was refused before.
        error: why it was refused, or could not be kept.
    """

    path: Path
    kind: Kind
    session: SessionKey | None = None
    result: IngestionResult | None = None
    error: NgsimAssetsError | None = None

    @property
    def status(self) -> str:
        """`fetched`, `unchanged`, … as of any ingestion; or `refused`."""
        return "refused" if self.result is None else self.result.status

    @property
    def taken(self) -> bool:
        """Whether its files are in the store."""
        return self.error is None and self.session is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should know, such as files that were left out."""
        return () if self.result is None else self.result.warnings

    def summary(self) -> dict[str, object]:
        """For machines."""
        error = self.error
        return {
            "path": str(self.path),
            "kind": self.kind,
            "session": None if self.session is None else str(self.session),
            "status": self.status,
            "warnings": list(self.warnings),
            "error": None if error is None else {"problem": error.problem, "fix": error.fix},
        }


@dataclass(frozen=True, slots=True)
class _Delivery:
    """Something found below a path.

    Attributes:
        told: its session, by its content. place: of it, for a session.
    """

    path: Path
    kind: Kind
    told: Callable[[], SessionKey]
    place: Callable[[SessionKey], Place]


def take_in(
    settings: Settings,
    paths: Sequence[Path],
    *,
    session: SessionKey | None = None,
    observers: Sequence[Observer] = (),
) -> list[Taken]:
    """Put what is found at `paths`, and anywhere below them, into the store of downloads.

    A file of a topic stands for the folder it is in. What tells no session, and does not lie in a
    folder or under a name that is the key of one, is refused; the others go on.

    Args:
        session: of all that is found, whatever it tells itself.
    """
    return asyncio.run(taking_in(settings, paths, session=session, observers=observers))


async def taking_in(
    settings: Settings,
    paths: Sequence[Path],
    *,
    session: SessionKey | None = None,
    observers: Sequence[Observer] = (),
) -> list[Taken]:
    """As `take_in`, where an event loop runs already."""
    looked = await asyncio.to_thread(lambda: list(_looked(paths, session)))
    sources = [LocalSource(settings, place) for _, place in looked if place is not None]
    with measuring.fetching(settings) as counting:
        pipeline = AsyncETLPipeline(settings, observers=[*observers, counting])
        results = iter(await pipeline.run(sources))
    return [found if place is None else _kept(found, next(results)) for found, place in looked]


def _kept(found: Taken, result: IngestionResult) -> Taken:
    error = next(iter(result.errors), None)
    return Taken(found.path, found.kind, found.session, result, error)


def _looked(
    paths: Sequence[Path], session: SessionKey | None
) -> Iterator[tuple[Taken, Place | None]]:
    """What there is, with its place; without one it is refused."""
    seen: set[Path] = set()
    alone: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        if path.is_file() and _is_response(path):
            alone[path.absolute().parent].append(path)
            continue
        try:
            deliveries = list(_below(path))
        except F1Error as error:
            yield Taken(path, "nothing", error=error), None
            continue
        for delivery in deliveries:
            if delivery.path.resolve() not in seen or delivery.kind == "responses":
                seen.add(delivery.path.resolve())
                yield _placed(delivery, session)
    for files in alone.values():
        for delivery in _responses(files):
            yield _placed(delivery, session)


def _placed(delivery: _Delivery, session: SessionKey | None) -> tuple[Taken, Place | None]:
    try:
        key = session or _session_of(delivery)
    except F1Error as error:
        return Taken(delivery.path, delivery.kind, error=error), None
    return Taken(delivery.path, delivery.kind, key), delivery.place(key)


def _session_of(delivery: _Delivery) -> SessionKey:
    """What it tells itself; else what it, or the folder it is in, is called."""
    try:
        return delivery.told()
    except SessionUnknown:
        for name in (delivery.path.stem, delivery.path.name, delivery.path.absolute().parent.name):
            try:
                return SessionKey.parse(name)
            except BadSessionKey:
                continue
        raise


def _below(path: Path) -> Iterator[_Delivery]:
    """Everything at a path but a response; FeedUnreadable or NotAFeed if there is nothing."""
    if path.is_dir():
        found = list(_in_folders(path))
        if not found:
            raise NotAFeed(str(path), "it holds no file of a feed")
        yield from found
    elif not path.exists():
        raise FeedUnreadable(str(path), "no such file or folder")
    elif path.name.endswith(SUFFIX):
        yield _topics(path.parent)
    else:
        yield _recording(path)


def _in_folders(folder: Path) -> Iterator[_Delivery]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FeedUnreadable(str(folder), error.strerror or str(error)) from None
    files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    if any(file.name.endswith(SUFFIX) for file in files):
        yield _topics(folder)
    yield from map(_recording, (file for file in files if file.suffix == _RECORDING))
    yield from _responses(files)
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _in_folders(entry)


def _topics(folder: Path) -> _Delivery:
    told = partial(session_of_topics, folder)
    return _Delivery(folder, "topics", told, partial(TopicFolder, folder))


def _recording(path: Path) -> _Delivery:
    def place(key: SessionKey) -> Place:
        return Recorded({path: str(key)})

    return _Delivery(path, "recording", lambda: found_in(path).key, place)


def _responses(files: Sequence[Path]) -> Iterator[_Delivery]:
    """Responses of one folder, put together by OpenF1's number of their sessions.

    One without rows goes with those that share its name but for the endpoint.
    """
    groups: defaultdict[int | None, list[Path]] = defaultdict(list)
    numbers: dict[str, int] = {}
    empty: list[Path] = []
    for path in sorted(filter(_is_response, files)):
        number = _number_in(path)
        if number is None:
            empty.append(path)
        else:
            groups[number].append(path)
            numbers[_stem(path)] = number
    for path in empty:
        groups[numbers.get(_stem(path))].append(path)
    for told in sorted(groups.values()):
        yield _Delivery(
            told[0].parent,
            "responses",
            partial(session_of_responses, told),
            partial(Responses, told),
        )


def _is_response(path: Path) -> bool:
    return path.suffix == _RESPONSE and openf1.endpoint_of(path.name) is not None


def _number_in(path: Path) -> int | None:
    """OpenF1's number of the session of a response; None where no row tells it."""
    try:
        rows = rows_in(path)
    except F1Error:
        return None
    numbers = (whole(at(row, "session_key")) for row in rows)
    return next((number for number in numbers if number is not None), None)


def _stem(path: Path) -> str:
    return path.name.replace(openf1.endpoint_of(path.name) or "", "")

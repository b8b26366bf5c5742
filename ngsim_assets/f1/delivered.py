"""What was delivered of one session, by whichever way, as one: every message once.

The archive and recordings of the hub are one feed; OpenF1 and FastF1 tell beside it. Whatever
files it came in, and in whichever order, the same content is the same session and has the same
version.

Belongs here: a session out of its files, and the version of its content. Does not belong here:
finding and reading files, telling messages apart (arrival/), tables (stages.py).
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1.arrival.files import FileReading, read_again, read_file
from ngsim_assets.f1.arrival.holdings import FeedFile, Held, held_of, sessions_held
from ngsim_assets.f1.arrival.once import each_once
from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.errors import NothingDeliveredOf, SessionUnknown
from ngsim_assets.f1.fastf1_tables import Told as FastF1Table
from ngsim_assets.f1.formats import OPENF1, whole
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.platform import F1Platform
from ngsim_assets.f1.reading.messages import Message, SetAside
from ngsim_assets.f1.sessions import SessionInfo, kind_of, of_messages
from ngsim_assets.f1.sources import historical_file
from ngsim_assets.f1.sources.places import Found
from ngsim_assets.f1.sources.weather import forecast_rows
from ngsim_assets.f1.telemetry.streams import TOPICS as TELEMETRY
from ngsim_assets.f1.timing.entrants import Entrants
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.parquet import SourceFile

__all__ = ["Delivered", "Known", "delivered", "sessions_held", "version_of"]

_READER: Final = "1"
"""Raised by hand when the same files become other messages."""

_PARTS: Final = 4_096  # more messages than any line has


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of what was delivered of a session.

    Attributes:
        version: hash of its content. messages: each once. files: that it came in.
    """

    version: str
    messages: int
    files: int


@dataclass(slots=True)
class Delivered:
    """One session as all its files tell it.

    Attributes:
        origin: of rows of the feed, that is archive and recordings.
        info: None where nothing describes the session.
        clock: None where nothing tells how session time and UTC are related.
        feed, openf1: messages but those of telemetry, in the order of files and lines.
        telemetry: messages of telemetry, by topic.
        drivers: numbers of those who take part, empty if nobody tells them.
        historical: tables of FastF1, by name. first_laps: of a race, ms by car, as those tell.
        forecasts: rows of f1_weather.
        lines: lines, or rows of responses, that were read: of messages and of what is in `aside`
            or was `repeated`.
        aside: what is no message. repeated: what another file has too.
        files: by the names that rows call them.
        version: hash of the content.
        held: the files. places: where messages of telemetry stand, by file and topic.
    """

    origin: Origin
    info: SessionInfo | None = None
    clock: SessionClock | None = None
    feed: list[Message] = field(default_factory=list[Message])
    openf1: list[Message] = field(default_factory=list[Message])
    telemetry: Counter[str] = field(default_factory=Counter[str])
    drivers: frozenset[int] = frozenset()
    historical: Mapping[str, FastF1Table] = field(default_factory=dict[str, FastF1Table])
    first_laps: Mapping[int, int] = field(default_factory=dict[int, int])
    forecasts: list[Row] = field(default_factory=list[Row])
    lines: int = 0
    aside: list[SetAside] = field(default_factory=list[SetAside])
    repeated: int = 0
    files: tuple[SourceFile, ...] = ()
    version: str = ""
    held: Held = field(default_factory=Held)
    places: dict[str, dict[str, array[int]]] = field(
        default_factory=dict[str, "dict[str, array[int]]"]
    )

    @property
    def messages(self) -> int:
        """Messages, each once."""
        return len(self.feed) + len(self.openf1) + self.telemetry.total()

    def origin_of(self, topic: str) -> Origin:
        """What rows of a topic come from."""
        if topic.startswith(OPENF1):
            return Origin(self.origin.session, "openf1", simulated=self.origin.simulated)
        return self.origin

    def every_message(self, size: int) -> Iterator[list[Message]]:
        """All messages in full, by file and line, no more than some `size` at a time."""
        others: defaultdict[str, list[Message]] = defaultdict(list)
        for message in (*self.feed, *self.openf1):
            others[message.file].append(message)
        for file in sorted(self.held.feeds, key=lambda file: file.name):
            waiting = sorted(others.pop(file.name, []), key=_order)
            places = self.places.get(file.name, {})
            again = self._read_again(file, places)
            yield from _batches(_merged(waiting, again), size)

    def of_telemetry(self, topics: Sequence[str], size: int) -> Iterator[list[Message]]:
        """Messages of the first of `topics` that there are any of, in full, of a file at a time.

        What one source tells is not told again by another one in its own times.
        """
        topic = next((topic for topic in topics if self.telemetry[topic]), None)
        for file in self.held.feeds if topic is not None else ():
            places = self.places.get(file.name, {})
            if topic in places:
                yield from _batches(self._read_again(file, {topic: places[topic]}), size)

    def _read_again(self, file: FeedFile, places: Mapping[str, array[int]]) -> Iterator[Message]:
        """Messages of telemetry of a file that stand at the given places."""
        if not places:
            return
        session, clock = str(self.origin.session), self.clock
        rows = {place // _PARTS for told in places.values() for place in told}
        number = None if self.info is None else self.info.session_number
        for message in read_again(file, session, rows, number):
            if _has(places.get(message.topic), _place(message)):
                yield message if clock is None else clock.place(message)


def delivered(store: DownloadStore, session: SessionKey) -> Delivered:
    """All that the store holds of a session.

    Raises NothingDeliveredOf, DeliveryGone, DamagedRecord, MessagesUnaccounted.
    """
    held = held_of(store, session)
    if not held:
        raise NothingDeliveredOf(str(session))
    readings, info = _read(held, session)
    once = each_once(readings, info)
    kinds = {file.kind for file in held.feeds}
    found = Delivered(
        Origin(
            session,
            "signalr" if "signalr" in kinds and "livetiming" not in kinds else "livetiming",
            simulated=Found(session).simulated,
        ),
        info=info,
        clock=once.clock,
        lines=sum(reading.lines for reading in readings),
        aside=once.aside,
        repeated=once.repeated,
        held=held,
    )
    places: defaultdict[str, defaultdict[str, array[int]]] = defaultdict(
        lambda: defaultdict(lambda: array("q"))
    )
    count: Counter[str] = Counter()
    for one in once.told:
        message = one.message
        count[message.file] += 1
        if message.topic in TELEMETRY:
            found.telemetry[message.topic] += 1
            places[message.file][message.topic].append(_place(message))
        elif message.topic.startswith(OPENF1):
            found.openf1.append(message if once.clock is None else once.clock.place(message))
        else:
            found.feed.append(message if once.clock is None else once.clock.place(message))
    found.places = {name: dict(topics) for name, topics in places.items()}
    found.drivers = _drivers(found)
    if held.historical:
        found.historical = historical_file.tables(held.historical)[1]
        found.first_laps = _first_laps(found)
    found.forecasts = [row for file in held.forecasts for row in forecast_rows(file)]
    found.files = tuple(_files(held, count))
    found.version = _version(held, once.version, once.clock)
    return found


def _read(held: Held, session: SessionKey) -> tuple[list[FileReading], SessionInfo | None]:
    """Every file, and what the first of them tells that describes the session."""
    found: dict[str, FileReading] = {}
    info: SessionInfo | None = None
    # what tells OpenF1's number of the session comes before the rows that have to be of it
    order = sorted(held.feeds, key=lambda file: (file.kind == "openf1", file.told != "sessions"))
    for file in order:
        number = None if info is None else info.session_number
        reading = found[file.name] = read_file(file, str(session), number)
        info = info or _info(told.message for told in reading.told)
    return [found[file.name] for file in held.feeds], info


def version_of(platform: F1Platform, session: SessionKey) -> Known:
    """The version of what is held of a session; nothing is read of it if it was known before.

    Raises what `delivered` raises.
    """
    known = known_before(platform, session)
    return known or remember(platform, delivered(platform.store, session))


def known_before(platform: F1Platform, session: SessionKey) -> Known | None:
    """What was written down of the files that are held now; None if it was not.

    Raises DeliveryGone, DamagedRecord.
    """
    held = held_of(platform.store, session)
    try:
        told = json.loads((platform.sessions / f"{session}.json").read_bytes())
        if told["reader"] != _READER or told["files"] != held.fingerprint:
            return None
        return Known(str(told["version"]), int(told["messages"]), len(told["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # what is unreadable is written anew


def remember(platform: F1Platform, told: Delivered) -> Known:
    """Write down the version of what was read, for `version_of`."""
    known = Known(told.version, told.messages, len(told.files))
    record = {
        "reader": _READER,
        "files": told.held.fingerprint,
        "version": known.version,
        "messages": known.messages,
    }
    path = platform.sessions / f"{told.origin.session}.json"
    write_atomically(path, json.dumps(record, indent=1))
    return known


def _info(messages: Iterable[Message]) -> SessionInfo | None:
    """What the first message tells that describes the session whole."""
    for message in messages:
        try:
            info = of_messages([message])
        except SessionUnknown:
            continue
        if info is not None:
            return info
    return None


def _drivers(found: Delivered) -> frozenset[int]:
    entrants = Entrants()
    for message in found.feed:
        if message.topic == "DriverList":
            entrants.take(message.payload)
    for message in found.openf1:
        if message.topic == f"{OPENF1}drivers":
            entrants.add(whole(at(message.payload, "driver_number")))
    return entrants.numbers


def _first_laps(found: Delivered) -> dict[int, int]:
    """Times of the first lap of a race, where FastF1 has them from another service."""
    laps = found.historical.get("laps")
    if laps is None or kind_of(found.origin.session.session) != "race":
        return {}
    first = laps.frame.filter(lap_number=1).drop_nulls("lap_time_ms")
    return dict(first.select("driver_number", "lap_time_ms").iter_rows())


def _files(held: Held, count: Mapping[str, int]) -> Iterator[SourceFile]:
    artifacts = [file.artifact for file in held.feeds]
    for item in (*artifacts, *held.historical, *held.forecasts):
        # the address of a forecast or of FastF1's tables is not of one file
        feed = item in artifacts
        yield SourceFile(
            name=item.url if feed else f"{item.url} {item.name}",
            sha256=item.sha256,
            path=item.url,
            packed_sha256=item.sha256,
            rows=count.get(item.url, 0) if feed else item.rows or 0,
        )


def _version(held: Held, messages: str, clock: SessionClock | None) -> str:
    """One hash for messages, tables and forecasts.

    The clock is of it: a recording that tells nothing new may still tell the time.
    """
    others = sorted(item.sha256 for item in (*held.historical, *held.forecasts))
    others.append("" if clock is None else clock.start.isoformat())
    return hashlib.sha256("\n".join([_READER, messages, *others]).encode()).hexdigest()[:32]


def _place(message: Message) -> int:
    return message.line * _PARTS + message.part


def _has(places: array[int] | None, place: int) -> bool:
    found = -1 if places is None else bisect_left(places, place)
    return places is not None and found < len(places) and places[found] == place


def _merged(others: Sequence[Message], telemetry: Iterable[Message]) -> Iterator[Message]:
    """Messages of one file by line and topic."""
    waiting = iter(others)
    following = next(waiting, None)
    for message in telemetry:
        while following is not None and _order(following) < _order(message):
            yield following
            following = next(waiting, None)
        yield message
    if following is not None:
        yield following
        yield from waiting


def _order(message: Message) -> tuple[int, str, int]:
    return message.line, message.topic, message.part


def _batches(messages: Iterable[Message], size: int) -> Iterator[list[Message]]:
    batch: list[Message] = []
    for _, line in groupby(messages, key=lambda message: message.line):
        batch += line
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch

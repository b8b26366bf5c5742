"""Files of a session read a line at a time: what they say, without the bulk of telemetry.

Messages of telemetry are so many and so large that only the word of them is kept at first: where
each stands, its hash, the times in it. Who needs them reads them again, some at a time.

Belongs here: reading one file, once in full and later by its lines. Does not belong here: which
files (holdings.py), what several of them say together (once.py), formats of lines (reading/).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pydantic_core import to_json

from ngsim_assets.f1.arrival.holdings import FeedFile
from ngsim_assets.f1.errors import FeedUnreadable, MessagesUnaccounted, SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.reading import openf1
from ngsim_assets.f1.reading.feed_lines import FeedReader, bounded
from ngsim_assets.f1.reading.messages import Item, Message, Reading, SetAside, set_aside
from ngsim_assets.f1.reading.order import Order
from ngsim_assets.f1.reading.recordings import RecordingReader
from ngsim_assets.f1.sessions import of_feed
from ngsim_assets.f1.telemetry.streams import TOPICS as TELEMETRY

_BOM = b"\xef\xbb\xbf"
_STAMP = re.compile(r'"(?:Utc|Timestamp)"\s*:\s*"[^"]{10,40}"')


@dataclass(frozen=True, slots=True)
class Told:
    """A message and the hash of what it says, whatever form it came in.

    Of telemetry the message has neither content nor payload, but for the times in it.
    """

    message: Message
    digest: bytes


@dataclass(slots=True)
class FileReading:
    """What the lines of a file became.

    Attributes:
        lines: lines, or rows of a response; empty ones are none.
    """

    file: FeedFile
    lines: int = 0
    told: list[Told] = field(default_factory=list[Told])
    aside: list[SetAside] = field(default_factory=list[SetAside])


def read_file(file: FeedFile, session: str, number: int | None = None) -> FileReading:
    """Every line of a file; FeedUnreadable, NotAFeed, or MessagesUnaccounted if one is lost.

    Args:
        number: OpenF1's of the session, whose rows alone are of it; by default the first row's.
    """
    reading = FileReading(file)
    accounted = 0
    of_one = _OfOneSession()
    for is_told, items in _items(file, session, number):
        reading.lines += is_told
        accounted += bool(items)
        for item in items:
            _take(of_one.item(item) if file.kind == "signalr" else item, reading)
    if reading.lines != accounted:
        raise MessagesUnaccounted(f"lines of {file.name}", reading.lines, accounted)
    return reading


def read_again(
    file: FeedFile, session: str, lines: Container[int], number: int | None = None
) -> Iterator[Message]:
    """Messages of telemetry in some lines of a file, in full; arguments as of `read_file`."""
    if file.kind == "openf1":
        read = _response(file, session, number)
        yield from (message for message in read.messages if message.line in lines)
        return
    reader = _reader(file, session, Order(window=0))  # what repeats itself was found out before
    for row, line in _lines(file):
        if row in lines:
            for item in reader.read(line, row):
                if isinstance(item, Message) and item.topic in TELEMETRY:
                    yield item


def _response(file: FeedFile, session: str, number: int | None) -> Reading:
    return openf1.read_file(
        file.artifact.path, session, file.told, name=file.name, session_key=number
    )


def _items(file: FeedFile, session: str, number: int | None) -> Iterator[tuple[bool, list[Item]]]:
    """Whether a line tells anything, and what it becomes."""
    if file.kind == "openf1":
        read = _response(file, session, number)
        yield from ((True, [item]) for item in (*read.messages, *read.aside))
        return
    reader = _reader(file, session, Order())
    for row, line in _lines(file):
        yield bool(line.removeprefix(_BOM).strip()), reader.read(line, row)


def _reader(file: FeedFile, session: str, order: Order) -> FeedReader | RecordingReader:
    if file.kind == "signalr":
        return RecordingReader(session, file.name, order=order)
    return FeedReader(session, file.told, file.name, order=order)


def _lines(file: FeedFile) -> Iterator[tuple[int, bytes]]:
    try:
        with file.artifact.path.open("rb") as lines:
            yield from enumerate(bounded(lines), start=1)
    except OSError as error:
        raise FeedUnreadable(file.name, error.strerror or str(error)) from None


class _OfOneSession:
    """A recorder that was left on goes on with the next session: what it tells of that is not ours.

    The session of a recording is the one it describes first, whatever it was taken in as.
    """

    def __init__(self) -> None:
        self._first: SessionKey | None = None
        self._other: SessionKey | None = None

    def item(self, item: Item) -> Item:
        """The item itself, or set aside as one of another session."""
        if isinstance(item, SetAside):
            return item
        if item.topic == "SessionInfo":
            with suppress(SessionUnknown):
                key = of_feed(item.payload, item.file).key
                self._first = self._first or key
                self._other = None if key == self._first else key
        if self._other is None:
            return item
        return set_aside(item, "other_session", f"the recording tells of {self._other} by then")


def _take(item: Item, reading: FileReading) -> None:
    if isinstance(item, SetAside):
        reading.aside.append(item)
        return
    try:
        digest = _digest(item)
    except ValueError as error:  # halves of a character, which no table can hold
        reading.aside.append(set_aside(item, "not_text", str(error)[:200]))
        return
    reading.told.append(Told(_word_of(item) if item.topic in TELEMETRY else item, digest))


def _digest(message: Message) -> bytes:
    """Hash of topic and payload: a recorder's form of a message does not matter."""
    told = message.payload
    content = told.encode() if isinstance(told, str) else to_json(told, inf_nan_mode="constants")
    hashed = hashlib.blake2b(content, digest_size=16, key=message.topic.encode()[:64])
    return hashed.digest()


def _word_of(message: Message) -> Message:
    told = message.payload
    stamps = " ".join(_STAMP.findall(told)) if isinstance(told, str) else None
    return replace(message, payload=stamps, content="")

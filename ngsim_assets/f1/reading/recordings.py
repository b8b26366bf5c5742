"""Recordings of the live hub: one line a message, all topics in one file.

Forms of a line:
- `['WeatherData', {'AirTemp': '16.9'}, '2024-10-26T17:16:16.692Z']`, as a Python literal or JSON;
  the time is empty and the content JSON text where a recorder writes down what it was told on
  subscription: the whole state of that topic.
- `{"R": {"WeatherData": {...}, ...}}`: the whole state of all topics, in one line.
- `{"M": [{"H": "Streaming", "M": "feed", "A": [topic, content, time]}, ...]}` and
  `{"type": 1, "target": "feed", "arguments": [topic, content, time]}`: frames of the hub as they
  are; `{}` and `{"type": 6}` say that it is alive.

Belongs here: taking such lines apart. Does not belong here: the hub itself, other feeds, what
messages mean. Nothing is ever evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ngsim_assets.f1.errors import FeedUnreadable
from ngsim_assets.f1.formats import COMPRESSED, Json
from ngsim_assets.f1.reading.content import (
    LARGEST_LINE,
    Unusable,
    kept,
    payload_of,
    read_json,
    read_literal,
)
from ngsim_assets.f1.reading.feed_lines import bounded
from ngsim_assets.f1.reading.messages import Item, Message, Reading, SetAside
from ngsim_assets.f1.reading.order import Order

FIRST_YEAR, LAST_YEAR = 1990, 2099
"""Years that times of feeds may lie in."""
_BOM = b"\xef\xbb\xbf"
_PARTS = 3


class RecordingReader:
    """Reads the lines of a recording of one session, in their order, as they arrive."""

    def __init__(self, session: str, file: str, *, order: Order | None = None) -> None:
        self._session = session
        self._file = file
        self._order = order or Order()

    def read(self, line: bytes, row: int) -> list[Item]:
        """What line `row` becomes, given with its end; nothing if it is empty."""
        body = line.removeprefix(_BOM)
        whole = body.endswith(b"\n")
        body = body.strip()
        if not body:
            return []
        content = kept(body)
        try:
            delivered = read_literal(_text(body))
            alone = isinstance(delivered, list)
            return [
                self._item(part, content if alone else _content_of(part, content), row, place)
                for place, part in enumerate(_parts(delivered))
            ]
        except Unusable as why:
            cut = not whole and why.reason in ("damaged_json", "not_text")
            return [self._aside(why, "cut_short" if cut else None, content, row)]

    def _item(self, part: _Part | Unusable, content: str, row: int, place: int) -> Item:
        if isinstance(part, Unusable):
            return self._aside(part, None, content, row)
        try:
            return self._message(part, content, row, place)
        except Unusable as why:
            return self._aside(why, None, content, row)

    def _message(self, part: _Part, content: str, row: int, place: int) -> Message:
        payload = payload_of(part.topic, part.delivered)
        wrong = None
        if not part.snapshot:
            time = part.time.timestamp() if part.time else None
            wrong = self._order.judge(part.topic, time, content)
        if wrong is not None:
            raise Unusable(wrong, f"at {part.time}", part.topic)
        return Message(
            self._session,
            part.topic,
            None,
            part.time,
            payload,
            content,
            self._file,
            row,
            part.snapshot,
            place,
        )

    def _aside(
        self, why: Unusable, reason: Literal["cut_short"] | None, content: str, row: int
    ) -> SetAside:
        return SetAside(
            self._session, reason or why.reason, why.detail, why.topic, content, self._file, row
        )


def read_lines(lines: Iterable[bytes], session: str, file: str) -> Reading:
    """What all lines of a recording become, given with their ends."""
    reader = RecordingReader(session, file)
    reading = Reading()
    for row, line in enumerate(lines, start=1):
        items = reader.read(line, row)
        if items:
            reading.take(items)
    return reading


def read_file(path: Path, session: str, *, name: str | None = None) -> Reading:
    """What the lines of a recording become; FeedUnreadable if there is no such file."""
    try:
        with path.open("rb") as lines:
            return read_lines(bounded(lines), session, name or str(path))
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None


class _Part:
    """One message of a line, not yet looked into."""

    __slots__ = ("delivered", "snapshot", "time", "topic")

    def __init__(
        self, topic: str, delivered: Json, time: datetime | None, *, snapshot: bool
    ) -> None:
        self.topic = topic
        self.delivered = delivered
        self.time = time
        self.snapshot = snapshot


def _content_of(part: _Part | Unusable, line: str) -> str:
    """What one of several messages of a line is kept as; the line if it is no message."""
    if isinstance(part, Unusable):
        return line
    told = [part.topic, part.delivered, part.time.isoformat() if part.time else ""]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _text(body: bytes) -> str:
    if len(body) > LARGEST_LINE:
        raise Unusable("too_large", f"{len(body):,} bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusable("not_text", str(error)) from None


def _parts(delivered: Json) -> Iterator[_Part | Unusable]:
    """The messages of one line, each usable or not; at least one."""
    if isinstance(delivered, list):
        yield _entry(delivered)
        return
    if not isinstance(delivered, dict):
        yield Unusable("not_a_message", f"is a {type(delivered).__name__}")
        return
    state = delivered.get("R", delivered.get("result"))
    entries = delivered.get("M")
    found = False
    if isinstance(state, dict):
        for topic, content in state.items():
            found = True
            yield _Part(topic, content, _state_time(state), snapshot=True)
    if isinstance(entries, list):
        for entry in entries:
            found = True
            arguments = entry.get("A") if isinstance(entry, dict) else None
            yield _entry(arguments)
    if delivered.get("type") == 1:
        found = True
        yield _entry(delivered.get("arguments"))
    if not found:
        alive = not delivered or bool({"type", "C", "I"} & delivered.keys())
        yield (
            Unusable("empty_message", "a sign of life")
            if alive
            else Unusable("not_a_message", f"has {', '.join(sorted(delivered))[:80]}")
        )


def _entry(entry: Json) -> _Part | Unusable:
    """The message of `[topic, content, time]`."""
    if not isinstance(entry, list) or len(entry) != _PARTS:
        return Unusable("not_a_message", "is not topic, content and time")
    topic, content, time = entry
    if not isinstance(topic, str) or not isinstance(time, str):
        return Unusable("not_a_message", "its topic or its time is no text")
    moment = utc(time)
    if moment is not None:
        return _Part(topic, content, moment, snapshot=False)
    if time:
        return Unusable("no_time", f"no time: {time!r}", topic)
    return _told_on_subscription(topic, content)


def _told_on_subscription(topic: str, content: Json) -> _Part | Unusable:
    """The state of a topic, as recorders write it down: JSON as text, without a time."""
    if isinstance(content, str) and content.startswith(('"', "{", "[")):
        try:
            content = read_json(content)
        except Unusable as why:
            return Unusable(why.reason, why.detail, topic)
    elif isinstance(content, str) and not topic.endswith(COMPRESSED):
        return Unusable("no_time", "neither a time nor a state", topic)
    return _Part(topic, content, None, snapshot=True)


def _state_time(state: dict[str, Json]) -> datetime | None:
    """When the hub told the whole state: its heartbeat's time."""
    for topic in ("Heartbeat", "ExtrapolatedClock"):
        told = state.get(topic)
        if isinstance(told, dict) and isinstance(told.get("Utc"), str):
            return utc(str(told["Utc"]))
    return None


def utc(text: str) -> datetime | None:
    """Time written `2024-10-26T17:15:49.3337638Z`, to the microsecond; None for anything else.

    The feeds write UTC without saying so in some places; a zone that is told is kept. Times before
    there were feeds, or long after, are none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

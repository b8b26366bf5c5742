"""Files of the live-timing archive: one topic a file, one message a line.

A line is a session time and JSON, `00:08:29.940{"31":{"Line":8}}`; the file begins with a byte
order mark, lines end in CRLF, and a file that is still written ends in the middle of one. The
content of compressed topics is a JSON string.

Belongs here: taking such lines apart. Does not belong here: other feeds, what messages mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ngsim_assets.f1.errors import FeedUnreadable
from ngsim_assets.f1.formats import session_time
from ngsim_assets.f1.reading.content import LARGEST_LINE, Unusable, kept, payload_of, read_json
from ngsim_assets.f1.reading.messages import Item, Message, Reading, SetAside
from ngsim_assets.f1.reading.order import Order

SUFFIX = ".jsonStream"
_BOM = b"\xef\xbb\xbf"
_TIME = re.compile(r"\d{1,3}:\d\d:\d\d(?:\.\d+)?", re.ASCII)


class FeedReader:
    """Reads the lines of one topic of one session, in their order.

    Lines may be handed over as they arrive; the reader holds no more than the memory of recent
    messages.
    """

    def __init__(self, session: str, topic: str, file: str, *, order: Order | None = None) -> None:
        self._session = session
        self._topic = topic
        self._file = file
        self._order = order or Order()

    def read(self, line: bytes, row: int) -> list[Item]:
        """What line `row` becomes, given with its end; nothing if it is empty."""
        body = line.removeprefix(_BOM)  # files that were put together have it in the middle
        whole = body.endswith(b"\n")
        body = body.rstrip(b"\r\n")
        if not body.strip():
            return []
        try:
            return [self._message(body, row)]
        except Unusable as why:
            cut = not whole and why.reason in ("damaged_json", "no_time", "not_text")
            reason = "cut_short" if cut else why.reason
            return [
                SetAside(
                    self._session, reason, why.detail, self._topic, kept(body), self._file, row
                )
            ]

    def _message(self, body: bytes, row: int) -> Message:
        if len(body) > LARGEST_LINE:
            raise Unusable("too_large", f"{len(body):,} bytes")
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unusable("not_text", str(error)) from None
        found = _TIME.match(text)
        time = session_time(found[0]) if found else None
        if found is None or time is None:
            raise Unusable("no_time", f"begins with {text[:12]!r}")
        content = text[found.end() :]
        payload = payload_of(self._topic, read_json(content))
        wrong = self._order.judge(self._topic, time, content)
        if wrong is not None:
            raise Unusable(wrong, f"at {found[0]}")
        return Message(self._session, self._topic, time, None, payload, content, self._file, row)


def read_lines(lines: Iterable[bytes], session: str, topic: str, file: str) -> Reading:
    """What all lines of a file become, given with their ends."""
    reader = FeedReader(session, topic, file)
    reading = Reading()
    for row, line in enumerate(lines, start=1):
        items = reader.read(line, row)
        if items:
            reading.take(items)
    return reading


def read_file(path: Path, session: str, *, name: str | None = None) -> Reading:
    """What the lines of `TimingData.jsonStream` become; FeedUnreadable if there is no such file.

    Args:
        name: what the messages say they come from, by default the path.
    """
    try:
        with path.open("rb") as lines:
            return read_lines(bounded(lines), session, topic_of(path.name), name or str(path))
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None


def bounded(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a file, none longer than the limit: what is beyond counts as a line of its own."""
    return iter(lambda: file.readline(LARGEST_LINE + 1), b"")


def topic_of(name: str) -> str:
    """Topic of a file of the archive: `CarData.z.jsonStream` holds `CarData.z`."""
    return name.removesuffix(SUFFIX)


def read_folder(folder: Path, session: str) -> Iterator[tuple[str, Reading]]:
    """Topic and content of every topic file of a session's folder, by name."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        yield topic_of(path.name), read_file(path, session, name=path.name)

"""What the feeds look like on the wire: lines of the archive, lines of a recording.

Belongs here: how a message is written down. Does not belong here: what messages say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ngsim_assets.f1.formats import COMPRESSED, Json
from ngsim_assets.f1.reading.compressed import deflate
from ngsim_assets.storage.atomic import write_atomically

_BOM = b"\xef\xbb\xbf"
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Emitted:
    """A message that a generator makes.

    Attributes:
        time: milliseconds since the start of the feed.
        topic: as on the wire, `CarData.z`.
        content: what it says; of a compressed topic what it inflates to.
    """

    time: int
    topic: str
    content: Json

    def delivered(self) -> Json:
        """The content as on the wire."""
        if self.topic.endswith(COMPRESSED):
            return deflate(compact(self.content).encode())
        return self.content


def compact(content: Json) -> str:
    """JSON as the feeds write it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def in_order(*streams: Iterable[Emitted]) -> list[Emitted]:
    """Messages of several generators as one feed, in order of time."""
    return sorted((e for stream in streams for e in stream), key=lambda emitted: emitted.time)


def feed_line(emitted: Emitted) -> bytes:
    """The line of the archive's topic file."""
    return f"{session_time(emitted.time)}{compact(emitted.delivered())}\r\n".encode()


def recording_line(emitted: Emitted, start: datetime) -> bytes:
    """The line of a recording of the live hub, whose feed started at `start`."""
    stamp = utc(start + emitted.time * _MS)
    return f"{[emitted.topic, emitted.delivered(), stamp]!r}\n".encode()


def feed_files(messages: Iterable[Emitted]) -> dict[str, bytes]:
    """Content of every topic file, `TimingData.jsonStream`, by name."""
    lines: defaultdict[str, list[bytes]] = defaultdict(lambda: [_BOM])
    for emitted in messages:
        lines[f"{emitted.topic}.jsonStream"].append(feed_line(emitted))
    return {name: b"".join(parts) for name, parts in sorted(lines.items())}


def recording_lines(messages: Iterable[Emitted], start: datetime) -> Iterator[bytes]:
    """Lines of a recording of the live hub, one a message."""
    return (recording_line(emitted, start) for emitted in messages)


def write_feed(messages: Iterable[Emitted], folder: Path) -> list[Path]:
    """Write the topic files of a session into `folder`, which is made if it is not there."""
    files = feed_files(messages)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def write_recording(messages: Iterable[Emitted], start: datetime, path: Path) -> Path:
    """Write a recording of the live hub."""
    write_atomically(path, b"".join(recording_lines(messages, start)))
    return path


def session_time(milliseconds: int) -> str:
    """`01:08:26.163`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def duration(milliseconds: int) -> str:
    """`1:46.950`, and `26.303` under a minute."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}:{rest / 1000:06.3f}" if minutes else f"{rest / 1000:.3f}"


def utc(moment: datetime) -> str:
    """`2024-10-26T17:15:49.3337630Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def utc_second(moment: datetime) -> str:
    """`2018-04-29T12:14:25`, as race control writes it, cut to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")

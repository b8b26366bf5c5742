"""Delivered files into batches of raw rows: any published format, packed or not, in one pass.

Belongs here: the members of a file, and the pipeline that reads, parses in threads and hands
batches on in order with bounded memory. Does not belong here: formats (formats.py), what a row
is worth (validate.py), which partition it belongs to (intake.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from ngsim_assets.highway.errors import (
    CutAtExcelLimit,
    EmptySource,
    NoDataInArchive,
    NotNgsim,
    SourceError,
)
from ngsim_assets.highway.reading import archives
from ngsim_assets.highway.reading.archives import GuardedStream
from ngsim_assets.highway.reading.decimal_text import MAX_LINE
from ngsim_assets.highway.reading.line_parser import Bytes, LineParser, Parsed, count_lines
from ngsim_assets.highway.reading.recognition import HEAD_BYTES, Recognised, recognise

EXCEL_ROWS = 1_048_576
"""Rows of a spreadsheet, header included."""

_CHUNK_BYTES = 4 * 2**20
_PIECE_BYTES = 2**18  # read at once, and its lines counted while the cache still has it
_LINE_FEED = b"\n"


@dataclass(frozen=True, slots=True)
class SourceMember:
    """One file of rows: a file, or one inside an archive.

    Attributes:
        path: the file on disk.
        inside: where in a zip: archives inside it, then the member; empty for other files.
        unread: headers of its columns that are not NGSIM's; what stands in them is not read.
    """

    path: Path
    inside: tuple[str, ...] = ()
    unread: tuple[str, ...] = field(default=(), compare=False)

    @property
    def member(self) -> str | None:
        """Name inside the archive, None for a file that is none."""
        return "!".join(self.inside) or None

    @property
    def name(self) -> str:
        """What `source_file` says: the file's name, `!` and the member's."""
        return "!".join((self.path.name, *self.inside))

    @property
    def source(self) -> str:
        """What messages say: the path as given, `!` and the member's name."""
        return "!".join((str(self.path), *self.inside))

    def open(self) -> GuardedStream:
        """Stream of the unpacked bytes."""
        if self.inside:
            return archives.open_entry(self.path, self.inside)
        if archives.kind_of(self.path) == "gzip":
            return archives.open_gzip(self.path)
        return archives.open_plain(self.path)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A member of an archive that is not read, and the error that says why."""

    name: str
    error: SourceError


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds: members with trajectory rows, and members without."""

    members: tuple[SourceMember, ...]
    ignored: tuple[Ignored, ...] = ()


def survey(path: Path) -> Survey:
    """Look into a file without reading it through.

    An official archive holds text and CSV of the same period beside documents: all members with
    rows are given, the caller decides. Raises the SourceError that refuses the whole file.
    """
    if archives.kind_of(path) != "zip":
        member = SourceMember(path)
        with member.open() as stream:
            reader = _Reader(stream, None, HEAD_BYTES)
            seen = recognise(reader.head(), member.source, complete=reader.complete)
        return Survey((replace(member, unread=seen.unknown),))
    found: list[SourceMember] = []
    ignored: list[Ignored] = []
    for entry in archives.walk(path, HEAD_BYTES):
        member = SourceMember(path, entry.inside)
        try:
            if entry.damage is not None:
                raise entry.damage
            seen = recognise(entry.start, member.source, complete=entry.size <= len(entry.start))
        except SourceError as error:
            ignored.append(Ignored(member.name, error))
        else:
            found.append(replace(member, unread=seen.unknown))
    if not found:
        # trajectories with a fault say more than "no data"
        for refused in ignored:
            if not isinstance(refused.error, (NotNgsim, EmptySource)):
                raise refused.error
        raise NoDataInArchive(str(path), [(each.name, each.error.reason) for each in ignored])
    return Survey(tuple(found), tuple(ignored))


def members(path: Path) -> list[SourceMember]:
    """Members of a file that hold trajectory rows, in its order. Raises SourceError."""
    return list(survey(path).members)


def read_batches(
    member: SourceMember,
    *,
    batch_rows: int = 250_000,
    on_bytes: Callable[[memoryview], object] | None = None,
    on_progress: Callable[[int, int], object] | None = None,
    chunk_bytes: int = _CHUNK_BYTES,
    threads: int = 2,
) -> Iterator[pl.DataFrame]:
    """Read a member once, in order, as frames of `BATCH_SCHEMA`.

    Args:
        batch_rows: rows per frame; the last one has fewer.
        on_bytes: gets every unpacked byte once and in order; the view is valid during the call.
        on_progress: gets bytes done and bytes in all, of the file on disk or of the zip member.
        chunk_bytes: text parsed at once. Neither this nor `threads` changes a row.
        threads: parsing at the same time; memory is about four chunks each and one batch.

    Rows keep their line in `source_row`. A cell that cannot be read as it stands is null and
    the line is kept in `source_text`; a row with a wrong number of cells is all null. Raises a
    SourceError for the file as a whole, CutAtExcelLimit only after its last row.
    """
    with member.open() as stream:
        reader = _Reader(stream, on_bytes, chunk_bytes)
        head = reader.head()
        found = recognise(head, member.source, complete=reader.complete)
        reader.push_back(memoryview(head)[found.header_bytes :])
        rows = 0
        waiting: list[pl.DataFrame] = []
        waiting_rows = 0
        for frame in _frames(reader, found, threads):
            if on_progress is not None:
                on_progress(stream.consumed, stream.total)
            rows += frame.height
            waiting.append(frame)
            waiting_rows += frame.height
            while waiting_rows >= batch_rows:
                joined = pl.concat(waiting)
                yield joined.head(batch_rows)
                waiting_rows -= batch_rows
                waiting = [joined.tail(waiting_rows)]
        if waiting_rows:
            yield pl.concat(waiting)
    if EXCEL_ROWS in (rows + 1, rows + (found.header_line > 0)):
        raise CutAtExcelLimit(member.source, rows)


def _frames(reader: _Reader, found: Recognised, threads: int) -> Iterator[pl.DataFrame]:
    """Parsed chunks in their order, with lines counted through the file."""
    parser = LineParser(found.columns, found.separator)
    line = found.header_line + 1
    pending: deque[tuple[_Chunk, Future[Parsed]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="parse")
    try:
        while True:
            # one chunk more than threads, so that none waits for the disk
            while len(pending) <= threads and (chunk := reader.next_chunk(line)) is not None:
                pending.append((chunk, pool.submit(_parse, parser, chunk)))
                line += chunk.lines
            if not pending:
                return
            chunk, job = pending.popleft()
            yield (parsed := job.result()).frame
            while parsed.consumed < chunk.size:
                chunk = chunk.after(parsed)
                yield (parsed := _parse(parser, chunk)).frame
            reader.release(chunk)
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Whole lines: `size` bytes of `buffer` from `start`, the first of them line `first_line`."""

    buffer: bytearray
    start: int
    size: int
    lines: int
    first_line: int
    cut: bool

    def text(self) -> Bytes:
        """The bytes, over the buffer's memory."""
        return np.frombuffer(self.buffer, dtype=np.uint8, count=self.size, offset=self.start)

    def after(self, parsed: Parsed) -> _Chunk:
        """What is left when some of it has been parsed."""
        return replace(
            self,
            start=self.start + parsed.consumed,
            size=self.size - parsed.consumed,
            lines=self.lines - parsed.lines,
            first_line=self.first_line + parsed.lines,
        )


def _parse(parser: LineParser, chunk: _Chunk) -> Parsed:
    return parser.parse(
        chunk.text(), chunk.size, lines=chunk.lines, first_line=chunk.first_line, cut=chunk.cut
    )


class _Reader:
    """Cuts a stream into chunks at line ends, in buffers that are used again."""

    def __init__(
        self, stream: GuardedStream, on_bytes: Callable[[memoryview], object] | None, size: int
    ) -> None:
        self._stream = stream
        self._on_bytes = on_bytes
        self._size = size
        self._free: list[bytearray] = []
        self._pushed = memoryview(b"")
        self._carry = b""
        self._lines = 0
        self.complete = False
        """Whether the stream has ended."""

    def head(self) -> bytes:
        """The first bytes of the stream, all of them if it is short."""
        head = bytearray(HEAD_BYTES)
        size = self._fill(memoryview(head))
        self._lines = 0
        return bytes(memoryview(head)[:size])

    def push_back(self, head: memoryview) -> None:
        """Have these bytes read again."""
        self._pushed = head

    def release(self, chunk: _Chunk) -> None:
        """Take back a buffer nobody reads any more."""
        self._free.append(chunk.buffer)

    def next_chunk(self, first_line: int) -> _Chunk | None:
        """The next whole lines, the first of them this one; None at the end."""
        buffer = self._free.pop() if self._free else bytearray(self._size + MAX_LINE + 2)
        view = memoryview(buffer)
        filled = len(self._carry)
        view[:filled] = self._carry
        self._carry = b""
        while not self._exhausted:
            start = filled
            filled += self._fill(view[filled : filled + self._size])
            line_end = buffer.rfind(_LINE_FEED, start, filled)
            if line_end >= 0:
                # Of a line too long to be one, its length is all that matters later.
                self._carry = bytes(view[line_end + 1 : filled][: MAX_LINE + 1])
                lines, self._lines = self._lines, 0
                return _Chunk(buffer, 0, line_end + 1, lines, first_line, cut=False)
            filled = min(filled, MAX_LINE + 1)
        if not filled:
            return None
        buffer[filled] = ord(_LINE_FEED)
        return _Chunk(buffer, 0, filled + 1, 1, first_line, cut=True)

    @property
    def _exhausted(self) -> bool:
        return self.complete and not self._pushed

    def _fill(self, view: memoryview) -> int:
        """Fill `view`, or as much of it as is left, and count the line ends in it."""
        filled = 0
        while filled < len(view) and not self._exhausted:
            piece = view[filled : filled + _PIECE_BYTES]
            given = self._again(piece) if self._pushed else self._read(piece)
            self._lines += count_lines(np.frombuffer(piece[:given], dtype=np.uint8))
            filled += given
        return filled

    def _again(self, piece: memoryview) -> int:
        given = min(len(piece), len(self._pushed))
        piece[:given] = self._pushed[:given]
        self._pushed = self._pushed[given:]
        return given

    def _read(self, piece: memoryview) -> int:
        given = self._stream.readinto(piece)
        if given == 0:
            self.complete = True
        elif self._on_bytes is not None:
            self._on_bytes(piece[:given])
        return given

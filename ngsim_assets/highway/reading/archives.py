"""Bytes out of plain files, gzip and zip: streamed, within limits, never onto the disk.

Belongs here: opening, the list of an archive's members, and every refusal of a dangerous or
damaged archive. Does not belong here: what the bytes mean.

The official US-101 and I-80 downloads hold their trajectories in a zip inside the zip, so one
such level is read; anything deeper is refused.
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO, cast

from ngsim_assets.highway.errors import (
    ArchiveBomb,
    CorruptArchive,
    EncryptedArchive,
    NotNgsim,
    SourceIsDirectory,
    SourceUnreadable,
    UnsafeArchive,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_GZIP = b"\x1f\x8b"
_ENCRYPTED = 0x1

# What zipfile, gzip and the decompressors raise on damaged input (found by damaging archives at
# random): beside their own errors, those of parsing names, numbers and positions.
_DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    struct.error,
    ValueError,
    LookupError,
    OverflowError,
)

# ZipExtFile grows what it returns piece by piece, which is quadratic in large reads.
_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an honest archive stays below.

    Attributes:
        total_bytes: of one archive's content. All of NGSIM is some 10 GB.
        ratio: content to compressed bytes. Trajectory text reaches about 10, an empty file of
            zeros 1,000.
        slack: bytes below which the ratio says nothing.
        members: entries of one archive. The official ones have a few hundred.
    """

    total_bytes: int = 64 * 2**30
    ratio: int = 200
    slack: int = 16 * 2**20
    members: int = 10_000


LIMITS = ArchiveLimits()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a zip.

    Attributes:
        inside: archives inside the zip that lead there, then its name.
        size: bytes it unpacks to.
        start: the first of them.
        damage: why it cannot be read, None if its start could.
    """

    inside: tuple[str, ...]
    size: int
    start: bytes
    damage: CorruptArchive | None = None


class GuardedStream(io.RawIOBase):
    """Bytes of a file or of what is packed in it; every failure typed, its growth watched.

    `consumed` of `total` says how far reading is: bytes of the file on disk, or of the member
    of a zip.
    """

    def __init__(
        self,
        inner: BinaryIO,
        source: str,
        total: int,
        cleanup: ExitStack,
        *,
        limits: ArchiveLimits | None = None,
        packed: BinaryIO | None = None,
    ) -> None:
        super().__init__()
        self.total = total
        self._inner = inner
        self._source = source
        self._cleanup = cleanup
        self._limits = limits
        self._packed = packed
        self._given = 0

    @property
    def consumed(self) -> int:
        """Part of `total` that was read."""
        return self._given if self._packed is None else self._packed.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill some of `buffer`; 0 at the end."""
        wanted = memoryview(buffer)
        if self._limits is not None:
            wanted = wanted[:_AT_ONCE]
        with _typed_failures(self._source):
            given: int = self._inner.readinto(wanted)  # pyright: ignore[reportAttributeAccessIssue]
        self._given += given
        if self._limits is not None:
            self._refuse_bomb(self._limits)
        return given

    def _refuse_bomb(self, limits: ArchiveLimits) -> None:
        if self._given > limits.total_bytes:
            raise ArchiveBomb(self._source, f"more than {limits.total_bytes:,} bytes inside")
        if self._packed is not None:
            honest = limits.slack + limits.ratio * self._packed.tell()
            if self._given > honest:
                raise ArchiveBomb(self._source, f"expands more than {limits.ratio} times")

    def close(self) -> None:
        """Close this and every file behind it."""
        if not self.closed:
            self._cleanup.close()
        super().close()


@contextmanager
def _typed_failures(source: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise CorruptArchive(source, str(error)) from error
    except (NotImplementedError, RuntimeError) as error:
        raise CorruptArchive(source, f"{error}, which is not supported") from error
    except OSError as error:
        # damage too: bzip2's own message, and a seek to a place there cannot be
        if error.errno in (None, errno.EINVAL):
            raise CorruptArchive(source, str(error)) from error
        raise SourceUnreadable(source, error.strerror or str(error)) from error


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading, or say in one line why not."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceIsDirectory(str(path))
        if not stat.S_ISREG(mode):
            raise SourceUnreadable(str(path), "not a regular file")
        return path.open("rb")
    except OSError as error:
        raise SourceUnreadable(str(path), error.strerror or str(error)) from error


def kind_of(path: Path) -> str:
    """`zip`, `gzip` or `plain`, by content."""
    with open_file(path) as file, _typed_failures(str(path)):
        start = file.read(4)
    if start in (_ZIP, _EMPTY_ZIP):
        return "zip"
    return "gzip" if start.startswith(_GZIP) else "plain"


def open_plain(path: Path) -> GuardedStream:
    """Stream of a file as it is."""
    file = open_file(path)
    return GuardedStream(file, str(path), _size(file), _closing(file))


def open_gzip(path: Path, limits: ArchiveLimits = LIMITS) -> GuardedStream:
    """Stream of a gzip file's content."""
    file = open_file(path)
    cleanup = _closing(file)
    content = cast("BinaryIO", cleanup.enter_context(gzip.GzipFile(fileobj=file)))
    return GuardedStream(content, str(path), _size(file), cleanup, limits=limits, packed=file)


def open_entry(
    path: Path, inside: tuple[str, ...], limits: ArchiveLimits = LIMITS
) -> GuardedStream:
    """Stream of one file of a zip; `inside` names archives inside it, then the file."""
    source = "!".join((str(path), *inside))
    cleanup = _closing(stream := open_file(path))
    try:
        with _typed_failures(source):
            size = 0
            for member in inside:
                archive = cleanup.enter_context(zipfile.ZipFile(stream))
                size = archive.getinfo(member).file_size
                stream = cast("BinaryIO", cleanup.enter_context(archive.open(member)))
    except BaseException:
        cleanup.close()
        raise
    return GuardedStream(stream, source, size, cleanup, limits=limits)


def _closing(file: BinaryIO) -> ExitStack:
    cleanup = ExitStack()
    cleanup.enter_context(file)
    return cleanup


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def walk(path: Path, head: int, limits: ArchiveLimits = LIMITS) -> Iterator[Entry]:
    """Every file inside a zip, and inside the zips it holds, each with its first `head` bytes.

    An archive that lies deeper is given as a file of its own, not opened. Raises NotNgsim (an
    Office document), UnsafeArchive, EncryptedArchive, ArchiveBomb, CorruptArchive.
    """
    with open_file(path) as file, _typed_failures(str(path)), zipfile.ZipFile(file) as archive:
        if _is_office(archive):
            raise NotNgsim(str(path), "an Excel workbook or other Office document")
        yield from _walk(archive, str(path), (), head, limits, [limits.total_bytes])


def _walk(
    archive: zipfile.ZipFile,
    source: str,
    above: tuple[str, ...],
    head: int,
    limits: ArchiveLimits,
    budget: list[int],
) -> Iterator[Entry]:
    members = archive.infolist()
    _refuse_dangerous(members, source, limits)
    budget[0] -= sum(member.file_size for member in members)
    if budget[0] < 0:
        raise ArchiveBomb(source, f"more than {limits.total_bytes:,} bytes inside")
    for member in members:
        if member.is_dir() or stat.S_ISLNK(member.external_attr >> 16):
            continue
        here = (*above, member.filename)
        name = f"{source}!{member.filename}"
        start, damage = b"", None
        try:
            with _typed_failures(name), archive.open(member) as content:
                start = content.read(head)
                if start.startswith(_ZIP) and not above:
                    # zipfile seeks in the member; behind deflate that unpacks it from its start
                    with zipfile.ZipFile(content) as inner:
                        if not _is_office(inner):
                            yield from _walk(inner, name, here, head, limits, budget)
                            continue
        except CorruptArchive as error:
            damage = error
        yield Entry(here, member.file_size, start, damage)


def _is_office(archive: zipfile.ZipFile) -> bool:
    return "[Content_Types].xml" in archive.NameToInfo


def _refuse_dangerous(members: list[zipfile.ZipInfo], source: str, limits: ArchiveLimits) -> None:
    if len(members) > limits.members:
        raise ArchiveBomb(source, f"{len(members):,} members")
    for member in members:
        name = member.orig_filename
        windows = PureWindowsPath(name)
        if name.startswith(("/", "\\")) or windows.drive or ".." in windows.parts:
            raise UnsafeArchive(source, name)
        if member.flag_bits & _ENCRYPTED:
            raise EncryptedArchive(source, name)
        honest = limits.slack + limits.ratio * member.compress_size
        if member.file_size > honest:
            raise ArchiveBomb(
                source, f"{name!r} expands {member.compress_size:,} to {member.file_size:,} bytes"
            )

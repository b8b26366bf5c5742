"""What can go wrong with a lake, each with what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ngsim_assets.errors import NgsimAssetsError


class StorageError(NgsimAssetsError):
    """Base of everything that storage raises on purpose."""


class ReadOnlyLake(StorageError):
    """The place to write to does not accept files."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"cannot write to {path}: {reason}",
            "give this user write permission there, or point NGSIM_DATA at another folder",
        )


class DiskFull(StorageError):
    """The disk or the quota ended before the file did; what was live before still is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"no space left on the disk while writing {path}; what was there before is unchanged",
            "free some space and run the same command again",
        )


class SchemaMismatch(StorageError):
    """Rows that do not fit their table; nothing was written."""

    def __init__(self, table: str, faults: Sequence[str], fix: str = "") -> None:
        self.table = table
        self.faults = tuple(faults)
        super().__init__(
            f"rows do not fit table {table}: {'; '.join(self.faults)}",
            fix or "give every column of the table's model, in its type, and no other",
        )


class MigrationNeeded(SchemaMismatch):
    """A table whose columns in the lake are not those of the model; nothing was changed."""

    def __init__(self, table: str, faults: Sequence[str], fix: str = "") -> None:
        super().__init__(table, faults)
        self.problem = f"table {table} is not as the model has it: {'; '.join(self.faults)}"
        self.fix = fix or (
            f"`ngsim migrate {table} --dry-run` tells what would become of each column, without"
            " --dry-run it is done; where the lake is newer than the code, update the code"
        )
        self.args = (f"{self.problem} ({self.fix})",)


class MigrationRefused(StorageError):
    """A table that cannot be brought to the model without loss; nothing was changed."""

    def __init__(self, table: str, faults: Sequence[str], fix: str = "") -> None:
        self.table = table
        self.faults = tuple(faults)
        super().__init__(
            f"table {table} was not migrated: {'; '.join(self.faults)}",
            fix
            or f"`ngsim migrate {table} --drop COLUMN` lets a column go; where values would change,"
            f" `ngsim migrate {table} --restart` empties the table and `ngsim build --force` fills"
            " it again; old versions stay readable",
        )


class InvalidPartition(StorageError):
    """A partition that cannot name a folder, or does not say which partition it is."""

    def __init__(self, table: str, partition: Mapping[str, str], problem: str) -> None:
        self.table = table
        self.partition = dict(partition)
        super().__init__(
            f"{_named(table, partition)}: {problem}",
            "name every identity column of the table; values are made of letters, digits, . _ + -",
        )


class ConflictingWrite(StorageError):
    """Another process replaced the same partition in between; its rows are live, ours are not."""

    def __init__(self, table: str, partition: Mapping[str, str], version: int) -> None:
        self.table = table
        self.partition = dict(partition)
        self.version = version
        super().__init__(
            f"{_named(table, partition)} was replaced by another process while it was being"
            f" written (now version {version}); this write was given up, nothing is mixed",
            "run it again if this run's rows should be the live ones",
        )


class DamagedFile(StorageError):
    """A data file that the table names but that cannot be read."""

    def __init__(self, table: str, path: Path, reason: str, fix: str = "") -> None:
        self.table = table
        self.path = path
        self.reason = reason
        super().__init__(
            f"table {table}: cannot read {path}: {reason}",
            fix or "`ngsim verify` names every damaged file and the command that writes it again",
        )


class UnknownVersion(StorageError):
    """A version the table never had, or that was vacuumed."""

    def __init__(self, table: str, version: int) -> None:
        self.table = table
        self.version = version
        super().__init__(
            f"table {table} has no version {version}", "`ngsim versions` lists the versions"
        )


class VacuumedVersion(UnknownVersion):
    """A version the table had, whose rows are no longer kept."""

    def __init__(
        self, table: str, version: int, partition: Mapping[str, str], gone: int, files: int
    ) -> None:
        super().__init__(table, version)
        NgsimAssetsError.__init__(
            self,
            f"{_named(table, partition)}: version {version} can no longer be read,"
            f" {gone} of its {files} files were removed",
            "`ngsim versions` lists the versions that can be; what NGSIM_KEEP_DAYS and"
            " NGSIM_KEEP_VERSIONS do not cover is vacuumed",
        )


class NoSuchVersion(UnknownVersion):
    """A name of a version that names none."""

    exit_code = 2

    def __init__(
        self, table: str, wanted: str, partition: Mapping[str, str], known: Sequence[str]
    ) -> None:
        super().__init__(table, -1)
        self.wanted = wanted
        NgsimAssetsError.__init__(
            self,
            f"{_named(table, partition)}: no version {wanted}",
            f"there are, newest first: {', '.join(known)}" if known else "there is none yet",
        )


class NotAVersion(StorageError):
    """A text that is none of the names a version can have."""

    exit_code = 2

    def __init__(self, table: str, wanted: str) -> None:
        super().__init__(
            f"{wanted!r} names no version of table {table}",
            "give a number (12), a place before the current one (@-1), v1.4.2, or a time in UTC"
            " (2026-03-01T12:00)",
        )


class UnusableCompression(StorageError):
    """A level that the codec does not have."""

    def __init__(self, codec: str, level: int, levels: range) -> None:
        self.codec = codec
        self.level = level
        allowed = f"{levels.start} to {levels.stop - 1}" if levels else "none"
        super().__init__(
            f"{codec} has no compression level {level}",
            f"levels of {codec}: {allowed}; leave the level out for the usual one",
        )


def _named(table: str, partition: Mapping[str, str]) -> str:
    return f"table {table}, partition {'|'.join(partition.values()) or 'whole table'}"


_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
}

_SAID_BY_SQLITE = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write at `path` into errors that name the fix.

    Libraries that pass such a refusal on as text only (Delta, DuckDB, SQLite) are understood too.
    """
    try:
        yield
    except NgsimAssetsError:
        raise
    except Exception as error:
        code = _errno_of(error)
        if code in _FULL:
            raise DiskFull(path) from error
        if code in _REFUSED:
            raise ReadOnlyLake(path, os.strerror(code)) from error
        raise


def _errno_of(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
    said = {os.strerror(code): code for code in codes} | _SAID_BY_SQLITE
    return next((code for words, code in said.items() if words in text), 0)

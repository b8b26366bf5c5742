"""What can go wrong with a lake, each with what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
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
            f"no space left on the disk while writing {path}; the table is as it was before",
            "free some space and run the same command again",
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write at `path` into errors that name the fix."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(path) from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise ReadOnlyLake(path, error.strerror or str(error)) from error
        raise

"""Whether the bytes on the disk are the bytes that were written.

The hash a file must have is part of its name, so nothing but the file list is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.storage.manifest import DataFile

_LEGIBLE = 14
"""Of a data file's name: its place and the first digits of its hash."""


@dataclass(frozen=True)
class Damage:
    """Something a table names that is not as it was written, and what mends it."""

    table: str
    partition: Mapping[str, str]
    path: Path
    problem: str
    fix: str


def damages(
    table: str,
    folder: Path,
    files: Iterable[DataFile],
    *,
    rebuilt_by: str = "",
    progress: Callable[[DataFile], None] | None = None,
) -> Iterator[Damage]:
    """Read every file and compare its hash; yields what does not fit.

    `rebuilt_by` is the command that mends a partition, see `Table`; `progress` is called with
    every file that was read.
    """
    for file in files:
        problem = _problem(folder / file.path, file)
        if problem:
            fix = f"materialize this partition of {table} again: it is rewritten from its input"
            if rebuilt_by:
                fix = f"write it again from its input: {rebuilt_by.format(**file.partition)}"
            yield Damage(table, file.partition, folder / file.path, problem, fix)
        if progress is not None:
            progress(file)


def is_sound(folder: Path, files: Iterable[DataFile]) -> bool:
    """Whether every file is there and holds the bytes that were written."""
    return all(not _problem(folder / file.path, file) for file in files)


def visible_damage(folder: Path, files: Iterable[DataFile]) -> str:
    """What is wrong with a file as far as it shows without reading, empty if nothing with any."""
    for file in files:
        try:
            size = (folder / file.path).stat().st_size
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            problem = "is missing" if missing else f"cannot be read: {error.strerror}"
        else:
            problem = "" if size == file.bytes else f"has {size} bytes instead of {file.bytes}"
        if problem:
            return f"file {Path(file.path).name[:_LEGIBLE]}… {problem}"
    return ""


def _problem(path: Path, file: DataFile) -> str:
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"has {size} bytes instead of {file.bytes}"
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if file.sha256 and digest != file.sha256:
        return "was changed after it was written: its SHA-256 differs"
    return ""

"""What a process remembers of the landing zone's record, kept up with what others change.

Belongs here: reading manifests and rejections once and again only where they changed, writing
them. Does not belong here: what may be changed (landing.py).

Every change names what it is about to change in the zone's lock file, and when it is done, what
the folders look like then. A process reads on from where it had read to; where that does not
explain the folders it finds (a writer was killed, somebody deleted a delivery by hand) it looks
at all of them again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TypeVar, cast
from uuid import uuid4

from pydantic import TypeAdapter

from ngsim_assets.acquisition.deliveries import DeliveredFile, Rejection
from ngsim_assets.acquisition.errors import DamagedManifest
from ngsim_assets.acquisition.holdings import Holdings
from ngsim_assets.storage.atomic import write_atomically

MANIFEST = "manifest.json"

_LONGEST_LOG = 1 << 18
_FILE, _REJECTION, _DONE = b"file ", b"rejection ", b"done "

_Kind = TypeVar("_Kind", DeliveredFile, Rejection)
_Identity = tuple[int, int, int]


class Remembered:
    """The record below `root`, as of the last `keep_up`."""

    def __init__(self, root: Path) -> None:
        self._files = root / "files"
        self._rejected = root / "rejected"
        self.holdings = Holdings()
        self.rejections: dict[str, Rejection] = {}
        self._read = _read_below(os.path.abspath(root))  # noqa: PTH100  # nothing is followed
        self._epoch = b""
        self._offset = 0
        self._looked_like = b""
        self._one_at_a_time = Lock()

    def keep_up(self, log: BinaryIO) -> None:
        """Learn what changed; the caller holds the lock on `log`. Raises DamagedManifest."""
        with self._one_at_a_time:
            log.seek(0)
            epoch = log.readline()
            explained = epoch == self._epoch and epoch != b""
            if explained:
                log.seek(self._offset)
                self._follow(log.read())
            if not explained or self._looked_like != self._looks():
                self._epoch = b""
                self._look_at_all()
                self._looked_like = self._looks()
            self._epoch = epoch
            self._offset = log.seek(0, os.SEEK_END)

    def begin(self, log: BinaryIO) -> None:
        """Make sure that what changes is written to `log`, which is kept short."""
        if not 0 < os.fstat(log.fileno()).st_size < _LONGEST_LOG:
            log.truncate(0)
            self._write(log, uuid4().hex.encode())
            log.seek(0)
            self._epoch = log.readline()

    def end(self, log: BinaryIO) -> None:
        """All that was to be changed is."""
        self._looked_like = self._looks()
        self._write(log, _DONE + self._looked_like)
        self._offset = log.seek(0, os.SEEK_END)

    def forget(self) -> None:
        """A change failed half way: look at everything again."""
        self._epoch = b""

    def changing_file(self, log: BinaryIO, folder: str) -> None:
        """The manifest in `folder` is about to change, come or go."""
        self._write(log, _FILE + folder.encode())

    def changing_rejection(self, log: BinaryIO, name: str) -> None:
        """The rejection in the file `name` is about to change, come or go."""
        self._write(log, _REJECTION + name.encode())

    def _write(self, log: BinaryIO, line: bytes) -> None:
        log.write(line + b"\n")
        log.flush()

    def _follow(self, lines: bytes) -> None:
        for line in dict.fromkeys(lines.splitlines()):
            if line.startswith(_FILE):
                self.recall_file(line[len(_FILE) :].decode())
            elif line.startswith(_REJECTION):
                self.recall_rejection(line[len(_REJECTION) :].decode())
            elif line.startswith(_DONE):
                self._looked_like = line[len(_DONE) :]

    def recall_file(self, folder: str) -> None:
        """Take the manifest in `folder` for what it now is."""
        self.holdings.put(folder, self._recall(self._files / folder / MANIFEST, DeliveredFile))

    def recall_rejection(self, name: str) -> None:
        """Take the rejection in the file `name` for what it now is."""
        rejection = self._recall(self._rejected / name, Rejection)
        self.rejections.pop(name, None)
        if rejection is not None:
            self.rejections[name] = rejection

    def _look_at_all(self) -> None:
        manifests = {
            name: self._recall(self._files / name / MANIFEST, DeliveredFile)
            for name in _names(self._files)
        }
        self.holdings = Holdings({name: file for name, file in manifests.items() if file})
        self.rejections = {}
        for name in _names(self._rejected):
            if name.endswith(".json"):
                self.recall_rejection(name)

    def _recall(self, path: Path, kind: type[_Kind]) -> _Kind | None:
        """The record at `path`, read only if it is another than was read before."""
        try:
            state = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._read.pop(path, None)
            return None
        # a record is only ever replaced by a new file, so these tell its content
        identity = (state.st_ino, state.st_mtime_ns, state.st_size)
        known = self._read.get(path)
        if known is not None and known[0] == identity:
            return cast("_Kind", known[1])
        try:
            record: _Kind = _reader_of(kind).validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DamagedManifest(path, str(error)) from error
        self._read[path] = (identity, record)
        return record

    def _looks(self) -> bytes:
        return b"-".join(_look_of(folder) for folder in (self._files, self._rejected))


def write_record(path: Path, record: DeliveredFile | Rejection) -> None:
    """Put `record` at `path`, in place of what was there."""
    write_atomically(path, json.dumps(asdict(record), indent=1, ensure_ascii=False))


@cache
def _read_below(root: str) -> dict[Path, tuple[_Identity, DeliveredFile | Rejection]]:
    """Records this process has read: a run opens the same zone many times."""
    return {}


@cache
def _reader_of(kind: type[DeliveredFile | Rejection]) -> TypeAdapter[Any]:
    # making one takes longer than reading a hundred records with it
    return TypeAdapter(kind)


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    except FileNotFoundError:
        return []


def _look_of(folder: Path) -> bytes:
    """What tells that names came or went: the time and, as that stands still, the subfolders."""
    try:
        state = folder.stat()
    except FileNotFoundError:
        return b""
    return f"{state.st_mtime_ns}:{state.st_nlink}".encode()

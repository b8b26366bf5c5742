"""What is known of the files of a watched folder: a journal, a line per file taken in or refused.

Belongs here: the journal on disk, which part of it can be trusted. Does not belong here: what
follows from it (incremental.py).

    9f3c01aa {"root": "/data/incoming", "options": {"reader": "1"}}
    51b2e07d ["taken", "us101.txt", 1048576, 1164..., 1164..., 9021, ["00000007-3f5a90c1d2e4"]]

Each line begins with the CRC-32 of the rest. Lines are only added, the last one of a path holds;
a line that a dying process or a failing disk spoilt is passed over, so that its file is looked
at again, and nothing else. Losing the journal costs the time of looking at every file again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ngsim_assets.acquisition.listing import FileState
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import writing

Outcome = Literal["begun", "taken", "refused", "aside", "gone"]

_SPARE_LINES = 1_000

_read_before: dict[Path, tuple[FileState, dict[str, object], Known]] = {}
"""What this process read of each journal last: a sensor looks many times at the same one."""


class Entry(NamedTuple):
    """The last that happened to a path.

    Attributes:
        outcome: `begun` to be taken in and not finished, `taken` in, `refused` and left where
            it is. After `aside`, refused and moved, and `gone`, the path is known no more.
        state: of the file then. tied: delivery folders that hold it, for `taken`; partitions
            it held before, for `begun`. tries: how often taking it in was begun and not ended.
    """

    outcome: Outcome
    state: FileState
    tied: tuple[str, ...] = ()
    tries: int = 0

    def covers(self, state: FileState, folders: Container[str]) -> bool:
        """Whether a file in `state` needs nothing, as long as `folders` are the deliveries."""
        return (
            self.state == state
            and self.outcome in ("taken", "refused")
            and all(folder in folders for folder in self.tied)
        )


@dataclass(frozen=True)
class Known:
    """What a journal says.

    Attributes:
        entries: by path below the watched folder. lines: lines read. damaged: lines passed over.
        usable: whether it is a journal of this folder and these options at all.
        length: bytes up to the end of the last whole line.
    """

    entries: dict[str, Entry]
    lines: int = 0
    damaged: int = 0
    usable: bool = False
    length: int = 0


class Checkpoint:
    """The journal at `path`, of the folder `root` taken in with `options`."""

    def __init__(self, path: Path, root: str, options: Mapping[str, str | None]) -> None:
        self.path = path
        self._head: dict[str, object] = {"root": root, "options": dict(options)}

    def read(self) -> Known:
        """What the journal says; a missing or unusable one says nothing."""
        try:
            with self.path.open("rb") as file:
                state = FileState.said_by(os.fstat(file.fileno()))
                before = _read_before.get(self.path)
                if before is not None and before[:2] == (state, self._head):
                    return before[2]
                known = self._understood(file.read())
        except OSError:
            return Known({})
        _read_before[self.path] = (state, self._head, known)
        return known

    def _understood(self, data: bytes) -> Known:
        end = data.rfind(b"\n") + 1
        lines = data[:end].splitlines()
        texts = [text for line in lines if (text := _checked(line)) is not None]
        # one document is read in half the time that as many lines take
        said = json.loads(b"[" + b",".join(texts) + b"]")
        if not said or _checked(lines[0]) is None or said[0] != self._head:
            return Known({}, damaged=len(lines))
        entries: dict[str, Entry] = {}
        for outcome, path, size, mtime_ns, ctime_ns, inode, tied in said[1:]:
            state = FileState(size, mtime_ns, ctime_ns, inode)
            _apply(entries, path, Entry(outcome, state, tuple(tied)))
        damaged = len(lines) - len(texts)
        return Known(entries, len(lines), damaged, usable=True, length=end)

    def replace(self, entries: Mapping[str, Entry]) -> None:
        """Write the journal anew, a line for each of `entries`."""
        lines = [_line(self._head), *(_line(_plain(*item)) for item in entries.items())]
        write_atomically(self.path, b"".join(lines))

    def opened(self, known: Known) -> Journal:
        """The journal, to add to; `known` is what it said when it was read."""
        return Journal(self, known)


class Journal:
    """A checkpoint being added to. One process at a time: the caller holds a lock."""

    def __init__(self, checkpoint: Checkpoint, known: Known) -> None:
        self._checkpoint = checkpoint
        self.entries = dict(known.entries)
        self._lines = known.lines
        if not known.usable or known.damaged:
            self._renew()
        else:
            with writing(checkpoint.path):
                # half a line that a dying process left would spoil the next one
                os.truncate(checkpoint.path, known.length)

    def add(self, path: str, entry: Entry, *, durably: bool = True) -> None:
        """Say what happened to `path`; it is on the disk when this returns, if `durably`."""
        _apply(self.entries, path, entry)
        with writing(self._checkpoint.path):
            make_folder(self._checkpoint.path.parent)
            with self._checkpoint.path.open("ab") as file:
                file.write(_line(_plain(path, entry)))
                file.flush()
                if durably:
                    os.fsync(file.fileno())
        self._lines += 1
        if self._lines > 2 * len(self.entries) + _SPARE_LINES:
            self._renew()

    def _renew(self) -> None:
        self._checkpoint.replace(self.entries)
        self._lines = 1 + len(self.entries)


def _apply(entries: dict[str, Entry], path: str, entry: Entry) -> None:
    before = entries.pop(path, None)
    if entry.outcome == "begun":
        tries = before.tries if before and before.outcome == "begun" else 0
        entries[path] = entry._replace(tries=tries + 1)
    elif entry.outcome in ("taken", "refused"):
        entries[path] = entry


def _plain(path: str, entry: Entry) -> list[object]:
    return [entry.outcome, path, *entry.state, list(entry.tied)]


def _line(content: object) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _checked(line: bytes) -> bytes | None:
    """What a line says, None if it is damaged."""
    said, _, text = line.partition(b" ")
    return text if said == b"%08x" % zlib.crc32(text) else None

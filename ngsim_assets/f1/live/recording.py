"""The recording of a live session: every line as it was received, before anybody else has it.

Belongs here: writing by size and age, and what a kill left of the last line. Does not belong here:
what lines say (reading/recordings.py), where the session stands (saved.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final

from ngsim_assets.f1.reading.content import LARGEST_LINE
from ngsim_assets.f1.reading.feed_lines import bounded
from ngsim_assets.storage.atomic import make_folder, sync_folder
from ngsim_assets.storage.errors import writing

BYTES: Final = 256 * 1024
SECONDS: Final = 1.0
"""Lines are on the disk when there are so many bytes of them, or they have waited so long."""


class Recording:
    """One file, written by one process, whichever of its threads.

    Attributes:
        rows: lines that are in it, those that are not on the disk yet included.
        repaired: bytes of a last line that a kill had cut short, which were taken away: whoever
            tells it again tells it whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.repaired = 0
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._open_ended = False
        self._lock = Lock()
        with writing(path):
            make_folder(path.parent)
            self._file = path.open("ab")
            sync_folder(path.parent)
        self._repair()

    @property
    def url(self) -> str:
        """What rows of its messages say they come from."""
        return self.path.resolve().as_uri()

    def write(self, line: bytes) -> int:
        """Add a line; its number, from 1."""
        with self._lock:
            if self._open_ended:
                self._waiting.append(b"\n")
            self._open_ended = not line.endswith(b"\n") and len(line) <= LARGEST_LINE
            self._waiting.append(line)
            self._bytes += len(line)
            self.rows += 1
        if self._bytes >= BYTES or self.due:
            self.flush()
        return self.rows

    def flush(self) -> None:
        """Have all lines on the disk. Raises DiskFull, ReadOnlyLake."""
        with self._lock:
            if self._waiting:
                with writing(self.path):
                    self._file.write(b"".join(self._waiting))
                    self._waiting, self._bytes = [], 0
                    self._file.flush()
                    os.fsync(self._file.fileno())
            self._since = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether lines have waited long enough."""
        return bool(self._waiting) and time.monotonic() - self._since >= SECONDS

    def lines(self) -> Iterator[bytes]:
        """All lines that are in it now."""
        self.flush()
        with self.path.open("rb") as file:
            for _ in range(self.rows):
                line = file.readline(LARGEST_LINE + 1)
                if not line:
                    return
                yield line

    def close(self) -> None:
        """Write what waits, and no more."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _repair(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for line in bounded(file):
                if line.endswith(b"\n") or len(line) > LARGEST_LINE:
                    self.rows += 1
                    whole += len(line)
                else:
                    self.repaired = len(line)
        if self.repaired:
            with writing(self.path):
                os.truncate(self.path, whole)

"""How many rows a file has, and under which header, without having it in memory.

Belongs here: lines. Does not belong here: what is in them (reading/).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PIECE = 2**20
_LONGEST_HEADER = 65_536
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Lines:
    """Counts lines as their bytes pass by. A last line needs no end.

    Attributes:
        ended: line ends so far. first: the first line, as far as it has come.
    """

    ended: int = 0
    first: bytes = b""
    _is_open: bool = False

    def add(self, piece: bytes) -> None:
        """Some more bytes."""
        if not piece:
            return
        if not self.ended and len(self.first) < _LONGEST_HEADER:
            self.first += piece.split(b"\n", 1)[0]
        self.ended += piece.count(b"\n")
        self._is_open = not piece.endswith(b"\n")

    @property
    def count(self) -> int:
        """Lines in all."""
        return self.ended + self._is_open

    @property
    def rows(self) -> int:
        """Lines below a header."""
        return max(0, self.count - 1)

    @property
    def header(self) -> str:
        """The first line, without byte order mark and line end."""
        return self.first.removeprefix(_BOM).strip().decode(errors="replace")


def lines_in(path: Path) -> Lines:
    """The lines of the file at `path`."""
    found = Lines()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.add(piece)
    return found

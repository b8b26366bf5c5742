"""What rows a group holds, as 128 bits that order, layout and format cannot change.

Each row becomes two 64-bit hashes; a group's content is their sums modulo 2^64 beside the
number of rows. Addition forgets order, so two deliveries of the same rows agree whatever their
order or their division into files, and the content of a union is the sum of the contents.

Belongs here: contents and their sums, without a library, since they are compared where no row is
read. Does not belong here: how rows are hashed (tallying.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_WORD = 2**64


@dataclass(frozen=True, slots=True)
class Content:
    """Number of rows and the two sums of their hashes."""

    rows: int = 0
    sums: tuple[int, int] = (0, 0)

    def __add__(self, other: Content) -> Content:
        return Content(
            self.rows + other.rows,
            (
                (self.sums[0] + other.sums[0]) % _WORD,
                (self.sums[1] + other.sums[1]) % _WORD,
            ),
        )

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for these rows."""
        text = f"{self.rows}:{self.sums[0]:016x}{self.sums[1]:016x}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

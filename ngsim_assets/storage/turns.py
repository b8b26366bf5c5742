"""Taking turns: writers of one table that all want its next version number.

Belongs here: how often and after which waits a commit is tried. Does not belong here: commits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

_ATTEMPTS = 200
"""Tries to get a version number; with n writers at once about n are needed."""


def turns() -> Iterator[None]:
    """A turn per try, with a wait after each that spreads the writers over time."""
    for attempt in range(_ATTEMPTS):
        yield
        time.sleep(random.uniform(0, 0.004 * min(attempt + 1, 25)))  # noqa: S311

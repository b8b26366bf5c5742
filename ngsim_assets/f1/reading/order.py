"""Which messages came before: repeated ones and late ones are told from new ones.

Belongs here: the memory of a feed that reconnects, repeats itself and overtakes itself. Does not
belong here: what a message says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Literal

from ngsim_assets.f1.formats import COMPRESSED, OPENF1

WINDOW = 20_000


class Order:
    """Tells what of a feed was there before; remembers the last `window` messages.

    Compressed topics and rows of REST responses carry times of their own and are no changes of
    a state, so they may come late; all others may not, their changes would be folded in the
    wrong order.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._recent: deque[int] = deque()
        self._window = window
        self._known: set[int] = set()
        self._latest: dict[str, float] = {}

    def judge(
        self, topic: str, time: float | None, content: Hashable
    ) -> Literal["duplicate", "out_of_order"] | None:
        """What is wrong with a message of that topic, time and content; None if it is new."""
        seen = hash((topic, time, content))
        if seen in self._known:
            return "duplicate"
        if time is not None and not topic.endswith(COMPRESSED) and not topic.startswith(OPENF1):
            if time < self._latest.get(topic, float("-inf")):
                return "out_of_order"
            self._latest[topic] = time
        self._known.add(seen)
        self._recent.append(seen)
        if len(self._recent) > self._window:
            self._known.discard(self._recent.popleft())
        return None

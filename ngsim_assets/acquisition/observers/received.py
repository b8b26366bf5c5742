"""Bytes that came over the network, read off events.

Belongs here: counting. Does not belong here: who wants to know.
"""

from __future__ import annotations

from ngsim_assets.acquisition.events import BytesReceived, Event, ResourceStarted


class Received:
    """How many bytes each event is the news of; what an earlier process had does not count."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str, str], int] = {}

    def by(self, event: Event) -> int:
        """Bytes that `event` is the first to tell of."""
        if isinstance(event, ResourceStarted):
            self._done[_place(event)] = event.resumed_from
            return 0
        if not isinstance(event, BytesReceived):
            return 0
        before = self._done.get(_place(event), 0)
        if event.done == event.total:
            self._done.pop(_place(event), None)
        else:
            self._done[_place(event)] = event.done
        # fewer than before: the file changed and came anew
        return event.done - before if event.done >= before else event.done


def _place(event: ResourceStarted | BytesReceived) -> tuple[str, str, str]:
    return event.resource.source, event.resource.key, event.part

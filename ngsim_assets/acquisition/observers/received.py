"""How far everything is that is under way, read off events.

Belongs here: counting. Does not belong here: who wants to know.
"""

from __future__ import annotations

from dataclasses import dataclass

from ngsim_assets.acquisition.events import (
    BytesReceived,
    Event,
    ResourceFinished,
    ResourceStarted,
)

Place = tuple[str, str, str]
"""Source, key and part."""


@dataclass(slots=True)
class Part:
    """A part under way. `resumed_from`: bytes that did not have to come in this run."""

    done: int
    total: int | None
    resumed_from: int


class Received:
    """What came over the network in this run; what an earlier process had does not count.

    Attributes:
        bytes: that came. expected: that are to come in all, as far as is known. parts: under way.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.expected = 0
        self.parts: dict[Place, Part] = {}

    @property
    def is_known(self) -> bool:
        """Whether it is known of everything under way how much is to come."""
        return all(part.total is not None for part in self.parts.values())

    def by(self, event: Event) -> int:
        """Take note of `event`; bytes that it is the first to tell of."""
        if isinstance(event, ResourceStarted):
            self._leave(place_of(event))
            self._enter(event, event.resumed_from)
        elif isinstance(event, BytesReceived):
            return self._come(event)
        elif isinstance(event, ResourceFinished):
            resource = event.outcome.resource
            for place in [*self.parts]:
                if place[:2] == (resource.source, resource.key):
                    self._leave(place)
        return 0

    def _enter(self, event: ResourceStarted | BytesReceived, resumed_from: int) -> Part:
        part = self.parts[place_of(event)] = Part(resumed_from, event.total, resumed_from)
        self.expected += (event.total or 0) - resumed_from if event.total else 0
        return part

    def _come(self, event: BytesReceived) -> int:
        part = self.parts.get(place_of(event)) or self._enter(event, 0)
        if event.total != part.total:
            self.expected += _to_come(event.total, part) - _to_come(part.total, part)
            part.total = event.total
        if event.done < part.done:  # the file changed, and comes anew
            self.expected += part.done
            part.done = part.resumed_from = 0
        new = event.done - part.done
        part.done = event.done
        self.bytes += new
        if event.done == event.total:
            del self.parts[place_of(event)]
        return new

    def _leave(self, place: Place) -> None:
        """Nothing more comes of a part."""
        part = self.parts.pop(place, None)
        if part is not None and part.total is not None:
            self.expected -= part.total - part.done


def place_of(event: ResourceStarted | BytesReceived) -> Place:
    """What the event is about."""
    return event.resource.source, event.resource.key, event.part


def _to_come(total: int | None, part: Part) -> int:
    return 0 if total is None else total - part.resumed_from

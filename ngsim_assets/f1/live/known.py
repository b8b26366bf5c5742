"""What is known of a session that is being received, as far as its messages told it.

Belongs here: what several ingestors want to know and none of them owns. Does not belong here: what
they make of it (ingestors.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.formats import whole
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.state import Course
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sessions import SessionInfo, kind_of, of_messages
from ngsim_assets.f1.simulation.scenario import SIMULATED
from ngsim_assets.f1.timing.folding import at


@dataclass(slots=True)
class Known:
    """A session as it is known now.

    Attributes:
        clock: None until a message with a time came; that is session time 0.
        first_laps: times of the first lap of a race per car, ms, where the store has them.
        laps: rows of f1_laps as they are now, None until there are some.
        now: session time in ms of the newest message. lap: of the leader, in a race.
    """

    key: SessionKey
    course: Course = field(default_factory=Course)
    clock: SessionClock | None = None
    info: SessionInfo | None = None
    first_laps: Mapping[int, int] = field(default_factory=dict[int, int])
    laps: pl.DataFrame | None = None
    now: int | None = None
    lap: int | None = None

    @property
    def origin(self) -> Origin:
        """What rows come from."""
        simulated = self.key.meeting.startswith(SIMULATED.lower())
        return Origin(self.key, "signalr", simulated=simulated)

    @property
    def race(self) -> bool:
        """Whether cars race each other."""
        return kind_of(self.key.session) == "race"

    def take(self, message: Message) -> bool:
        """Note what a message tells; whether the state of the session is another one now."""
        if self.clock is None and message.utc is not None:
            self.clock = SessionClock(message.utc, 1, "the first message")
        if self.clock is not None and message.utc is not None:
            self.now = max(self.now or 0, self.clock.session_time(message.utc))
        match message.topic:
            case "SessionInfo" if self.info is None:
                try:
                    self.info = of_messages([message])
                except SessionUnknown:
                    self.info = None
            case "LapCount":
                self.lap = whole(at(message.payload, "CurrentLap")) or self.lap
            case "SessionStatus":
                status = at(message.payload, "Status")
                if isinstance(status, str) and status:
                    return self.course.take(status, self.now)
            case _:
                pass
        return False

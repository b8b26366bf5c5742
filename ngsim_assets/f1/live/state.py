"""Where a session stands: by the statuses that its feed tells, and by what does not come.

    PRE_SESSION -> ACTIVE -> POST_SESSION -> COMPLETED

Qualifying is started, finished and started again: then it is active again. A session that was
aborted is active and suspended until it is started again, or is finished.

Belongs here: states and what moves them. Does not belong here: who acts on it (orchestrator.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal


class SessionState(StrEnum):
    """Where a session stands."""

    PRE_SESSION = "PRE_SESSION"
    ACTIVE = "ACTIVE"
    POST_SESSION = "POST_SESSION"
    COMPLETED = "COMPLETED"


Outcome = Literal["over", "stream_ended", "stopped", "feed_died", "never_started", "failed"]
"""Why a session is received no longer.

over: the feed said that the session ended. stream_ended: there are no more lines. stopped: somebody
asked for it; to be gone on with. feed_died: nothing came for too long. never_started: it was not
started in time. failed: nothing could be written down any more.
"""

SENTENCES: Final[dict[Outcome, str]] = {
    "over": "the session is over",
    "stream_ended": "the stream ended before the session was over",
    "stopped": "stopped; run the same command again to go on",
    "feed_died": "the feed died: nothing came from it for too long",
    "never_started": "the session was never started",
    "failed": "receiving failed",
}


@dataclass(slots=True)
class Course:
    """The course of a session so far.

    Attributes:
        suspended: whether it was aborted and not started again yet.
        status: as told last. told: every status with its session time, in order.
    """

    state: SessionState = SessionState.PRE_SESSION
    suspended: bool = False
    status: str | None = None
    told: list[tuple[str, int | None]] = field(default_factory=list[tuple[str, int | None]])

    @property
    def started(self) -> bool:
        """Whether it ever was."""
        return any(status in _RUNNING for status, _ in self.told)

    def take(self, status: str, time: int | None) -> bool:
        """Note a status; whether the state is another one now."""
        before = self.state
        self.status = status
        self.told.append((status, time))
        if status in _RUNNING:
            self.state, self.suspended = SessionState.ACTIVE, False
        elif status == "Aborted":
            self.suspended = self.state is SessionState.ACTIVE
        elif status in {"Finished", "Finalised"}:
            self.state, self.suspended = SessionState.POST_SESSION, False
        elif status == "Ends":
            self.state, self.suspended = SessionState.COMPLETED, False
        return self.state is not before


_RUNNING: Final = frozenset({"Started", "Resumed"})

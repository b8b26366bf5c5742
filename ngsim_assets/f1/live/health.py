"""How a live session does, as values, and as sentences for people.

Belongs here: what is told, and reading it in another process. Does not belong here: finding it out
(orchestrator.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.saved import HEALTH, folder_of, is_received, live_folders
from ngsim_assets.f1.live.state import SENTENCES, Outcome, SessionState
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class IngestorHealth:
    """How one ingestor does.

    Attributes:
        status: running, finished, failed.
        messages: taken. waiting: in its inbox. dropped: for which there was no room in time.
        rows: of its tables now. commits: versions of them it made.
        aside: what it set aside, by reason.
        last_message: seconds since its newest message, None before the first.
        flush_seconds: what storing took the last time.
    """

    name: str
    status: str
    messages: int
    waiting: int
    dropped: int
    rows: Mapping[str, int]
    commits: int
    aside: Mapping[str, int]
    last_message: float | None
    restarts: int
    flush_seconds: float
    last_error: str


@dataclass(frozen=True, slots=True)
class LiveHealth:
    """How a session that is received does, as of `written` (UTC, ISO).

    Attributes:
        alive: whether the process that receives it lives.
        outcome: why it is received no longer, None while it is.
        clock: UTC of the newest message by the session's clock; session_time: ms since its start.
        lap: of the leader, in a race.
        silence: seconds since anything came. lines = those of messages + aside.
        resumed: lines that were there when this process began.
        unused: messages of topics that no ingestor takes.
        second_home: "ok", what is wrong with it, or nothing where there is none.
        notes: what happened that somebody should know.
    """

    session: str
    state: SessionState
    suspended: bool
    status: str | None
    outcome: Outcome | None
    written: str
    stream: str
    recording: str
    lines: int
    resumed: int
    messages: int
    unused: int
    aside: Mapping[str, int]
    clock: str | None
    session_time: int | None
    silence: float
    ingestors: tuple[IngestorHealth, ...]
    lap: int | None = None
    second_home: str = ""
    notes: tuple[str, ...] = field(default=())
    alive: bool = True

    @property
    def healthy(self) -> bool:
        """Whether nothing failed and nothing was lost."""
        well = all(one.status != "failed" and not one.dropped for one in self.ingestors)
        ended = self.outcome in (None, "over", "stream_ended", "stopped")
        dead = not self.alive and self.outcome is None
        return well and ended and not dead and self.second_home in ("", "ok")

    def summary(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "healthy": self.healthy}

    def sentences(self) -> list[str]:
        """For people: the session first, then what is not as it should be."""
        where = f"{self.session} is {self.state.value}"
        if self.suspended:
            where += ", suspended"
        told = [f"{where}: {self.lines:,} lines received, {sum(self.aside.values()):,} set aside"]
        if self.outcome is not None:
            told.append(SENTENCES[self.outcome])
        elif not self.alive:
            told.append("the process that received it is dead; run it again to go on")
        for one in self.ingestors:
            if one.status == "failed":
                told.append(f"{one.name} failed after {one.restarts} restarts: {one.last_error}")
            elif one.restarts:
                told.append(f"{one.name} began again {one.restarts} times: {one.last_error}")
            if one.dropped:
                told.append(
                    f"{one.name} had no room for {one.dropped:,} messages, which the recording has"
                )
        if self.second_home not in ("", "ok"):
            told.append(f"PostgreSQL: {self.second_home}")
        return [*told, *self.notes]

    def write(self, folder: Path) -> None:
        """Leave it for other processes."""
        write_atomically(folder / HEALTH, json.dumps(self.summary(), indent=1))


def read_health(settings: Settings, session: SessionKey | None = None) -> list[LiveHealth]:
    """What was left of every session that is or was received here, or of one."""
    folders = live_folders(settings) if session is None else [folder_of(settings, session)]
    found = [_read(folder) for folder in folders]
    return [health for health in found if health is not None]


def _read(folder: Path) -> LiveHealth | None:
    """None where nothing can be read: the process had not come so far."""
    try:
        told: dict[str, Any] = json.loads((folder / HEALTH).read_bytes())
        del told["healthy"]
        told["state"] = SessionState(told["state"])
        told["ingestors"] = tuple(IngestorHealth(**one) for one in told["ingestors"])
        told["notes"] = tuple(told["notes"])
        told["alive"] = is_received(folder)
        return LiveHealth(**told)
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""A session that is received, all that works on it, and how that does.

Belongs here: what belongs to one session from its first line to its last table. Does not belong
here: what is done with it in which order (orchestrator.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ngsim_assets.f1.live.health import IngestorHealth, LiveHealth
from ngsim_assets.f1.live.known import Known
from ngsim_assets.f1.live.live_tables import LiveTables
from ngsim_assets.f1.live.receiver import Receiver
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.live.saved import Saved
from ngsim_assets.f1.live.state import Outcome
from ngsim_assets.f1.live.streams import Stream
from ngsim_assets.f1.live.workers import Worker
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.telemetry.buffer import Clock
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.storage.schema import Table

TABLES: Final[dict[str, tuple[Table, ...]]] = {
    "timing": (F1_LAPS, F1_TRACK_STATUS, F1_RACE_CONTROL, F1_SESSION_STATUS),
    "weather": (F1_WEATHER,),
    "safety_car": (F1_NEUTRALISATIONS,),
    "telemetry": (F1_TELEMETRY, F1_POSITIONS),
}
"""Which ingestor writes which tables."""


@dataclass(frozen=True, slots=True)
class Historical:
    """What the store had: first laps, or why it could not be asked."""

    first_laps: int = 0
    error: str = ""


class LiveSession:
    """A session that is received, and all that works on it."""

    tables: LiveTables
    workers: Sequence[Worker]
    receiver: Receiver

    def __init__(
        self,
        folder: Path,
        saved: Saved,
        recording: Recording,
        known: Known,
        stream: Stream,
        after: int,
        clock: Clock,
    ) -> None:
        self.folder = folder
        self.saved = saved
        self.recording = recording
        self.known = known
        self.after = after
        self.notes: list[str] = []
        self.outcome: Outcome | None = None
        self.historical = Historical()
        self._stream = stream
        self._clock = clock

    def health(self) -> LiveHealth:
        """How it does now."""
        known, receiver, now = self.known, self.receiver, self._clock.now()
        clock = known.clock.utc(known.now) if known.clock and known.now is not None else None
        return LiveHealth(
            session=str(known.key),
            state=known.course.state,
            suspended=known.course.suspended,
            status=known.course.status,
            outcome=self.outcome,
            written=datetime.now(UTC).isoformat(timespec="milliseconds"),
            stream=self._stream.name,
            recording=str(self.recording.path),
            lines=receiver.lines,
            resumed=receiver.resumed,
            messages=receiver.messages,
            unused=receiver.unused,
            aside=dict(receiver.aside),
            clock=clock.isoformat(timespec="milliseconds") if clock else None,
            session_time=known.now,
            silence=round(now - receiver.heard, 3),
            ingestors=(*(self._of(worker, now) for worker in self.workers), self._of_historical()),
            lap=known.lap,
            second_home=self.tables.second_home,
            notes=(*self.notes, *self._stream.notes, *([receiver.lost] if receiver.lost else [])),
        )

    def _of(self, worker: Worker, now: float) -> IngestorHealth:
        names = [table.name for table in TABLES[worker.name]]
        return IngestorHealth(
            name=worker.name,
            status=worker.status,
            messages=worker.messages,
            waiting=len(worker.inbox),
            dropped=worker.inbox.dropped,
            rows={name: self.tables.rows[name] for name in names},
            commits=sum(self.tables.commits[name] for name in names),
            aside=dict(worker.aside),
            last_message=None if worker.last_at is None else round(now - worker.last_at, 3),
            restarts=worker.restarts,
            flush_seconds=round(worker.flush_seconds, 3),
            last_error=worker.last_error,
        )

    def _of_historical(self) -> IngestorHealth:
        told = self.historical
        status = "failed" if told.error else "finished"
        rows = {"first laps": told.first_laps}
        return IngestorHealth("historical", status, 0, 0, 0, rows, 0, {}, None, 0, 0.0, told.error)

    def close(self) -> None:
        """Let go of files and threads."""
        self.tables.close()
        self.recording.close()
